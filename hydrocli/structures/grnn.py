"""The hybrid structure `grnn`: GR whose fluxes a network corrects (P1 eqs 4-8).

    ps = min(pn, (1 + f1) ps)      es = min(en, (1 + f2) es)      both also within what the store takes or holds
    prr = 0.9 (1 - f3^2) (pr + perc) + F       prd = (0.1 + 0.9 f3^2) (pr + perc)       F = (1 + f4) kexc ht^(7/2)

f1..f4 are the network at the levels before the step. `flux_floor` is the least that a store takes or gives: 0 where it
limits its fluxes (`flux_limits: conservative`), and so large that it never does for the papers' equations as they
stand, whose levels can leave [0, 1] (`as_published`).
"""

from __future__ import annotations

from typing import Any

from hydrocli.jit import kernel
from hydrocli.names import PARAMETERS
from hydrocli.structures import gr
from hydrocli.structures.explicit import corrected
from hydrocli.structures.gr import exchanged, exchanged_adjoint, inverse_beta
from hydrocli.structures.structure import CellModel, Correction, Structure, register
from hydrocli.water.corrected_production import UNLIMITED
from hydrocli.water.flux_correction import corrected_flux, corrected_flux_adjoint
from hydrocli.water.production import percolation, percolation_adjoint, production, production_adjoint
from hydrocli.water.transfer import (
    LOWEST_LEVEL,
    direct_runoff,
    direct_runoff_adjoint,
    transfer,
    transfer_adjoint,
)
from hydrocli.water.vector_math import maximum, where_positive


@kernel
def step(forcing, parameters, states, corrections):
    """New levels (hp, ht), runoff qt [mm/step] and fluxes [mm/step]; see `gr.step`.

    parameters: cp, 1/cp, ct, 1/ct, coefficients of the exchange, 1/beta, flux_floor.
    """
    pn, en = forcing
    cp, inverse_cp, ct, inverse_ct = parameters[:4]
    coefficients, inverse_beta, flux_floor = parameters[4:-2], parameters[-2], parameters[-1]
    hp, ht = states
    f1, f2, f3, f4 = corrections
    ps, es = production(pn, en, cp, inverse_cp, hp)
    ps = corrected_flux(ps, f1, pn, maximum(cp * (1.0 - hp), flux_floor))
    es = corrected_flux(es, f2, en, maximum(cp * hp, flux_floor))
    hp, perc = percolation(cp, hp + (ps - es) * inverse_cp, inverse_beta)
    F = (1.0 + f4) * exchanged(coefficients, ht)
    effective = pn - ps + perc
    delayed = 0.9 * (1.0 - f3 * f3)
    prr, prd = delayed * effective + F, (1.0 - delayed) * effective
    clamped = ct * maximum(LOWEST_LEVEL - (ht + prr * inverse_ct), 0.0)
    ht, qr = transfer(prr, ct, inverse_ct, ht)
    qd = direct_runoff(prd, F)
    return (hp, ht), qr + qd, (ps, es, pn - ps, perc, F + qd - prd, qr, qd, clamped)


