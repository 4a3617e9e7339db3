"""The flux network phi1: its activations, and what a correction does to a flux (P1 2.2.3, P2 2.3).

    SiLU(z) = z / (1 + e^-z)        LeakyReLU(z) = z where z > 0, else 0.01 z        f = tanh(z)
    flux~ = min(supply, (1 + f) flux, limit)

| symbol | meaning | unit |
|---|---|---|
| z | weighted sum of the inputs of a unit | - |
| f | correction, in ]-1, 1[ | - |
| flux | flux of the classical structure | mm/step |
| supply | what there is to move: pn or en | mm/step |
| limit | what the store can take or give; without limit in the papers | mm/step |

The layers, which are loops over units, are in `structures.network`.
"""

from hydrocli.jit import kernel
from hydrocli.water.vector_math import exp, expm1, minimum, where_positive

LEAK = 0.01


@kernel
def silu(z):
    """SiLU activation; with its derivative in one loop, both share the division."""
    return z * (1.0 / (1.0 + exp(-z)))


@kernel
def silu_adjoint(z, h_bar):
    """Bar of z; the derivative is s (1 + z (1 - s)) with s = 1 / (1 + e^-z)."""
    s = 1.0 / (1.0 + exp(-z))
    return h_bar * s * (1.0 + z * (1.0 - s))


@kernel
def leaky_relu(z):
    """LeakyReLU activation; a product, since a select that leaves z as it is would be stored under a mask."""
    return z * where_positive(z, 1.0, LEAK)


@kernel
def leaky_relu_adjoint(z, h_bar):
    """Bar of z; at 0 the side of the leak counts."""
    return where_positive(z, h_bar, LEAK * h_bar)


@kernel
def correction(z):
    """Output of the network, tanh(z), exact for small z."""
    m = expm1(2.0 * z)
    return m / (m + 2.0)


@kernel
def correction_adjoint(z, f_bar):
    """Bar of z."""
    m = expm1(2.0 * z)
    f = m / (m + 2.0)
    return f_bar * (1.0 - f * f)


@kernel
def corrected_flux(flux, f, supply, limit):
    """min(supply, (1 + f) flux, limit)."""
    return minimum(minimum((1.0 + f) * flux, supply), limit)


@kernel
def corrected_flux_adjoint(flux, f, supply, limit, corrected_bar):
    """Bars of flux, f, supply, limit; of two that are equal the flux counts first, then the supply."""
    asked = (1.0 + f) * flux
    had = minimum(asked, supply)
    limit_bar = where_positive(had - limit, corrected_bar, 0.0)
    had_bar = corrected_bar - limit_bar
    supply_bar = where_positive(asked - supply, had_bar, 0.0)
    asked_bar = had_bar - supply_bar
    return asked_bar * (1.0 + f), asked_bar * flux, supply_bar, limit_bar
