"""The fluxes of a strip of cells, computed again from levels that a sweep went through.

The sweep keeps levels and runoff only. What moved between them follows from the same kernels and the same network; the
books (`balance`) and what a user wants to look at (`recording`) both read it here.

| row of the fluxes | gr, grnn | ode, node (at the new levels) |
|---|---|---|
| pn, en | neutralised rain and evapotranspiration | the same |
| ps, es | infiltration, evaporation, as limited | (1 - hp^2) pn (1 + f1), hp (2 - hp) en (1 + f2) |
| pr | pn - ps | hp^2 pn (1 + f1) |
| perc | percolation | 0: the equations have none |
| exchange | as applied: F in the transfer branch, what max(0, prd + F) lets through in the direct one | 2 F |
| qr, qd | runoff of the transfer store, of the direct branch | ct/4 ht^5 (1 + f4), 0.1 pr + F |
| f1 .. f4 | corrections, 0 without network | the same |
| source | 0: its corrections move water, none adds any | rain that the network adds, pn f1 |
| clamped | what holding a level inside its limits adds | the same |
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import loop
from hydrocli.model.grnn import UNLIMITED
from hydrocli.model.network import LEAKY_RELU, SILU, network, workspace
from hydrocli.model.rows import inputs_of
from hydrocli.model.structures import HIGHEST_LEVEL, Structure
from hydrocli.water.exchange import exchange
from hydrocli.water.flux_correction import corrected_flux
from hydrocli.water.production import percolation, production
from hydrocli.water.transfer import LOWEST_LEVEL, direct_runoff, transfer
from hydrocli.water.vector_math import maximum

Floats = NDArray[np.float64]

FLUXES = (
    "pn", "en", "ps", "es", "pr", "perc", "exchange", "qr", "qd", "f1", "f2", "f3", "f4", "source", "clamped",
)  # fmt: skip
UNCORRECTED, BEFORE, AFTER = range(3)
"""Levels that phi1 sees: none, those before the step, those after it."""


def cell_rows(parameters: NDArray[np.floating]) -> NDArray[np.floating]:
    """Rows [5, n] cp, 1/cp, ct, 1/ct, kexc of parameters [5, n], as `fluxes_of` takes them."""
    cp, ct, kexc = parameters[:3]
    return np.stack([cp, 1.0 / cp, ct, 1.0 / ct, kexc])


def equations_of(structure: Structure, weights: Floats) -> tuple[Any, ...]:
    """What `fluxes_of` needs to know of a structure with weights of phi1."""
    seen = AFTER if structure.sees_new_levels else BEFORE
    scaled = structure.scaled(weights) if structure.has_network else weights
    activation = {"silu": SILU, "leaky_relu": LEAKY_RELU}[structure.activation]
    work = workspace(structure.widths, np.float64, 2)
    room = 0.0 if structure.kind == "grnn" and structure.limits == "physical" else UNLIMITED
    highest = float(HIGHEST_LEVEL[structure.limits])
    return (
        (seen if structure.has_network else UNCORRECTED, scaled, structure.widths, activation, work),
        (structure.has_solver, room, LOWEST_LEVEL, highest),
    )


@loop
def fluxes_of(net, hp0, ht0, hp, ht, cells, inverse_beta, equations, out):
    """Fill out[len(FLUXES), n] for n <= STRIP cells, from net = pn - en [n], the levels before the step and after it.

    cells: [5, n], see `cell_rows`. equations: see `equations_of`.
    """
    (seen, weights, widths, kind, work), (is_differential, room, lowest, highest) = equations
    values, slopes = work[0], work[1]
    x, f = values[0], values[-1]
    n = net.size
    if seen == AFTER:
        inputs_of(net, hp, ht, x)
    else:
        inputs_of(net, hp0, ht0, x)
    if seen != UNCORRECTED:
        network(weights, widths, kind, values, slopes, n)
    for c in range(n):
        pn, en = x[2, c], x[3, c]
        cp, inverse_cp, ct, inverse_ct, kexc = cells[0, c], cells[1, c], cells[2, c], cells[3, c], cells[4, c]
        f1, f2, f3, f4 = f[0, c], f[1, c], f[2, c], f[3, c]
        if is_differential:
            perc, source = 0.0, pn * f1
            ps, es, pr, exchanged, qr, qd, clamped = _differential(
                pn, en, cp, ct, kexc, hp0[c], ht0[c], hp[c], ht[c], f1, f2, f3, f4, lowest, highest
            )
        else:
            source = 0.0
            ps, es, pr, perc, exchanged, qr, qd, clamped = _algebraic(
                pn, en, cp, inverse_cp, ct, inverse_ct, kexc, hp0[c], ht0[c], inverse_beta, f1, f2, f3, f4, room
            )
        out[0, c], out[1, c], out[2, c], out[3, c], out[4, c], out[5, c] = pn, en, ps, es, pr, perc
        out[6, c], out[7, c], out[8, c] = exchanged, qr, qd
        out[9, c], out[10, c], out[11, c], out[12, c] = f1, f2, f3, f4
        out[13, c], out[14, c] = source, clamped


@loop
def _algebraic(pn, en, cp, inverse_cp, ct, inverse_ct, kexc, hp, ht, inverse_beta, f1, f2, f3, f4, room):
    """A step of `gr` or `grnn` from levels hp, ht [mm]."""
    ps, es = production(pn, en, cp, inverse_cp, hp)
    ps = corrected_flux(ps, f1, pn, maximum(cp * (1.0 - hp), room))
    es = corrected_flux(es, f2, en, maximum(cp * hp, room))
    _, perc = percolation(cp, hp + (ps - es) * inverse_cp, inverse_beta)
    F = (1.0 + f4) * exchange(kexc, ht)
    delayed = 0.9 * (1.0 - f3 * f3)
    effective = pn - ps + perc
    prr, prd = delayed * effective + F, (1.0 - delayed) * effective
    _, qr = transfer(prr, ct, inverse_ct, ht)
    qd = direct_runoff(prd, F)
    clamped = ct * max(0.0, LOWEST_LEVEL - (ht + prr * inverse_ct))
    return ps, es, pn - ps, perc, F + qd - prd, qr, qd, clamped


@loop
def _differential(pn, en, cp, ct, kexc, hp0, ht0, hp, ht, f1, f2, f3, f4, lowest, highest):
    """A step of `ode` or `node` to levels hp, ht [mm]."""
    a = pn * (1.0 + f1)
    ps, es = (1.0 - hp * hp) * a, hp * (2.0 - hp) * en * (1.0 + f2)
    pr = a - ps
    F = (1.0 + f3) * exchange(kexc, ht)
    h2 = ht * ht
    qr = 0.25 * ct * (1.0 + f4) * h2 * h2 * ht
    clamped = 0.0
    if hp <= lowest or hp >= min(highest, 1.0):
        clamped += cp * (hp - hp0) - (ps - es)
    if ht <= lowest or ht >= highest:
        clamped += ct * (ht - ht0) - (0.9 * pr + F - qr)
    return ps, es, pr, 2.0 * F, qr, 0.1 * pr + F, clamped
