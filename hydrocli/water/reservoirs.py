"""Neural reservoirs: fluxes that a network opens between nothing and an admissible bound (P3).

    production                                       transfer
    ps   = g1 min(pn, cp (1 - hp))                   qdl = g4 pe              qdr = pe - qdl
    es   = g2 min(en, cp hp)                         F   = kexc g5
    hp*  = hp + (ps - es) / cp                       Ft  = max(F, -(ct ht + qdl))       Fd = max(F, -qdr)
    perc = g3 cp hp*                                 ht* = ht + (qdl + Ft) / ct
    hp  <- (1 - g3) hp*                              qr  = ct (max(0, ht* - 1) + g6 min(ht*, 1))
    pe   = pn - ps + perc                            ht <- (1 - g6) min(ht*, 1)         qt = qr + qdr + Fd

| symbol | meaning | unit |
|---|---|---|
| g1..g6 | gates, the outputs of the network, between 0 and 1 | - |
| pn, en | net rain and net evapotranspiration, never both positive | mm/step |
| cp, ct | capacities of the production and the transfer store; inverse_cp, inverse_ct: 1/cp, 1/ct | mm |
| hp, ht | relative levels of the stores | - |
| ps, es, perc | infiltration, evaporation, percolation | mm/step |
| pe | water that leaves the production store, or never enters it | mm/step |
| qdl, qdr | what enters the transfer store and the direct branch | mm/step |
| kexc | exchange coefficient; negative: water is lost | mm/step |
| F, Ft, Fd | exchange, and what is applied of it to the transfer store and to the direct branch | mm/step |
| qr, qt | runoff of the transfer store, and of the cell | mm/step |

Whatever the gates are, levels stay in [0, 1], no runoff is negative, and cp dhp + ct dht + qt = pn - es + Ft + Fd:
nothing is cut off afterwards. A level that rounding alone takes beyond 0 or 1 is set to it; derivatives do not see it.

P3 gives the update h(t) = h(t-1) + sum omega (*) phi with bounds omega and a network phi, and no formulas of either.
These are chosen so that GR is a point of the family: `gr_gates`.
"""

from hydrocli.jit import kernel
from hydrocli.water.exchange import exchange, exchange_adjoint
from hydrocli.water.production import production, production_adjoint
from hydrocli.water.transfer import LOWEST_LEVEL
from hydrocli.water.vector_math import exp, expm1, inverse_fourth_root, log, maximum, minimum, where_positive

SMALL_DEPTH = 1e3
"""Relative depths are told apart above about 1/1000 of a store."""
PER_UNIT = 0.1447438839476537
"""1 / ln(1 + 1e3): a depth as large as the store is 1."""
NOTHING = 1e-30
"""In the place of a bound of 0, by which a flux is divided."""
FADED = 1e-24
"""Bars below it are 0, for the same reason as levels: where gates empty a store fast, they fade away in dry weather.

Far below what counts in a cost of any scale; their products with slopes stay normal numbers of single precision.
"""
EMPTY = 1e-13
"""A level below it is 0, a factor so that NaN stays NaN: numbers that are no longer normal are slow."""
DELAYED = 0.9
"""Share of the transfer store in GR."""


@kernel
def gate(z):
    """Output g of the network, in ]0, 1[."""
    return 1.0 / (1.0 + exp(-z))


@kernel
def gate_adjoint(z, g_bar):
    """Bar of z."""
    g = 1.0 / (1.0 + exp(-z))
    return g_bar * g * (1.0 - g)


@kernel
def settled(bar):
    """A bar, or 0 where it is nearly 0; a factor, so that NaN stays NaN."""
    return bar * where_positive(maximum(bar, -bar) - FADED, 1.0, 0.0)


@kernel
def settled_adjoint(bar, settled_bar):
    """Bar of bar."""
    return settled_bar * where_positive(maximum(bar, -bar) - FADED, 1.0, 0.0)


