"""Pre-training of the neural reservoirs on the fluxes of GR, before a calibration (P3).

The network learns the gates that make the reservoirs `gr`. Half of the samples fill the box of states, forcings and
capacities by a Sobol sequence; the others are steps of a simulation of the basin by `gr`. With samples xi,

    L = 1/6 sum over k of mean over xi of (b_k^2 / s_k^2 + w_k) (g_k - g_k of GR)^2

b_k is the bound that gate k opens at the states of GR, so the first term is the squared error of its flux; s_k is the
standard deviation of that flux. The second term holds the gates where fluxes are small: w_k = b_k / mean b_k, at most
10. Adam with batches makes it small. P3 states that pre-training is on fluxes of GR; the loss and the samples are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import qmc

from hydrocli.arrays import Floats
from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.calibration.adam import Adam
from hydrocli.calibration.journal import NoJournal
from hydrocli.calibration.problem import Problem
from hydrocli.calibration.recorder import Recorder
from hydrocli.engine.observers import Observers, OutputRecorder, OutputRequest
from hydrocli.engine.simulator import NO_WEIGHTS, Simulator, State
from hydrocli.execution.progress import track
from hydrocli.score.metrics import nse
from hydrocli.structures import nr
from hydrocli.structures.gr import inverse_beta
from hydrocli.structures.network import network_of
from hydrocli.structures.structure import Structure

SAMPLES = 2**16
BATCH = 2**12
ITERATIONS = 3000
FULL_EVERY = 100
RATE, LAST_RATE = 0.03, 1e-4
LARGEST_WEIGHT = 10.0
ENOUGH = 0.98
"""NSE of the discharge of the pre-trained reservoirs against that of GR below which the run says so."""
DRAWN_CELLS, DRAWN_STEPS = 64, 2**19
"""Cells that are simulated for samples at most, and steps of them all together, but for one cell."""
HOUR = 3600


@dataclass(frozen=True, eq=False)
class Samples:
    """water[2, n] pn, en [mm/step]; parameters[3, n] cp, ct, kexc; levels[2, n] hp, ht; intensity[n] [mm/step]."""

    water: Floats
    parameters: Floats
    levels: Floats
    intensity: Floats

    def shuffled(self, seed: int) -> Samples:
        """The same in random order."""
        order = np.random.default_rng(seed).permutation(self.water.shape[1])
        return Samples(*(np.ascontiguousarray(values[..., order]) for values in vars(self).values()))

    def and_(self, other: Samples) -> Samples:
        """These and others."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in vars(self))
        return Samples(*(np.concatenate(pair, axis=-1) for pair in pairs))


@dataclass(frozen=True, eq=False)
class Pretraining:
    """What pre-training leaves.

    Attributes:
        weights: [w].
        relative_error: [6] sum of |flux - flux of GR| / sum of the flux of GR, over all samples.
        largest_error: [6] largest error of a gate, times its bound [mm/step]; of the exchange in shares of its
            coefficient.
        nse: of the discharge against that of GR at the gauges of the calibration [g].
    """

    weights: Floats
    relative_error: Floats
    largest_error: Floats
    nse: Floats

    @property
    def columns(self) -> dict[str, Any]:
        """Of `pretraining.parquet`."""
        return {"flux": list(nr.GATED), "relative_error": self.relative_error, "largest_error": self.largest_error}

    @property
    def warning(self) -> str:
        """A sentence where the reservoirs are not near GR; else empty."""
        if (worst := float(np.min(self.nse, initial=1.0))) >= ENOUGH:
            return ""
        return (
            f"the pre-trained reservoirs differ from GR: NSE of the discharge against that of GR {worst:.3f}, below "
            f"{ENOUGH:g}; a network with more units comes nearer"
        )


