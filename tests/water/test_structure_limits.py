"""Kernels of the network and of the differential equations: the paper, balances, and the corners of all bounds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from water_harness import interpreted, results, rounding

from hydrocli.structures import gr, grnn
from hydrocli.structures.grnn import UNLIMITED
from hydrocli.structures.implicit_euler import first_level
from hydrocli.structures.node import transposed_solve
from hydrocli.structures.node_newton import newton_step
from hydrocli.water.flux_correction import (
    LEAK,
    corrected_flux,
    corrected_flux_adjoint,
    correction,
    correction_adjoint,
    leaky_relu,
    silu,
    silu_adjoint,
)
from hydrocli.water.production import production
from hydrocli.water.state_space import (
    coupling,
    production_root,
    production_root_adjoint,
    state_space_runoff,
    state_space_runoff_adjoint,
    transfer_residual,
    transfer_residual_adjoint,
)

EPS = np.finfo(np.float64).eps
INVERSE_BETA = 4 / 9 * (1 / 24) ** 0.25
REALS = (np.float64, np.float32)
NETS = ((0.0, 0.0), (1e-6, 0.0), (0.3, 0.0), (100.0, 0.0), (1000.0, 0.0), (0.0, 1e-6), (0.0, 0.3), (0.0, 40.0))
CAPACITIES = (1e-6, 1.0, 200.0, 1000.0)
LEVELS = (1e-6, 0.01, 0.5, 0.999999)
EXCHANGES = (-50.0, 0.0, 2.0, 50.0)
NEARLY_ONE = np.nextafter(1.0, 0.0)
CORRECTIONS = (-1.0, -NEARLY_ONE, -0.3, 0.0, 0.3, NEARLY_ONE, 1.0)
SETS = (*((f, f, f, f) for f in CORRECTIONS), (1.0, -1.0, 1.0, -1.0), (-1.0, 1.0, 0.5, 1.0))


def test_activations_are_the_paper():
    for z in (-30.0, -1.0, -1e-9, 0.0, 1e-9, 1.0, 30.0):
        assert silu(z) == pytest.approx(z / (1 + np.exp(-z)), rel=1e-14)
        assert leaky_relu(z) == (z if z > 0 else LEAK * z)
        assert correction(z) == pytest.approx(np.tanh(z), rel=1e-14)


@pytest.mark.parametrize("real", REALS)
def test_activations_far_out(real):
    """A saturated network corrects by -1 or 1, never by more; its derivative is 0, never NaN."""
    for z in (50.0, 1e4, 1e30):
        far, one = real(z), real(1)
        assert correction(far) == 1
        assert -1 <= correction(-far) <= -1 + np.finfo(real).eps
        assert silu(far) == far
        assert abs(silu(-far)) <= z * 1e-21
        derivatives = [correction_adjoint(x, one) for x in (far, -far)] + [silu_adjoint(-far, one)]
        np.testing.assert_allclose(derivatives, 0.0, atol=max(np.finfo(real).eps, z * 1e-21))
        assert silu_adjoint(far, one) == 1


def test_a_corrected_flux_keeps_its_limits():
    for flux, f, supply, room in product((0.0, 1e-9, 3.0), CORRECTIONS, (0.0, 2.0, 5.0), (0.0, 1.0, 1e30)):
        found = corrected_flux(flux, f, supply, room)
        assert found == min((1 + f) * flux, supply, room)
        assert sum(corrected_flux_adjoint(1.0, 0.0, supply, room, 1.0)[i] for i in (0, 2, 3)) == 1.0


def arguments_of(numbers) -> tuple[tuple[float, ...], ...]:
    """Arguments of `grnn.step` from pn, en, cp, 1/cp, ct, 1/ct, kexc, hp, ht, 1/beta, f1..f4, flux_floor."""
    return tuple(numbers[:2]), (*numbers[2:7], numbers[9], numbers[14]), tuple(numbers[7:9]), tuple(numbers[10:14])


def step(*numbers: float) -> tuple[float, float, float]:
    """New levels and runoff of `grnn.step`."""
    (hp, ht), qt, _ = grnn.step(*arguments_of(numbers))
    return hp, ht, qt


def step_bars(numbers, real: type) -> np.ndarray:
    """All bars of `grnn.step_adjoint`, each bar of an output being 1."""
    return results(grnn.step_adjoint, (*arguments_of(numbers), (real(1), real(1)), real(1)))


def step_corners(room: float) -> list[tuple[float, ...]]:
    cells = product(NETS, (1e-6, 200.0, 1000.0), (1e-6, 500.0), (-50.0, 0.0, 50.0), LEVELS, (1e-6, 0.5, 0.999999), SETS)
    return [
        (*net, cp, 1 / cp, ct, 1 / ct, kexc, hp, ht, INVERSE_BETA, *f, room)
        for net, cp, ct, kexc, hp, ht, f in cells
    ]  # fmt: skip


def test_grnn_without_corrections_is_gr_to_rounding():
    for corner in step_corners(0.0):
        if corner[10:14] == (0.0, 0.0, 0.0, 0.0):
            forcing, (*rows, flux_floor), states, _ = arguments_of(corner)
            classical = forcing, tuple(rows), states
            assert flux_floor == 0.0
            error = np.abs(results(grnn.step, arguments_of(corner)) - results(gr.step, classical))
            assert (error <= 2 * EPS * rounding(gr.step, classical)).all(), corner


@pytest.mark.parametrize("real", REALS)
def test_grnn_is_finite_and_inside_its_stores_at_the_corners(real):
    """Four roundings of a full store; runoff, a sum of fluxes, may be below 0 by their rounding."""
    slack = 4 * np.finfo(real).eps
    for corner in step_corners(0.0)[::3]:
        arguments = np.array(corner, real)
        hp, ht, qt = step(*arguments)
        assert -slack <= hp <= 1 + slack, corner
        assert 0 < ht <= 1 + slack, corner
        assert -2 * slack * (corner[0] + corner[2] + corner[4] + abs(corner[6])) <= qt < np.inf, corner
        assert np.isfinite(step_bars(arguments, real)).all(), corner


@pytest.mark.parametrize("real", REALS)
def test_grnn_without_limits_stays_finite_beyond_full_and_empty(real):
    """The papers' equations let doubled fluxes pass a store; what they make of it is bounded by its capacity."""
    beyond = False
    for (pn, en), cp, f in product(NETS, CAPACITIES, (-0.5, 1.0)):
        hp = ht = real(0.5)
        for _ in range(20):
            numbers = np.array(
                [pn, en, cp, 1 / cp, 100.0, 0.01, 0.0, hp, ht, INVERSE_BETA, f, f, 0, 0, UNLIMITED], real
            )
            hp, ht, qt = map(real, step(*numbers))
            beyond |= not 0 <= hp <= 1
            assert abs(hp) < 3
            assert abs(qt) <= 3 * (pn + en + cp + 100)
            assert np.isfinite(step_bars(numbers, real)).all()
    assert beyond


