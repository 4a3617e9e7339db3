"""Small basins for the exams of the simulator, and a reference that walks through time and cells.

The reference is typed from the papers, in plain Python with powers and hyperbolic tangents. It takes complex numbers: a
derivative by complex step is exact to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from hydrocli.engine.order import order_forcing, wavefront_order
from hydrocli.engine.simulator import NO_WEIGHTS, Simulator, State
from hydrocli.names import Quantity
from hydrocli.structures.structure import GR, HYDROLOGICAL_FORCINGS, Structure

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
    """A basin with forcing net[t, n] (pn - en), parameters[p, n], a state and gauges: what a simulation needs.

    weather: precipitation, PET and temperature [t, n], and ci: [n], for structures that begin above interception; the
    first is also an intensity of the rain, as good as any other, for structures that see one; a third of ci, which is
    below 1, is the share of impervious surfaces.
    step: [s].
    """

    downstream: np.ndarray
    level: np.ndarray
    net: np.ndarray
    parameters: np.ndarray
    state: State
    gauges: np.ndarray
    structure: Structure = GR
    weather: tuple[np.ndarray, ...] = ()
    ci: np.ndarray = field(default_factory=lambda: np.zeros(0))
    step: int = STEP

    @property
    def forcing(self) -> tuple[np.ndarray, ...]:
        """What the structure asks for, [t, n] each."""
        wanted = self.structure.model.forcings
        if wanted == HYDROLOGICAL_FORCINGS:
            return (self.net,)
        return (self.net, self.weather[0]) if self.structure.model.takes_net else self.weather

    @property
    def maps(self) -> np.ndarray:
        """Rows of parameters, then of initial levels."""
        return np.concatenate([self.parameters, self.state.levels])

    def at(self, maps: np.ndarray) -> Case:
        """The same case with other parameters and initial levels."""
        count = len(self.parameters)
        return replace(self, parameters=maps[:count], state=replace(self.state, levels=maps[count:]))

    def simulator(self, structure: Structure | None = None, **options) -> Simulator:
        """The engine over this case, of the structure of the case or of one with the same parameters and states."""
        here = self if structure is None else replace(self, structure=structure)
        order = wavefront_order(self.downstream, self.level, len(self.net))
        ordered = tuple(np.zeros(order.forcing_size, np.float32) for _ in here.forcing)
        for values, out in zip(here.forcing, ordered, strict=True):
            order_forcing(values, 0, order, out)
        cells = len(self.level)
        attributes = {}
        if here.structure.model.attributes:
            attributes["attributes"] = (self.ci if here.structure.snow != "none" else self.ci / 3)[np.newaxis]
        return Simulator(
            order, ordered, np.full(cells, AREA), np.full(cells, WIDTH), self.gauges, self.step,
            structure=here.structure, **attributes, **options,
        )  # fmt: skip

    def simulate(self, weights: np.ndarray = NO_WEIGHTS, **options) -> tuple[np.ndarray, State]:
        """Discharge and final state by the engine."""
        return self.simulator(**options).simulate(self.parameters, self.state, weights)

    def cut(self, first: int, last: int, state: State) -> Case:
        """The same basin over some of its steps, from another state."""
        weather = tuple(values[first:last] for values in self.weather)
        return replace(self, net=self.net[first:last], weather=weather, state=state)


def case(cells: int = 60, steps: int = 50, kind: str = "tree", seed: int = 0) -> Case:
    """A random case of `gr`: floods, droughts, losses and gains; two gauges in one cell, some in others."""
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


SPANS = {
    "cp": (1, 16),
    "ct": (4, 100),
    "kexc": (-5, 2),
    "akw": (1, 20),
    "bkw": (0.3, 1),
    "kmlt": (0.05, 1.0),
    "llr": (10, 300),
}
"""Of parameters: stores so small that bursts fill them and limits bind. Others are drawn about their defaults."""


def span_of(one: Quantity) -> tuple[float, float]:
    """Where a parameter is drawn from: about its default, within its bounds."""
    if one.symbol in SPANS:
        return SPANS[one.symbol]
    assert one.default is not None
    assert one.lower is not None
    assert one.upper is not None
    reach = 0.5 * abs(one.default) or 0.1 * max(abs(one.lower), abs(one.upper))
    return max(one.lower, one.default - reach), min(one.upper, one.default + reach)


def case_of(
    structure: Structure, cells: int = 60, steps: int = 50, kind: str = "tree", seed: int = 0, step: int = STEP
) -> Case:
    """A random case of any structure, its stores small; the cold season is in the middle."""
    some = replace(case(cells, steps, kind, seed), structure=structure, step=step)
    rng, model = np.random.default_rng(seed + 1), structure.model
    own = [rng.uniform(*span_of(one), cells) for one in model.parameters]
    levels = [rng.uniform(*((0.05, 0.8) if state.capacity else (0.0, 20.0)), cells) for state in model.states]
    shape, season = (steps, cells), 10.0 * np.cos(2 * np.pi * np.arange(steps) / steps)[:, np.newaxis]
    rain = np.where(rng.random(shape) < 0.4, rng.exponential(6.0, shape), 0.0)
    weather = (rain, rng.exponential(0.3, shape), season + rng.normal(0.0, 4.0, shape))
    return replace(
        some,
        parameters=np.stack([*own, *(rng.uniform(*span_of(one), cells) for one in structure.river.parameters)]),
        state=replace(some.state, levels=np.stack(levels)),
        weather=tuple(values.astype(np.float32) for values in weather),
        ci=rng.uniform(0.1, 2.9, cells),
    )


def larger(x, y):
    return np.where(np.real(x) >= np.real(y), x, y)


def inverse_beta(step: int) -> float:
    """1/beta of the percolation."""
    return 4 / 9 * (step / 86400) ** 0.25


def gr_step(pn, en, cp, ct, kexc, hp, ht, step: int = STEP):
    """New levels and runoff [mm/step] of all cells, arrays [n], by P1 eqs 4-8."""
    tp, te = np.tanh(pn / cp), np.tanh(en / cp)
    ps = cp * (1 - hp**2) * tp / (1 + hp * tp)
    es = cp * hp * (2 - hp) * te / (1 + (1 - hp) * te)
    filled = hp + (ps - es) / cp
    perc = cp * filled * (1 - (1 + (filled * inverse_beta(step)) ** 4) ** -0.25)
    exchange = kexc * ht**3.5
    effective = pn - ps + perc
    raised = larger(ht + (0.9 * effective + exchange) / ct, 1e-6)
    drained = raised * (1 + raised**4) ** -0.25
    return filled - perc / cp, drained, ct * (raised - drained) + larger(0.1 * effective + exchange, 0.0)


Step = Callable[..., tuple[np.ndarray, ...]]
"""step(*forcing rows, *parameters, *states): the new states, then the runoff [mm/step]; each an array [n]."""


def from_net(step: Step) -> Step:
    """A step that takes pn - en for one that takes pn and en."""
    return lambda net, *rest: step(np.maximum(net, 0.0), np.maximum(-net, 0.0), *rest)


def wave(step: int, p, U, Qb, qlb, ql):
    """P1 eq. 9."""
    (akw, bkw), d1 = p, step / WIDTH
    u, q, lateral = larger(U, 1e-6), larger(Qb, 1e-6), (larger(qlb, 1e-6) + larger(ql, 1e-6)) / 2
    d2 = akw * bkw * ((q + u) / 2) ** (bkw - 1)
    return (d1 * (u + lateral) + d2 * q) / (d1 + d2)


def reservoir(step: int, p, U, Qb, qlb, ql):
    """A linear reservoir whose content follows from its last release, see `test_routings`."""
    kept = np.exp(-step / 60 / p[0])
    return (1 - kept) * U + kept * (Qb - qlb) + ql


ROUTED: dict[str, Callable] = {
    "kinematic_wave": wave,
    "linear_reservoir": reservoir,
    "lag0": lambda step, p, U, Qb, qlb, ql: U + ql,
    "none": lambda step, p, U, Qb, qlb, ql: ql,
}
"""Discharge of one cell, not a headwater: routed(step, parameters, upstream, Q and ql before, ql)."""


def reference(case: Case, parameters=None, levels=None, step: Step | None = None):
    """Discharge[g, t] and final levels[s, n], discharge[n], lateral inflow[n]; cells from the sources down."""
    parameters = case.parameters if parameters is None else parameters
    states = tuple(case.state.levels if levels is None else levels)
    step = step or from_net(gr_step)
    count = len(case.structure.parameters)
    own, of_river = parameters[:count], parameters[count:]
    order = np.argsort(case.level, kind="stable")
    upstream = [np.flatnonzero(case.downstream == cell) for cell in range(len(order))]
    flow, lateral, discharge = case.state.discharge, case.state.lateral_inflow, []
    for rows in zip(*(values.astype(np.float64) for values in case.forcing), strict=True):
        before, lateral_before = flow, lateral
        *states, runoff = step(*rows, *own, *states)
        lateral = runoff * 1e-3 * AREA / case.step
        flow = lateral.copy()
        for c in order:
            if len(upstream[c]):
                here = (flow[upstream[c]].sum(), before[c], lateral_before[c], lateral[c])
                flow[c] = ROUTED[case.structure.routing](case.step, of_river[:, c], *here)
        discharge.append(flow[case.gauges])
    return np.stack(discharge, axis=1), np.stack(states), flow, lateral


def squares(discharge: np.ndarray) -> tuple[float, np.ndarray]:
    """A cost with weights that tell gauges and steps apart, and its derivative."""
    weights = 1 + np.arange(discharge.size).reshape(discharge.shape) % 7
    return 0.5 * float((weights * discharge**2).sum()), weights * discharge
