"""The structures by name: which equations a cell has, and what their loops need beside parameters and states.

| kind | equations | corrections f1..f4 |
|---|---|---|
| gr | algebraic (P1 eqs 4-8) | none |
| grnn | the same | phi1 at the levels before the step |
| ode | differential, implicit Euler (P2 eqs 5, 8-13); explicit Euler to compare with | none |
| node | the same (P2 eq. 14) | phi1 at the new levels (`implicit`) or at those before the step (`lagged`) |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.structures import gr, grnn, node_implicit, node_previous, ode, ode_explicit
from hydrocli.structures.network import LEAKY_RELU, SILU, STRIP, layer_widths, weight_count, workspace
from hydrocli.water.transfer import LOWEST_LEVEL

Loop = Callable[..., None]

LOOPS: dict[str, tuple[Loop, Loop]] = {
    "gr": (gr.forward, gr.reverse),
    "grnn": (grnn.forward, grnn.reverse),
    "ode": (ode.forward, ode.reverse),
    "ode explicit": (ode_explicit.forward, ode_explicit.reverse),
    "node lagged": (node_previous.forward, node_previous.reverse),
    "node implicit": (node_implicit.forward, node_implicit.reverse),
}
HIGHEST_LEVEL = {"conservative": 1e6, "as_published": 1.0 - 1e-6}
"""Of the stores of `ode` and `node`; hp stays below 1 by its equation. No flood comes near 1e6: it holds a store whose
outflow a network has closed to the last bit, before its powers overflow in single precision."""
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Structure:
    """Equations of a cell.

    Attributes:
        kind: gr, grnn, ode or node.
        hidden: units of the hidden layers of phi1, one or two of them.
        activation: of the hidden layers: silu or leaky_relu.
        input_scale: factors of the inputs hp, ht, pn, en of phi1.
        flux_limits: conservative, or as_published (see `hydrocli.structures.grnn` and `implicit_euler`).
        network_coupling: implicit or lagged, for node.
        scheme: of ode in time: implicit, or explicit in so many substeps, to compare with.
        tolerance: relative step at which Newton's method has converged.
    """

    kind: str = "gr"
    hidden: tuple[int, ...] = (16,)
    activation: str = "silu"
    input_scale: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    flux_limits: str = "conservative"
    network_coupling: str = "implicit"
    scheme: str = "implicit"
    substeps: int = 1
    tolerance: float = TOLERANCE

    @property
    def has_network(self) -> bool:
        """Whether phi1 corrects the fluxes."""
        return self.kind in ("grnn", "node")

    @property
    def is_differential(self) -> bool:
        """Whether the equations of the stores are differential ones."""
        return self.kind in ("ode", "node")

    @property
    def has_solver(self) -> bool:
        """Whether a step is solved by Newton's method."""
        return self.is_differential and self.scheme == "implicit"

    @property
    def sees_new_levels(self) -> bool:
        """Whether the inputs of phi1 are the levels after the step."""
        return self.kind == "node" and self.network_coupling == "implicit"

    @cached_property
    def widths(self) -> NDArray[np.int64]:
        """Units of phi1 from the inputs to the outputs."""
        return layer_widths(self.hidden)

    @property
    def weights(self) -> int:
        """Number of weights and biases of phi1; 0 without."""
        return weight_count(self.widths) if self.has_network else 0

    @property
    def loops(self) -> tuple[Loop, Loop]:
        """Compiled loops over a tile, forward and reverse."""
        if self.scheme == "explicit":
            return LOOPS[f"{self.kind} explicit"]
        return LOOPS[f"node {self.network_coupling}" if self.kind == "node" else self.kind]

    def scaled(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights with the scale of the inputs in those of the first layer; linear, so its own transpose."""
        first = self.widths[1] * self.widths[0]
        scale = np.ones(len(weights))
        scale[:first] = np.tile(self.input_scale, self.widths[1])
        return weights * scale

    def initial_weights(self, seed: int, initial_std: float = 0.01) -> NDArray[np.float64]:
        """Weights near zero, so that the hybrid starts as the classical structure; biases are zero."""
        random, parts = np.random.default_rng(seed), []
        for inputs, outputs in zip(self.widths[:-1], self.widths[1:], strict=True):
            parts += [random.normal(0.0, initial_std, inputs * outputs), np.zeros(outputs)]
        return np.concatenate(parts)

    def extra(self, weights: NDArray[np.floating], counts: NDArray[np.int64], real: type) -> tuple[Any, ...]:
        """What the loops of this structure need for one chunk: weights, room to work, limits."""
        if self.kind == "gr":
            return ()
        kind = {"silu": SILU, "leaky_relu": LEAKY_RELU}[self.activation]
        limits = (real(LOWEST_LEVEL), real(HIGHEST_LEVEL[self.flux_limits]))
        if self.scheme == "explicit":
            path: NDArray[np.floating] = np.zeros((2, self.substeps + 1, STRIP), real)
            return np.zeros((4, STRIP), real), path, np.zeros(STRIP, real), real(1.0 / self.substeps), *limits
        solver = (counts, real(self.tolerance), *limits)
        if self.kind == "ode":
            return np.zeros((2, 4, STRIP), real), *solver
        network = (weights, self.widths, kind)
        if self.kind == "grnn":
            room = 0.0 if self.flux_limits == "conservative" else grnn.UNLIMITED
            return *network, workspace(self.widths, real, 3), real(room)
        terms: NDArray[np.floating] = np.zeros((4, 6, STRIP), real)
        return *network, workspace(self.widths, real, 5), terms, np.zeros((4, STRIP), np.int64), *solver


GR = Structure()
"""The classical structure."""
