"""The cost: a weighted mean of terms over gauges, and its derivative by the discharge.

    J = sum over terms of weight * sum over gauges of weight * term          both weights scaled to the sum 1

A term is one of `terms` on discharge or what `transforms` makes of it, or a signature: the mean over its stretches (the
calibration period, or the flood events found in the observed discharge, once) of ((simulated - observed) / observed)^2.
Where a gauge has none of a signature (no event, no rain, observed 0) the term is the mean over the other gauges.

Observations that are missing or not scored (warm-up, other periods) are left out. Where they are means over several
steps, they are compared with such means of the simulated discharge (`hydrocli.score.intervals`). What the observations
alone decide is computed once; sums run in a fixed order in float64, so that equal discharge gives equal bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydrocli.arrays import Floats, Indices
from hydrocli.errors import ConfigurationError, InputError
from hydrocli.score.events import Segmentation, find_events
from hydrocli.score.intervals import Until, last_steps, mean_over, whole
from hydrocli.score.metrics import METRIC_TERMS, Backward, Forward, Reference, one_minus_nse, varies
from hydrocli.score.signatures import CONTINUOUS_MEASURES, EVENT_MEASURES, Measure, flows, stretch
from hydrocli.score.transforms import transformed, transformed_bar

FEW = 0.1
"""Fraction of scored steps with observations below which a gauge causes a warning."""


@dataclass(frozen=True)
class Term:
    """One term of the objective.

    Attributes:
        name: of `METRIC_TERMS`, `CONTINUOUS_MEASURES` or `EVENT_MEASURES`.
        weight: relative to the other terms.
        transform: of `transforms`, for a metric.
        offset: of the transform, as a share of the mean observation.
    """

    name: str
    weight: float = 1.0
    transform: str = "none"
    offset: float = 0.01


@dataclass(frozen=True, eq=False)
class Catchments:
    """Catchment data for signatures.

    Attributes:
        rain: float64[g, t], mean rain, mm per step, NaN = missing.
        area: float64[g], m2.
        step: s.
        segmentation: [g], options of the search for events.
    """

    rain: Floats
    area: Floats
    step: int
    segmentation: Sequence[Segmentation]


class Part(Protocol):
    """A term at one gauge."""

    def value(self, simulated: Floats) -> float:
        """Its value for the simulated discharge [m] of the scored steps."""
        ...

    def value_and_bar(self, simulated: Floats, value_bar: float) -> tuple[float, Floats]:
        """Its value, and the derivative [m] of `value_bar * value` by the simulated discharge."""
        ...


@dataclass(frozen=True, eq=False)
class MetricPart:
    """A term that compares two series; `offset` in m3/s."""

    reference: Reference
    forward: Forward
    backward: Backward
    transform: str
    offset: float

    def value(self, simulated: Floats) -> float:
        """See `Part`."""
        return self.forward(self.reference, transformed(simulated, self.transform, self.offset))

    def value_and_bar(self, simulated: Floats, value_bar: float) -> tuple[float, Floats]:
        """See `Part`."""
        series = transformed(simulated, self.transform, self.offset)
        bar = self.backward(self.reference, series, value_bar)
        return self.forward(self.reference, series), transformed_bar(simulated, self.transform, self.offset, bar)


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of the pairs that a signature looks at: which ones, the rain on them [m3/s], the observed signature."""

    at: Indices
    water: float
    observed: float


@dataclass(frozen=True, eq=False)
class SignaturePart:
    """Mean over stretches of the squared relative error of a signature."""

    measure: Measure
    stretches: tuple[Stretch, ...]

    def value(self, simulated: Floats) -> float:
        """See `Part`."""
        return sum(self._error(part, simulated) ** 2 for part in self.stretches) / len(self.stretches)

    def value_and_bar(self, simulated: Floats, value_bar: float) -> tuple[float, Floats]:
        """See `Part`."""
        simulated_bar, errors = np.zeros(simulated.size), [self._error(part, simulated) for part in self.stretches]
        for part, error in zip(self.stretches, errors, strict=True):
            measure_bar = 2 * value_bar * error / (len(self.stretches) * part.observed)
            simulated_bar[part.at] += self.measure.bar(simulated[part.at], part.water, measure_bar)
        return sum(error**2 for error in errors) / len(errors), simulated_bar

    def _error(self, part: Stretch, simulated: Floats) -> float:
        return self.measure.value(simulated[part.at], part.water) / part.observed - 1


