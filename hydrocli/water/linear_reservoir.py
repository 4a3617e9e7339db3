"""Routing through one cell by a linear reservoir of the water from upstream.

    S = Sb + U        q = r S        Sb <- S - q        Q = q + ql        r = 1 - exp(-dt / llr)

The content Sb [m3/s, that is the volume over a step] need not be kept: the release of the step before was
qb = Qb - qlb, and left Sb = (1 - r)/r qb. So

    Q = ql + r U + (1 - r) (Qb - qlb)

| symbol | meaning | unit |
|---|---|---|
| r | share of the content that a step releases | - |
| U | discharge from upstream, this step | m3/s |
| Qb, qlb | discharge and lateral inflow of the cell, the step before | m3/s |
| ql | lateral inflow, this step | m3/s |
"""

from hydrocli.jit import kernel


@kernel
def linear_reservoir(r, U, Qb, qlb, ql):
    """Discharge Q of the cell [m3/s]."""
    return ql + (r * U + (1.0 - r) * (Qb - qlb))


@kernel
def linear_reservoir_adjoint(r, U, Qb, qlb, ql, Q_bar):
    """Bars of r, U, Qb, qlb, ql."""
    kept_bar = Q_bar * (1.0 - r)
    return Q_bar * (U - (Qb - qlb)), Q_bar * r, kept_bar, -kept_bar, Q_bar