@kernel
def relative_depth(depth, inverse_capacity):
    """Input a(x) = ln(1 + 1e3 x) / ln(1 + 1e3) of the network, x = depth / capacity."""
    scaled = SMALL_DEPTH * depth * inverse_capacity
    return PER_UNIT * (log(1.0 + scaled) + 0.0 * scaled)  # a compiled logarithm turns NaN into a number


@kernel
def relative_depth_adjoint(depth, inverse_capacity, a_bar):
    """Bars of depth, inverse_capacity."""
    x_bar = a_bar * PER_UNIT * SMALL_DEPTH / (1.0 + SMALL_DEPTH * depth * inverse_capacity)
    return x_bar * inverse_capacity, x_bar * depth


@kernel
def production_reservoir(pn, en, cp, inverse_cp, hp, g1, g2, g3):
    """New level hp, infiltration ps, evaporation es and percolation perc [mm/step]."""
    ps = g1 * minimum(pn, cp * (1.0 - hp))
    es = g2 * minimum(en, cp * hp)
    filled = minimum(maximum(hp + (ps - es) * inverse_cp, 0.0), 1.0)
    drained = (1.0 - g3) * filled
    return drained * where_positive(drained - EMPTY, 1.0, 0.0), ps, es, cp * (g3 * filled)


@kernel
def production_reservoir_adjoint(pn, en, cp, inverse_cp, hp, g1, g2, g3, drained_bar, ps_bar, es_bar, perc_bar):
    """Bars of pn, en, cp, inverse_cp, hp, g1, g2, g3."""
    free, stored = cp * (1.0 - hp), cp * hp
    into, out = minimum(pn, free), minimum(en, stored)
    moved = g1 * into - g2 * out
    filled = minimum(maximum(hp + moved * inverse_cp, 0.0), 1.0)
    # perc = cp g3 filled,  drained = (1 - g3) filled
    scaled = cp * perc_bar
    g3_bar = filled * (scaled - drained_bar)
    filled_bar = (1.0 - g3) * drained_bar + g3 * scaled
    cp_bar = perc_bar * (g3 * filled)
    # filled = hp + (ps - es) / cp
    moved_bar = filled_bar * inverse_cp
    inverse_cp_bar = filled_bar * moved
    # es = g2 min(en, cp hp)
    es_total = es_bar - moved_bar
    out_bar = es_total * g2
    stored_bar = where_positive(en - stored, out_bar, 0.0)
    # ps = g1 min(pn, cp (1 - hp))
    ps_total = ps_bar + moved_bar
    into_bar = ps_total * g1
    free_bar = where_positive(pn - free, into_bar, 0.0)
    return (
        into_bar - free_bar,
        out_bar - stored_bar,
        cp_bar + free_bar * (1.0 - hp) + stored_bar * hp,
        inverse_cp_bar,
        filled_bar + cp * (stored_bar - free_bar),
        ps_total * into,
        es_total * out,
        g3_bar,
    )


@kernel
def transfer_reservoir(pe, ct, inverse_ct, kexc, ht, g4, g5, g6):
    """New level ht, runoff qr and qd [mm/step], and the exchange Ft + Fd as applied [mm/step]."""
    qdl = g4 * pe
    qdr = pe - qdl
    F = kexc * g5
    Fd = maximum(F, -qdr)
    reached = maximum(ht + (qdl + F) * inverse_ct, 0.0)
    low = minimum(reached, 1.0)
    qr = ct * (maximum(reached - 1.0, 0.0) + g6 * low)
    drained = (1.0 - g6) * low
    return drained * where_positive(drained - EMPTY, 1.0, 0.0), qr, qdr + Fd, Fd + maximum(F, -(ct * ht + qdl))


