"""Small basins for the exams of the sweep, and a reference that walks through time and cells.

The reference is typed from the papers, in plain Python with powers and hyperbolic tangents. It takes complex numbers: a
derivative by complex step is exact to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hydrocli.engine.order import order_forcing, wavefront_order
from hydrocli.engine.simulator import Simulator, State

STEP, WIDTH = 3600, 1000.0
AREA = WIDTH**2


def forest(cells: int, rng: np.random.Generator, kind: str = "tree") -> tuple[np.ndarray, np.ndarray]:
    """downstream[n], level[n] of a random basin: `tree` (bushy), `chain` (one river), `wide` (flat, many outlets)."""
    downstream = np.full(cells, -1)
    for cell in range(1, cells):
        if kind == "chain":
            downstream[cell] = cell - 1
        elif kind == "wide":
            downstream[cell] = rng.integers(0, max(1, cell // 8)) if rng.random() > 0.05 else -1
        else:
            downstream[cell] = rng.integers(max(0, cell - 6), cell) if rng.random() > 0.05 else -1
    depth = np.zeros(cells, np.int64)
    for cell in range(1, cells):
        if downstream[cell] >= 0:
            depth[cell] = depth[downstream[cell]] + 1
    shuffle = rng.permutation(cells)  # cell numbers say nothing about the order of computation
    shuffled = np.full(cells, -1)
    inside = downstream >= 0
    shuffled[shuffle[inside]] = shuffle[downstream[inside]]
    level = np.empty(cells, np.int64)
    level[shuffle] = depth.max() - depth
    return shuffled, level


@dataclass(frozen=True)
class Case:
    """A basin with forcing net[t, n] (pn - en), parameters[5, n], a state and gauges: what a sweep needs."""

    downstream: np.ndarray
    level: np.ndarray
    net: np.ndarray
    parameters: np.ndarray
    state: State
    gauges: np.ndarray

    def simulator(self, **options) -> Simulator:
        """The engine over this case."""
        order = wavefront_order(self.downstream, self.level, len(self.net))
        forcing = np.zeros(order.forcing_size, np.float32)
        order_forcing(self.net, 0, order, forcing)
        cells = len(self.level)
        return Simulator(order, (forcing,), np.full(cells, AREA), np.full(cells, WIDTH), self.gauges, STEP, **options)

    def simulate(self, **options) -> tuple[np.ndarray, State]:
        """Discharge and final state by the engine."""
        return self.simulator(**options).simulate(self.parameters, self.state)

    def cut(self, first: int, last: int, state: State) -> Case:
        """The same basin over some of its steps, from another state."""
        return replace(self, net=self.net[first:last], state=state)


def case(cells: int = 60, steps: int = 50, kind: str = "tree", seed: int = 0) -> Case:
    """A random case: floods, droughts, losses and gains by exchange; two gauges in one cell, some in others."""
    rng = np.random.default_rng(seed)
    downstream, level = forest(cells, rng, kind)
    shape = (steps, cells)
    net = np.where(rng.random(shape) < 0.4, rng.exponential(6.0, shape), -rng.exponential(0.3, shape)).astype(
        np.float32
    )
    net[rng.random(shape) < 0.2] = 0.0
    ranges = ((50, 800), (20, 500), (-5, 2), (1, 20), (0.3, 1))
    parameters = np.stack([rng.uniform(*bounds, cells) for bounds in ranges])
    state = State(rng.uniform(0.05, 0.8, (2, cells)), rng.uniform(0, 5, cells), rng.uniform(0, 1, cells))
    outlets = np.flatnonzero(downstream < 0)
    gauges = np.array([outlets[0], outlets[0], *outlets[1:4], *rng.integers(0, cells, 2)])
    return Case(downstream, level, net, parameters, state, gauges)


def larger(x, y):
    return np.where(np.real(x) >= np.real(y), x, y)


def gr_step(pn, en, cp, ct, kexc, hp, ht):
    """New levels and runoff [mm/step] of all cells, arrays [n], by P1 eqs 4-8."""
    beta = 9 / 4 * (86400 / STEP) ** 0.25
    tp, te = np.tanh(pn / cp), np.tanh(en / cp)
    ps = cp * (1 - hp**2) * tp / (1 + hp * tp)
    es = cp * hp * (2 - hp) * te / (1 + (1 - hp) * te)
    filled = hp + (ps - es) / cp
    perc = cp * filled * (1 - (1 + (filled / beta) ** 4) ** -0.25)
    exchange = kexc * ht**3.5
    effective = pn - ps + perc
    raised = larger(ht + (0.9 * effective + exchange) / ct, 1e-6)
    drained = raised * (1 + raised**4) ** -0.25
    return filled - perc / cp, drained, ct * (raised - drained) + larger(0.1 * effective + exchange, 0.0)


def reference(case: Case, parameters=None, levels=None, step=gr_step):
    """Discharge[g, t] and final levels[2, n], discharge[n], lateral inflow[n]; cells from the sources down."""
    parameters = case.parameters if parameters is None else parameters
    hp, ht = case.state.levels if levels is None else levels
    cp, ct, kexc, akw, bkw = parameters
    order = np.argsort(case.level, kind="stable")
    upstream = [np.flatnonzero(case.downstream == cell) for cell in range(len(order))]
    flow, lateral, discharge = case.state.discharge, case.state.lateral_inflow, []
    for net in case.net.astype(np.float64):
        before, lateral_before = flow, lateral
        hp, ht, runoff = step(np.maximum(net, 0.0), np.maximum(-net, 0.0), cp, ct, kexc, hp, ht)
        lateral = runoff * 1e-3 * AREA / STEP
        flow = lateral.copy()
        d1, ql = STEP / WIDTH, (larger(lateral_before, 1e-6) + larger(lateral, 1e-6)) / 2
        for c in order:
            if len(upstream[c]):
                u, q = larger(flow[upstream[c]].sum(), 1e-6), larger(before[c], 1e-6)
                d2 = akw[c] * bkw[c] * ((q + u) / 2) ** (bkw[c] - 1)
                flow[c] = (d1 * (u + ql[c]) + d2 * q) / (d1 + d2)
        discharge.append(flow[case.gauges])
    return np.stack(discharge, axis=1), np.stack([hp, ht]), flow, lateral


def squares(discharge: np.ndarray) -> tuple[float, np.ndarray]:
    """A cost with weights that tell gauges and steps apart, and its derivative."""
    weights = 1 + np.arange(discharge.size).reshape(discharge.shape) % 7
    return 0.5 * float((weights * discharge**2).sum()), weights * discharge
