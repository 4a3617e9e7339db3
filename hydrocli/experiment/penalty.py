"""What a calibration pays for its maps: the penalty of the configuration on the cells that the calibration sees.

An L-curve is stages: the last one of the YAML runs with each of the weights, the largest first, each from the end of
the one before, and once more, with the weight of the corner, from where that one ended. So a stopped curve resumes like
everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.basin.network import Network
from hydrocli.config import Experiment
from hydrocli.engine.objective import ROWS
from hydrocli.experiment.build import Case
from hydrocli.score.regularisation import Penalty, corner

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CurvePoint:
    """Where a stage of an L-curve ended: weight, cost of the discharge, prior, smoothing and their sum in shares."""

    weight: float
    misfit: float
    prior: float
    smoothing: float
    penalty: float


def penalty_weights(experiment: Experiment, last: bool) -> list[tuple[float, str]]:
    """Weights with which a stage runs, and words for its name; 0: no penalty, NaN: that of the corner."""
    asked = experiment.objective.regularisation
    if asked is None or (asked.weight == "lcurve" and not last):
        return [(0.0, "")]
    if asked.weight != "lcurve":
        return [(float(asked.weight), "")]
    ladder = sorted(set(asked.weights), reverse=True)
    return [*((weight, f", penalty {weight:g}") for weight in ladder), (np.nan, ", corner")]


def curve_point(penalty: Penalty, maps: Floats, cost: float) -> CurvePoint:
    """The point of maps [7, n] that a stage with this penalty found, and of their cost with it."""
    prior, smoothing = penalty.parts(maps)
    paid = penalty.value(maps)
    return CurvePoint(penalty.weight, cost - paid, prior, smoothing, paid / penalty.weight)


def corner_of(points: Sequence[CurvePoint]) -> int:
    """Which of the points is the corner of their curve."""
    return corner([point.misfit for point in points], [point.penalty for point in points])


def penalty_of(case: Case, mapping: str, first: Floats, weight: float) -> Penalty:
    """The penalty with a weight on maps [7, n] of a mapping that start from the first ones [7, n].

    It looks at all cells that the controls move: also at those that no calibration gauge sees, where a mapping of
    descriptors may otherwise be anything.
    """
    asked = case.experiment.objective.regularisation
    assert asked is not None
    rows = [row for row in case.rows if row.calibrated]
    moved = case.calibrated_cells if mapping == "distributed" else np.ones_like(case.calibrated_cells)
    cells, pairs = np.flatnonzero(moved), _pairs(case.basin.network, np.flatnonzero(moved), asked.smoothing_pairs)
    return Penalty(
        weight=weight,
        prior_share=asked.prior,
        smoothing_share=asked.smoothing if pairs.size else 0.0,
        rows=np.array([ROWS.index(row.symbol) for row in rows], np.intp),
        cells=cells,
        lower=np.array([row.lower for row in rows], np.float64),
        upper=np.array([row.upper for row in rows], np.float64),
        first=first,
        pairs=pairs,
    )


def penalty_to_check(case: Case, first: Floats) -> Penalty | None:
    """The penalty of the configuration, with its largest weight where there are several; None without one."""
    weight, _ = penalty_weights(case.experiment, last=True)[0]
    return penalty_of(case, case.experiment.mapping.kind, first, weight) if weight else None


def _pairs(network: Network, cells: NDArray[np.intp], between: str) -> NDArray[np.intp]:
    """Pairs [2, p] of some cells that should be alike, numbered among these."""
    number = np.full(len(network) + 1, -1)
    number[cells] = np.arange(cells.size)
    if between == "downstream":
        pairs = np.stack([np.arange(cells.size), number[network.downstream[cells]]])
    else:
        place = np.full((network.grid.height + 1, network.grid.width + 1), -1)
        place[network.row[cells], network.column[cells]] = np.arange(cells.size)
        beside = (
            place[network.row[cells], network.column[cells] + 1],
            place[network.row[cells] + 1, network.column[cells]],
        )
        pairs = np.concatenate([np.stack([np.arange(cells.size), other]) for other in beside], axis=1)
    return pairs[:, pairs[1] >= 0]
