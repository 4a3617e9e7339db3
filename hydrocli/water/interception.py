"""Interception: rain first fills and evaporation first empties what leaves hold (P1 2.2.1; Ficchi et al. 2019).

    ei = min(e, p + hi ci)
    pn = max(0, p - ci (1 - hi) - ei)        en = e - ei
    hi <- hi + (p - ei - pn) / ci

| symbol | meaning | unit |
|---|---|---|
| p, e | precipitation, potential evapotranspiration | mm/step |
| ci | interception capacity | mm |
| hi | relative level of the interception store | - |
| ei | evaporation from the interception store | mm/step |
| pn, en | net rain and net evapotranspiration, never both positive | mm/step |

pn > 0 needs p + hi ci > ci + ei, so that ei = e and en = 0: one signed number, pn - en, carries both.
"""

from hydrocli.jit import kernel
from hydrocli.water.vector_math import maximum, minimum, where_positive


@kernel
def interception(p, e, ci, hi):
    """Neutralised rain pn and evapotranspiration en, and the new level hi."""
    ei = minimum(e, p + hi * ci)
    pn = maximum(p - ci * (1.0 - hi) - ei, 0.0)
    # A full or empty store is so but for rounding, which a small capacity would blow up.
    return pn, e - ei, minimum(maximum(hi + (p - ei - pn) / ci, 0.0), 1.0)


@kernel
def interception_adjoint(p, e, ci, hi, pn_bar, en_bar, hi_bar):
    """Bars of p, e, ci, hi; at the kinks ei counts as e, pn as 0."""
    held = p + hi * ci
    ei = minimum(e, held)
    surplus = p - ci * (1.0 - hi) - ei
    pn = maximum(surplus, 0.0)
    # hi + (p - ei - pn) / ci
    rate_bar = hi_bar / ci
    ci_bar = -rate_bar * (p - ei - pn) / ci
    p_bar, ei_bar, pn_bar = rate_bar, -rate_bar, pn_bar - rate_bar
    # en = e - ei
    e_bar, ei_bar = en_bar, ei_bar - en_bar
    # pn = max(0, p - ci (1 - hi) - ei)
    surplus_bar = where_positive(surplus, pn_bar, 0.0)
    p_bar, ei_bar, ci_bar = p_bar + surplus_bar, ei_bar - surplus_bar, ci_bar - surplus_bar * (1.0 - hi)
    hi_bar = hi_bar + surplus_bar * ci
    # ei = min(e, p + hi ci)
    held_bar = where_positive(e - held, ei_bar, 0.0)
    e_bar = e_bar + ei_bar - held_bar
    return p_bar + held_bar, e_bar, ci_bar + held_bar * hi, hi_bar + held_bar * ci
