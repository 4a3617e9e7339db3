"""What a calibration minimises, from the configuration and the observations of its gauges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydrocli.config import Experiment
from hydrocli.errors import ConfigurationError
from hydrocli.experiment.build import Case
from hydrocli.experiment.outcome import catchment_means
from hydrocli.score.cost import Catchments, Cost, Term
from hydrocli.score.events import Segmentation

Floats = NDArray[np.float64]


def calibration_cost(case: Case) -> Cost:
    """Cost of the discharge at the calibration gauges from the start to the end of the calibration.

    Raises:
        InputError: gauges without observations to score; a signature that no gauge has.
        ConfigurationError: no gauge calibrates, or one of the table has no weight.
    """
    window, steps = case.experiment.period.calibration, case.calibration_steps
    assert window is not None
    if not case.calibration:
        raise ConfigurationError("gauges.validation", "names every gauge of the table", "Leave one to calibrate.")
    terms = case.experiment.objective.all_terms
    return Cost.of(
        case.basin.discharge[case.gauges(case.calibration), :steps],
        case.inside(window)[:steps],
        case.calibration,
        _weights(case),
        [Term(term.metric or str(term.signature), term.weight, term.transform, term.offset) for term in terms],
        _catchments(case) if any(term.signature for term in terms) else None,
    )


def segmentation(experiment: Experiment, code: str) -> Segmentation:
    """Options of the search for flood events at a gauge; its threshold, if it has one, stands for the quantile."""
    options = experiment.flood_events.model_dump()
    threshold = options.pop("thresholds").get(code)
    return Segmentation(
        **options if threshold is None else options | {"peak_quantile": 0.0, "peak_discharge": threshold}
    )


def _weights(case: Case) -> list[float]:
    """Weights of the calibration gauges, in any scale."""
    asked, codes = case.experiment.gauges.weights, case.calibration
    if asked == "area":
        return [float(area) for area in _areas(case)]
    if asked == "record_length":
        window = case.experiment.period.calibration
        assert window is not None
        known = ~np.isnan(case.basin.discharge[case.gauges(codes)])
        return [float(count) for count in np.sum(known & case.inside(window), axis=1)]
    if asked == "equal":
        return [1.0] * len(codes)
    if without := [code for code in codes if code not in asked]:
        what = f"no weight for {', '.join(without)}, which calibrate as gauges.calibration is left out"
        raise ConfigurationError("gauges.weights", what, "Give each of them one, or name gauges.calibration.")
    return [asked[code] for code in codes]


def _areas(case: Case) -> Floats:
    """Areas of the catchments of the calibration gauges [m2]."""
    network, cells = case.basin.network, case.basin.gauges.cell[case.gauges(case.calibration)]
    return np.array([network.cell_area[network.catchment(cell)].sum() for cell in cells])


def _catchments(case: Case) -> Catchments:
    """Rain and area of the catchments of the calibration gauges, to the end of the calibration."""
    rain = catchment_means(case)["precipitation"][case.gauges(case.calibration), : case.calibration_steps]
    options = [segmentation(case.experiment, code) for code in case.calibration]
    return Catchments(rain, _areas(case), case.basin.step, options)
