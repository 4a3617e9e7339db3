"""Truths of twins: `gr` is that of the simulator; the others differ from it as their equations say."""

from __future__ import annotations

import numpy as np
import pytest
from model_harness import AREA, STEP, WIDTH, Case, case
from scipy.integrate import solve_ivp

from hydrocli.engine.simulator import State
from hydrocli.synthetic.true_models import HARD, LOST, SEALED, simulate_true_model

DRY = 1e-6  # mm, interception capacity: of the forcing all but this is left


def discharge(true_model: str, basin: Case) -> np.ndarray:
    """Of a case, its cells brought into the order of the water; the river empty at the start."""
    order = np.argsort(basin.level, kind="stable")
    place = np.append(np.argsort(order), -1)
    cells = len(order)
    net = basin.net[:, order]
    return simulate_true_model(
        true_model,
        (np.maximum(net, 0.0), np.maximum(-net, 0.0)),
        (np.full(cells, DRY), np.full(cells, 0.5)),
        basin.parameters[:, order],
        basin.state.levels[:, order],
        (place[basin.downstream[order]], np.full(cells, AREA), np.full(cells, WIDTH)),
        place[basin.gauges],
        STEP,
    )


def one_cell(rain: np.ndarray, kexc: float = 0.0) -> Case:
    """A single cell, which is a headwater: its discharge is its runoff."""
    parameters = np.array([[200.0], [80.0], [kexc], [5.0], [0.6]])
    state = State(np.array([[0.5], [0.4]]), np.zeros(1), np.zeros(1))
    net = rain[:, np.newaxis].astype(np.float32)
    return Case(np.array([-1]), np.array([0]), net, parameters, state, np.array([0]))


def test_without_another_law_it_is_the_sweep() -> None:
    """Two ways through the same equations; interception takes up to 1e-6 mm a step of depths of some mm."""
    basin = case(cells=80, steps=60)
    state = State(basin.state.levels, *np.zeros((2, 80)))
    expected, _ = basin.simulator().simulate(basin.parameters, state)
    np.testing.assert_allclose(discharge("gr", basin), expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("rain", [0.1, 4.0, 20.0])
def test_hard_rain_infiltrates_less(rain: float) -> None:
    """From the same levels: a tenth at least of what is kept out runs off at once, all of it at most (less percolation,
    which is below a thousandth of the store)."""
    tanh = np.tanh(rain / 200.0)
    ps = 200.0 * (1 - 0.5**2) * tanh / (1 + 0.5 * tanh)
    kept_out = SEALED * np.tanh(rain / HARD) * ps * AREA * 1e-3 / STEP
    sealed, open_ground = (discharge(name, one_cell(np.array([rain])))[0, 0] for name in ("infiltration", "gr"))
    assert 0.099 * kept_out < sealed - open_ground < kept_out


@pytest.mark.parametrize("kexc", [0.0, -2.0])
def test_leaky_stores_are_those_of_a_tight_integration(kexc: float) -> None:
    """Runge-Kutta with 12 substeps against an adaptive method: within 1e-4 of the largest runoff."""
    rain = np.array([0.0, 3.0, 12.0, -0.5, 0.0, 30.0, 1.0, -0.3])
    basin = one_cell(rain, kexc)
    cp, ct = basin.parameters[:2, 0]
    y, runoff = np.array([0.5, 0.4, 0.0]), []
    for depth in rain:
        pn, en = max(depth, 0.0) * (1 + LOST * np.tanh(max(depth, 0.0) / HARD)), max(-depth, 0.0)

        def rates(_: float, y: np.ndarray, pn: float = pn, en: float = en) -> tuple[float, float, float]:
            hp, ht, _ = y
            leak, outflow = kexc * ht**2, ct / 4 * ht**5
            return (
                ((1 - hp**2) * pn - hp * (2 - hp) * en) / cp,
                (0.9 * hp**2 * pn + leak - outflow) / ct,
                0.1 * hp**2 * pn + leak + outflow,
            )

        y = solve_ivp(rates, (0.0, 1.0), [*y[:2], 0.0], rtol=1e-10, atol=1e-12).y[:, -1]
        runoff.append(y[2])
    found = discharge("exchange", basin)[0] * STEP / AREA * 1e3
    np.testing.assert_allclose(found, runoff, atol=1e-4 * max(runoff))
