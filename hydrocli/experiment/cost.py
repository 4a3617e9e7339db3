"""What a calibration minimises: the cost of the discharge at its gauges, and the penalty on its maps.

An L-curve is stages: the last one of the YAML runs with each of the weights, the largest first, each from the end of
the one before, and once more, with the weight of the corner, from where that one ended. So a stopped curve resumes like
everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats
from hydrocli.basin.network import DrainageNetwork
from hydrocli.config import Experiment
from hydrocli.errors import ConfigurationError
from hydrocli.experiment.roles import merging_note, segmentation
from hydrocli.experiment.setup import CalibrationSetup, catchment_means
from hydrocli.score.cost import Catchments, Cost, Term
from hydrocli.score.regularisation import Penalty, corner


def calibration_cost(setup: CalibrationSetup, scored: Flags | None = None) -> Cost:
    """Cost of the discharge of the series that calibrate, from the start to the end of the calibration.

    Args:
        setup: the experiment and its basin.
        scored: steps that count [t]; None: all of the calibration period.

    Raises:
        InputError: gauges without observations to score; a signature that no gauge has.
        ConfigurationError: no gauge calibrates, or one of the table has no weight.
    """
    if not setup.calibration:
        raise ConfigurationError(
            "gauges.validation", "leaves no gauge for calibration", "Remove at least one gauge from the list."
        )
    terms = setup.experiment.objective.all_terms
    cost = Cost.of(
        setup.observed,
        setup.scored if scored is None else scored,
        tuple(setup.series),
        gauge_weights(setup),
        [Term(term.metric or str(term.signature), term.weight, term.transform, term.offset) for term in terms],
        _catchments(setup) if any(term.signature for term in terms) else None,
        setup.until,
    )
    return replace(cost, notes=(*_merging(setup), *cost.notes))


def _merging(setup: CalibrationSetup) -> list[str]:
    """Sentences on gauges that calibrate as one series."""
    discharge = setup.basin.discharge[:, : setup.calibration_steps]
    several = [codes for codes in setup.series.values() if len(codes) > 1]
    return [merging_note(codes, discharge[setup.gauges(codes)]) for codes in several]


def gauge_weights(setup: CalibrationSetup) -> list[float]:
    """Weights of the series that calibrate, in any scale."""
    weights = _weights_of_gauges(setup)
    if setup.experiment.gauges.same_cell == "separate":
        return weights
    cells = setup.basin.gauges.cell[setup.gauges(setup.series)].tolist()
    return [weight / cells.count(cell) for weight, cell in zip(weights, cells, strict=True)]


def _weights_of_gauges(setup: CalibrationSetup) -> list[float]:
    """Weights of the series, whatever cells they are on; of several gauges the mean of theirs."""
    asked, codes = setup.experiment.gauges.weights, setup.calibration
    if asked == "area":
        return [float(area) for area in _areas(setup)]
    if asked == "record_length":
        window = setup.experiment.period.calibration
        assert window is not None
        known = ~np.isnan(setup.observed)
        return [float(count) for count in np.sum(known & setup.inside(window)[: known.shape[1]], axis=1)]
    if asked == "equal":
        return [1.0] * len(setup.series)
    if without := [code for code in codes if code not in asked]:
        what = f"no weight for {', '.join(without)}, which are calibration gauges because gauges.calibration is not set"
        raise ConfigurationError("gauges.weights", what, "Set a weight for each, or set gauges.calibration.")
    return [float(np.mean([asked[code] for code in own])) for own in setup.series.values()]


def _areas(setup: CalibrationSetup) -> Floats:
    """Areas of the catchments of the series [m2]."""
    return setup.gauge_tree.sums(setup.basin.network.cell_area)[setup.gauges(setup.series)]


def _catchments(setup: CalibrationSetup) -> Catchments:
    """Rain and area of the catchments of the series, to the end of the calibration."""
    rain = catchment_means(setup)["precipitation"][setup.gauges(setup.series), : setup.calibration_steps]
    options = [segmentation(setup.experiment, code) for code in setup.series]
    return Catchments(rain, _areas(setup), setup.basin.step, options)


@dataclass(frozen=True)
class CurvePoint:
    """Where a stage of an L-curve ended: weight, cost of the discharge, prior, smoothing and their sum in shares."""

    weight: float
    misfit: float
    prior: float
    smoothing: float
    penalty: float


def penalty_weights(experiment: Experiment, mapping: str, last: bool) -> list[tuple[float, str]]:
    """Weights with which a stage runs, and words for its name; 0: no penalty, NaN: that of the corner.

    A uniform stage before another mapping finds the maps near which the penalty holds the others: it has none.
    """
    asked = experiment.objective.regularisation
    before = mapping == "uniform" != experiment.mapping.kind
    if asked is None or before or (asked.weight == "lcurve" and not last):
        return [(0.0, "")]
    if asked.weight != "lcurve":
        return [(float(asked.weight), "")]
    ladder = sorted(set(asked.weights), reverse=True)
    return [*((weight, f", penalty {weight:g}") for weight in ladder), (np.nan, ", corner")]


def curve_point(penalty: Penalty, maps: Floats, cost: float) -> CurvePoint:
    """The point of maps [rows, n] that a stage with this penalty found, and of their cost with it."""
    prior, smoothing = penalty.parts(maps)
    paid = penalty.value(maps)
    return CurvePoint(penalty.weight, cost - paid, prior, smoothing, paid / penalty.weight)


def corner_of(points: Sequence[CurvePoint]) -> int:
    """Which of the points is the corner of their curve."""
    return corner([point.misfit for point in points], [point.penalty for point in points])


def penalty_of(setup: CalibrationSetup, mapping: str, first: Floats, weight: float) -> Penalty:
    """The penalty with a weight on maps [rows, n] of a mapping that start from the first ones [rows, n].

    It looks at all cells that the controls move: also at those that no calibration gauge sees, where a mapping of
    descriptors may otherwise be anything.
    """
    asked = setup.experiment.objective.regularisation
    assert asked is not None
    rows = [row for row in setup.rows if row.calibrated]
    moved = setup.calibrated_cells if mapping == "distributed" else np.ones_like(setup.calibrated_cells)
    cells, pairs = np.flatnonzero(moved), _pairs(setup.basin.network, np.flatnonzero(moved), asked.smoothing_pairs)
    return Penalty(
        weight=weight,
        prior_share=asked.prior,
        smoothing_share=asked.smoothing if pairs.size else 0.0,
        rows=np.array([setup.structure.maps.index(row.symbol) for row in rows], np.intp),
        cells=cells,
        lower=np.array([row.lower for row in rows], np.float64),
        upper=np.array([row.upper for row in rows], np.float64),
        first=first,
        pairs=pairs,
    )


def penalty_to_check(setup: CalibrationSetup, first: Floats) -> Penalty | None:
    """The penalty of the configuration, with its largest weight where there are several; None without one."""
    weight, _ = penalty_weights(setup.experiment, setup.experiment.mapping.kind, last=True)[0]
    return penalty_of(setup, setup.experiment.mapping.kind, first, weight) if weight else None


def _pairs(network: DrainageNetwork, cells: NDArray[np.intp], between: str) -> NDArray[np.intp]:
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
