"""The transfer store of LoiEau: that of GR with the power 3 instead of 4 (Folton and Arnaud 2020).

    hc* = max(1e-6, hc + prr / cc)
    hc <- hc* (1 + hc*^3)^(-1/3)              qr = cc (hc* - hc)

| symbol | meaning | unit |
|---|---|---|
| prr | what enters the store | mm/step |
| cc | capacity of the store; inverse_cc is 1/cc | mm |
| hc | relative level of the store | - |
| qr | runoff of the store | mm/step |
"""

from hydrocli.jit import kernel
from hydrocli.water.transfer import LOWEST_LEVEL
from hydrocli.water.vector_math import exp, log, maximum, where_positive


@kernel
def cubic_transfer(prr, cc, inverse_cc, hc):
    """New level hc and delayed runoff qr [mm/step]."""
    filled = maximum(hc + prr * inverse_cc, LOWEST_LEVEL)
    drained = filled * exp(-log(1.0 + filled * filled * filled) / 3.0)
    return drained, cc * (filled - drained)


@kernel
def cubic_transfer_adjoint(prr, cc, inverse_cc, hc, drained_bar, qr_bar):
    """Bars of prr, cc, inverse_cc, hc; a store held at its lowest level passes nothing on."""
    reached = hc + prr * inverse_cc
    filled = maximum(reached, LOWEST_LEVEL)
    root = exp(-log(1.0 + filled * filled * filled) / 3.0)
    # qr = cc (filled - drained)
    cc_bar = qr_bar * (filled - filled * root)
    filled_bar = qr_bar * cc
    drained_bar = drained_bar - filled_bar
    # drained = filled (1 + filled^3)^(-1/3), whose derivative is (1 + filled^3)^(-4/3)
    root2 = root * root
    filled_bar = filled_bar + drained_bar * (root2 * root2)
    # filled = max(1e-6, hc + prr / cc)
    reached_bar = where_positive(reached - LOWEST_LEVEL, filled_bar, 0.0)
    return reached_bar * inverse_cc, cc_bar, reached_bar * prr, reached_bar
