"""The exam of every kernel, wherever it lives: adjoint, compiled code, precision, kinks, NaN.

Kernels are found, not listed: one without an adjoint beneath it, or without a draw of inputs here, fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from numba import float32
from water_harness import all_kernels, interpreted, jacobian, kinks, results, rounding

KERNELS = all_kernels()
SOLVER = ("first_level", "newton_step", "transposed_solve")
"""Pieces of a search for a root, whose derivative is not theirs but follows from the equation that it satisfies."""

FORWARD = sorted(name for name in KERNELS if not name.endswith("_adjoint") and name.split(".")[-1] not in SOLVER)
ADJOINT = sorted(name for name in KERNELS if name.endswith("_adjoint"))
DRAWS = 200
INVERSE_BETA = 4 / 9 * (1 / 24) ** 0.25

Generator = np.random.Generator


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


def gr(rng: Generator) -> tuple[float, ...]:
    cp, ct = 10 ** rng.uniform(0, 3, 2)
    return (
        *net(rng),
        cp,
        1 / cp,
        ct,
        1 / ct,
        rng.uniform(-50, 50),
        rng.uniform(1e-3, 0.999),
        rng.uniform(0.05, 0.9),
        INVERSE_BETA,
    )


def unit(rng: Generator) -> tuple[float, ...]:
    return (rng.normal(scale=4.0),)


def output(rng: Generator) -> tuple[float, ...]:
    return (rng.normal(),)  # far out, 1 - f^2 is rounding


def corrections(rng: Generator) -> tuple[float, ...]:
    """f1..f4, some of them close to their limits."""
    return tuple(np.tanh(rng.normal(scale=1.5, size=4)))


def corrected_flux(rng: Generator) -> tuple[float, ...]:
    return rng.exponential(1.0), rng.uniform(-1, 1), rng.exponential(1.0), rng.exponential(1.0)


def grnn(rng: Generator) -> tuple[float, ...]:
    (pn, en, *cell), room = gr(rng), (0.0, 1.0, 1e30)[rng.integers(3)]
    if en and rng.random() < 0.3:
        en = cell[0] * rng.uniform(0.5, 5.0)  # more than the store holds
    return pn, en, *cell, *corrections(rng), room


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


Draw = Callable[[Generator], tuple[float, ...]]

EXAMS: dict[str, Draw] = {
    "interception.interception": interception,
    "production.production": production,
    "production.percolation": percolation,
    "exchange.exchange": exchange,
    "exchange.driving_level": driving_level,
    "transfer.transfer": transfer,
    "transfer.direct_runoff": direct_runoff,
    "kinematic_wave.kinematic_wave": kinematic_wave,
    "gr.gr": gr,
    "flux_correction.silu": unit,
    "flux_correction.leaky_relu": unit,
    "flux_correction.correction": output,
    "flux_correction.corrected_flux": corrected_flux,
    "grnn.grnn": grnn,
    "state_space.production_root": production_root,
    "state_space.transfer_residual": transfer_residual,
    "state_space.state_space_runoff": state_space_runoff,
    "state_space.state_space_rates": state_space_rates,
    "state_space.coupling": coupling,
}
SEARCHES: dict[str, Draw] = {
    "implicit_euler.first_level": first_level,
    "node_newton.newton_step": newton_step,
    "node_implicit.transposed_solve": transposed_solve,
}


def inputs(name: str, count: int, seed: int = 1) -> list[np.ndarray]:
    """Draws for a kernel or its adjoint (bars are normal), of single-precision numbers: both see the same."""
    rng, forward = np.random.default_rng(seed), name.removesuffix("_adjoint")
    draws = [np.array((EXAMS | SEARCHES)[forward](rng), np.float64) for _ in range(count)]
    if name.endswith("_adjoint"):
        outputs = len(results(KERNELS[forward], draws[0]))
        draws = [np.concatenate([draw, rng.normal(size=outputs)]) for draw in draws]
    return [draw.astype(np.float32).astype(np.float64) for draw in draws]


def test_every_kernel_has_an_adjoint_and_an_exam():
    assert len(FORWARD) >= 8
    assert [name for name in FORWARD if f"{name}_adjoint" not in KERNELS] == []
    assert [name for name in ADJOINT if name.removesuffix("_adjoint") not in KERNELS] == []
    assert sorted(EXAMS) == FORWARD
    assert sorted(SEARCHES) == sorted(KERNELS.keys() - {*FORWARD, *ADJOINT})


@pytest.mark.parametrize("name", FORWARD)
def test_adjoint_takes_the_arguments_and_one_bar_per_output(name):
    forward, adjoint = KERNELS[name].py_func.__code__, KERNELS[f"{name}_adjoint"].py_func.__code__
    taken, asked = forward.co_varnames[: forward.co_argcount], adjoint.co_varnames[: adjoint.co_argcount]
    bars = asked[len(taken) :]
    assert asked[: len(taken)] == taken
    assert all(bar.endswith("_bar") for bar in bars)
    draw = inputs(name, 1)[0]
    assert len(results(KERNELS[name], draw)) == len(bars)
    assert len(results(KERNELS[f"{name}_adjoint"], [*draw, *np.ones(len(bars))])) == len(taken)


@pytest.mark.parametrize("name", FORWARD)
def test_draws_go_both_ways_at_every_kink(name):
    ways = np.array([kinks(KERNELS[name], draw) for draw in inputs(name, DRAWS)])
    assert (ways.any(axis=0) & ~ways.all(axis=0)).all(), f"kinks taken one way only: {ways.mean(axis=0)}"


@pytest.mark.parametrize("name", FORWARD)
def test_dot_product(name):
    """<J dx, y> = <dx, J^T y>, J by complex step on the interpreted forward, J^T by the compiled adjoint.

    Both sides are sums of products that may cancel, so 1e-10 is of the sum of their magnitudes.
    """
    rng, adjoint = np.random.default_rng(2), KERNELS[f"{name}_adjoint"]
    for draw in inputs(name, DRAWS):
        j = jacobian(KERNELS[name], draw)
        dx, y = rng.normal(size=j.shape[1]) * np.maximum(np.abs(draw), 1e-3), rng.normal(size=j.shape[0])
        transposed = results(adjoint, [*draw, *y])
        size = np.abs(y) @ np.abs(j) @ np.abs(dx)
        assert abs((j @ dx) @ y - dx @ transposed) <= 1e-10 * size
        np.testing.assert_allclose(transposed, y @ j, rtol=0, atol=1e-10 * (np.abs(y) @ np.abs(j)).max())


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_compiled_is_interpreted_to_rounding(name):
    """Both err by at most the bound of a running error analysis."""
    for draw in inputs(name, 60):
        error = np.abs(results(KERNELS[name], draw) - results(interpreted(KERNELS[name]), draw))
        assert (error <= 2 * np.finfo(np.float64).eps * rounding(KERNELS[name], draw)).all()


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_single_precision_is_double_to_rounding(name):
    """Single precision errs by the bound at most; the smallest normal number is what underflow may cost."""
    for draw in inputs(name, 60):
        error = np.abs(results(KERNELS[name], draw.astype(np.float32)) - results(KERNELS[name], draw))
        single = np.finfo(np.float32)
        assert (error <= single.eps * rounding(KERNELS[name], draw) + single.tiny).all()


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_single_precision_computes_in_single_precision(name):
    """The literals follow the arguments: one double among them and the compiler would widen what touches it."""
    signature = (float32,) * KERNELS[name].py_func.__code__.co_argcount
    compiled = KERNELS[name].dispatcher
    compiled.compile(signature)
    returned = compiled.overloads[signature].signature.return_type
    assert set(getattr(returned, "types", (returned,))) == {float32}
    bodies = re.findall(r"^define [^\n]*@_ZN8hydrocli.*?^}", compiled.inspect_llvm(signature), re.S | re.M)
    assert bodies
    assert not any(re.search(r"\bdouble\b", body) for body in bodies)


@pytest.mark.parametrize("name", FORWARD)
def test_a_nan_is_not_lost(name):
    """A NaN in an argument that matters at this point reaches an output: else a broken run would look sound.

    The limits of a flux are spared: where a forcing, a capacity or a level is NaN, so is the flux that they limit, and
    `room` is a constant.
    """
    spared = {"flux_correction.corrected_flux": {2, 3}, "grnn.grnn": {14}}.get(name, set())
    for draw in inputs(name, 30):
        matters = (jacobian(KERNELS[name], draw) != 0).any(axis=0)
        for index in set(np.flatnonzero(matters)) - spared:
            broken = draw.copy()
            broken[index] = np.nan
            for real in (np.float64, np.float32):
                assert np.isnan(results(KERNELS[name], broken.astype(real))).any()
