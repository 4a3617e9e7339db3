"""What a calibration minimises: J = sum over gauges of weight * (1 - NSE), and dJ / d(simulated discharge).

Observations that are missing or not scored (warm-up, other periods) are left out. What the observations alone decide is
computed once (`Reference`); sums run in a fixed order in float64, so that equal discharge gives equal bits.

A term of the cost is a function of a reference and of the simulated discharge of its pairs; its derivative is the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydrocli.errors import ConfigurationError, InputError
from hydrocli.score.metrics import varies

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """The observations of one gauge that are scored.

    Args:
        steps: int[m], the steps with a scored observation, ascending.
        observed: float64[m], the observed discharge there [m3/s].
        spread: sum of the squared deviations of `observed` from its mean [(m3/s)2].
    """

    steps: NDArray[np.intp]
    observed: Floats
    spread: float


def one_minus_nse(reference: Reference, simulated: Floats) -> float:
    """1 - NSE of the simulated discharge [m] of the scored steps."""
    return np.sum((simulated - reference.observed) ** 2) / reference.spread


def one_minus_nse_bar(reference: Reference, simulated: Floats, value_bar: float) -> Floats:
    """Derivative [m] of `value_bar * one_minus_nse` by the simulated discharge."""
    return 2 * value_bar / reference.spread * (simulated - reference.observed)


@dataclass(frozen=True)
class Cost:
    """Weighted sum over gauges, made by `Cost.of`; arrays of discharge are [gauge, time] in m3/s."""

    references: tuple[Reference, ...]
    weights: Floats

    @classmethod
    def of(
        cls, observed: ArrayLike, scored: ArrayLike, codes: Sequence[str], weights: Sequence[float] | None = None
    ) -> Cost:
        """Fix the observations, the scored steps and the weights of the gauges.

        Args:
            observed: float[g, t], NaN = missing.
            scored: bool[t], True at the steps that count (after the warm-up, inside the calibration period).
            codes: the names of the gauges, for messages.
            weights: one per gauge, not negative, scaled to the sum 1; None = equal.

        Raises:
            InputError: gauges without any scored observation or with constant ones, all of them named.
            ConfigurationError: weights that are too few, too many, negative, not finite or all 0.
        """
        discharge = np.asarray(observed, dtype=np.float64)
        steps = [np.flatnonzero(np.asarray(scored, dtype=bool) & ~np.isnan(row)) for row in discharge]
        series = [row[kept] for row, kept in zip(discharge, steps, strict=True)]
        _refuse_unusable(codes, series)
        spreads = [float(np.sum((q - q.mean()) ** 2)) for q in series]
        references = tuple(Reference(*fixed) for fixed in zip(steps, series, spreads, strict=True))
        return cls(references, _normalised(codes, weights))

    def value(self, simulated: NDArray[np.floating]) -> float:
        """Cost of the simulated discharge [g, t]."""
        return float(sum(self.weights * self._terms(simulated)))

    def value_and_derivative(self, simulated: NDArray[np.floating]) -> tuple[float, Floats]:
        """Cost, and its derivative [g, t] by the simulated discharge (0 at steps that are not scored)."""
        simulated_bar = np.zeros(simulated.shape)
        for gauge, (reference, weight) in enumerate(zip(self.references, self.weights, strict=True)):
            paired = _paired(simulated[gauge], reference)
            simulated_bar[gauge, reference.steps] = one_minus_nse_bar(reference, paired, weight)
        return self.value(simulated), simulated_bar

    def by_gauge(self, simulated: NDArray[np.floating]) -> Floats:
        """NSE [g] of every gauge over its scored steps."""
        return 1 - self._terms(simulated)

    def _terms(self, simulated: NDArray[np.floating]) -> Floats:
        rows = zip(self.references, simulated, strict=True)
        return np.array([one_minus_nse(reference, _paired(row, reference)) for reference, row in rows])


def _paired(simulated: NDArray[np.floating], reference: Reference) -> Floats:
    return simulated[reference.steps].astype(np.float64)


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
            "Leave such gauges out of gauges.calibration, or choose another period.calibration.",
        )


def _normalised(codes: Sequence[str], weights: Sequence[float] | None) -> Floats:
    given = np.ones(len(codes)) if weights is None else np.array(weights, dtype=np.float64)
    if given.shape != (len(codes),) or not np.all((given >= 0) & np.isfinite(given)) or not np.any(given > 0):
        raise ConfigurationError(
            "objective.weights",
            f"{given.tolist()} for the gauges {', '.join(codes)}",
            "Give one weight per calibration gauge, none negative and not all 0.",
        )
    return given / np.sum(given)
