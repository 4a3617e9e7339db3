"""Screening of a box by a scrambled Sobol sequence (Sobol 1967; Owen 1998): a global first guess for few controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from hydrocli.arrays import Floats, Integers
from hydrocli.calibration.problem import Problem, StageResult
from hydrocli.calibration.recorder import Recorder
from hydrocli.errors import NumericalError

APART = 0.3
"""Root mean square of the distance in controls, as a share of the box, below which two samples are neighbours."""


@dataclass(frozen=True)
class Screening:
    """Options.

    Attributes:
        samples: control vectors drawn, besides the problem's start; a power of two covers the box best.
        keep: how many of the best become candidates.
        batch: how many are evaluated together, and lost together when the process is killed.
        seed: of the scrambling.
    """

    samples: int = 64
    keep: int = 3
    batch: int = 32
    seed: int = 1

    def minimise(self, recorder: Recorder) -> StageResult:
        """Evaluate the start and the samples; the best `keep` are the candidates.

        Raises:
            ConfigurationError: a control has open bounds.
            NumericalError: no cost at all is finite.
        """
        recorder.problem.require_box("screening")
        points = np.concatenate([recorder.problem.starts[:1], self._drawn(recorder.problem)])
        costs = np.empty(0)
        for first in range(0, len(points), self.batch):
            costs = np.append(costs, recorder.values(points[first : first + self.batch]))
            best = int(np.argmin(costs))
            recorder.report(points[best], float(costs[best]))
        ranking = np.argsort(costs, kind="stable")
        kept = self._apart(points, ranking[np.isfinite(costs[ranking])], recorder.problem)
        if not kept:
            raise NumericalError(
                "screening", f"none of {len(points)} costs is finite", "Narrow the bounds of the parameters."
            )
        return recorder.result(f"{len(points)} samples evaluated.", candidates=points[kept])

    def _apart(self, points: Floats, ranking: Integers, problem: Problem) -> list[int]:
        """The best, and the best of those that are not near better ones: descents from neighbours end together."""
        unit, kept = (points - problem.lower) / (problem.upper - problem.lower), list[int]()
        for number in ranking.tolist():
            distance = np.sqrt(np.mean((unit[kept] - unit[number]) ** 2, axis=1))
            if distance.min(initial=np.inf) > APART:
                kept.append(number)
            if len(kept) == self.keep:
                break
        return kept

    def _drawn(self, problem: Problem) -> Floats:
        sequence = qmc.Sobol(problem.lower.size, scramble=True, rng=self.seed)
        unit = sequence.random_base2(max(self.samples - 1, 0).bit_length())[: self.samples]
        return np.clip(problem.lower + (problem.upper - problem.lower) * unit, problem.lower, problem.upper)