@dataclass(frozen=True, eq=False)
class Gauge:
    """What is observed at a gauge: the scored steps that have an observation, and these observations.

    `until` [t] is of `hydrocli.score.intervals`; None where observations are of single steps. A mean over several steps
    stands at the last of them for metrics, and at each of them for signatures, which need the whole series.
    """

    steps: Indices
    reference: Reference
    until: Until | None = None

    @classmethod
    def of(cls, observed: Floats, steps: Indices, until: Until | None) -> Gauge:
        """Of the observations [t] at some steps."""
        return cls(steps, Reference.of(observed[steps]), until)

    def paired(self, simulated: NDArray[np.floating]) -> Floats:
        """The simulated discharge [t], as it is observed, at those steps."""
        if self.until is None:
            return simulated[self.steps].astype(np.float64)
        return mean_over(simulated.astype(np.float64), self.until)[self.steps]

    def add_bar(self, bar: Floats, simulated_bar: Floats) -> None:
        """The transpose: add the derivative by `paired` to that by the simulated discharge, float64[t]."""
        if self.until is None:
            simulated_bar[self.steps] += bar
            return
        means_bar = np.zeros(simulated_bar.size)
        means_bar[self.steps] = bar
        simulated_bar += mean_over(means_bar, self.until)


@dataclass(frozen=True, eq=False)
class Cost:
    """Weighted mean over terms and gauges, made by `Cost.of`; arrays of discharge are [gauge, time] in m3/s.

    Attributes:
        gauges: [g], for metrics; then, where means over several steps are observed, [g] for signatures.
        parts: index of a gauge among these, weight, and a term there; the weights have the sum 1.
        notes: what a user should know, in sentences.
    """

    gauges: tuple[Gauge, ...]
    parts: tuple[tuple[int, float, Part], ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        observed: ArrayLike,
        scored: ArrayLike,
        codes: Sequence[str],
        weights: Sequence[float] | None = None,
        terms: Sequence[Term] = (Term("nse"),),
        catchments: Catchments | None = None,
        until: Until | None = None,
    ) -> Cost:
        """Fix the observations, the scored steps, the events, the terms and the weights.

        Args:
            observed: float[g, t], NaN = missing.
            scored: bool[t], True at the steps that count (after the warm-up, inside the calibration period).
            codes: the names of the gauges, for messages.
            weights: one per gauge, not negative, scaled to the sum 1; None = equal.
            terms: one or more.
            catchments: of the gauges, where a term is a signature.
            until: int[g, t], see `hydrocli.score.intervals`; an interval counts where all its steps are scored. None:
                observations are of single steps.

        Raises:
            InputError: gauges without any scored observation or with constant ones, all of them named; a signature
                that no gauge has.
            ConfigurationError: weights that are too few, too many, negative, not finite or all 0.
        """
        discharge, window = np.asarray(observed, dtype=np.float64), np.asarray(scored, dtype=bool)
        intervals = [None] * len(codes) if until is None else [_of_several(row) for row in until]
        discharge = discharge.copy()
        for row, one in zip(discharge, intervals, strict=True):
            if one is not None:
                row[~whole(window, one)] = np.nan
        every = [np.flatnonzero(window & ~np.isnan(row)) for row in discharge]
        lasts = [np.intersect1d(kept, last_steps(one, window.size)) for kept, one in zip(every, intervals, strict=True)]
        _refuse_unusable(codes, [row[kept] for row, kept in zip(discharge, lasts, strict=True)])
        gauges = [Gauge.of(*one) for one in zip(discharge, lasts, intervals, strict=True)]
        are_means = any(one is not None for one in intervals)
        filled = [Gauge.of(*one) for one in zip(discharge, every, intervals, strict=True)] if are_means else []
        shares, first = normalised(codes, weights), len(gauges) if are_means else 0
        notes = _sparse(codes, [gauge.reference.observed for gauge in filled or gauges], int(window.sum()))
        parts: list[tuple[int, float, Part]] = []
        total = sum(term.weight for term in terms)
        for term in terms:
            place = 0
            if term.name in METRIC_TERMS:
                found: list[Part | None] = [_metric(term, gauge) for gauge in gauges]
            else:
                place = first
                assert catchments is not None
                found = [_signature(term.name, discharge[g, window], window, catchments, g) for g in range(len(codes))]
                notes += _without(term.name, codes, found, shares)
            here = sum(share for share, part in zip(shares, found, strict=True) if part is not None)
            weight = term.weight / total / here
            parts += [(place + g, weight * shares[g], part) for g, part in enumerate(found) if part is not None]
        return cls((*gauges, *filled), tuple(parts), tuple(notes))

    def value(self, simulated: NDArray[np.floating]) -> float:
        """Cost of the simulated discharge [g, t]."""
        paired = self._paired(simulated)
        return float(sum(weight * part.value(paired[gauge]) for gauge, weight, part in self.parts))

    def value_and_derivative(self, simulated: NDArray[np.floating]) -> tuple[float, Floats]:
        """Cost, and its derivative [g, t] by the simulated discharge (0 at steps that are not scored)."""
        simulated_bar, paired, values = np.zeros(simulated.shape), self._paired(simulated), []
        for gauge, weight, part in self.parts:
            value, bar = part.value_and_bar(paired[gauge], weight)
            values.append(weight * value)
            self.gauges[gauge].add_bar(bar, simulated_bar[gauge % len(simulated)])
        return float(sum(values)), simulated_bar

    def by_gauge(self, simulated: NDArray[np.floating]) -> Floats:
        """NSE [g] of every gauge over its scored steps, independent of the terms."""
        paired = zip(self.gauges, self._paired(simulated), strict=True)
        scores = [1 - one_minus_nse(gauge.reference, series) for gauge, series in paired]
        return np.array(scores[: len(simulated)])

    def _paired(self, simulated: NDArray[np.floating]) -> list[Floats]:
        return [gauge.paired(simulated[g % len(simulated)]) for g, gauge in enumerate(self.gauges)]


