"""The fluxes of a strip of cells, computed again from levels that a sweep went through.

The sweep keeps levels and runoff only. What moved between them follows from the same kernels and the same network; the
books (`balance`) and what a user wants to look at (`recording`) both read it here.

| row of the fluxes | gr, grnn | ode, node (at the new levels; explicit scheme: means over its substeps) |
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

from hydrocli.arrays import Floats
from hydrocli.engine.rows import inputs_of
from hydrocli.jit import loop
from hydrocli.structures.grnn import UNLIMITED
from hydrocli.structures.network import LEAKY_RELU, SILU, network, workspace
from hydrocli.structures.structure import HIGHEST_LEVEL, Structure
from hydrocli.water.exchange import driving_level, exchange
from hydrocli.water.flux_correction import corrected_flux
from hydrocli.water.production import percolation, production
from hydrocli.water.state_space import state_space_rates
from hydrocli.water.transfer import LOWEST_LEVEL, direct_runoff, transfer
from hydrocli.water.vector_math import maximum, minimum

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
    room = 0.0 if structure.kind == "grnn" and structure.flux_limits == "conservative" else UNLIMITED
    highest = float(HIGHEST_LEVEL[structure.flux_limits])
    return (
        (seen if structure.has_network else UNCORRECTED, scaled, structure.widths, activation, work),
        (structure.is_differential, structure.has_solver, structure.substeps, room, LOWEST_LEVEL, highest),
    )


@loop
def fluxes_of(net, hp0, ht0, hp, ht, cells, inverse_beta, equations, out):
    """Fill out[len(FLUXES), n] for n <= STRIP cells, from net = pn - en [n], the levels before the step and after it.

    cells: five rows [n], see `cell_rows`. equations: see `equations_of`.
    """
    (seen, weights, widths, kind, work), (is_differential, is_implicit, substeps, room, lowest, highest) = equations
    values, slopes = work[0], work[1]
    x, f = values[0], values[-1]
    n = net.size
    if seen == AFTER:
        inputs_of(net, hp, ht, x)
    else:
        inputs_of(net, hp0, ht0, x)
    if seen != UNCORRECTED:
        network(weights, widths, kind, values, slopes, n)
    pair = (hp0, ht0, hp, ht)
    if is_differential and not is_implicit:
        _explicit(x[2], x[3], pair, cells, substeps, lowest, highest, out, n)
    elif is_differential:
        _differential(x[2], x[3], pair, cells[0], cells[2], cells[4], f, lowest, highest, out, n)
    else:
        _algebraic(x[2], x[3], pair, cells, inverse_beta, f, room, out, n)
    _copy(x[2:4], out[0:2], n)
    _copy(f[0:4], out[9:13], n)


@loop
def _copy(rows, out, n):
    for row in range(rows.shape[0]):
        source, target = rows[row], out[row]
        for c in range(n):
            target[c] = source[c]


@loop
def _algebraic(rain, demand, levels, cells, inverse_beta, f, room, out, n):
    """Steps of `gr` or `grnn` from the levels before."""
    level_p, level_t, _, _ = levels
    cp, inverse_cp, ct, inverse_ct, kexc = cells
    f1, f2, f3, f4 = f[0], f[1], f[2], f[3]
    ps_out, es_out, pr_out, perc_out, exchanged = out[2], out[3], out[4], out[5], out[6]
    qr_out, qd_out, source, clamped = out[7], out[8], out[13], out[14]
    for c in range(n):
        hp, ht = level_p[c], level_t[c]
        ps, es = production(rain[c], demand[c], cp[c], inverse_cp[c], hp)
        ps = corrected_flux(ps, f1[c], rain[c], maximum(cp[c] * (1.0 - hp), room))
        es = corrected_flux(es, f2[c], demand[c], maximum(cp[c] * hp, room))
        _, perc = percolation(cp[c], hp + (ps - es) * inverse_cp[c], inverse_beta)
        F = (1.0 + f4[c]) * exchange(kexc[c], ht)
        delayed = 0.9 * (1.0 - f3[c] * f3[c])
        effective = rain[c] - ps + perc
        prr, prd = delayed * effective + F, (1.0 - delayed) * effective
        _, qr = transfer(prr, ct[c], inverse_ct[c], ht)
        qd = direct_runoff(prd, F)
        ps_out[c], es_out[c], pr_out[c], perc_out[c], exchanged[c] = ps, es, rain[c] - ps, perc, F + qd - prd
        qr_out[c], qd_out[c], source[c] = qr, qd, 0.0
        clamped[c] = ct[c] * maximum(LOWEST_LEVEL - (ht + prr * inverse_ct[c]), 0.0)


@loop
def _differential(rain, demand, levels, cp, ct, kexc, f, lowest, highest, out, n):
    """Steps of `ode` or `node` to the levels after."""
    before_p, before_t, after_p, after_t = levels
    f1, f2, f3, f4 = f[0], f[1], f[2], f[3]
    ps_out, es_out, pr_out, perc_out, exchanged = out[2], out[3], out[4], out[5], out[6]
    qr_out, qd_out, source, clamped = out[7], out[8], out[13], out[14]
    for c in range(n):
        hp, ht = after_p[c], after_t[c]
        a = rain[c] * (1.0 + f1[c])
        ps, es = (1.0 - hp * hp) * a, hp * (2.0 - hp) * demand[c] * (1.0 + f2[c])
        pr = a - ps
        F = (1.0 + f3[c]) * exchange(kexc[c], driving_level(kexc[c], ht))
        h2 = ht * ht
        qr = 0.25 * ct[c] * (1.0 + f4[c]) * h2 * h2 * ht
        ps_out[c], es_out[c], pr_out[c], perc_out[c], exchanged[c] = ps, es, pr, 0.0, 2.0 * F
        qr_out[c], qd_out[c], source[c], clamped[c] = qr, 0.1 * pr + F, rain[c] * f1[c], 0.0
        if hp <= lowest or hp >= min(highest, 1.0):
            clamped[c] += cp[c] * (hp - before_p[c]) - (ps - es)
        if ht <= lowest or ht >= highest:
            clamped[c] += ct[c] * (ht - before_t[c]) - (0.9 * pr + F - qr)


@loop
def _explicit(rain, demand, levels, cells, substeps, lowest, highest, out, n):
    """Steps of `ode` by the explicit scheme, from the levels before."""
    level_p, level_t, _, _ = levels
    cp, inverse_cp, ct, inverse_ct, kexc = cells
    ps_out, es_out, pr_out, perc_out, exchanged = out[2], out[3], out[4], out[5], out[6]
    qr_out, qd_out, source, clamped = out[7], out[8], out[13], out[14]
    share, highest_hp = 1.0 / substeps, minimum(highest, 1.0)
    for c in range(n):
        hp, ht = level_p[c], level_t[c]
        ps = es = pr = F = qr = held = 0.0
        for _ in range(substeps):
            h2 = ht * ht
            ps += share * (1.0 - hp * hp) * rain[c]
            es += share * hp * (2.0 - hp) * demand[c]
            pr += share * hp * hp * rain[c]
            F += share * exchange(kexc[c], driving_level(kexc[c], ht))
            qr += share * 0.25 * ct[c] * h2 * h2 * ht
            hp_rate, ht_rate = state_space_rates(rain[c], demand[c], kexc[c], 1.0, inverse_cp[c], inverse_ct[c], hp, ht)
            free_hp, free_ht = hp + share * hp_rate, ht + share * ht_rate
            hp = minimum(maximum(free_hp, lowest), highest_hp)
            ht = minimum(maximum(free_ht, lowest), highest)
            held += cp[c] * (hp - free_hp) + ct[c] * (ht - free_ht)
        ps_out[c], es_out[c], pr_out[c], perc_out[c], exchanged[c] = ps, es, pr, 0.0, 2.0 * F
        qr_out[c], qd_out[c], source[c], clamped[c] = qr, 0.1 * pr + F, 0.0, held
