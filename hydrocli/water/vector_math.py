"""The arithmetic of the kernels: branch-free, without calls, so that a loop over cells becomes SIMD.

libm's exp, log and tanh are calls, which no loop around them survives as SIMD. So each function here is a polynomial
after a reduction by the bits of the exponent; only the square root is an instruction of the processor, which works
beside the multiplications. A fourth root would be two of them and a division, one after the other: it is a polynomial.
Interpreted they are NumPy's own functions, and take complex numbers: this is what the exams differentiate.

Accuracy, tested over the whole range: at most 3 units in the last place.

Coefficients: near-minimax (Chebyshev) fits. exp(r) = 1 + r + r^2 p(r) on |r| <= ln(2)/2; log(m) = f (2 + f^2 p(f^2))
with f = (m-1)/(m+1) on sqrt(1/2) <= m < sqrt(2). The fourth root starts from the exponent's bits, 3.5 % off at most,
and gains a factor of four in digits by each step of the binomial series of (1 - r)^(-1/4).
"""

from __future__ import annotations

import numpy as np

from hydrocli.jit import implemented_by


def exp(x):
    """e^x; compiled, x is held within [-700, 700] ([-87, 87] in single precision)."""
    return np.exp(x)


def expm1(x):
    """e^x - 1, exact for small x; compiled, x is held within [-37, 40], beyond which tanh no longer changes."""
    return np.expm1(x)


def log(x):
    """Natural logarithm of a positive normal number; of others, compiled, a number without meaning."""
    return np.log(x)


def sqrt(x):
    """Square root of a number that is not negative; one instruction, correctly rounded."""
    return np.sqrt(x)


def inverse_fourth_root(x):
    """x^(-1/4) of a positive normal number."""
    return 1.0 / np.sqrt(np.sqrt(x))


def maximum(x, y):
    """The larger of two numbers (of their real parts); NaN in `x` stays NaN."""
    return y if np.real(x) < np.real(y) else x


def minimum(x, y):
    """The smaller of two numbers (of their real parts); NaN in `x` stays NaN."""
    return y if np.real(x) > np.real(y) else x


def where_positive(x, yes, no):
    """`yes` where x > 0, else `no`: a select, both are computed."""
    return yes if np.real(x) > 0.0 else no


def exp_parts(x):
    """(q, 2^n) with e^x = 2^n (1 + q); interpreted, n is 0."""
    return np.expm1(x), 1.0


implemented_by("hydrocli.water.packed_math")  # last: it imports these functions
