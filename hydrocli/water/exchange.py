"""Exchange with what lies outside the cell, driven by the transfer store (P1 eq. 7; Perrin et al. 2003).

    F = kexc ht^(7/2)

| symbol | meaning | unit |
|---|---|---|
| kexc | exchange coefficient; negative: water is lost | mm/step |
| ht | relative level of the transfer store before the step | - |
| F | exchange | mm/step |
"""

from hydrocli.jit import kernel
from hydrocli.water.vector_math import inverse_sqrt


@kernel
def exchange(kexc, ht):
    """Exchange F [mm/step]."""
    root = ht * inverse_sqrt(ht)
    return kexc * (ht * ht * ht * root)


@kernel
def exchange_adjoint(kexc, ht, F_bar):
    """Bars of kexc, ht."""
    root = ht * inverse_sqrt(ht)
    return F_bar * (ht * ht * ht * root), F_bar * kexc * 3.5 * (ht * ht * root)