def test_grnn_moves_what_the_corrections_ask_within_the_limits():
    """Storage change and evaporation against fluxes typed from P1 eqs 4, 5; F = 0, so nothing else moves hp and qt."""
    for (pn, en), cp, hp, f in product(NETS, (5.0, 200.0), LEVELS, CORRECTIONS):
        for room in (0.0, UNLIMITED):
            after, ht, qt = step(pn, en, cp, 1 / cp, 300.0, 1 / 300, 0.0, hp, 0.3, INVERSE_BETA, f, f, f, f, room)
            ps, es = production(pn, en, cp, 1 / cp, hp)
            ps, es = min((1 + f) * ps, pn), min((1 + f) * es, en)
            if room == 0.0:
                ps, es = min(ps, cp * (1 - hp)), min(es, cp * hp)
            if after >= 0:  # else percolation turns round, and the direct branch gives nothing back
                left = pn - es - cp * (after - hp) - 300 * (ht - 0.3) - qt
                assert left == pytest.approx(0, abs=50 * EPS * (pn + en + cp + 300))
            filled = hp + (ps - es) / cp
            assert after == pytest.approx(filled * (1 + (filled * INVERSE_BETA) ** 4) ** -0.25, abs=8 * EPS)


@pytest.mark.parametrize("real", REALS)
def test_production_root_solves_its_equation(real):
    """cp (hp - hp0) = (1 - hp^2) a - hp (2 - hp) b, to rounding of its largest term; without forcing hp stays."""
    eps = np.finfo(real).eps
    for (a, b), cp, hp0 in product(NETS, CAPACITIES, (0.0, *LEVELS, 1.0)):
        arguments = np.array([a, b, cp, hp0], real)
        hp = production_root(*arguments)
        assert 0 <= hp <= 1 + 4 * eps
        assert np.isfinite(results(production_root_adjoint, (*arguments, real(1)))).all()
        a64, b64, cp64, hp64, root = (float(x) for x in (*arguments, hp))
        residual = cp64 * (root - hp64) - (1 - root**2) * a64 + root * (2 - root) * b64
        assert abs(residual) <= 16 * eps * (cp64 + a64 + b64)
        if a == b == 0:
            assert abs(root - hp64) <= 4 * eps * hp64
        if real is np.float64:
            slopes = results(production_root_adjoint, (*arguments, 1.0))
            assert slopes[0] >= 0 >= slopes[1]
            assert slopes[3] >= 0


