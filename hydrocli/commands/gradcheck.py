"""`hydrocli gradcheck`: tests of the gradient on the user's own experiment, in double precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydrocli.config import load
from hydrocli.experiment.gradient_check import check_gradient
from hydrocli.experiment.setup import CalibrationSetup, announce_compilation, ingested

NEEDS = ("gauges.discharge", "period.calibration")


def gradcheck(target: Path, overrides: list[str]) -> list[dict[str, Any]]:
    """Rows of tests: what was compared, both values, the error, its bound, and whether it passed."""
    experiment = load(target, [*overrides, "execution.precision=double"], NEEDS)
    announce_compilation()
    return check_gradient(CalibrationSetup(experiment, ingested(experiment)))
