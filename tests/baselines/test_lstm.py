"""The LSTM: its equations, its adjoint, what it cannot see, and what changes no bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from baseline_cases import catchments, lstm, observations

from hydrocli.baselines import lstm as module
from hydrocli.baselines.baseline import Baseline, Catchments, Observations, size_of

STEPS = 150
REGIONAL = Baseline("lstm", "LSTM", "regional", 6, ("slope",))
LOCAL = Baseline("lstm", "LSTM", "local", 7)
SCOPES = pytest.mark.parametrize("baseline", [REGIONAL, LOCAL], ids=["regional", "local"])


@pytest.fixture(scope="module")
def here() -> Catchments:
    return catchments(3, STEPS)


@pytest.fixture(scope="module")
def seen(here: Catchments) -> Observations:
    return observations(here)


def made(baseline: Baseline, seen: Observations, **options: Any) -> tuple[Any, np.ndarray, tuple[Any, ...]]:
    """The network on the catchments that it learns from, with weights away from the first ones."""
    arrays, weights = module.first(baseline, seen, 3)
    random = np.random.default_rng(5)
    weights = weights + 0.3 * random.standard_normal(weights.size)
    owners = baseline.owners(seen.catchments.codes, seen.catchments.codes)
    network = module.Lstm(baseline, seen.catchments, arrays, owners, **options)
    return network, weights, (baseline, seen.catchments, arrays, owners)


@SCOPES
def test_discharge_is_that_of_the_equations(baseline: Baseline, seen: Observations) -> None:
    network, weights, case = made(baseline, seen)
    discharge, _ = network.run(weights)
    np.testing.assert_allclose(discharge, lstm(*case, weights), rtol=1e-12)
    assert (discharge > 0).all()


@SCOPES
def test_the_adjoint_is_the_transpose(baseline: Baseline, seen: Observations) -> None:
    """<J dx, y> = <dx, J^T y>, with J dx by a complex step of the equations, for all weights at once and one by one."""
    network, weights, case = made(baseline, seen)
    random = np.random.default_rng(7)
    y = random.standard_normal((3, STEPS))
    bars = network.pull_back(weights, network.run(weights)[1], y)
    directions = [random.standard_normal(weights.size), *np.eye(weights.size)[:: weights.size // 12]]
    for direction in directions:
        forward = lstm(*case, weights + 1e-30j * direction).imag / 1e-30
        assert np.sum(forward * y) == pytest.approx(direction @ bars, rel=1e-10, abs=1e-12 * np.abs(bars).max())


def test_the_gradient_is_that_of_jax(seen: Observations) -> None:
    """By automatic differentiation of the same equations, for all gauges and weights."""
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    network, weights, (baseline, here, arrays, _) = made(REGIONAL, seen)
    target = np.random.default_rng(8).gamma(2.0, 3.0, (3, STEPS))
    hidden, gates = baseline.hidden, 4 * baseline.hidden
    span = arrays["highest"] - arrays["lowest"]
    attributes = (np.stack([np.log(here.area), here.attributes["slope"]]) - arrays["lowest"][:, None]) / span[:, None]
    inputs = np.stack([np.log1p(here.rain / arrays["scale"][0]), here.pet / arrays["scale"][1]], axis=-1)
    scale = arrays["flow"][0] * here.cubic_metres

    with jax.enable_x64(True):

        def cost(vector: Any) -> Any:
            rows = vector[: (4 + hidden) * gates].reshape(4 + hidden, gates)
            rest = vector[(4 + hidden) * gates :]
            base = attributes.T @ rows[2 + hidden :] + rest[:gates]

            def step(state: Any, u: Any) -> Any:
                h, c = state
                z = u @ rows[:2] + h @ rows[2 : 2 + hidden] + base
                i, f, o = (jax.nn.sigmoid(z[:, k * hidden : (k + 1) * hidden]) for k in range(3))
                c = f * c + i * jnp.tanh(z[:, 3 * hidden :])
                h = o * jnp.tanh(c)
                return (h, c), jnp.logaddexp(0.0, h @ rest[gates:-1] + rest[-1]) * scale

            start = jnp.zeros((2, 3, hidden))
            _, discharge = jax.lax.scan(step, (start[0], start[1]), jnp.swapaxes(jnp.asarray(inputs), 0, 1))
            return jnp.sum((discharge.T - target) ** 2)

        value, gradient = jax.value_and_grad(cost)(jnp.asarray(weights))
        value, gradient = float(value), np.asarray(gradient)
    discharge, trace = network.run(weights)
    assert np.sum((discharge - target) ** 2) == pytest.approx(value, rel=1e-12)
    bars = network.pull_back(weights, trace, 2 * (discharge - target))
    np.testing.assert_allclose(bars, gradient, rtol=0, atol=1e-10 * np.abs(gradient).max())


def test_taylor(seen: Observations) -> None:
    """What is left of the cost after its linear part shrinks with the square of the step."""
    network, weights, _ = made(REGIONAL, seen)
    direction = np.random.default_rng(9).standard_normal(weights.size)

    def cost(at: np.ndarray) -> float:
        return float(np.sum(network.run(at)[0] ** 2))

    discharge, trace = network.run(weights)
    slope = network.pull_back(weights, trace, 2 * discharge) @ direction
    widths = 1e-3 * 0.5 ** np.arange(5)
    left = [abs(cost(weights + width * direction) - cost(weights) - width * slope) for width in widths]
    assert np.polyfit(np.log(widths), np.log(left), 1)[0] == pytest.approx(2.0, abs=0.05)


@SCOPES
def test_neither_threads_nor_segments_change_a_bit(baseline: Baseline, seen: Observations) -> None:
    y = np.random.default_rng(4).standard_normal((3, STEPS))
    found = []
    for options in ({}, {"threads": 3}, {"segment": 1}, {"segment": STEPS}, {"segment": 7}):
        network, weights, _ = made(baseline, seen, **options)
        discharge, trace = network.run(weights)
        found.append((discharge.tobytes(), network.pull_back(weights, trace, y).tobytes()))
    assert len(set(found)) == 1


def test_it_is_causal(here: Catchments, seen: Observations) -> None:
    network, weights, (baseline, _, arrays, owners) = made(REGIONAL, seen)
    rain = here.rain.copy()
    rain[:, 90:] += 5.0
    changed = Catchments(here.codes, rain, here.pet, here.area, here.attributes, here.times, here.step)
    one, other = network.run(weights)[0], module.Lstm(baseline, changed, arrays, owners).run(weights)[0]
    assert np.array_equal(one[:, :90], other[:, :90])
    assert (one[:, 90:] != other[:, 90:]).all()


def test_constant_input_reaches_a_fixed_point(here: Catchments, seen: Observations) -> None:
    arrays, weights = module.first(REGIONAL, seen, 3)
    steps = 3000
    steady = Catchments(
        here.codes, np.full((3, steps), 0.5), np.full((3, steps), 0.1), here.area, here.attributes,
        here.times[0] + here.step * np.arange(steps), here.step,
    )  # fmt: skip
    discharge = module.Lstm(REGIONAL, steady, arrays, np.zeros(3, np.intp)).run(weights)[0]
    assert (np.ptp(discharge[:, -100:], axis=1) < 1e-12 * discharge[:, -1]).all()
    assert (np.abs(discharge[:, -1] - discharge[:, 0]) > 1e-3 * discharge[:, 0]).all()


def test_a_gauge_without_weights_has_no_discharge(here: Catchments, seen: Observations) -> None:
    """Local weights are those of the calibration gauges; other gauges have no part in the gradient."""
    arrays, weights = module.first(LOCAL, seen, 3)
    others = Catchments(("G1", "X"), here.rain[:2], here.pet[:2], here.area[:2], {}, here.times, here.step)
    owners = LOCAL.owners(others.codes, here.codes)
    assert owners.tolist() == [1, -1]
    network = module.Lstm(LOCAL, others, arrays, owners)
    discharge, trace = network.run(weights)
    assert np.isfinite(discharge[0]).all()
    assert np.isnan(discharge[1]).all()
    bars = network.pull_back(weights, trace, np.ones((2, STEPS))).reshape(3, -1)
    assert [bool(bar.any()) for bar in bars] == [False, True, False]


def test_the_first_guess(seen: Observations) -> None:
    """4 x 32 x (32 + 2) + 4 x 32 + 33 weights; the gates remember, and the discharge has its mean."""
    plain = Baseline("lstm", "LSTM", "local", 32)
    arrays, weights = module.first(plain, seen, 1)
    assert size_of(module.blocks(plain, arrays)) == 4 * 32 * (32 + 2) + 4 * 32 + 33
    assert weights.size == 3 * 4513
    discharge = module.Lstm(plain, seen.catchments, arrays, np.arange(3)).run(weights)[0]
    assert np.allclose(discharge.mean(axis=1), np.nanmean(seen.discharge, axis=1), rtol=0.5)
    assert not np.array_equal(weights, module.first(plain, seen, 2)[1])