def driving(k: float, ht: float) -> float:
    """Level that drives the exchange: where a store above 1 gains, it gains what a full one does."""
    return min(ht, 1.0) if k > 0 else ht


def test_transfer_residual_is_the_paper_and_returns_its_slope():
    clone = interpreted(transfer_residual)
    for inflow, k, o, ct, ht0, ht in product(
        (0.0, 3.0), EXCHANGES, (0.0, 1e-9, 1.0, 2.0), CAPACITIES, LEVELS, (*LEVELS, 1.0, 3.0)
    ):
        residual, slope = transfer_residual(inflow, k, o, 1 / ct, ht0, ht)
        terms = np.array([ht, -ht0, -inflow / ct, -k / ct * driving(k, ht) ** 3.5, o / 4 * ht**5])
        assert residual == pytest.approx(terms.sum(), abs=8 * EPS * np.abs(terms).sum())
        derivative = clone(inflow, k, o, 1 / ct, ht0, ht + 1e-40j)[0].imag / 1e-40
        assert slope == pytest.approx(derivative, rel=1e-13, abs=8 * EPS * (1 + 3.5 * abs(k) / ct * ht**2.5))


@pytest.mark.parametrize("real", REALS)
def test_state_space_kernels_are_finite_at_the_corners(real):
    """Also for levels far above 1, which extreme rain reaches where no limit holds them."""
    for a, k, o, ct, hp, ht in product(
        (0.0, 2000.0), EXCHANGES, (0.0, 2.0), CAPACITIES, (1e-6, 1.0), (1e-6, 1.0, 60.0)
    ):
        runoff = np.array([a, k, o, ct, hp, ht], real)
        residual = np.array([0.9 * a, k, o, 1 / ct, 0.5, ht], real)
        assert np.isfinite(results(state_space_runoff, runoff)).all()
        assert np.isfinite(results(state_space_runoff_adjoint, (*runoff, real(1)))).all()
        assert np.isfinite(results(transfer_residual, residual)).all()
        assert np.isfinite(results(transfer_residual_adjoint, (*residual, *np.ones(2, real)))).all()


def test_state_space_balance():
    """Where the residual of ht is r: ct (ht - ht0) + qt = hp^2 a + 2 F + ct r, with F the exchange in both branches."""
    for a, k, o, ct, hp, ht in product(
        (0.0, 0.3, 100.0), EXCHANGES, (0.0, 1.0, 2.0), (1.0, 500.0), LEVELS, (*LEVELS, 3.0)
    ):
        ht0 = 0.4
        residual, _ = transfer_residual(0.9 * hp**2 * a, k, o, 1 / ct, ht0, ht)
        qt = state_space_runoff(a, k, o, ct, hp, ht)
        F = k * driving(k, ht) ** 3.5
        size = a + 2 * abs(F) + ct * (ht + ht0) + ct * o * ht**5
        assert ct * (ht - ht0) + qt == pytest.approx(hp**2 * a + 2 * F + ct * residual, abs=16 * EPS * size)


