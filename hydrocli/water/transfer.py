"""The transfer store and the direct branch: effective rain becomes runoff (P1 eqs 6, 8; Perrin et al. 2003).

    ht* = max(1e-6, ht + prr / ct)
    ht <- ht* (1 + ht*^4)^(-1/4)              qr = ct (ht* - ht)
    qd  = max(0, prd + F)

| symbol | meaning | unit |
|---|---|---|
| prr, prd | what enters the transfer store (exchange included) and the direct branch | mm/step |
| ct | transfer capacity; inverse_ct is 1/ct, divided once a simulation | mm |
| ht | relative level of the transfer store | - |
| F | exchange | mm/step |
| qr, qd | delayed and direct runoff | mm/step |
"""

from hydrocli.jit import kernel
from hydrocli.water.vector_math import inverse_fourth_root, maximum, where_positive

LOWEST_LEVEL = 1e-6
"""A store is never emptier: its powers stay differentiable."""


@kernel
def transfer(prr, ct, inverse_ct, ht):
    """New level ht and delayed runoff qr [mm/step]."""
    filled = maximum(ht + prr * inverse_ct, LOWEST_LEVEL)
    f2 = filled * filled
    drained = filled * inverse_fourth_root(1.0 + f2 * f2)
    return drained, ct * (filled - drained)


@kernel
def transfer_adjoint(prr, ct, inverse_ct, ht, drained_bar, qr_bar):
    """Bars of prr, ct, inverse_ct, ht; a store held at its lowest level passes nothing on."""
    reached = ht + prr * inverse_ct
    filled = maximum(reached, LOWEST_LEVEL)
    f2 = filled * filled
    root = inverse_fourth_root(1.0 + f2 * f2)
    # qr = ct (filled - drained)
    ct_bar = qr_bar * (filled - filled * root)
    filled_bar = qr_bar * ct
    drained_bar = drained_bar - filled_bar
    # drained = filled (1 + filled^4)^(-1/4), whose derivative is (1 + filled^4)^(-5/4)
    root2 = root * root
    filled_bar = filled_bar + drained_bar * (root2 * root2 * root)
    # filled = max(1e-6, ht + prr / ct)
    reached_bar = where_positive(reached - LOWEST_LEVEL, filled_bar, 0.0)
    return reached_bar * inverse_ct, ct_bar, reached_bar * prr, reached_bar


@kernel
def direct_runoff(prd, F):
    """Direct runoff qd [mm/step]."""
    return maximum(prd + F, 0.0)


@kernel
def direct_runoff_adjoint(prd, F, qd_bar):
    """Bars of prd, F; nothing passes where the exchange takes all."""
    flow_bar = where_positive(prd + F, qd_bar, 0.0)
    return flow_bar, flow_bar
