"""Routing through one cell by the kinematic wave, linearised implicit scheme (P1 eq. 9, P2 eq. 7; Chow et al. 1988).

    dQ/dx + akw bkw Q^(bkw-1) dQ/dt = q_lateral,        A = akw Q^bkw

With U the discharge from upstream at the same time, Q- that of the cell one step before and every one of U, Q-, ql-, ql
raised to at least 1e-6 m3/s:

    d2 = akw bkw ((Q- + U)/2)^(bkw-1)
    Q  = (d1 U + d2 Q- + d1 (ql- + ql)/2) / (d1 + d2)

| symbol | meaning | unit |
|---|---|---|
| akw, bkw | coefficient and exponent of the wetted section | -, - |
| U | discharge from upstream, this step | m3/s |
| Qb | discharge of the cell, the step before | m3/s |
| qlb, ql | lateral inflow, the step before and this one | m3/s |
| d1 | step over cell width | s/m |
"""

from hydrocli.jit import kernel
from hydrocli.water.vector_math import exp, log, maximum, where_positive

LOWEST_FLOW = 1e-6
"""A river never carries less [m3/s]: its power with a negative exponent stays finite."""


@kernel
def kinematic_wave(akw, bkw, U, Qb, qlb, ql, d1):
    """Discharge Q of the cell [m3/s]."""
    u, q = maximum(U, LOWEST_FLOW), maximum(Qb, LOWEST_FLOW)
    d2 = akw * bkw * exp((bkw - 1.0) * log(0.5 * (q + u)))
    lateral = 0.5 * (maximum(qlb, LOWEST_FLOW) + maximum(ql, LOWEST_FLOW))
    return (d1 * (u + lateral) + d2 * q) / (d1 + d2)


@kernel
def kinematic_wave_adjoint(akw, bkw, U, Qb, qlb, ql, d1, Q_bar):
    """Bars of akw, bkw, U, Qb, qlb, ql, d1; a raised flow passes nothing on."""
    u, q = maximum(U, LOWEST_FLOW), maximum(Qb, LOWEST_FLOW)
    mean = 0.5 * (q + u)
    log_mean = log(mean)
    power = exp((bkw - 1.0) * log_mean)
    d2 = akw * bkw * power
    inflow = u + 0.5 * (maximum(qlb, LOWEST_FLOW) + maximum(ql, LOWEST_FLOW))
    inverse = 1.0 / (d1 + d2)
    # Q = (d1 inflow + d2 q) / (d1 + d2)
    scaled_bar = Q_bar * inverse
    inflow_bar, q_bar = scaled_bar * d1, scaled_bar * d2
    slope = scaled_bar * inverse * (q - inflow)
    d2_bar, d1_bar = slope * d1, -slope * d2
    # d2 = akw bkw mean^(bkw-1)
    akw_bar = d2_bar * bkw * power
    bkw_bar = d2_bar * (akw * power + d2 * log_mean)
    mean_bar = d2_bar * d2 * (bkw - 1.0) / mean
    # inflow = u + (ql- + ql) / 2,  mean = (q + u) / 2
    lateral_bar = 0.5 * inflow_bar
    return (
        akw_bar,
        bkw_bar,
        where_positive(U - LOWEST_FLOW, inflow_bar + 0.5 * mean_bar, 0.0),
        where_positive(Qb - LOWEST_FLOW, q_bar + 0.5 * mean_bar, 0.0),
        where_positive(qlb - LOWEST_FLOW, lateral_bar, 0.0),
        where_positive(ql - LOWEST_FLOW, lateral_bar, 0.0),
        d1_bar,
    )
