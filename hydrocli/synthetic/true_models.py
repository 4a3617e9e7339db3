"""Truths of twin experiments: models that differ from those of a calibration by an equation that no parameter can undo.

| true model | differs from | in |
|---|---|---|
| gr | nothing: the structure `gr` | |
| infiltration | gr (P1 eqs 4-8) | hard rain infiltrates less: ps (1 - 0.7 tanh(pn / 4)) |
| exchange | ode (P2 eqs 5, 6) | a leakier store: F = kexc ht^2; radar loses hard rain: p (1 + 0.6 tanh(p / 4)) fell |

Depths are mm/h. Written apart from the engine, one step and one cell after the other; the differential equations are
integrated by the classical Runge-Kutta method in short substeps: what a calibration uses has no part in its truth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.engine.net_forcing import intercept_row
from hydrocli.jit import loop
from hydrocli.water.exchange import exchange
from hydrocli.water.kinematic_wave import kinematic_wave
from hydrocli.water.production import percolation, production
from hydrocli.water.transfer import LOWEST_LEVEL, direct_runoff, transfer

TRUE_MODELS = ("gr", "infiltration", "exchange")
SUBSTEPS = 12
HARD = 4.0  # mm/h
SEALED, LOST = 0.7, 0.6


def simulate_true_model(
    true_model: str,
    forcing: tuple[NDArray[np.float32], NDArray[np.float32]],
    interception: tuple[Floats, Floats],
    parameters: Floats,
    levels: Floats,
    drainage: tuple[NDArray[np.integer], Floats, Floats],
    gauges: NDArray[np.integer],
    step: int,
) -> Floats:
    """Discharge [g, t] in m3/s of a true model; the river is empty at the start.

    Args:
        true_model: one of TRUE_MODELS.
        forcing: precipitation and evapotranspiration [t, n], mm/step, NaN where missing.
        interception: capacity ci [n] in mm and initial level hi [n].
        parameters: [5, n] cp, ct, kexc, akw, bkw.
        levels: [2, n] hp, ht at the start.
        drainage: cell downstream [n] (after all that drain into it, -1 at an outlet), area [n] [m2], width [n] [m].
        gauges: [g] cells.
        step: [s].
    """
    rain, demand = forcing
    downstream, area, width = drainage
    ci, hi = interception[0], interception[1].copy()
    hp, ht = levels.copy()
    headwater = np.ones(len(hp), np.bool_)
    headwater[downstream[downstream >= 0]] = False
    flow, lateral, runoff, upstream = np.zeros((4, len(hp)))
    missing, net = np.zeros(len(hp), np.int64), np.empty(len(hp), np.float32)
    discharge, hours = np.empty((len(gauges), len(rain))), step / 3600.0
    for t in range(len(rain)):
        fallen = _fallen(rain[t], hours) if true_model == "exchange" else rain[t]
        intercept_row(fallen, demand[t], ci, hi, missing, net)
        if true_model == "exchange":
            _leaky_stores(net, parameters[0], parameters[1], parameters[2], hp, ht, runoff)
        else:
            sealed = SEALED if true_model == "infiltration" else 0.0
            _stores(net, parameters[0], parameters[1], parameters[2], hp, ht, runoff, sealed, hours)
        upstream[:] = 0.0
        inflow = runoff * (1e-3 * area / step)
        _route(inflow, parameters[3], parameters[4], step / width, downstream, headwater, flow, lateral, upstream)
        discharge[:, t] = flow[gauges]
    return discharge


def _fallen(rain: NDArray[np.float32], hours: float) -> NDArray[np.float32]:
    """What has fallen where a gauge has caught `rain` [mm/step]."""
    return (rain * (1.0 + LOST * np.tanh(rain / (HARD * hours)))).astype(np.float32)


@loop
def _stores(net, cp, ct, kexc, hp, ht, runoff, sealed, hours):
    inverse_beta = 4.0 / 9.0 * (hours / 24.0) ** 0.25
    for c in range(hp.size):
        pn, en = max(np.float64(net[c]), 0.0), max(-np.float64(net[c]), 0.0)
        ps, es = production(pn, en, cp[c], 1.0 / cp[c], hp[c])
        ps *= 1.0 - sealed * np.tanh(pn / (HARD * hours))
        hp[c], perc = percolation(cp[c], hp[c] + (ps - es) / cp[c], inverse_beta)
        effective, F = pn - ps + perc, exchange(kexc[c], ht[c])
        ht[c], qr = transfer(0.9 * effective + F, ct[c], 1.0 / ct[c], ht[c])
        runoff[c] = qr + direct_runoff(0.1 * effective, F)


@loop
def _rates(pn, en, cp, ct, kexc, hp, ht):
    """dhp/dt, dht/dt [1/step] and the runoff [mm/step]."""
    hp, ht = max(hp, LOWEST_LEVEL), max(ht, LOWEST_LEVEL)
    wet = hp * hp * pn
    leak, outflow = kexc * ht * ht, 0.25 * ct * ht**5
    dhp = ((1.0 - hp * hp) * pn - hp * (2.0 - hp) * en) / cp
    return dhp, (0.9 * wet + leak - outflow) / ct, 0.1 * wet + leak + outflow


@loop
def _leaky_stores(net, cp, ct, kexc, hp, ht, runoff):
    h = 1.0 / SUBSTEPS
    for c in range(hp.size):
        pn, en = max(np.float64(net[c]), 0.0), max(-np.float64(net[c]), 0.0)
        x, y, total = hp[c], ht[c], 0.0
        for _ in range(SUBSTEPS):
            a1, b1, q1 = _rates(pn, en, cp[c], ct[c], kexc[c], x, y)
            a2, b2, q2 = _rates(pn, en, cp[c], ct[c], kexc[c], x + 0.5 * h * a1, y + 0.5 * h * b1)
            a3, b3, q3 = _rates(pn, en, cp[c], ct[c], kexc[c], x + 0.5 * h * a2, y + 0.5 * h * b2)
            a4, b4, q4 = _rates(pn, en, cp[c], ct[c], kexc[c], x + h * a3, y + h * b3)
            x = max(x + h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4), LOWEST_LEVEL)
            y = max(y + h / 6.0 * (b1 + 2.0 * b2 + 2.0 * b3 + b4), LOWEST_LEVEL)
            total += h / 6.0 * (q1 + 2.0 * q2 + 2.0 * q3 + q4)
        hp[c], ht[c], runoff[c] = x, y, total


@loop
def _route(inflow, akw, bkw, d1, downstream, headwater, flow, lateral, upstream):
    """One step of all cells, in the order of the water; flow and lateral [m3/s] go on, upstream is empty at first."""
    for c in range(flow.size):
        if headwater[c]:
            flow[c] = inflow[c]
        else:
            flow[c] = kinematic_wave(akw[c], bkw[c], upstream[c], flow[c], lateral[c], inflow[c], d1[c])
        lateral[c] = inflow[c]
        if downstream[c] >= 0:
            upstream[downstream[c]] += flow[c]