def box(count: int, step: int, seed: int) -> Samples:
    """Samples of the whole box by a scrambled Sobol sequence; either rain or evapotranspiration is zero.

    Args:
        count: a power of two.
        step: [s].
        seed: of the scrambling.
    """
    u = qmc.Sobol(6, seed=seed).random(count).T
    hours, is_wet = step / HOUR, u[4] < 0.5
    within = 2.0 * u[4] % 1.0
    pn = np.where(is_wet, hours * 10.0 ** (-2.0 + 4.0 * within), 0.0)
    en = np.where(is_wet, 0.0, hours * 10.0 ** (-3.0 + 3.0 * within))
    capacities = 10.0 ** (1.0 + 2.0 * u[2:4])
    return Samples(
        np.stack([pn, en]), np.stack([*capacities, np.zeros(count)]), u[:2], hours * 10.0 ** (-2.0 + 4.0 * u[5])
    )


class Loss:
    """The loss of a network over samples.

    Args:
        structure: `nr`.
        samples: n of them.
        step: [s].
    """

    def __init__(self, structure: Structure, samples: Samples, step: int) -> None:
        count = samples.water.shape[1]
        self._structure, self._inputs = structure, np.zeros((len(structure.network_inputs), count))
        intensity = samples.intensity if structure.sees_intensity else np.zeros(0)
        given = samples.water, samples.parameters, samples.levels
        nr.inputs_of(*given, intensity, self._inputs)
        self.gates, self.bounds, self.fluxes = np.zeros((3, nr.GATES, count))
        nr.gr_targets(*given, inverse_beta(step), self.gates, self.bounds, self.fluxes)
        spread = np.maximum(self.fluxes.std(axis=1, keepdims=True), 1e-12)
        weight = np.minimum(self.bounds / self.bounds.mean(axis=1, keepdims=True), LARGEST_WEIGHT)
        self._importance = ((self.bounds / spread) ** 2 + weight) / (nr.GATES * count)

    def __call__(self, weights: Floats, here: slice = slice(None)) -> tuple[float, Floats]:
        """Value and gradient [w], of the samples `here` in the place of all."""
        x, gates, importance = (
            np.ascontiguousarray(rows[:, here]) for rows in (self._inputs, self.gates, self._importance)
        )
        structure, bar = self._structure, np.zeros_like(weights)
        network = network_of(structure.widths, structure.activation, weights, np.float64)
        value = nr.gate_misfit(network, x, gates, importance, bar)
        share = self._inputs.shape[1] / x.shape[1]
        return share * value, share * bar

    def errors(self, weights: Floats) -> tuple[Floats, Floats]:
        """Relative and largest error of each flux, see `Pretraining`."""
        structure = self._structure
        found = np.zeros_like(self.gates)
        network = network_of(structure.widths, structure.activation, weights, np.float64)
        nr.gates_at_inputs(network, self._inputs, found)
        error = np.abs(found - self.gates) * self.bounds
        return error.sum(axis=1) / self.fluxes.sum(axis=1), error.max(axis=1)

    def first_weights(self, seed: int) -> Floats:
        """Random weights; the last biases are the logits of the mean gates."""
        weights = nr.initial_weights(self._structure, seed)
        mean = (self._importance * self.gates).sum(axis=1) / self._importance.sum(axis=1)
        mean = mean.clip(1e-6, 1.0 - 1e-6)
        weights[-nr.GATES :] = np.log(mean / (1.0 - mean))
        return weights


