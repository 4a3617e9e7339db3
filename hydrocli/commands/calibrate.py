"""`hydrocli calibrate`: one run folder from first guess to final simulation, stopped and continued at will."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydrocli.config import load
from hydrocli.experiment.calibrate import calibrate_experiment
from hydrocli.experiment.ensemble import members, spread
from hydrocli.experiment.summary import calibrated_parameters, calibration_scores

NEEDS = ("gauges.discharge", "period.calibration")


def calibrate(
    target: Path, overrides: list[str], force: bool = False
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Calibrate, or continue, or find nothing to do.

    Args:
        target: YAML file or run folder.
        overrides: `section.key=value` texts.
        force: start anew beside a run of another configuration.

    Returns:
        A row for each calibration gauge with its scores, and one for each calibrated parameter, of an ensemble with
        medians and extremes over its members; none where there was nothing to do.

    Raises:
        HydrocliError: see `hydrocli.errors`; `Stopped` when a signal came and the same command continues.
    """
    experiment = load(target, overrides, NEEDS)
    scores = calibrate_experiment(experiment, force)
    if not scores:
        return [], []
    folder = Path(experiment.folder)
    if experiment.regional.basins:
        return [{"gauge": code, "nse": score} for code, score in scores.items()], calibrated_parameters(folder)
    every = [folder, *(Path(member.folder) for member in members(experiment))]
    return (
        spread([calibration_scores(one) for one in every], ("gauge",), ("nse", "kge")),
        spread([calibrated_parameters(one) for one in every], ("parameter", "lower_bound", "upper_bound"), ("mean",)),
    )
