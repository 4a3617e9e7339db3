"""A linear store over a step, solved exactly for an inflow at its beginning: q = r S, r = 1 - exp(-k dt).

| symbol | meaning | unit |
|---|---|---|
| S | what the store holds after the inflow | mm |
| k | recession coefficient | 1/d |
| r | release, the share of S that flows out in a step | - |
| days | length of a step | d |
"""

from __future__ import annotations

import numpy as np

from hydrocli.jit import kernel


def release(k, days):
    """Release r [-] of recession coefficients k [1/d] in a step of so many days; for arrays, before a simulation."""
    return -np.expm1(-k * days)


@kernel
def release_adjoint(r, days, r_bar):
    """Bar of k, from the release: dr/dk = days (1 - r)."""
    return r_bar * days * (1.0 - r)
