"""The exam of every kernel, wherever it lives: adjoint, compiled code, precision, kinks, NaN, water.

Kernels are found, not listed. One without an adjoint fails. What is drawn for the step of a structure follows from its
declaration, what is drawn for a process of `water` from the names of its arguments, where nothing else stands here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from numba import float32, typeof
from water_harness import (
    Interpreted,
    all_kernels,
    flatten,
    interpreted,
    jacobian,
    kinks,
    nested,
    results,
    rounding,
    steps_of,
)

from hydrocli.names import INTERCEPTION_CAPACITY, STATES, Quantity
from hydrocli.structures.routings.routing import Routing, routings
from hydrocli.structures.structure import (
    CellModel,
    Structure,
    kinds,
    parameter_quantities,
    state_quantities,
)

KERNELS = all_kernels()
REPEATED = [name for name in KERNELS if name.startswith("explicit.classical_step") or name.endswith("_grcnn")]
"""Steps that are others with constants or parts in their place: the exams of the structures compile them, these do not
once more, and see their Python code."""
KERNELS |= {name: Interpreted(KERNELS[name]) for name in REPEATED}
STEPS = steps_of()
ROUTED = {f"{name}.routed": routing for name, routing in routings().items()}
SOLVER = ("implicit_euler.first_level", "node_newton.newton_step", "node.transposed_solve")
"""Pieces of a search for a root, whose derivative is not theirs but follows from the equation that it satisfies."""
PREPARED = ("linear_store.release_adjoint",)
"""Adjoints of functions that `prepare` calls, on arrays and before a simulation; part of the exam of the steps."""

FORWARD = sorted(name for name in KERNELS if "_adjoint" not in name and name not in SOLVER)
ADJOINT = sorted(name for name in KERNELS if "_adjoint" in name and name not in PREPARED)
DRAWS = 200
INVERSE_BETA = 4 / 9 * (1 / 24) ** 0.25

Generator = np.random.Generator


def adjoint_of(name: str) -> str:
    """Name of the adjoint: beneath a kernel, or bound under the same name (`step_gr5`, `step_adjoint_gr5`)."""
    module, kernel = name.split(".")
    for model in STEPS.values():
        if kernel.endswith(f"_{model.name}"):
            return f"{module}.{kernel.removesuffix(model.name)}adjoint_{model.name}"
    return f"{name}_adjoint"


def either(rng: Generator, *spans: tuple[float, float]) -> float:
    """A number out of one of several spans."""
    return rng.uniform(*spans[rng.integers(len(spans))])


def interception(rng: Generator) -> tuple[float, ...]:
    return rng.exponential(2.0), rng.exponential(1.0), rng.uniform(0.1, 2.9), rng.uniform(1e-6, 0.999)


def net(rng: Generator) -> tuple[float, float]:
    rain = rng.exponential(8.0) if rng.random() < 0.5 else 0.0
    return (rain, 0.0) if rain else (0.0, rng.exponential(0.5))


def production(rng: Generator) -> tuple[float, ...]:
    cp = 10 ** rng.uniform(0, 3)
    return *net(rng), cp, 1 / cp, rng.uniform(1e-3, 0.999)


def percolation(rng: Generator) -> tuple[float, ...]:
    return 10 ** rng.uniform(0, 3), rng.uniform(1e-3, 0.999), rng.uniform(0.2, 0.45)


def exchange(rng: Generator) -> tuple[float, ...]:
    return rng.uniform(-50, 50), rng.uniform(1e-3, 0.999)


def driving_level(rng: Generator) -> tuple[float, ...]:
    return rng.uniform(-50, 50), rng.uniform(0.01, 2)


def transfer(rng: Generator) -> tuple[float, ...]:
    ct = 10 ** rng.uniform(0, 3)
    return ct * either(rng, (-1.0, -0.5), (0.0, 3.0)), ct, 1 / ct, rng.uniform(0.1, 0.4)


def direct_runoff(rng: Generator) -> tuple[float, ...]:
    return rng.exponential(1.0), rng.normal()


def kinematic_wave(rng: Generator) -> tuple[float, ...]:
    flows = [10 ** either(rng, (-8, -6.2), (-5.8, 3)) for _ in range(3)]
    lateral = either(rng, (-1, 0), (1e-5, 5))
    return rng.uniform(1e-3, 50), rng.uniform(1e-3, 1), *flows, lateral, 10 ** rng.uniform(-1, 3)


def unit(rng: Generator) -> tuple[float, ...]:
    return (rng.normal(scale=4.0),)


def output(rng: Generator) -> tuple[float, ...]:
    return (rng.normal(),)  # far out, 1 - f^2 is rounding


def corrections(rng: Generator) -> tuple[float, ...]:
    """f1..f4, some of them close to their limits."""
    return tuple(np.tanh(rng.normal(scale=1.5, size=4)))


def corrected_flux(rng: Generator) -> tuple[float, ...]:
    return rng.exponential(1.0), rng.uniform(-1, 1), rng.exponential(1.0), rng.exponential(1.0)


def production_root(rng: Generator) -> tuple[float, ...]:
    return *net(rng), 10 ** rng.uniform(0, 3), rng.uniform(1e-3, 0.999)


def transfer_residual(rng: Generator) -> tuple[float, ...]:
    inverse_ct = 10 ** rng.uniform(-3, 0)
    return rng.exponential(8.0), rng.uniform(-50, 50), rng.uniform(0, 2), inverse_ct, rng.random(), rng.uniform(0.01, 2)


def state_space_runoff(rng: Generator) -> tuple[float, ...]:
    ct = 10 ** rng.uniform(0, 3)
    return rng.exponential(8.0), rng.uniform(-50, 50), rng.uniform(0, 2), ct, rng.random(), rng.uniform(0.01, 2)


def state_space_rates(rng: Generator) -> tuple[float, ...]:
    inverse_cp, inverse_ct = 10 ** rng.uniform(-3, 0, 2)
    levels = rng.uniform(1e-3, 0.999), rng.uniform(0.01, 2)
    return *net(rng), rng.uniform(-50, 50), rng.uniform(0, 2), inverse_cp, inverse_ct, *levels


def coupling(rng: Generator) -> tuple[float, ...]:
    inverse_cp, inverse_ct = 10 ** rng.uniform(-3, 0, 2)
    levels = rng.uniform(1e-3, 0.999), rng.uniform(0.01, 2)
    return *net(rng), rng.uniform(-50, 50), inverse_cp, inverse_ct, *levels, rng.random(), *rng.normal(size=4)


def first_level(rng: Generator) -> tuple[float, ...]:
    return rng.exponential(8.0), either(rng, (0, 1e-7), (0.01, 2)), 10 ** rng.uniform(-3, 0), rng.random()


def jacobian_of_a_step(rng: Generator) -> tuple[float, ...]:
    return 1 + rng.exponential(), rng.normal(scale=0.3), rng.normal(scale=0.3), 1 + rng.exponential()


def newton_step(rng: Generator) -> tuple[float, ...]:
    residuals = rng.normal(scale=0.4, size=2)
    return *residuals, *jacobian_of_a_step(rng), *rng.uniform(0.05, 0.95, 2), 1e-6, rng.choice([0.999999, 1e30])


def transposed_solve(rng: Generator) -> tuple[float, ...]:
    return *jacobian_of_a_step(rng), *rng.normal(size=2), *rng.integers(0, 2, 2)


def exchanged(rng: Generator) -> tuple[Any, ...]:
    return (rng.uniform(-50, 50),), rng.uniform(1e-3, 0.999)


def threshold_exchanged(rng: Generator) -> tuple[Any, ...]:
    return (rng.uniform(-50, 50), rng.uniform(0, 1)), rng.uniform(1e-3, 0.999)


def state_space_fluxes(rng: Generator) -> tuple[float, ...]:
    return *net(rng), rng.uniform(-50, 50), rng.uniform(0, 2), *(10 ** rng.uniform(0, 3, 1)), rng.random(), either(
        rng, (0.01, 0.9), (1.1, 2)
    )  # fmt: skip


def liquid_fraction(rng: Generator) -> tuple[float, ...]:
    return (rng.normal(0.4, 2.0),)


def degree_day(rng: Generator) -> tuple[float, ...]:
    return rng.exponential(2.0), rng.normal(0.0, 8.0), rng.uniform(0.01, 5.0), rng.exponential(10.0)


Draw = Callable[[Generator], tuple[Any, ...]]


def production_reservoir(rng: Generator) -> tuple[float, ...]:
    return *production(rng), *gates(rng, 3)


def transfer_reservoir(rng: Generator) -> tuple[float, ...]:
    ct = 10 ** rng.uniform(0, 3)
    return rng.exponential(8.0), ct, 1 / ct, rng.uniform(-50, 50), rng.uniform(0.05, 0.9), *gates(rng, 3)


def settled(rng: Generator) -> tuple[float, ...]:
    return (either(rng, (-1e-33, 1e-33), (0.1, 1.0)),)


def share_of(rng: Generator) -> tuple[float, ...]:
    return rng.exponential(1.0), either(rng, (0.0, 1e-31), (1.0, 5.0))


def shifted_gate(rng: Generator) -> tuple[float, ...]:
    return either(rng, (1e-3, 0.999), (0.9, 1.0)), rng.normal(scale=3.0)


def gr_gates(rng: Generator) -> tuple[Any, ...]:
    """The store is told apart from its inverse; it may run dry, and pass 1."""
    cp, ct = 10 ** rng.uniform(0, 3, 2)
    levels = rng.uniform(1e-3, 0.999), either(rng, (1e-32, 1e-31), (0.05, 0.9))
    return net(rng), (cp, 1 / cp, ct, 1 / ct, rng.uniform(-50, 50), rng.uniform(0.2, 0.45)), levels


def shifted_gates(rng: Generator) -> tuple[Any, ...]:
    return *gr_gates(rng), tuple(rng.normal(scale=1.5, size=6))


def gates(rng: Generator, count: int) -> tuple[float, ...]:
    """Gates, some of them close to their limits."""
    return tuple(1 / (1 + np.exp(-rng.normal(scale=3.0, size=count))))


def exponential_store(rng: Generator) -> tuple[float, ...]:
    be = rng.uniform(1.0, 20.0)
    return rng.normal(scale=3.0), be, 1 / be, either(rng, (-100.0, -20.0), (-5.0, 5.0))


def corrected_production(rng: Generator) -> tuple[float, ...]:
    """The rain and the evaporation of a step, or more than the store takes or holds; the floor may be of no effect."""
    cp = 10 ** rng.uniform(0, 2)
    pn, en = net(rng)
    often = cp * rng.uniform(0.5, 3.0) if rng.random() < 0.5 else 0.0
    f = np.tanh(rng.normal(scale=1.5, size=2))
    floor = either(rng, (0.0, 1e-3), (0.5, 5.0))
    return (
        max(pn, often * (pn > 0)),
        max(en, often * (en > 0)),
        cp,
        1 / cp,
        floor,
        either(rng, (1e-3, 0.999), (0.9, 1.0)),
        *f,
    )


def routed_flow(rng: Generator) -> tuple[float, ...]:
    return rng.uniform(0.0, 1.0), *(rng.exponential(3.0) for _ in range(4))


EXAMS: dict[str, Draw] = {
    "exponential_store.exponential_store": exponential_store,
    "corrected_production.corrected_production": corrected_production,
    "linear_reservoir.linear_reservoir": routed_flow,
    "production.no_percolation": percolation,
    "cubic_transfer.cubic_transfer": transfer,
    "reservoirs.gate": output,
    "reservoirs.production_reservoir": production_reservoir,
    "reservoirs.transfer_reservoir": transfer_reservoir,
    "reservoirs.settled": settled,
    "reservoirs.share_of": share_of,
    "reservoirs.shifted_gate": shifted_gate,
    "reservoirs.gr_gates": gr_gates,
    "nr.shifted_gates": shifted_gates,
    "interception.interception": interception,
    "production.production": production,
    "production.percolation": percolation,
    "exchange.exchange": exchange,
    "exchange.driving_level": driving_level,
    "transfer.transfer": transfer,
    "transfer.direct_runoff": direct_runoff,
    "kinematic_wave.kinematic_wave": kinematic_wave,
    "flux_correction.silu": unit,
    "flux_correction.leaky_relu": unit,
    "flux_correction.correction": output,
    "flux_correction.corrected_flux": corrected_flux,
    "gr.exchanged": exchanged,
    "gr5.exchanged": threshold_exchanged,
    "snow.liquid_fraction": liquid_fraction,
    "snow.degree_day": degree_day,
    "state_space.production_root": production_root,
    "state_space.transfer_residual": transfer_residual,
    "state_space.state_space_runoff": state_space_runoff,
    "state_space.state_space_rates": state_space_rates,
    "state_space.state_space_fluxes": state_space_fluxes,
    "state_space.coupling": coupling,
}
"""What is drawn for a kernel; others are drawn by the names of their arguments (`by_names`)."""
SEARCHES: dict[str, Draw] = {
    "implicit_euler.first_level": first_level,
    "node_newton.newton_step": newton_step,
    "node.transposed_solve": transposed_solve,
}


def within(rng: Generator, one: Quantity) -> float:
    """A value of a parameter or a state between its bounds; by its logarithm where these are far apart."""
    assert one.lower is not None
    lower, upper = one.lower, 100.0 if one.upper is None else one.upper
    if one.symbol in ("cp", "ct"):
        lower = 1.0
    if lower > 0 and upper / lower > 100 and upper > 1:
        return 10 ** rng.uniform(np.log10(max(lower, 1e-3 * upper)), np.log10(upper))
    return rng.uniform(lower, upper)


def state_within(rng: Generator, one: Quantity, relative: bool) -> float:
    """A level inside its store, or below its least; depths near those of a step: thresholds are met from both sides."""
    if one.symbol not in STATES and one.lower and rng.random() < 0.1:
        return 0.5 * one.lower
    if relative:
        return rng.uniform(0.05, 0.9) if one.symbol == "ht" else either(rng, (1e-3, 0.999), (0.9, 0.999))
    return rng.exponential(10.0)


def by_names(name: str, rng: Generator) -> tuple[float, ...]:
    """Values by the names of the arguments: symbols of parameters and states, `inverse_` of them, else a depth."""
    known, drawn = parameter_quantities() | state_quantities() | {"ci": INTERCEPTION_CAPACITY}, {}
    code = KERNELS[name].py_func.__code__
    for argument in code.co_varnames[: code.co_argcount]:
        symbol = argument.removeprefix("inverse_")
        if symbol in known:
            relative = known[symbol].unit == "-" and symbol in {*STATES, *state_quantities()}
            value = (
                state_within(rng, known[symbol], relative)
                if symbol in state_quantities()
                else within(rng, known[symbol])
            )
            drawn[argument] = 1 / value if argument.startswith("inverse_") else value
        else:
            drawn[argument] = rng.exponential(2.0)
    return tuple(drawn.values())


@dataclass(frozen=True)
class Exam:
    """One draw for a kernel: free inputs, and how its arguments follow from them.

    free: nested numbers that the adjoint gives bars of. arguments: of the kernel, from these. bars: how many of the
    outputs have one; those after them are diagnostics.
    """

    free: tuple[Any, ...]
    arguments: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    bars: int

    @property
    def at(self) -> np.ndarray:
        """The free inputs as one vector."""
        return np.array(list(flatten(self.free)), np.float64)

    def given(self, at: np.ndarray) -> tuple[Any, ...]:
        """Nested arguments for a vector of free inputs."""
        return self.arguments(nested(self.free, at))

    def output(self, function: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
        """The outputs that have bars, as a function of the free inputs."""

        def call(*at: Any) -> tuple[Any, ...]:
            found = function(*self.given(np.array(at)))
            return (found if isinstance(found, tuple) else (found,))[: self.bars]

        return call


def output_of_network(model: CellModel, rng: Generator) -> tuple[float, ...]:
    """Corrections, gates, or shifts of gates."""
    if model.corrections[0].factor != "g":
        return tuple(np.tanh(rng.normal(scale=1.5, size=len(model.corrections))))
    count = len(model.corrections)
    return tuple(rng.normal(scale=1.5, size=count)) if "exact" in model.name else gates(rng, count)


def step_exam(model: CellModel, rng: Generator) -> Exam:
    """Forcing, declared parameters, states and corrections of a step; its rows and constants follow from them."""
    corrections = model.corrections
    limits = ("conservative", "as_published")[rng.integers(2)] if "flux_limits" in model.options else "conservative"
    step, kind = int(rng.choice([900, 3600, 86400])), model.name.split("_")[0]
    assert kind in kinds()
    constants = tuple(model.constants(Structure(kind, flux_limits=limits), step))
    pn, en = net(rng)
    parameters = tuple(within(rng, one) for one in model.parameters)
    store = parameters[[one.symbol for one in model.parameters].index(model.states[0].capacity)]
    most = store * rng.uniform(0.5, 4.0)  # beyond it derivatives are what rounding leaves of 1 - tanh^2
    if rng.random() < 0.3:
        pn, en = most * (pn > 0), most * (en > 0)  # more than a store takes or holds
    pn, en = min(pn, most), min(en, most)
    states = tuple(state_within(rng, one.quantity, bool(one.capacity)) for one in model.states)
    f = (output_of_network(model, rng),) if corrections else ()

    def arguments(free: tuple[Any, ...]) -> tuple[Any, ...]:
        forcing, own, *rest = free
        symbols = (one.symbol for one in model.parameters)
        rows = model.prepare(dict(zip(symbols, own, strict=True)), step)
        return forcing, (*rows.values(), *constants), *rest

    return Exam(((pn, en), parameters, states, *f), arguments, 2)


def routing_exam(routing: Routing, rng: Generator) -> Exam:
    """Declared parameters and flows, low ones too; the rows follow from the parameters."""
    own = tuple(within(rng, one) for one in routing.parameters)
    flows = tuple(10 ** either(rng, (-8, -6.2), (-5.8, 3)) for _ in range(3))
    lateral, step, width = either(rng, (-1, 0), (1e-5, 5)), int(rng.choice([900, 3600])), 10 ** rng.uniform(1, 4)

    def arguments(free: tuple[Any, ...]) -> tuple[Any, ...]:
        symbols = (one.symbol for one in routing.parameters)
        return tuple(routing.prepare(dict(zip(symbols, free[0], strict=True)), step, width).values()), *free[1:]

    return Exam((own, *flows, lateral), arguments, 1)


def front_exam(rng: Generator) -> Exam:
    """Snow and interception: kmlt and the states are free, the weather and the capacity are given."""
    weather = rng.exponential(4.0), rng.exponential(1.0), rng.normal(1.0, 4.0)
    ci, kmlt, states = rng.uniform(0.1, 2.9), rng.uniform(0.05, 5.0), (rng.exponential(5.0), rng.uniform(1e-3, 0.999))
    return Exam((kmlt, states), lambda free: (weather, ci, *free), 2)


def exam(name: str, rng: Generator) -> Exam:
    """A draw for any kernel."""
    if name in STEPS:
        return step_exam(STEPS[name], rng)
    if name in ROUTED:
        return routing_exam(ROUTED[name], rng)
    if name == "snow.front":
        return front_exam(rng)
    free = (EXAMS | SEARCHES).get(name, partial(by_names, name))(rng)
    found = KERNELS[name](*free)
    return Exam(free, lambda arguments: arguments, len(found) if isinstance(found, tuple) else 1)


def exams(name: str, count: int, seed: int = 1) -> list[Exam]:
    """Draws for a kernel."""
    rng = np.random.default_rng(seed)
    return [exam(name, rng) for _ in range(count)]


def inputs(name: str, count: int) -> list[tuple[Any, ...]]:
    """Nested arguments for a kernel or its adjoint (bars are normal): numbers that single precision has too."""
    rng, forward = np.random.default_rng(2), FORWARD_OF.get(name, name)
    found = []
    for one in exams(forward, count):
        arguments = one.given(one.at)
        if name in FORWARD_OF:
            outputs = one.output(KERNELS[forward])(*one.at)
            arguments = (*arguments, *nested(outputs, rng.normal(size=len(list(flatten(outputs))))))
        found.append(nested(arguments, (float(np.float32(x)) for x in flatten(arguments))))
    return found


def in_single(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return nested(arguments, (np.float32(x) for x in flatten(arguments)))


FORWARD_OF = {adjoint_of(name): name for name in FORWARD}
EXAMINED = sorted(KERNELS.keys() - {*PREPARED, *REPEATED})


def test_every_kernel_has_an_adjoint_and_every_adjoint_a_kernel():
    assert len(FORWARD) >= 20
    assert [name for name in FORWARD if adjoint_of(name) not in KERNELS] == []
    assert sorted(FORWARD_OF) == ADJOINT
    assert sorted(KERNELS) == sorted([*FORWARD, *ADJOINT, *(name for name in (*SOLVER, *PREPARED) if name in KERNELS)])
    assert set(SEARCHES) == set(SOLVER) <= set(KERNELS)
    assert (EXAMS.keys() | STEPS.keys()) - {"gr5.exchanged"} <= set(FORWARD)


def test_every_step_that_is_one_kernel_is_examined_by_its_declaration():
    assert {"gr.step", "grnn.step", "nr.step", "nr.shifted_step"} <= set(STEPS)
    assert {name for name in FORWARD if ".step" in name or "_step" in name} == set(STEPS)


@pytest.mark.parametrize("name", FORWARD)
def test_adjoint_takes_the_arguments_and_one_bar_per_output(name):
    forward, adjoint = KERNELS[name].py_func.__code__, KERNELS[adjoint_of(name)].py_func.__code__
    taken, asked = forward.co_varnames[: forward.co_argcount], adjoint.co_varnames[: adjoint.co_argcount]
    bars, one = asked[len(taken) :], exams(name, 1)[0]
    assert asked[: len(taken)] == taken
    assert all(bar.endswith("_bar") for bar in bars)
    outputs = one.output(KERNELS[name])(*one.at)
    assert len(outputs) == len(bars)
    assert len(results(KERNELS[adjoint_of(name)], (*one.given(one.at), *outputs))) == one.at.size


ONE_WAY = {
    "explicit.classical_step_gr6": {2, 3, 4, 5, 6, 7, 9},
    "explicit.classical_step_grc": {2, 3, 4, 5, 6, 7},
    "explicit.classical_step_grd": {2, 3, 4, 5, 6, 7, 8, 9},
    "explicit.classical_step_loieau": {2, 3, 4, 5, 6, 7},
    "gr6.corrected_step": {9},
    "grd.corrected_step": {8, 9},
    "hbv.corrected_step": {2},
    "hbv.step": {1, 2, 5, 9},
    "nr.step": {2, 3, 4},
    "nr.shifted_gates": {9, 10, 11, 12, 13, 14},
    "nr.shifted_step": {2, 9, 10, 11, 12, 13, 14, 17, 18, 19},
    "reservoirs.production_reservoir": {2, 3, 4},
    "reservoirs.shifted_gate": {0},
}
"""Selects that can go one way only: recharge has rain as supply and as room; without corrections no flux meets what
limits a corrected one; only rounding takes a level of a reservoir beyond 0 or 1, and the divisor of a gate to 0; the
exponential store has no lowest level, and without exchange nothing empties a transfer store."""


@pytest.mark.parametrize("name", FORWARD)
def test_draws_go_both_ways_at_every_kink(name):
    ways = np.array([kinks(KERNELS[name], one.given(one.at)) for one in exams(name, 3 * DRAWS)])
    one_way = set(np.flatnonzero(ways.all(axis=0) | ~ways.any(axis=0)))
    assert one_way == ONE_WAY.get(name, set()), f"share of each kink: {ways.mean(axis=0)}"


@pytest.mark.parametrize("name", FORWARD)
def test_dot_product(name):
    """<J dx, y> = <dx, J^T y>, J by complex step on the interpreted forward, J^T by the compiled adjoint.

    Both sides are sums of products that may cancel, so 1e-10 is of the sum of their magnitudes. Bars within an adjoint
    may cancel to nothing, where a store is emptied: then roundings of the bars y remain.
    """
    rng, adjoint, twin = np.random.default_rng(2), KERNELS[adjoint_of(name)], interpreted(KERNELS[name])
    for one in exams(name, DRAWS):
        j = jacobian(one.output(twin), one.at)
        dx, y = rng.normal(size=j.shape[1]) * np.maximum(np.abs(one.at), 1e-3), rng.normal(size=j.shape[0])
        bars = nested(one.output(twin)(*one.at), y)
        transposed = results(adjoint, (*one.given(one.at), *bars))
        size, rounded = np.abs(y) @ np.abs(j), 16 * np.finfo(float).eps * np.abs(y).sum()
        assert abs((j @ dx) @ y - dx @ transposed) <= 1e-10 * size @ np.abs(dx) + rounded * np.abs(dx).sum()
        np.testing.assert_allclose(transposed, y @ j, rtol=0, atol=1e-10 * size.max() + rounded)


@pytest.mark.parametrize("name", EXAMINED)
def test_compiled_is_interpreted_to_rounding(name):
    """Both err by at most the bound of a running error analysis."""
    for draw in inputs(name, 60):
        error = np.abs(results(KERNELS[name], draw) - results(interpreted(KERNELS[name]), draw))
        assert (error <= 2 * np.finfo(np.float64).eps * rounding(KERNELS[name], draw)).all()


@pytest.mark.parametrize("name", EXAMINED)
def test_single_precision_is_double_to_rounding(name):
    """Single precision errs by the bound at most, and by underflow: e^-87, times a logarithm, instead of nothing."""
    for draw in inputs(name, 60):
        error = np.abs(results(KERNELS[name], in_single(draw)) - results(KERNELS[name], draw))
        single = np.finfo(np.float32)
        assert (error <= single.eps * rounding(KERNELS[name], draw) + 32 * single.tiny).all()


@pytest.mark.parametrize("name", EXAMINED)
def test_single_precision_computes_in_single_precision(name):
    """The literals follow the arguments: one double among them and the compiler would widen what touches it."""
    signature = tuple(typeof(argument) for argument in in_single(inputs(name, 1)[0]))
    compiled = KERNELS[name].dispatcher
    compiled.compile(signature)
    returned = compiled.overloads[signature].signature.return_type
    assert set(numbers_of(returned)) == {float32}
    bodies = re.findall(r"^define [^\n]*@_ZN8hydrocli.*?^}", compiled.inspect_llvm(signature), re.S | re.M)
    assert bodies
    assert not any(re.search(r"\bdouble\b", body) for body in bodies)


def numbers_of(kind: Any) -> tuple[Any, ...]:
    """Types of the numbers in a type of nested tuples."""
    parts = getattr(kind, "types", None)
    return (kind,) if parts is None else tuple(one for part in parts for one in numbers_of(part))


SPARED = {"flux_correction.corrected_flux": {2, 3}, "corrected_production.corrected_production": {4}}
"""Limits of fluxes, by their place among the arguments."""


@pytest.mark.parametrize("name", FORWARD)
def test_a_nan_is_not_lost(name):
    """A NaN in an input that matters at this point reaches an output: else a broken run would look sound.

    The limits of a flux are spared: where a forcing, a capacity or a level is NaN, so is the flux that they limit.
    """
    spared = SPARED.get(name, set())
    twin = interpreted(KERNELS[name])
    for one in exams(name, 30):
        matters = (jacobian(one.output(twin), one.at) != 0).any(axis=0)
        for index in set(np.flatnonzero(matters)) - spared:
            broken = one.at
            broken[index] = np.nan
            given = one.given(broken)
            for arguments in (given, in_single(given)):
                outputs = KERNELS[name](*arguments)
                seen = (outputs if isinstance(outputs, tuple) else (outputs,))[: one.bars]
                assert np.isnan(list(flatten(seen))).any()


@pytest.mark.parametrize("name", STEPS)
def test_a_step_closes_its_water_balance(name):
    """pn - evapotranspiration + exchange + what limits add = runoff + storage change, by the declared terms.

    A difference of depths as large as a store or a flux: 64 roundings of their sum.
    """
    model = STEPS[name]
    assert model.takes_net
    fluxes = [one.symbol for one in model.fluxes]
    for one in exams(name, DRAWS):
        (pn, _), own, before, *_ = one.free
        after, qt, found = KERNELS[name](*one.given(one.at))
        assert len(found) == len(fluxes)
        held = dict(zip((p.symbol for p in model.parameters), own, strict=True))
        capacities = np.array([held[state.capacity] if state.capacity else 1.0 for state in model.states])
        terms = {term: sum(found[fluxes.index(flux)] for flux in of_term) for term, of_term in model.balance.items()}
        outward = qt + capacities @ (np.array(after) - np.array(before)) + terms.pop("evapotranspiration")
        size = pn + abs(qt) + capacities @ (np.abs(after) + np.abs(before)) + sum(abs(x) for x in found)
        assert pn + sum(terms.values()) - outward == pytest.approx(0, abs=64 * np.finfo(float).eps * size)