def trained(loss: Loss, weights: Floats, iterations: int = ITERATIONS) -> Floats:
    """Weights [w] that Adam finds from others; batches follow from the number of the iteration."""
    count = loss.gates.shape[1]
    batches = max(1, count // BATCH)

    def batch(iteration: int, anchor: Floats, x: Floats) -> tuple[float, Floats]:
        number = iteration % batches
        return loss(x, slice(number * BATCH, (number + 1) * BATCH))

    def values(points: Floats) -> Floats:
        return np.array([loss(x)[0] for x in points])

    free = np.full(weights.size, np.inf)
    problem = Problem(weights[np.newaxis], -free, free, loss, values, batch=batch)
    recorder = Recorder(NoJournal(), lambda iteration: None, lambda: False)
    recorder.begin("pre-training", problem)
    adam = Adam(
        iterations, RATE, schedule="cosine", final_rate_fraction=LAST_RATE / RATE, full_evaluation_every=FULL_EVERY
    )
    return adam.minimise(recorder).x


def pretrained(basin: GrBasin, seed: int) -> Pretraining:
    """Weights of the network of a basin's structure that is GR as nearly as it can be, and how near it is.

    Args:
        basin: simulated by GR.
        seed: of the samples and of the first weights.
    """
    structure, step = basin.reservoirs.structure, basin.reservoirs.step
    with track("pre-training on GR", 2) as task:
        samples = box(SAMPLES // 2, step, seed).and_(basin.samples(SAMPLES // 2, seed)).shuffled(seed)
        loss = Loss(structure, samples, step)
        task.update(1)
        weights = trained(loss, loss.first_weights(seed))
    return Pretraining(weights, *loss.errors(weights), basin.nse(weights))


class GrBasin:
    """Cells that are simulated by `gr`, and by the neural reservoirs, with the same parameters and from the same state.

    Args:
        reservoirs: simulator of the structure `nr`, in double precision.
        parameters: [p, n] of the structure and of the routing.
        state: at the start.
        scored: bool[t], steps of which the discharge is compared.
        intensity: [n] running mean of the net rain before the first step [mm/step].
    """

    def __init__(
        self, reservoirs: Simulator, parameters: Floats, state: State, scored: NDArray[np.bool_], intensity: Floats
    ) -> None:
        self.reservoirs, self._gr = reservoirs, reservoirs.of_structure(reservoirs.structure.without_network)
        self._parameters, self._state, self._scored, self._intensity = parameters, state, scored, intensity
        self._steps = len(scored)

    def samples(self, count: int, seed: int) -> Samples:
        """Steps of some cells, drawn at random, half of them with rain as far as there are."""
        random, structure, n = np.random.default_rng(seed), self._gr.structure, self._parameters.shape[1]
        chosen = np.sort(random.permutation(n)[: max(1, min(DRAWN_CELLS, DRAWN_STEPS // self._steps))])
        request = OutputRequest(
            ("hp", "ht", "pn", "en"), GaugeTree.of(np.full(n, -1), np.zeros(1, np.intp)), np.ones(n), chosen
        )
        recorder = OutputRecorder(self._gr, request)
        observers = Observers(self._gr, self._parameters, NO_WEIGHTS, recorder)
        self._gr.simulate(self._parameters, self._state, observe=observers)
        hp, ht, pn, en = (recorder.at_cells[symbol] for symbol in request.quantities)
        first = (self._state.levels[structure.states.index(symbol), chosen] for symbol in ("hp", "ht"))
        levels = [np.column_stack([before, after[:, :-1]]) for before, after in zip(first, (hp, ht), strict=True)]
        own = [self._parameters[structure.parameters.index(symbol), chosen] for symbol in ("cp", "ct", "kexc")]
        intensity = _running_mean(pn, self._intensity[chosen], self.reservoirs.structure.rain_intensity / self._gr.step)
        wet, dry = np.flatnonzero(pn > 0), np.flatnonzero(pn <= 0)
        share = count // 2 if wet.size and dry.size else count * bool(wet.size)
        drawn = np.concatenate([random.choice(some, k) for some, k in ((wet, share), (dry, count - share)) if k])
        return Samples(
            np.stack([pn.ravel()[drawn], en.ravel()[drawn]]),
            np.stack([values[drawn // self._steps] for values in own]),
            np.stack([values.ravel()[drawn] for values in levels]),
            intensity.ravel()[drawn],
        )

    def nse(self, weights: Floats) -> Floats:
        """Of the discharge with a network against that of GR, at the gauges [g] over the calibration period."""
        theirs, _ = self._gr.simulate(self._parameters, self._state)
        own, _ = self.reservoirs.simulate(self._parameters, self._state, weights)
        return np.array([nse(one[self._scored], two[self._scored]) for one, two in zip(theirs, own, strict=True)])


def _running_mean(pn: Floats, start: Floats, memory: float) -> Floats:
    """Running mean of pn[cells, t] with a time constant in steps, see `net_forcing.rain_intensity`; 0: pn itself."""
    if not memory:
        return pn
    share = -np.expm1(-1.0 / memory)
    return lfilter([share], [1.0, share - 1.0], pn, axis=1, zi=((1.0 - share) * start)[:, np.newaxis])[0]
