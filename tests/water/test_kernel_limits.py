"""Every kernel closes its water balance and stays finite and inside its store, up to the corners of all bounds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from water_harness import results, rounding

from hydrocli.names import INTERCEPTION_CAPACITY, PARAMETERS, ROUTING_PARAMETERS, STATES
from hydrocli.structures import gr
from hydrocli.water.exchange import exchange
from hydrocli.water.interception import interception, interception_adjoint
from hydrocli.water.kinematic_wave import LOWEST_FLOW, kinematic_wave, kinematic_wave_adjoint
from hydrocli.water.production import percolation, production
from hydrocli.water.transfer import LOWEST_LEVEL, direct_runoff, transfer

EPS = np.finfo(np.float64).eps
INVERSE_BETA = 4 / 9 * (1 / 24) ** 0.25
RAIN = (0.0, 1e-6, 0.3, 40.0, 1000.0)
DEMAND = (0.0, 1e-6, 0.3, 40.0)
REALS = (np.float64, np.float32)


def corners(symbol: str) -> tuple[float, float, float]:
    """Lower bound, default and upper bound of a parameter or level."""
    row = (PARAMETERS | ROUTING_PARAMETERS | STATES)[symbol]
    return row.lower, row.default, row.upper


def arguments_of(corner: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """Arguments of `gr.step` from pn, en, cp, 1/cp, ct, 1/ct, kexc, hp, ht, 1/beta."""
    return tuple(corner[:2]), (*corner[2:7], corner[9]), tuple(corner[7:9])


def step_corners() -> list[tuple[float, ...]]:
    """Numbers of `gr.step` at all corners: no rain or huge, empty store or full, tiny capacity or huge."""
    nets = [(pn, 0.0) for pn in RAIN] + [(0.0, en) for en in DEMAND if en]
    cells = product(nets, *map(corners, ("cp", "ct", "kexc", "hp", "ht")))
    return [(*net, cp, 1 / cp, ct, 1 / ct, kexc, hp, ht, INVERSE_BETA) for net, cp, ct, kexc, hp, ht in cells]


def test_interception_balance():
    assert INTERCEPTION_CAPACITY.lower is not None
    capacities = (1e-6, INTERCEPTION_CAPACITY.lower, 1.0, INTERCEPTION_CAPACITY.upper)
    for p, e, ci, hi in product(RAIN, DEMAND, capacities, (0.0, 1e-6, 0.5, 1.0)):
        pn, en, after = interception(p, e, ci, hi)
        assert p - (e - en) - pn == pytest.approx(ci * (after - hi), abs=8 * EPS * (p + e + ci))
        assert min(pn, en) == 0.0
        assert 0.0 <= pn <= p + ci * hi
        assert 0.0 <= en <= e
        held = 4 * EPS * (1 + (p + e) / ci)  # the level is a difference of depths
        assert -held <= after <= 1 + held
        assert np.isfinite(results(interception_adjoint, (p, e, ci, hi, 1.0, 1.0, 1.0))).all()


def test_production_moves_no_more_than_there_is():
    for pn, cp, hp in product(RAIN, corners("cp"), (0.0, *corners("hp"), 1.0)):
        ps, es = production(pn, 0.0, cp, 1 / cp, hp)
        assert es == 0.0
        assert 0.0 <= ps <= pn * (1 + 8 * EPS)
        assert ps <= cp * (1 - hp) + 8 * EPS * cp
    for en, cp, hp in product(DEMAND, corners("cp"), (0.0, *corners("hp"), 1.0)):
        ps, es = production(0.0, en, cp, 1 / cp, hp)
        assert ps == 0.0
        assert 0.0 <= es <= en * (1 + 8 * EPS)
        assert es <= cp * hp + 8 * EPS * cp


def test_production_is_the_paper():
    """P1 eq. 4 as printed, in NumPy. 1 - u^2 and 1 - hp carry the rounding of a full store."""
    for n, cp, hp in product((1e-6, 0.3, 40.0), (5.0, 200.0, 1000.0), (1e-6, 0.01, 0.5, 0.999999)):
        t = np.tanh(n / cp)
        ps = cp * (1 - hp**2) * t / (1 + hp * t)
        es = cp * hp * (2 - hp) * t / (1 + (1 - hp) * t)
        assert production(n, 0.0, cp, 1 / cp, hp)[0] == pytest.approx(ps, rel=1e-14, abs=8 * EPS * n)
        assert production(0.0, n, cp, 1 / cp, hp)[1] == pytest.approx(es, rel=1e-14, abs=8 * EPS * n)


def test_percolation_and_transfer_are_the_paper_and_balance():
    for cp, level in product((1e-6, 200.0, 1000.0), (0.0, 1e-6, 0.5, 1.0)):
        drained, perc = percolation(cp, level, INVERSE_BETA)
        assert drained * cp + perc == pytest.approx(cp * level, rel=4 * EPS)
        expected = cp * level * (1 - (1 + (level * INVERSE_BETA) ** 4) ** -0.25)
        assert perc == pytest.approx(expected, abs=4 * EPS * cp)
    for prr, ct, level in product((-50.0, 0.0, 0.3, 1000.0), (1e-6, 500.0, 1000.0), (1e-6, 0.5, 0.999999)):
        drained, qr = transfer(prr, ct, 1 / ct, level)
        filled = max(LOWEST_LEVEL, level + prr / ct)
        assert ct * drained + qr == pytest.approx(ct * filled, rel=8 * EPS)
        assert drained == pytest.approx(filled * (1 + filled**4) ** -0.25, rel=8 * EPS)
        assert qr >= -4 * EPS * ct * filled


def test_exchange_and_direct_runoff_are_the_paper():
    for kexc, ht in product((-50.0, 0.0, 2.0), (1e-6, 0.5, 1.0)):
        assert exchange(kexc, ht) == pytest.approx(kexc * ht**3.5, rel=1e-14)
    for prd, F in product((0.0, 2.0), (-5.0, -2.0, 0.0, 3.0)):
        assert direct_runoff(prd, F) == max(0.0, prd + F)


def test_kinematic_wave_is_the_paper_and_a_weighted_mean():
    """The scheme as printed; the new discharge lies between the one before and what flows in."""
    flows = (-1.0, 0.0, 1e-6, 0.3, 1e4)
    for akw, bkw, U, before, ql, d1 in product(corners("akw"), corners("bkw"), flows, flows, flows, (0.1, 3.6, 1e3)):
        u, q, lateral = (max(x, LOWEST_FLOW) for x in (U, before, ql))
        d2 = akw * bkw * ((q + u) / 2) ** (bkw - 1)
        expected = (d1 * u + d2 * q + d1 * lateral) / (d1 + d2)
        found = kinematic_wave(akw, bkw, U, before, ql, ql, d1)
        assert found == pytest.approx(expected, rel=1e-13)
        assert min(q, u + lateral) * (1 - 1e-14) <= found <= max(q, u + lateral) * (1 + 1e-14)


@pytest.mark.parametrize("real", REALS)
def test_kinematic_wave_is_finite_at_the_corners(real):
    flows = (-1.0, 0.0, 1e-6, 0.3, 1e5)
    for akw, bkw, U, before, ql, d1 in product(corners("akw"), corners("bkw"), flows, flows, flows, (0.1, 1e3)):
        arguments = np.array([akw, bkw, U, before, ql, ql, d1], real)
        assert kinematic_wave(*arguments) >= real(LOWEST_FLOW) * (1 - 4 * np.finfo(real).eps)
        assert np.isfinite(results(kinematic_wave_adjoint, (*arguments, real(1)))).all()


@pytest.mark.parametrize("real", REALS)
def test_step_is_finite_and_inside_its_stores_at_the_corners(real):
    """But for the rounding of a full store (four operations), levels stay in [0, 1] and no runoff is negative."""
    slack = 4 * np.finfo(real).eps
    for corner in step_corners():
        numbers = np.array(corner, real)
        (hp, ht), qt, _ = gr.step(*arguments_of(numbers))
        assert np.isfinite([hp, ht, qt]).all(), corner
        assert -slack <= hp <= 1 + slack, corner
        assert 0 < ht <= 1 + slack, corner
        water = numbers[2] + numbers[4] + numbers[0] + abs(numbers[6])
        assert qt >= -slack * water, corner
        bars = ((real(1), real(1)), real(1))
        assert np.isfinite(results(gr.step_adjoint, (*arguments_of(numbers), *bars))).all(), corner


@pytest.mark.parametrize("real", REALS)
def test_many_extreme_steps_stay_inside(real):
    """Flood, drought and exchange at their extremes by turns, on the tiniest, a common and the largest store."""
    rng = np.random.default_rng(3)
    for cp, ct, kexc in product(corners("cp"), corners("ct"), corners("kexc")):
        hp = ht = real(0.01)
        for n in rng.choice([1000.0, 30.0, 0.0, -0.3, -40.0], 60):
            fixed = np.array([max(n, 0.0), max(-n, 0.0), cp, 1 / cp, ct, 1 / ct, kexc], real)
            (hp, ht), qt, _ = gr.step(*arguments_of((*fixed, real(hp), real(ht), real(INVERSE_BETA))))
            assert np.isfinite(qt)
            assert -1e-6 <= hp <= 1 + 1e-6
            assert 0 < ht <= 1 + 1e-6


def test_step_balance_with_exchange_and_floors_counted():
    """pn - es + both exchanges + what the floors add = runoff + storage change.

    Each side is a sum of terms as large as a full store or a flux; the bound of rounding says how far they may differ.
    """
    both_floors = 0
    for corner in step_corners():
        pn, en, cp, inverse_cp, ct, _, kexc, hp, ht, _ = corner
        (after_hp, after_ht), qt, _ = gr.step(*arguments_of(corner))
        ps, es = production(pn, en, cp, inverse_cp, hp)
        F = exchange(kexc, ht)
        effective = pn - ps + percolation(cp, hp + (ps - es) * inverse_cp, INVERSE_BETA)[1]
        raised = max(0.0, ct * LOWEST_LEVEL - (ct * ht + 0.9 * effective + F)) + max(0.0, -0.1 * effective - F)
        both_floors += raised > 0
        change = cp * (after_hp - hp) + ct * (after_ht - ht)
        slack = rounding(gr.step, arguments_of(corner))[:3] @ np.array([cp, ct, 1.0]) + 4 * (pn + en + cp + ct + abs(F))
        assert pn - es + 2 * F + raised == pytest.approx(qt + change, abs=2 * EPS * slack), corner
    assert both_floors > 100
