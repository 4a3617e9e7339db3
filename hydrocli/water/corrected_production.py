"""The production store with corrected fluxes, before percolation (P1 eqs 4, 5).

    ps = min((1 + f1) ps, pn, max(cp (1 - hp), flux_floor))        es = min((1 + f2) es, en, max(cp hp, flux_floor))
    hp <- hp + (ps - es) / cp

| symbol | meaning | unit |
|---|---|---|
| pn, en | net rain and net evapotranspiration, never both positive | mm/step |
| cp | production capacity; inverse_cp is 1/cp | mm |
| flux_floor | least that the store takes or gives: 0 where it limits its fluxes | mm/step |
| hp | relative level of the production store | - |
| f1, f2 | corrections of infiltration and of evaporation, in ]-1, 1[ | - |
| ps, es | infiltration and evaporation | mm/step |
"""

from hydrocli.jit import kernel
from hydrocli.water.flux_correction import corrected_flux, corrected_flux_adjoint
from hydrocli.water.production import production, production_adjoint
from hydrocli.water.vector_math import maximum, where_positive

UNLIMITED = 1e30
"""A `flux_floor` with which no store limits a flux."""


@kernel
def corrected_production(pn, en, cp, inverse_cp, flux_floor, hp, f1, f2):
    """New level hp, infiltration ps and evaporation es [mm/step]."""
    ps, es = production(pn, en, cp, inverse_cp, hp)
    ps = corrected_flux(ps, f1, pn, maximum(cp * (1.0 - hp), flux_floor))
    es = corrected_flux(es, f2, en, maximum(cp * hp, flux_floor))
    return hp + (ps - es) * inverse_cp, ps, es


@kernel
def corrected_production_adjoint(pn, en, cp, inverse_cp, flux_floor, hp, f1, f2, filled_bar, ps_bar, es_bar):
    """Bars of pn, en, cp, inverse_cp, flux_floor, hp, f1, f2."""
    ps0, es0 = production(pn, en, cp, inverse_cp, hp)
    free, stored = cp * (1.0 - hp), cp * hp
    ps_limit, es_limit = maximum(free, flux_floor), maximum(stored, flux_floor)
    ps = corrected_flux(ps0, f1, pn, ps_limit)
    es = corrected_flux(es0, f2, en, es_limit)
    # hp + (ps - es) / cp
    moved_bar = filled_bar * inverse_cp
    inverse_cp_bar = filled_bar * (ps - es)
    # es = min((1 + f2) es, en, max(cp hp, flux_floor))
    es0_bar, f2_bar, en_bar, es_limit_bar = corrected_flux_adjoint(es0, f2, en, es_limit, es_bar - moved_bar)
    stored_bar = where_positive(stored - flux_floor, es_limit_bar, 0.0)
    # ps = min((1 + f1) ps, pn, max(cp (1 - hp), flux_floor))
    ps0_bar, f1_bar, pn_bar, ps_limit_bar = corrected_flux_adjoint(ps0, f1, pn, ps_limit, ps_bar + moved_bar)
    free_bar = where_positive(free - flux_floor, ps_limit_bar, 0.0)
    # ps, es = production(pn, en, cp, hp)
    pn_more, en_more, cp_bar, inverse_cp_more, hp_bar = production_adjoint(pn, en, cp, inverse_cp, hp, ps0_bar, es0_bar)
    return (
        pn_bar + pn_more,
        en_bar + en_more,
        cp_bar + free_bar * (1.0 - hp) + stored_bar * hp,
        inverse_cp_bar + inverse_cp_more,
        ps_limit_bar - free_bar + es_limit_bar - stored_bar,
        filled_bar + hp_bar + cp * (stored_bar - free_bar),
        f1_bar,
        f2_bar,
    )
