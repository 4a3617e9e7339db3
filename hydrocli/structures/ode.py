"""The structure `ode`: GR as differential equations, implicit Euler, without corrections (P2 eqs 5, 8-13)."""

from __future__ import annotations

from hydrocli.engine.order import window
from hydrocli.engine.rows import ZERO_F32, carry_idle_cells
from hydrocli.jit import loop
from hydrocli.structures.implicit_euler import lagged_adjoint, runoff, solve_lagged
from hydrocli.structures.network import STRIP


@loop
def terms_of(net, kexc, terms):
    """a, b, k, o without corrections."""
    real = terms.dtype.type
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    for c in range(net.size):
        a[c], b[c] = real(max(net[c], ZERO_F32)), real(max(-net[c], ZERO_F32))
        k[c], o[c] = kexc[c], real(1)


@loop
def forward(
    wave, rows, first, last, low, high, offset, n_headwater, net, parameters, constants, levels, lateral, flow, extra
):
    """As `gr.forward`; extra: work[2, 4, STRIP], counts[4, slots], tolerance, lowest and highest level."""
    to_discharge, _ = constants
    work, counts, tolerance, lowest, highest = extra
    terms, scratch = work[0], work[1]
    p = parameters
    for k in range(rows[0], rows[1]):
        carry_idle_cells(wave, k, rows, first, last, low, high, n_headwater, levels, lateral, flow)
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            out, shift = (lateral, n_headwater) if block else (flow, 0)
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                hp, ht = levels[0, k + 1, s:e], levels[1, k + 1, s:e]
                terms_of(net[f + s : f + e], p[4, s:e], terms)
                solve_lagged(
                    terms, p[0, s:e], p[3, s:e], levels[0, k, s:e], levels[1, k, s:e], hp, ht, scratch, counts[:, s:e],
                    tolerance, lowest, highest,
                )  # fmt: skip
                runoff(terms, p[2, s:e], hp, ht, to_discharge[s:e], out[k + 1, s - shift : e - shift])


@loop
def reverse(
    wave, rows, first, last, low, high, offset, net, parameters, constants, levels,
    lateral_bar, levels_bar, parameters_bar, extra, weights_bar,
):  # fmt: skip
    """Transpose of `forward`, as `gr.reverse`; there are no weights."""
    to_discharge, _ = constants
    work, _, _, lowest, highest = extra
    terms, terms_bar = work[0], work[1]
    p, p_bar = parameters, parameters_bar
    for k in range(rows[1] - 1, rows[0] - 1, -1):
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                kexc_bar = p_bar[2, s:e]
                terms_of(net[f + s : f + e], p[4, s:e], terms)
                lagged_adjoint(
                    terms, p[0, s:e], p[2, s:e], p[3, s:e], levels[0, k, s:e], levels[1, k, s:e],
                    levels[0, k + 1, s:e], levels[1, k + 1, s:e], to_discharge[s:e], lateral_bar[k - rows[0], s:e],
                    levels_bar[0, s:e], levels_bar[1, s:e], p_bar[0, s:e], p_bar[1, s:e], terms_bar, lowest, highest,
                )  # fmt: skip
                for c in range(e - s):
                    kexc_bar[c] += terms_bar[2, c]
