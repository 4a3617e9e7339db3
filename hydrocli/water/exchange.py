"""Exchange with what lies outside the cell, driven by the transfer store (P1 eq. 7; Perrin et al. 2003).

    F = kexc ht^(7/2)                       GR4
    F = kexc (ht - aexc)                    GR5 (Le Moine 2008)

In GR the level stays below 1, and so does what drives the exchange. In the differential equations a flood may lift it
above; then a gain (kexc > 0) is that of a full store: unlimited, it would feed itself without end wherever a network
closes the outflow. A loss needs no limit, for it empties the store.

| symbol | meaning | unit |
|---|---|---|
| kexc | exchange coefficient; negative: water is lost | mm/step |
| aexc | level at which the exchange of GR5 changes its sign | - |
| ht | relative level of the transfer store | - |
| F | exchange | mm/step |
"""

from hydrocli.jit import kernel
from hydrocli.water.vector_math import minimum, sqrt, where_positive


@kernel
def exchange(kexc, ht):
    """Exchange F [mm/step]."""
    root = sqrt(ht)
    return kexc * (ht * ht * ht * root)


@kernel
def exchange_adjoint(kexc, ht, F_bar):
    """Bars of kexc, ht."""
    root = sqrt(ht)
    return F_bar * (ht * ht * ht * root), F_bar * kexc * 3.5 * (ht * ht * root)


@kernel
def driving_level(kexc, ht):
    """Level that drives the exchange of a store that may hold more than its capacity."""
    return where_positive(kexc, minimum(ht, 1.0), ht)


@kernel
def driving_level_adjoint(kexc, ht, level_bar):
    """Bars of kexc, ht; a full store is on the side below 1."""
    return 0.0 * level_bar, where_positive(kexc, where_positive(ht - 1.0, 0.0, level_bar), level_bar)


@kernel
def threshold_exchange(kexc, aexc, ht):
    """Exchange F = kexc (ht - aexc) of GR5 [mm/step]: it turns round at the level aexc."""
    return kexc * (ht - aexc)


@kernel
def threshold_exchange_adjoint(kexc, aexc, ht, F_bar):
    """Bars of kexc, aexc, ht."""
    return F_bar * (ht - aexc), -F_bar * kexc, F_bar * kexc
