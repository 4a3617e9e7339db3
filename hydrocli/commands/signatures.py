"""`hydrocli signatures`: flood events of the observed discharge, signatures of observed and simulated discharge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydrocli.config import load
from hydrocli.experiment.signatures import signatures_experiment

Row = dict[str, Any]


def signatures(target: Path, overrides: list[str]) -> list[Row]:
    """Write events.parquet and signatures.parquet; a summary of each gauge and period comes back.

    Of a regional calibration each basin has its own tables; the name of the basin stands before its rows.

    Raises:
        InputError: the run is missing or not finished.
    """
    return signatures_experiment(load(target, overrides))
