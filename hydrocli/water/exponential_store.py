"""The exponential store, whose outflow never ends (Pushpalatha et al. 2011; Michel et al. 2003).

    S = he + inflow        qe = be ln(1 + e^(S/be))        he <- S - qe

| symbol | meaning | unit |
|---|---|---|
| inflow | what enters the store, exchange included; may be negative | mm/step |
| be | depletion coefficient; inverse_be is 1/be | mm |
| he | level of the store, below 0 after every step; no lower limit | mm |
| qe | runoff of the store | mm/step |

With x = S/be: ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), which neither overflows nor loses digits.
"""

from hydrocli.jit import kernel
from hydrocli.water.vector_math import exp, log, maximum, minimum, where_positive


@kernel
def exponential_store(inflow, be, inverse_be, he):
    """New level he [mm] and runoff qe [mm/step]."""
    level = he + inflow
    x = level * inverse_be
    decay = exp(minimum(x, -x))
    grown = 1.0 + decay
    logarithm = log(grown) + (decay - (grown - 1.0)) / grown  # of 1 + decay, whose last digits `grown` has lost
    qe = be * (maximum(x, 0.0) + logarithm)
    return level - qe, qe


@kernel
def exponential_store_adjoint(inflow, be, inverse_be, he, left_bar, qe_bar):
    """Bars of inflow, be, inverse_be, he; the derivative of ln(1 + e^x) is 1 / (1 + e^-x)."""
    level = he + inflow
    x = level * inverse_be
    decay = exp(minimum(x, -x))
    grown = 1.0 + decay
    logarithm = log(grown) + (decay - (grown - 1.0)) / grown
    # he = level - qe
    qe_bar = qe_bar - left_bar
    # qe = be ln(1 + e^x)
    be_bar = qe_bar * (maximum(x, 0.0) + logarithm)
    x_bar = qe_bar * be * where_positive(x, 1.0, decay) / grown
    # x = level / be
    level_bar = left_bar + x_bar * inverse_be
    return level_bar, be_bar, x_bar * level, level_bar