@kernel
def transfer_reservoir_adjoint(pe, ct, inverse_ct, kexc, ht, g4, g5, g6, drained_bar, qr_bar, qd_bar, exchange_bar):
    """Bars of pe, ct, inverse_ct, kexc, ht, g4, g5, g6."""
    qdl = g4 * pe
    qdr = pe - qdl
    F, stored = kexc * g5, ct * ht + qdl
    raised = ht + (qdl + F) * inverse_ct
    reached = maximum(raised, 0.0)
    low = minimum(reached, 1.0)
    # qr = ct (max(0, reached - 1) + g6 low),  drained = (1 - g6) low
    scaled = ct * qr_bar
    ct_bar = qr_bar * (maximum(reached - 1.0, 0.0) + g6 * low)
    low_bar = (1.0 - g6) * drained_bar + g6 * scaled
    g6_bar = low * (scaled - drained_bar)
    # reached = max(ht + (qdl + F) / ct, 0)
    raised_bar = where_positive(reached - 1.0, scaled, where_positive(raised, low_bar, 0.0))
    moved_bar = raised_bar * inverse_ct
    inverse_ct_bar = raised_bar * (qdl + F)
    # Fd = max(F, -qdr),  qd = qdr + Fd
    Fd_bar = qd_bar + exchange_bar
    by_direct = where_positive(-qdr - F, 0.0, Fd_bar)
    qdr_bar = qd_bar - (Fd_bar - by_direct)
    # Ft = max(F, -(ct ht + qdl)), which is only told
    by_store = where_positive(-stored - F, 0.0, exchange_bar)
    stored_bar = by_store - exchange_bar
    F_bar = moved_bar + by_direct + by_store
    # qdl = g4 pe,  qdr = pe - qdl
    split_bar = moved_bar + stored_bar - qdr_bar
    return (
        qdr_bar + g4 * split_bar,
        ct_bar + stored_bar * ht,
        inverse_ct_bar,
        F_bar * g5,
        raised_bar + stored_bar * ct,
        split_bar * pe,
        F_bar * kexc,
        g6_bar,
    )


@kernel
def share_of(flux, bound):
    """Gate that gives a flux of a bound; 0 where the bound is."""
    return flux / maximum(bound, NOTHING)


@kernel
def share_of_adjoint(flux, bound, share_bar):
    """Bars of flux, bound."""
    inverse = 1.0 / maximum(bound, NOTHING)
    flux_bar = share_bar * inverse
    return flux_bar, where_positive(NOTHING - bound, 0.0, -flux_bar * flux * inverse)


@kernel
def shifted_gate(g, z):
    """Gate whose logit is that of g plus z: g itself where z = 0, and never above 1."""
    m = expm1(z)
    return (g + g * m) / maximum(1.0 + g * m, NOTHING)


@kernel
def shifted_gate_adjoint(g, z, shifted_bar):
    """Bars of g, z; the derivatives are e^z / (1 + g m)^2 and g (1 - g) times that, m = e^z - 1."""
    m = expm1(z)
    inverse = 1.0 / maximum(1.0 + g * m, NOTHING)
    g_bar = shifted_bar * (m + 1.0) * inverse * inverse
    return g_bar, g_bar * g * (1.0 - g)


@kernel
def gr_gates(forcing, parameters, states):
    """Gates (g1, g2, g3) and (g4, g5, g6) with which the neural reservoirs are `gr`, but for its lowest level.

    forcing: pn, en. parameters: cp, 1/cp, ct, 1/ct, kexc, 1/beta (see `water.production`). states: hp, ht.
    """
    (pn, en), (cp, inverse_cp, _, inverse_ct, kexc, inverse_beta), (hp, ht) = forcing, parameters, states
    ps, es = production(pn, en, cp, inverse_cp, hp)
    filled = hp + (ps - es) * inverse_cp
    x = filled * inverse_beta
    g3 = 1.0 - inverse_fourth_root(1.0 + x * x * (x * x))
    g5 = exchange(1.0, maximum(ht, LOWEST_LEVEL))
    qdl = DELAYED * (pn - ps + cp * (g3 * filled))
    reached = maximum(ht + (qdl + kexc * g5) * inverse_ct, 0.0)
    r2 = reached * reached
    g6 = 1.0 - inverse_fourth_root(1.0 + r2 * r2) * maximum(reached, 1.0)
    g1, g2 = share_of(ps, minimum(pn, cp * (1.0 - hp))), share_of(es, minimum(en, cp * hp))
    return (g1, g2, g3), (DELAYED + 0.0 * hp, g5, g6)


