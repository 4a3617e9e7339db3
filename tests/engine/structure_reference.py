"""Every structure typed from the papers, one step of all cells at once.

They take complex numbers, so a derivative by complex step is exact to rounding; a search for a root goes on until the
imaginary part is right too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from model_harness import STEP, Step, from_net, gr_step, inverse_beta, larger

from hydrocli.structures.implicit_euler import HIGHEST_LEVEL
from hydrocli.structures.structure import Structure

LOWEST = 1e-6


def smaller(x, y):
    return -larger(-x, -y)


def phi1(structure: Structure, weights: np.ndarray, inputs) -> np.ndarray:
    """Corrections f[c, n] from the states, pn, en."""
    return np.tanh(outputs(structure, weights, inputs))


def outputs(structure: Structure, weights: np.ndarray, inputs) -> np.ndarray:
    """What the last layer of a network sums [c, n]."""
    scales = structure.input_scale or np.ones(len(inputs))
    values = np.stack([scale * x for scale, x in zip(scales, inputs, strict=True)])
    at = 0
    for layer, (size, units) in enumerate(zip(structure.widths[:-1], structure.widths[1:], strict=True)):
        matrix = weights[at : at + size * units].reshape(units, size)
        z = matrix @ values + weights[at + size * units :][:units, np.newaxis]
        at += units * (size + 1)
        if layer + 2 == len(structure.widths):
            return z
        silu = z / (1 + np.exp(-np.where(z.real > -700, z, -700)))
        values = silu if structure.activation == "silu" else np.where(z.real > 0, z, 0.01 * z)
    raise AssertionError


def produced(structure: Structure, pn, en, cp, hp, f1, f2):
    """Level after infiltration and evaporation, and the rain that passes (P1 eqs 4-5 with corrections)."""
    tp, te = np.tanh(pn / cp), np.tanh(en / cp)
    ps = smaller((1 + f1) * cp * (1 - hp**2) * tp / (1 + hp * tp), pn)
    es = smaller((1 + f2) * cp * hp * (2 - hp) * te / (1 + (1 - hp) * te), en)
    if structure.flux_limits == "conservative":
        ps, es = smaller(ps, cp * (1 - hp)), smaller(es, cp * hp)
    return hp + (ps - es) / cp, pn - ps


def percolated(cp, filled, step: int):
    """Percolation from a production store."""
    return cp * filled * (1 - (1 + (filled * inverse_beta(step)) ** 4) ** -0.25)


def transferred(inflow, ct, ht, power: int = 4):
    """New level and runoff of a transfer store."""
    raised = larger(ht + inflow / ct, 1e-6)
    drained = raised * (1 + raised**power) ** (-1 / power)
    return drained, ct * (raised - drained)


def corrections_of(structure: Structure, weights: np.ndarray, inputs, count: int):
    """Outputs of the network; zeros without one."""
    return phi1(structure, weights, inputs) if structure.has_network else np.zeros((count, len(inputs[-1])))


def gr_like(structure: Structure, weights: np.ndarray, pn, en, cp, ct, exchange_of: Callable, hp, ht, step: int):
    """P1 eqs 4-8 with corrections and with any law of exchange, exchange_of(ht) [mm/step]."""
    f1, f2, f3, f4 = corrections_of(structure, weights, (hp, ht, pn, en), 4)
    filled, passed = produced(structure, pn, en, cp, hp, f1, f2)
    perc = percolated(cp, filled, step)
    exchange = (1 + f4) * exchange_of(ht)
    effective = passed + perc
    drained, delayed = transferred(0.9 * (1 - f3**2) * effective + exchange, ct, ht)
    direct = larger((0.1 + 0.9 * f3**2) * effective + exchange, 0.0)
    return filled - perc / cp, drained, delayed + direct


def grnn_step(structure: Structure, weights: np.ndarray, pn, en, cp, ct, kexc, hp, ht, step: int = STEP):
    """P1 eqs 4-8 with corrections."""
    return gr_like(structure, weights, pn, en, cp, ct, lambda level: kexc * level**3.5, hp, ht, step)


def gr5_step(structure: Structure, weights: np.ndarray, pn, en, cp, ct, kexc, aexc, hp, ht, step: int = STEP):
    """The same with the exchange of Le Moine (2008), which changes its sign at a level."""
    return gr_like(structure, weights, pn, en, cp, ct, lambda level: kexc * (level - aexc), hp, ht, step)


def gr6_step(structure: Structure, weights: np.ndarray, pn, en, *rest, step: int = STEP):
    """GR6 (Pushpalatha et al. 2011) with corrections of both splits; rest: cp, ct, be, kexc, aexc, hp, ht, he."""
    cp, ct, be, kexc, aexc, hp, ht, he = rest
    f1, f2, f3, f4, f5 = corrections_of(structure, weights, (hp, ht, he, pn, en), 5)
    filled, passed = produced(structure, pn, en, cp, hp, f1, f2)
    perc = percolated(cp, filled, step)
    exchange = (1 + f5) * kexc * (ht - aexc)
    late, slow = 0.9 * (1 - f3**2) * (passed + perc), 0.4 * (1 + f4)
    drained, delayed = transferred((1 - slow) * late + exchange, ct, ht)
    level = he + slow * late + exchange
    base = be * np.log(1 + np.exp(level / be))
    direct = larger(passed + perc - late + exchange, 0.0)
    return filled - perc / cp, drained, level - base, delayed + base + direct


def grc_step(structure: Structure, weights: np.ndarray, pn, en, *rest, step: int = STEP):
    """Two transfer stores in parallel, no percolation; rest: cp, ct, cl, kexc, hp, ht, hl."""
    cp, ct, cl, kexc, hp, ht, hl = rest
    f1, f2, f3, f4, f5 = corrections_of(structure, weights, (hp, ht, hl, pn, en), 5)
    filled, passed = produced(structure, pn, en, cp, hp, f1, f2)
    exchange = (1 + f5) * kexc * ht**3.5
    late, slow = 0.9 * (1 - f3**2) * passed, 0.4 * (1 + f4)
    fast_level, fast = transferred((1 - slow) * late + exchange, ct, ht)
    slow_level, base = transferred(slow * late, cl, hl)
    return filled, fast_level, slow_level, fast + base + larger(passed - late + exchange, 0.0)


def grd_step(structure: Structure, weights: np.ndarray, pn, en, cp, ct, hp, ht, step: int = STEP):
    """One production and one transfer store (Jay-Allemand et al. 2020)."""
    f1, f2 = corrections_of(structure, weights, (hp, ht, pn, en), 2)
    filled, passed = produced(structure, pn, en, cp, hp, f1, f2)
    return filled, *transferred(passed, ct, ht)


def loieau_step(structure: Structure, weights: np.ndarray, pn, en, ca, cc, kb, ha, hc, step: int = STEP):
    """LoiEau (Folton and Arnaud 2020): a cubic transfer store and a gain."""
    f1, f2, f3 = corrections_of(structure, weights, (ha, hc, pn, en), 3)
    filled, passed = produced(structure, pn, en, ca, ha, f1, f2)
    perc = percolated(ca, filled, step)
    late = 0.9 * (1 - f3**2) * (passed + perc)
    drained, delayed = transferred(late, cc, hc, 3)
    return filled - perc / ca, drained, kb * (delayed + passed + perc - late)


def relative_depth(depth, capacity):
    """Input of the neural reservoirs; log1p, typed for complex numbers."""
    return np.log(1 + 1e3 * depth / capacity) / np.log(1001)


def share(flux, bound):
    return np.where(bound == 0, 0, flux / np.where(bound == 0, 1, bound))


def gr_gates(pn, en, cp, ct, kexc, hp, ht, step: int):
    """What of its bound each flux of GR is; between two decimals of the split there is nothing to compute."""
    tp, te = np.tanh(pn / cp), np.tanh(en / cp)
    ps = cp * (1 - hp**2) * tp / (1 + hp * tp)
    es = cp * hp * (2 - hp) * te / (1 + (1 - hp) * te)
    filled = hp + (ps - es) / cp
    g3 = 1 - (1 + (filled * inverse_beta(step)) ** 4) ** -0.25
    reached = larger(ht + (0.9 * (pn - ps + cp * g3 * filled) + kexc * ht**3.5) / ct, 0.0)
    g6 = 1 - larger(reached, 1.0) * (1 + reached**4) ** -0.25
    g1, g2 = share(ps, smaller(pn, cp * (1 - hp))), share(es, smaller(en, cp * hp))
    return g1, g2, g3, 0.9, ht**3.5, g6


def nr_step(structure: Structure, weights: np.ndarray, pn, en, *rest, step: int = STEP):
    """P3 with the bounds and gates of the page on structures; rest: the intensity where there is one, cp ... ht."""
    r, (cp, ct, kexc, hp, ht) = rest[:-5], rest[-5:]
    inputs = (hp, ht, *(relative_depth(*pair) for pair in ((pn, cp), (en, cp), (pn, ct), *((one, cp) for one in r))))
    gates = 1 / (1 + np.exp(-outputs(structure, weights, inputs)))
    if structure.start == "exact":
        odds = np.exp(outputs(structure, weights, inputs))
        gates = [g * z / (1 - g + g * z) for g, z in zip(gr_gates(pn, en, *rest[-5:], step), odds, strict=True)]
    g1, g2, g3, g4, g5, g6 = gates
    ps, es = g1 * smaller(pn, cp * (1 - hp)), g2 * smaller(en, cp * hp)
    filled = hp + (ps - es) / cp
    effective = pn - ps + g3 * cp * filled
    delayed, direct = g4 * effective, (1 - g4) * effective
    to_store, to_direct = larger(kexc * g5, -(ct * ht + delayed)), larger(kexc * g5, -direct)
    reached = ht + (delayed + to_store) / ct
    spilled = ct * larger(reached - 1, 0.0)
    runoff = spilled + g6 * (ct * reached - spilled)
    return (1 - g3) * filled, reached - runoff / ct, runoff + direct + to_direct


def hbv_step(
    structure: Structure, weights: np.ndarray, pn, en, fc, beta, lp, perc_max, k0, uzl, k1, k2, sm, suz, slz,
    step: int = STEP,
):  # fmt: skip
    """Soil moisture and two linear stores (Bergstrom 1995), each released at once at the end of the step."""
    days, inputs = step / 86400, (sm, suz, slz, pn, en)
    f1, f2, f3, f4 = phi1(structure, weights, inputs) if structure.has_network else np.zeros((4, len(pn)))
    r0, r1, r2 = (1 - np.exp(-k * days) for k in (k0, k1, k2))
    recharge = larger(smaller((1 + f1) * pn * larger(sm, 1e-6) ** beta, pn), pn - fc * (1 - sm))
    evaporation = smaller(smaller((1 + f2) * en * smaller(sm / lp, 1.0), en), fc * sm)
    upper = suz + recharge
    down = smaller((1 + f3) * perc_max * days, upper)
    fast = r0 * larger(upper - down - uzl, 0.0)
    slow = smaller((1 + f4) * r1, 1.0) * (upper - down - fast)
    lower = slz + down
    soil = sm + (pn - recharge - evaporation) / fc
    return soil, upper - down - fast - slow, lower * (1 - r2), fast + slow + lower * r2


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


def implicit_step(structure: Structure, weights: np.ndarray, *arguments, step: int = STEP) -> tuple[np.ndarray, ...]:
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


def explicit_step(structure: Structure, weights: np.ndarray, pn, en, cp, ct, kexc, hp, ht, step: int = STEP):
    """Explicit Euler in substeps; the runoff is the mean of that at the levels left."""
    highest, total, nothing = HIGHEST_LEVEL[structure.flux_limits], 0.0, np.zeros((4, len(pn)))
    for _ in range(structure.substeps):
        total = total + 0.1 * hp**2 * pn + kexc * driving(kexc, ht) ** 3.5 + ct / 4 * ht**5
        dhp, dht = rates((pn, en, cp, ct, kexc), nothing, hp, ht)
        hp = smaller(larger(hp + dhp / structure.substeps, LOWEST), min(highest, 1.0))
        ht = smaller(larger(ht + dht / structure.substeps, LOWEST), highest)
    return hp, ht, total / structure.substeps


def ode_step(structure: Structure, weights: np.ndarray, *arguments, step: int = STEP):
    """By either scheme."""
    chosen = explicit_step if structure.scheme == "explicit" else implicit_step
    return chosen(structure, weights, *arguments, step=step)


def gr_reference(structure: Structure, weights: np.ndarray, *arguments, step: int = STEP):
    """See `gr_step`."""
    return gr_step(*arguments, step=step)


def snow_step(behind: Callable, P, E, T, ci, kmlt, *rest):
    """Degree-day snow and interception in front of a step; rest: parameters of that, then hs, hi and its states."""
    count = behind.parameters
    own, (hs, hi, *states) = rest[:count], rest[count:]
    rain = P * (1 - 1 / (1 + np.exp(10 / 4 * T - 1)))
    filled = hs + P - rain
    melt = smaller(filled, larger(0.0, kmlt * T))
    ei = smaller(E, rain + melt + hi * ci)
    pn = larger(0.0, rain + melt - ci * (1 - hi) - ei)
    return filled - melt, hi + (rain + melt - ei - pn) / ci, *behind.step(pn, E - ei, *own, *states)


def impervious_step(behind: Behind, pn, en, share, *rest):
    """Rain on impervious surfaces runs off."""
    *states, runoff = behind.step((1 - share) * pn, (1 - share) * en, *rest)
    return *states, runoff + share * pn


STEPS = {
    "gr": gr_reference,
    "gr5": gr5_step,
    "gr5nn": gr5_step,
    "gr6": gr6_step,
    "gr6nn": gr6_step,
    "grc": grc_step,
    "grcnn": grc_step,
    "grd": grd_step,
    "grdnn": grd_step,
    "grnn": grnn_step,
    "hbv": hbv_step,
    "hbvnn": hbv_step,
    "loieau": loieau_step,
    "loieaunn": loieau_step,
    "node": implicit_step,
    "nr": nr_step,
    "ode": ode_step,
}
"""One for every kind: step(structure, weights, pn, en, *parameters, *states, step) gives new states and runoff."""


class Behind:
    """A step behind snow: step(pn, en, ...), and how many parameters it has."""

    def __init__(self, structure: Structure, weights: np.ndarray, step: int) -> None:
        self.step = partial(STEPS[structure.kind], structure, weights, step=step)
        self.parameters = len(structure.core.parameters)


def reference_step(structure: Structure, weights: np.ndarray, step: int = STEP, ci: np.ndarray | None = None) -> Step:
    """The step of a structure, for `model_harness.reference`; ci: where snow is in front."""
    behind = Behind(structure, weights, step)
    if structure.impervious:
        return from_net(lambda pn, en, *rest: impervious_step(behind, pn, en, ci / 3, *rest))
    if structure.snow == "none":
        return from_net(behind.step)
    return lambda P, E, T, *rest: snow_step(behind, P, E, T, ci, *rest)
