"""`hydrocli calibrate`: one run folder from first guess to final simulation, stopped and continued at will."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydrocli.config import load
from hydrocli.experiment.calibrate import calibrate_experiment

NEEDS = ("gauges.discharge", "period.calibration")


def calibrate(target: Path, overrides: list[str], force: bool = False) -> list[dict[str, Any]]:
    """Calibrate, or continue, or find nothing to do.

    Args:
        target: YAML file or run folder.
        overrides: `section.key=value` texts.
        force: start anew beside a run of another configuration.

    Returns:
        A row for each calibration gauge with its NSE; none where there was nothing to do.

    Raises:
        HydrocliError: see `hydrocli.errors`; `Stopped` when a signal came and the same command continues.
    """
    scores = calibrate_experiment(load(target, overrides, NEEDS), force)
    return [{"gauge": code, "nse": score} for code, score in scores.items()]