@kernel
def gr_gates_adjoint(forcing, parameters, states, production_bar, transfer_bar):
    """Bars of forcing, parameters, states; g4 is a constant."""
    (pn, en), (cp, inverse_cp, _, inverse_ct, kexc, inverse_beta), (hp, ht) = forcing, parameters, states
    (g1_bar, g2_bar, g3_bar), (_g4_bar, g5_bar, g6_bar) = production_bar, transfer_bar
    ps, es = production(pn, en, cp, inverse_cp, hp)
    filled = hp + (ps - es) * inverse_cp
    x = filled * inverse_beta
    x2 = x * x
    root3 = inverse_fourth_root(1.0 + x2 * x2)
    g3 = 1.0 - root3
    level = maximum(ht, LOWEST_LEVEL)
    g5 = exchange(1.0, level)
    qdl = DELAYED * (pn - ps + cp * (g3 * filled))
    F = kexc * g5
    raised = ht + (qdl + F) * inverse_ct
    reached = maximum(raised, 0.0)
    r2 = reached * reached
    root6 = inverse_fourth_root(1.0 + r2 * r2)
    # g6 = 1 - (1 + reached^4)^(-1/4) max(reached, 1)
    root2 = root6 * root6
    slope = r2 * reached * (root2 * root2 * root6) * maximum(reached, 1.0) - where_positive(reached - 1.0, root6, 0.0)
    # reached = max(ht + (qdl + kexc g5) / ct, 0)
    raised_bar = where_positive(raised, g6_bar * slope, 0.0)
    moved_bar = raised_bar * inverse_ct
    # g5 = ht^(7/2)
    _, level_bar = exchange_adjoint(1.0, level, g5_bar + moved_bar * kexc)
    ht_bar = raised_bar + where_positive(ht - LOWEST_LEVEL, level_bar, 0.0)
    # qdl = 0.9 (pn - ps + cp g3 filled)
    pe_bar = DELAYED * moved_bar
    # g3 = 1 - (1 + (filled / beta)^4)^(-1/4)
    root2 = root3 * root3
    x_bar = (g3_bar + pe_bar * cp * filled) * x2 * x * (root2 * root2 * root3)
    filled_bar = pe_bar * cp * g3 + x_bar * inverse_beta
    # g1 = ps / min(pn, cp (1 - hp)),  g2 = es / min(en, cp hp)
    free, held = cp * (1.0 - hp), cp * hp
    ps_bar, into_bar = share_of_adjoint(ps, minimum(pn, free), g1_bar)
    es_bar, out_bar = share_of_adjoint(es, minimum(en, held), g2_bar)
    free_bar, held_bar = where_positive(pn - free, into_bar, 0.0), where_positive(en - held, out_bar, 0.0)
    # filled = hp + (ps - es) / cp
    gained_bar = filled_bar * inverse_cp
    pn_bar, en_bar, cp_bar, inverse_cp_bar, hp_bar = production_adjoint(
        pn, en, cp, inverse_cp, hp, ps_bar + gained_bar - pe_bar, es_bar - gained_bar
    )
    return (
        (pn_bar + pe_bar + into_bar - free_bar, en_bar + out_bar - held_bar),
        (
            cp_bar + pe_bar * g3 * filled + free_bar * (1.0 - hp) + held_bar * hp,
            inverse_cp_bar + filled_bar * (ps - es),
            0.0 * ht,
            raised_bar * (qdl + F),
            moved_bar * g5,
            x_bar * filled,
        ),
        (hp_bar + filled_bar + cp * (held_bar - free_bar), ht_bar),
    )
