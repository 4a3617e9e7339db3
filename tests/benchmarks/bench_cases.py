"""Basins to measure on: Cance as the peer reads it, copies of it side by side, and synthetic trees of any size."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra


@dataclass(frozen=True)
class Case:
    """All that a run needs; n cells, g gauges.

    net: float32[steps, n] neutralised rain less evapotranspiration [mm/step].
    parameters: [5, n] cp, ct, kexc, akw, bkw. levels: [2, n] hp, ht at the start.
    observed, weight: [g, steps], the cost is sum(weight (flow - observed)^2).
    """

    downstream: np.ndarray
    level: np.ndarray
    cell_area: np.ndarray
    cell_width: np.ndarray
    gauges: np.ndarray
    net: np.ndarray
    parameters: np.ndarray
    levels: np.ndarray
    observed: np.ndarray
    weight: np.ndarray
    step: int = 3600

    @property
    def cells(self) -> int:
        return len(self.downstream)

    @property
    def steps(self) -> int:
        return len(self.net)

    def cost(self, discharge: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and derivative by the discharge [g, steps]."""
        error = discharge - self.observed
        return float(np.sum(self.weight * error**2)), 2.0 * self.weight * error

    def save(self, path: Path) -> None:
        np.savez(path, **asdict(self))

    @classmethod
    def load(cls, path: Path) -> Case:
        with np.load(path) as stored:
            arrays = dict(stored)
        return cls(**arrays | {"step": int(arrays["step"])})

    def copies(self, count: int) -> Case:
        """The same basin `count` times side by side, gauges in the first."""
        downstream = [np.where(self.downstream < 0, -1, self.downstream + i * self.cells) for i in range(count)]
        repeated = {
            name: np.tile(getattr(self, name), count)
            for name in ("level", "cell_area", "cell_width", "net", "parameters", "levels")
        }
        return Case(
            downstream=np.concatenate(downstream),
            gauges=self.gauges,
            observed=self.observed,
            weight=self.weight,
            step=self.step,
            **repeated,
        )


def random_tree(cells: int, seed: int = 0) -> np.ndarray:
    """Downstream cell of each of about `cells` cells of a square that drain to its corner.

    The cheapest ways to the corner between eight neighbours of very unequal cost: 59 cells long at most where there are
    400, 580 where there are 50,000; Hack's law of rivers (1957) has 51 and 920.
    """
    side = round(np.sqrt(cells))
    index = np.arange(side * side).reshape(side, side)
    pairs = [
        (index[:, 1:], index[:, :-1]),
        (index[1:], index[:-1]),
        (index[1:, 1:], index[:-1, :-1]),
        (index[1:, :-1], index[:-1, 1:]),
    ]
    a, b = (np.concatenate([pair[end].ravel() for pair in pairs]) for end in (0, 1))
    costs = np.random.default_rng(seed).random(len(a)) ** 5 + 1e-9
    ways = csr_matrix((costs, (a, b)), shape=(index.size, index.size))
    _, downstream = dijkstra(ways, directed=False, indices=0, return_predecessors=True)
    return np.where(downstream < 0, -1, downstream).astype(np.int64)


def synthetic(cells: int, steps: int, seed: int = 0) -> Case:
    """A random tree under one rain for all cells; a view, so that forcing costs no memory until it is skewed."""
    rng = np.random.default_rng(seed)
    downstream = random_tree(cells, seed)
    cells, gauges = len(downstream), np.array([0])
    wet = rng.random(steps) < 0.15
    net = np.where(wet, rng.gamma(1.0, 2.0, steps), -0.2 * rng.random(steps)).astype(np.float32)
    bounds = np.array([[50.0, 20.0, -5.0, 1.0, 0.3], [800.0, 500.0, 2.0, 20.0, 1.0]])
    return Case(
        downstream=downstream,
        level=_level(downstream),
        cell_area=np.full(cells, 1e6),
        cell_width=np.full(cells, 1e3),
        gauges=gauges,
        net=np.broadcast_to(net[:, None], (steps, cells)),
        parameters=rng.uniform(*bounds[..., None], (5, cells)),
        levels=rng.uniform(0.2, 0.6, (2, cells)),
        observed=np.zeros((1, steps)),
        weight=np.full((1, steps), 1.0 / steps),
    )


