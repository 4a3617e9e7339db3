"""Soil moisture of HBV: what reaches the ground fills the soil or recharges what lies below (Bergstrom 1995).

    inf = min(pn (1 - sm^beta), fc (1 - sm))            recharge = pn - inf
    ea  = min(en min(1, sm / lp), fc sm)                sm <- sm + (inf - ea) / fc

| symbol | meaning | unit |
|---|---|---|
| pn, en | net rain and net evapotranspiration, never both positive | mm/step |
| fc | field capacity; inverse_fc is 1/fc | mm |
| beta | shape of the recharge | - |
| inverse_lp | 1/lp; lp is the share of fc above which evaporation is potential | - |
| sm | soil moisture relative to fc | - |
| inf, recharge | what the soil keeps, and what it passes on | mm/step |
| ea | evaporation from the soil | mm/step |
"""

from hydrocli.jit import kernel
from hydrocli.water.vector_math import exp, log, maximum, minimum, where_positive

DRIEST = 1e-6
"""Below it sm^beta is that of this value: the power stays differentiable."""


@kernel
def recharge_share(sm, beta):
    """sm^beta [-]; sm as a factor of its own, for a compiled logarithm turns NaN into a number."""
    wet = maximum(sm, DRIEST)
    return wet * exp((beta - 1.0) * log(wet))


@kernel
def recharge_share_adjoint(sm, beta, share_bar):
    """Bars of sm, beta."""
    wet = maximum(sm, DRIEST)
    logarithm = log(wet)
    power_bar = share_bar * exp((beta - 1.0) * logarithm)
    return where_positive(sm - DRIEST, power_bar * beta, 0.0), power_bar * wet * logarithm


@kernel
def soil_evaporation(en, inverse_lp, sm):
    """Evaporation ea that the soil allows [mm/step], before the limit of what it holds."""
    return en * minimum(sm * inverse_lp, 1.0)


@kernel
def soil_evaporation_adjoint(en, inverse_lp, sm, ea_bar):
    """Bars of en, inverse_lp, sm; at lp the wet side counts."""
    share = sm * inverse_lp
    share_bar = where_positive(1.0 - share, ea_bar * en, 0.0)
    return ea_bar * minimum(share, 1.0), share_bar * sm, share_bar * inverse_lp
