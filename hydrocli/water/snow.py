"""Snow by degree days: cold precipitation is stored, warmth melts it (Garavaglia et al. 2017 for the liquid fraction).

    lf   = 1 - 1 / (1 + exp(10/4 T - 1))                 rain = lf P            snowfall = (1 - lf) P
    melt = min(hs + snowfall, max(0, kmlt T))            hs <- hs + snowfall - melt

| symbol | meaning | unit |
|---|---|---|
| P | precipitation | mm/step |
| T | air temperature | degC |
| lf | liquid fraction, a smooth threshold: one half at 0.4 degC | - |
| kmlt | melt coefficient | mm/degC/step |
| hs | water that the snow store holds | mm |
"""

from hydrocli.jit import kernel
from hydrocli.water.vector_math import exp, maximum, minimum, where_positive


@kernel
def liquid_fraction(T):
    """Share of the precipitation that falls as rain [-]."""
    return 1.0 - 1.0 / (1.0 + exp(2.5 * T - 1.0))


@kernel
def liquid_fraction_adjoint(T, fraction_bar):
    """Bar of T; the derivative is 2.5 lf (1 - lf)."""
    fraction = 1.0 - 1.0 / (1.0 + exp(2.5 * T - 1.0))
    return fraction_bar * 2.5 * fraction * (1.0 - fraction)


@kernel
def degree_day(snowfall, T, kmlt, hs):
    """New store hs [mm] and melt [mm/step]."""
    filled = hs + snowfall
    melt = minimum(maximum(kmlt * T, 0.0), filled)  # in this order no NaN is lost
    return filled - melt, melt


@kernel
def degree_day_adjoint(snowfall, T, kmlt, hs, hs_bar, melt_bar):
    """Bars of snowfall, T, kmlt, hs; where all melts, the store counts, not the warmth."""
    filled = hs + snowfall
    warmth = maximum(kmlt * T, 0.0)
    # hs = filled - melt
    melt_bar = melt_bar - hs_bar
    # melt = min(filled, warmth)
    warmth_bar = where_positive(filled - warmth, melt_bar, 0.0)
    filled_bar = hs_bar + melt_bar - warmth_bar
    # warmth = max(kmlt T, 0)
    product_bar = where_positive(kmlt * T, warmth_bar, 0.0)
    return filled_bar, product_bar * kmlt, product_bar * T, filled_bar
