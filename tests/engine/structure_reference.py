"""The structures with a network or a solver, typed from the papers, one step of all cells at once.

They take complex numbers, so a derivative by complex step is exact to rounding; a search for a root goes on until the
imaginary part is right too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from model_harness import STEP, gr_step, larger

from hydrocli.structures.structure import HIGHEST_LEVEL, Structure

LOWEST = 1e-6


def smaller(x, y):
    return -larger(-x, -y)


def phi1(structure: Structure, weights: np.ndarray, inputs) -> np.ndarray:
    """f[4, n] from hp, ht, pn, en."""
    values = np.stack([scale * x for scale, x in zip(structure.input_scale, inputs, strict=True)])
    at = 0
    for layer, (size, units) in enumerate(zip(structure.widths[:-1], structure.widths[1:], strict=True)):
        matrix = weights[at : at + size * units].reshape(units, size)
        z = matrix @ values + weights[at + size * units :][:units, np.newaxis]
        at += units * (size + 1)
        if layer + 2 == len(structure.widths):
            return np.tanh(z)
        silu = z / (1 + np.exp(-np.where(z.real > -700, z, -700)))
        values = silu if structure.activation == "silu" else np.where(z.real > 0, z, 0.01 * z)
    raise AssertionError


def grnn_step(structure: Structure, weights: np.ndarray, pn, en, cp, ct, kexc, hp, ht):
    """P1 eqs 4-8 with corrections."""
    beta = 9 / 4 * (86400 / STEP) ** 0.25
    f1, f2, f3, f4 = phi1(structure, weights, (hp, ht, pn, en))
    tp, te = np.tanh(pn / cp), np.tanh(en / cp)
    ps = smaller((1 + f1) * cp * (1 - hp**2) * tp / (1 + hp * tp), pn)
    es = smaller((1 + f2) * cp * hp * (2 - hp) * te / (1 + (1 - hp) * te), en)
    if structure.flux_limits == "conservative":
        ps, es = smaller(ps, cp * (1 - hp)), smaller(es, cp * hp)
    filled = hp + (ps - es) / cp
    perc = cp * filled * (1 - (1 + (filled / beta) ** 4) ** -0.25)
    exchange = (1 + f4) * kexc * ht**3.5
    effective = pn - ps + perc
    raised = larger(ht + (0.9 * (1 - f3**2) * effective + exchange) / ct, 1e-6)
    drained = raised * (1 + raised**4) ** -0.25
    direct = larger((0.1 + 0.9 * f3**2) * effective + exchange, 0.0)
    return filled - perc / cp, drained, ct * (raised - drained) + direct


def driving(kexc, ht):
    """Level that drives the exchange: a store above 1 gains what a full one does."""
    return np.where(np.real(kexc) > 0, smaller(ht, 1.0), ht)


def rates(x, f, hp, ht):
    """dhp/dt and dht/dt [1/step] (P2 eqs 13, 14) with pn, en, cp, ct, kexc = x and corrections f."""
    pn, en, cp, ct, kexc = x
    gained = driving(kexc, ht)
    dhp = ((1 - hp**2) * pn * (1 + f[0]) - hp * (2 - hp) * en * (1 + f[1])) / cp
    dht = (0.9 * hp**2 * pn * (1 + f[0]) + kexc * gained**3.5 * (1 + f[2])) / ct - ht**5 * (1 + f[3]) / 4
    return dhp, dht


def bisected(function: Callable, low, high) -> np.ndarray:
    """Root of an increasing function, or the end of the interval that is nearest to it."""
    for _ in range(80):
        middle = (low + high) / 2
        above = function(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


def implicit_step(structure: Structure, weights: np.ndarray, *arguments) -> tuple[np.ndarray, ...]:
    """P2 eqs 8-14 and 6: implicit Euler, corrections held over the step or at the new levels."""
    implicit = structure.kind == "node" and structure.network_coupling == "implicit"
    highest = HIGHEST_LEVEL[structure.flux_limits]
    real = [np.real(argument) for argument in arguments]
    start = _held_solution(_corrections(structure, weights.real, real, *real[5:]), real)

    def residual(weights, arguments, levels):
        """Of both stores, with corrections at the new levels or at the old ones."""
        f = _corrections(structure, weights, arguments, *(levels if implicit else arguments[5:]))
        return levels - np.stack(arguments[5:]) - np.stack(rates(arguments[:5], f, *levels))

    levels, free = start.astype(complex), np.ones(start.shape, bool)
    for _ in range(2):  # all free, then without those that left the limits
        for _ in range(8):
            steps = levels.real + 1e-40j * np.eye(2)[:, :, np.newaxis]
            j = np.stack([residual(weights.real, real, step).imag / 1e-40 for step in steps], axis=1)
            j = np.where(free[:, np.newaxis], j, np.eye(2)[:, :, np.newaxis])
            g = np.where(free, residual(weights, arguments, levels), 0)
            levels = levels - np.linalg.solve(j.transpose(2, 0, 1), g.T[:, :, np.newaxis])[:, :, 0].T
        free = (levels.real > LOWEST) & (levels.real < highest)
        levels = np.where(free, levels, np.clip(levels.real, LOWEST, highest))
    (pn, _, _, ct, kexc), (hp, ht) = arguments[:5], levels
    f = _corrections(structure, weights, arguments, *(levels if implicit else arguments[5:]))
    qt = 0.1 * hp**2 * pn * (1 + f[0]) + kexc * driving(kexc, ht) ** 3.5 * (1 + f[2]) + ct / 4 * ht**5 * (1 + f[3])
    return (hp, ht, qt) if any(map(np.iscomplexobj, (weights, *arguments))) else (hp.real, ht.real, qt.real)


def _corrections(structure: Structure, weights: np.ndarray, arguments, hp, ht) -> np.ndarray:
    pn, en = arguments[:2]
    return phi1(structure, weights, (hp, ht, pn, en)) if structure.has_network else np.zeros((4, len(pn)))


def _held_solution(held: np.ndarray, arguments) -> np.ndarray:
    """New levels [2, n] with corrections held over the step: one equation after the other."""
    (*x, hp0, ht0), zero, one = arguments, np.zeros(held.shape[1]), np.ones(held.shape[1])
    hp = bisected(lambda h: h - hp0 - rates(x, held, h, one)[0], zero, one)
    return np.stack([hp, bisected(lambda h: h - ht0 - rates(x, held, hp, h)[1], zero, 1e3 * one)])


def explicit_step(structure: Structure, pn, en, cp, ct, kexc, hp, ht):
    """Explicit Euler in substeps; the runoff is the mean of that at the levels left."""
    highest, total, nothing = HIGHEST_LEVEL[structure.flux_limits], 0.0, np.zeros((4, len(pn)))
    for _ in range(structure.substeps):
        total = total + 0.1 * hp**2 * pn + kexc * driving(kexc, ht) ** 3.5 + ct / 4 * ht**5
        dhp, dht = rates((pn, en, cp, ct, kexc), nothing, hp, ht)
        hp = smaller(larger(hp + dhp / structure.substeps, LOWEST), min(highest, 1.0))
        ht = smaller(larger(ht + dht / structure.substeps, LOWEST), highest)
    return hp, ht, total / structure.substeps


def reference_step(structure: Structure, weights: np.ndarray) -> Callable[..., tuple[np.ndarray, ...]]:
    """The step of a structure, for `model_harness.reference`."""
    if structure.kind == "gr":
        return gr_step
    if structure.scheme == "explicit":
        return partial(explicit_step, structure)
    return partial(grnn_step if structure.kind == "grnn" else implicit_step, structure, weights)