def test_first_level_is_not_below_the_root_where_exchange_takes_water():
    """Newton's method then comes down to the root without a detour: the residual is convex there."""
    for inflow, k, o, ct, ht0 in product((0.0, 0.3, 900.0), (-50.0, 0.0), (1e-6, 0.3, 2.0), CAPACITIES, LEVELS):
        start = first_level(inflow, o, 1 / ct, ht0)
        residual, slope = transfer_residual(inflow, k, o, 1 / ct, ht0, start)
        assert residual >= -8 * EPS * (ht0 + inflow / ct)
        assert slope >= 1


def test_newton_step_solves_a_linear_system_and_stays_within_limits():
    """Inside: the solution. At a limit: the other level is solved for alone."""
    j = np.array([[2.0, 0.3], [-0.4, 1.5]])
    inside = np.array(newton_step(0.1, -0.2, *j.ravel(), 0.5, 0.5, 1e-6, np.inf))
    np.testing.assert_allclose(j @ (inside - 0.5), [-0.1, 0.2], rtol=1e-14)
    assert newton_step(0.1, -9.0, *j.ravel(), 0.5, 0.5, 1e-6, 0.999999) == (0.5 - 0.1 / 2, 0.999999)
    assert newton_step(9.0, 0.3, *j.ravel(), 0.5, 0.5, 1e-6, 0.999999) == (1e-6, 0.5 - 0.3 / 1.5)
    hp, ht = newton_step(-9.0, -9.0, *j.ravel(), 0.5, 0.5, 1e-6, np.inf)
    assert hp == 1.0
    assert ht == 0.5 + 9.0 / 1.5
    for broken in ((np.nan, 0.1), (0.1, np.nan)):
        assert np.isnan(newton_step(*broken, *j.ravel(), 0.5, 0.5, 1e-6, np.inf)).any()


def test_transposed_solve():
    j, bars = np.array([[2.0, 0.3], [-0.4, 1.5]]), np.array([0.7, -1.1])
    np.testing.assert_allclose(transposed_solve(*j.ravel(), *bars, 1.0, 1.0), np.linalg.solve(j.T, bars), rtol=1e-14)
    assert transposed_solve(*j.ravel(), *bars, 0.0, 1.0) == (0.0, pytest.approx(bars[1] / 1.5))
    assert transposed_solve(*j.ravel(), *bars, 1.0, 0.0) == (pytest.approx(bars[0] / 2.0), 0.0)
    assert transposed_solve(*j.ravel(), *bars, 0.0, 0.0) == (0.0, 0.0)


def test_coupling_is_what_the_corrections_add_to_the_jacobian():
    """Derivative of both residuals by a level through f alone, by complex step on P2 eqs 13, 14."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        pn, en, kexc, cp, ct = *rng.exponential(3, 2), rng.normal(0, 20), *(10 ** rng.uniform(0, 3, 2))
        hp, ht, f, slope = rng.random(), 2 * rng.random(), rng.uniform(-1, 1, 4), rng.normal(size=4)
        f1, f2, f3, f4 = f + 1e-40j * slope
        production_side = -((1 - hp**2) * pn * (1 + f1) - hp * (2 - hp) * en * (1 + f2)) / cp
        inflow, exchange = 0.9 * hp**2 * pn * (1 + f1), kexc * ht**3.5 * (1 + f3)
        transfer_side = -(inflow + exchange) / ct + ht**5 / 4 * (1 + f4)
        found = coupling(pn, en, kexc, 1 / cp, 1 / ct, hp, ht, ht**3.5, *slope)
        expected = np.array([production_side.imag, transfer_side.imag]) / 1e-40
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