def open_case(path: str = "", copies: int = 1, cells: int = 0, steps: int = 0) -> Case:
    """A stored case, several times side by side, or a synthetic one."""
    return Case.load(Path(path)).copies(copies) if path else synthetic(cells, steps)


def cance(model: object, seed: int = 0) -> Case:
    """Cance with random parameter fields, out of the peer's model, which is given the same ones.

    Args:
        model: smash.Model of a structure gr4, gr4_mlp, gr4_ode or gr4_ude with kinematic wave.
    """
    mesh, rng = model.mesh, np.random.default_rng(seed)
    active = mesh.active_cell == 1
    downstream = _downstream(mesh.flwdir, active)
    bounds = {"cp": (50, 800), "ct": (20, 500), "kexc": (-5, 2), "akw": (1, 20), "bkw": (0.3, 1)}
    parameters = []
    for name, (low, high) in bounds.items():
        field = rng.uniform(low, high, active.shape).astype(np.float32)
        model.set_rr_parameters(name, field)
        parameters.append(field[active])
    for name, value in (("hp", 0.4), ("ht", 0.3)):
        model.set_rr_initial_states(name, value)
    at_cells = [np.asarray(field, float)[active].T for field in (model.atmos_data.prcp, model.atmos_data.pet)]
    capacity, interception = (
        np.asarray(f, float)[active] for f in (model.get_rr_parameters("ci"), model.get_rr_initial_states("hi"))
    )
    number = np.full(active.shape, -1)
    number[active] = np.arange(active.sum())
    observed = np.asarray(model.response_data.q, float)
    present = observed >= 0
    variation = np.array([np.sum((q[p] - q[p].mean()) ** 2) for q, p in zip(observed, present, strict=True)])
    return Case(
        downstream=downstream,
        level=_level(downstream),
        cell_area=np.asarray(mesh.dx * mesh.dy, float)[active],
        cell_width=np.asarray(mesh.dx, float)[active],
        gauges=number[tuple(np.asarray(mesh.gauge_pos).T)],
        net=_neutralised(*at_cells, capacity, interception),
        parameters=np.array(parameters, float),
        levels=np.repeat([[0.4], [0.3]], active.sum(), axis=1),
        observed=np.where(present, observed, 0.0),
        weight=np.where(present, 1.0, 0.0) / variation[:, None] / len(observed),
        step=int(model.setup.dt),
    )


def random_layers(widths: tuple[int, ...] = (4, 16, 4), seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Matrices [outputs, inputs] and biases [outputs] of a network, by default that of the papers; Glorot's (2010)."""
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in pairwise(widths):
        bound = np.sqrt(6.0 / (inputs + outputs))
        layers.append((rng.uniform(-bound, bound, (outputs, inputs)), rng.uniform(-0.1, 0.1, outputs)))
    return layers


def _downstream(directions: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Active cell below each, from codes 1 = north, clockwise; -1 where that is none."""
    steps = np.array([(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)])
    number = np.pad(np.full(active.shape, -1), 1, constant_values=-1)
    number[1:-1, 1:-1][active] = np.arange(active.sum())
    row, column = (np.argwhere(active) + steps[directions[active] - 1] + 1).T
    return np.where(directions[active] > 0, number[row, column], -1)


def _level(downstream: np.ndarray) -> np.ndarray:
    depth, below = np.zeros(len(downstream), np.int64), downstream
    while (below >= 0).any():
        depth += below >= 0
        below = np.where(below >= 0, downstream[below], -1)
    return depth.max() - depth


def _neutralised(
    rain: np.ndarray, evapotranspiration: np.ndarray, capacity: np.ndarray, level: np.ndarray
) -> np.ndarray:
    """Net forcing float32[steps, n] after interception (`hydrocli.water.interception`, for rows)."""
    net = np.empty(rain.shape, np.float32)
    for t, (p, e) in enumerate(zip(rain, evapotranspiration, strict=True)):
        ei = np.minimum(e, p + level * capacity)
        pn = np.maximum(p - capacity * (1.0 - level) - ei, 0.0)
        level = level + (p - ei - pn) / capacity
        net[t] = pn - (e - ei)
    return net


def nse(observed: np.ndarray, simulated: np.ndarray) -> float:
    """Nash and Sutcliffe (1970), over the steps with an observation."""
    present = ~np.isnan(observed)
    observed, simulated = observed[present], simulated[present]
    return float(1.0 - np.sum((observed - simulated) ** 2) / np.sum((observed - observed.mean()) ** 2))