def _of_several(until: Until) -> Until | None:
    """None where all intervals are single steps."""
    return None if np.array_equal(until, np.arange(until.size)) else until


def _metric(term: Term, gauge: Gauge) -> MetricPart:
    offset = term.offset * gauge.reference.mean
    series = transformed(gauge.reference.observed, term.transform, offset)
    return MetricPart(Reference.of(series), *METRIC_TERMS[term.name], term.transform, offset)


def _signature(
    name: str, observed: Floats, window: NDArray[np.bool_], catchments: Catchments, gauge: int
) -> SignaturePart | None:
    """A signature at a gauge, `observed` inside the window; None where it has none to compare with."""
    rain, step = catchments.rain[gauge, window], catchments.step
    flow, water = flows(observed, rain, float(catchments.area[gauge]), step)
    measure, parts = CONTINUOUS_MEASURES.get(name) or EVENT_MEASURES[name], [slice(0, flow.size)]
    if name in EVENT_MEASURES:
        events = find_events(observed, rain, step, catchments.segmentation[gauge])
        parts = [slice(event.start, event.end + 1) for event in events]
    place = np.cumsum(~np.isnan(flow)) - 1
    stretches = []
    for inside in parts:
        at = inside.start + stretch(flow[inside], water[inside], measure)
        if at.size:
            rained = float(np.nansum(water[at]))
            value = measure.value(flow[at], rained)
            if np.isfinite(value) and value != 0:
                stretches.append(Stretch(place[at], rained, value))
    return SignaturePart(measure, tuple(stretches)) if stretches else None


def _without(name: str, codes: Sequence[str], found: Sequence[Part | None], shares: Floats) -> list[str]:
    """A sentence on the gauges where a signature is not defined.

    Raises:
        InputError: it is defined at no gauge with a weight.
    """
    missing = [code for code, part in zip(codes, found, strict=True) if part is None]
    if not any(part is not None and share > 0 for part, share in zip(found, shares, strict=True)):
        raise InputError(
            "objective.terms",
            f"the signature {name} is not defined at any calibration gauge in the calibration period",
            "Check the observations and the options of `flood_events`, or remove the term.",
        )
    return [
        f"{', '.join(missing)}: no signature {name} in the calibration period; these gauges are excluded from the term"
    ] * bool(missing)


def _sparse(codes: Sequence[str], series: Sequence[Floats], steps: int) -> list[str]:
    return [
        f"gauge {code} has only {q.size} observations in the {steps} steps of the calibration period"
        for code, q in zip(codes, series, strict=True)
        if q.size < FEW * steps
    ]


def _refuse_unusable(codes: Sequence[str], series: Sequence[Floats]) -> None:
    faults = [
        f"{code} has only the value {q[0]:g} m3/s" if q.size else f"{code} has no observation"
        for code, q in zip(codes, series, strict=True)
        if not varies(q)
    ]
    if faults:
        raise InputError(
            "gauges.calibration",
            f"discharge in the calibration period: {'; '.join(faults)}",
            "Remove these gauges from gauges.calibration, or choose another period.calibration.",
        )


def normalised(codes: Sequence[str], weights: Sequence[float] | None) -> Floats:
    """Weights of gauges [g] with the sum 1; None = equal.

    Raises:
        ConfigurationError: too few, too many, negative, not finite or all 0.
    """
    given = np.ones(len(codes)) if weights is None else np.array(weights, dtype=np.float64)
    if given.shape != (len(codes),) or not np.all((given >= 0) & np.isfinite(given)) or not np.any(given > 0):
        raise ConfigurationError(
            "gauges.weights",
            f"{given.tolist()} for the gauges {', '.join(codes)}",
            "Set one weight per calibration gauge, not negative and not all 0.",
        )
    return given / np.sum(given)
