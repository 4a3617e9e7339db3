"""`hydrocli validate`: scores of a finished run in the four scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydrocli.config import load
from hydrocli.experiment.scores import validate_experiment

Row = dict[str, Any]


def validate(target: Path, overrides: list[str]) -> list[Row]:
    """Write scores.parquet; one row per gauge and period, with every metric, comes back.

    Of a regional calibration each basin has its own table; the name of the basin stands before its rows.

    Raises:
        InputError: the run is missing or not finished.
    """
    return validate_experiment(load(target, overrides))