@kernel
def step_adjoint(forcing, parameters, states, corrections, states_bar, qt_bar):
    """Bars of forcing, parameters (cp, ct, coefficients of the exchange), states and corrections."""
    pn, en = forcing
    cp, inverse_cp, ct, inverse_ct = parameters[:4]
    coefficients, inverse_beta, flux_floor = parameters[4:-2], parameters[-2], parameters[-1]
    hp, ht = states
    f1, f2, f3, f4 = corrections
    hp_bar, ht_bar = states_bar
    ps0, es0 = production(pn, en, cp, inverse_cp, hp)
    free, stored = cp * (1.0 - hp), cp * hp
    ps_limit, es_limit = maximum(free, flux_floor), maximum(stored, flux_floor)
    ps = corrected_flux(ps0, f1, pn, ps_limit)
    es = corrected_flux(es0, f2, en, es_limit)
    filled = hp + (ps - es) * inverse_cp
    _, perc = percolation(cp, filled, inverse_beta)
    F0 = exchanged(coefficients, ht)
    F = (1.0 + f4) * F0
    effective = pn - ps + perc
    delayed = 0.9 * (1.0 - f3 * f3)
    # qt = qr + qd,  qd = direct_runoff((1 - delayed) effective, F)
    prd_bar, F_bar = direct_runoff_adjoint((1.0 - delayed) * effective, F, qt_bar)
    # ht, qr = transfer(delayed effective + F)
    prr_bar, ct_bar, inverse_ct_bar, ht_bar = transfer_adjoint(
        delayed * effective + F, ct, inverse_ct, ht, ht_bar, qt_bar
    )
    F_bar = F_bar + prr_bar
    # delayed = 0.9 (1 - f3^2),  effective = pn - ps + perc
    f3_bar = -1.8 * f3 * effective * (prr_bar - prd_bar)
    effective_bar = prd_bar + delayed * (prr_bar - prd_bar)
    # F = (1 + f4) exchanged(ht)
    f4_bar = F_bar * F0
    coefficients_bar, ht_exchange_bar = exchanged_adjoint(coefficients, ht, (1.0 + f4) * F_bar)
    # hp, perc = percolation(filled)
    cp_bar, filled_bar, _ = percolation_adjoint(cp, filled, inverse_beta, hp_bar, effective_bar)
    # filled = hp + (ps - es) / cp
    moved_bar = filled_bar * inverse_cp
    inverse_cp_bar = filled_bar * (ps - es)
    # es = min((1 + f2) es, en, max(cp hp, flux_floor))
    es0_bar, f2_bar, en_bar, es_limit_bar = corrected_flux_adjoint(es0, f2, en, es_limit, -moved_bar)
    # ps = min((1 + f1) ps, pn, max(cp (1 - hp), flux_floor))
    ps0_bar, f1_bar, pn_bar, ps_limit_bar = corrected_flux_adjoint(ps0, f1, pn, ps_limit, moved_bar - effective_bar)
    free_bar = where_positive(free - flux_floor, ps_limit_bar, 0.0)
    stored_bar = where_positive(stored - flux_floor, es_limit_bar, 0.0)
    # ps, es = production(pn, en, cp, hp)
    pn_more, en_more, cp_more, inverse_cp_more, hp_more = production_adjoint(
        pn, en, cp, inverse_cp, hp, ps0_bar, es0_bar
    )
    cp_bar = cp_bar + cp_more + free_bar * (1.0 - hp) + stored_bar * hp
    cp_bar = cp_bar - (inverse_cp_bar + inverse_cp_more) * inverse_cp * inverse_cp
    ct_bar = ct_bar - inverse_ct_bar * inverse_ct * inverse_ct
    return (
        (pn_bar + pn_more + effective_bar, en_bar + en_more),
        (cp_bar, ct_bar) + coefficients_bar,  # noqa: RUF005
        (filled_bar + hp_more + cp * (stored_bar - free_bar), ht_bar + ht_exchange_bar),
        (f1_bar, f2_bar, f3_bar, f4_bar),
    )


def flux_floor(structure: Structure) -> float:
    """Least that a store takes or gives [mm/step]."""
    return 0.0 if structure.flux_limits == "conservative" else UNLIMITED


def _constants(structure: Structure, step: int) -> tuple[float, ...]:
    return inverse_beta(step), flux_floor(structure)


DECLARED: dict[str, Any] = gr.DECLARED | {
    "constants": _constants,
    "corrections": (
        Correction("infiltration"),
        Correction("evaporation"),
        Correction("delayed branch", "1 - f^2"),
        Correction("exchange"),
    ),
    "options": ("network", "flux_limits"),
    "seconds": (145e-9, 47e-9),
}
"""What all corrected structures of this family declare alike."""

GRNN = CellModel(
    name="grnn",
    title="GR4 whose infiltration, evaporation, split and exchange a network corrects (P1 eqs 4-8)",
    parameters=tuple(PARAMETERS[symbol] for symbol in ("cp", "ct", "kexc")),
    **DECLARED,
    **corrected("grnn", step, step_adjoint, rows=5, parameters=3, states=2, fluxes=8, corrections=4),
)
register("grnn", lambda options: GRNN)
