"""The production store: rain fills it, evaporation empties it, percolation drains it (P1 eqs 4, 5; Perrin et al. 2003).

    ps = cp (1 - hp^2) tanh(pn/cp) / (1 + hp tanh(pn/cp))
    es = cp hp (2 - hp) tanh(en/cp) / (1 + (1 - hp) tanh(en/cp))
    hp*  = hp + (ps - es) / cp
    perc = cp hp* (1 - (1 + (hp*/beta)^4)^(-1/4))        beta = 9/4 (86400/dt)^(1/4)
    hp  <- hp* - perc / cp

| symbol | meaning | unit |
|---|---|---|
| pn, en | net rain and net evapotranspiration, never both positive | mm/step |
| cp | production capacity; inverse_cp is 1/cp, divided once a simulation | mm |
| hp | relative level of the production store | - |
| ps, es | infiltration into, evaporation from the store | mm/step |
| perc | percolation | mm/step |
| beta | percolation scale; inverse_beta is 1/beta | - |

hp (2 - hp) = 1 - (1 - hp)^2, so filling and emptying are one function of u, the part of the store that resists:
u = hp when it fills, u = 1 - hp when it empties. Since only one of pn, en is positive, one evaluation serves both.
And with m = exp(2x) - 1, tanh(x) / (1 + u tanh(x)) = m / (m + 2 + u m): one division, exact for small x.
"""

from hydrocli.jit import kernel
from hydrocli.water.vector_math import expm1, inverse_fourth_root, where_positive


@kernel
def production(pn, en, cp, inverse_cp, hp):
    """Infiltration ps and evaporation es [mm/step]."""
    m = expm1(2.0 * (pn + en) * inverse_cp)
    u = where_positive(pn, hp, 1.0 - hp)
    moved = cp * (1.0 - u * u) * m / (m + 2.0 + u * m)
    ps = where_positive(pn, moved, 0.0)
    return ps, moved - ps


@kernel
def production_adjoint(pn, en, cp, inverse_cp, hp, ps_bar, es_bar):
    """Bars of pn, en, cp, inverse_cp, hp."""
    m = expm1(2.0 * (pn + en) * inverse_cp)
    u = where_positive(pn, hp, 1.0 - hp)
    free = 1.0 - u * u
    inverse = 1.0 / (m + 2.0 + u * m)
    share = m * inverse
    # ps or es = moved
    moved_bar = where_positive(pn, ps_bar, es_bar)
    # moved = cp (1 - u^2) m / (m + 2 + u m)
    cp_bar = moved_bar * free * share
    scaled = moved_bar * cp
    u_bar = -scaled * share * (2.0 * u + free * share)
    m_bar = scaled * free * 2.0 * inverse * inverse
    # u = hp or 1 - hp
    hp_bar = where_positive(pn, u_bar, -u_bar)
    # m = exp(2 (pn + en) / cp) - 1
    x_bar = 2.0 * m_bar * (m + 1.0)
    net_bar = x_bar * inverse_cp
    return net_bar, net_bar, cp_bar, x_bar * (pn + en), hp_bar


@kernel
def percolation(cp, hp, inverse_beta):
    """New level hp and percolation perc [mm/step]."""
    x = hp * inverse_beta
    drained = hp * inverse_fourth_root(1.0 + x * x * (x * x))
    return drained, cp * (hp - drained)


@kernel
def percolation_adjoint(cp, hp, inverse_beta, drained_bar, perc_bar):
    """Bars of cp, hp, inverse_beta; d(drained)/d(hp) = (1 + x^4)^(-5/4)."""
    x = hp * inverse_beta
    x2 = x * x
    root = inverse_fourth_root(1.0 + x2 * x2)
    drained = hp * root
    # perc = cp (hp - drained)
    cp_bar = perc_bar * (hp - drained)
    hp_bar = perc_bar * cp
    drained_bar = drained_bar - hp_bar
    # drained = hp (1 + x^4)^(-1/4)
    root2 = root * root
    root5 = root2 * root2 * root
    hp_bar = hp_bar + drained_bar * root5
    return cp_bar, hp_bar, -drained_bar * hp * root5 * x2 * x * hp


@kernel
def no_percolation(cp, hp, inverse_beta):
    """New level hp, which stays, and percolation 0, in structures without it."""
    return hp, 0.0 * hp


@kernel
def no_percolation_adjoint(cp, hp, inverse_beta, drained_bar, perc_bar):
    """Bars of cp, hp, inverse_beta."""
    return 0.0 * drained_bar, drained_bar, 0.0 * drained_bar
