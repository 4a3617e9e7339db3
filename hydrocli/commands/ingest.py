"""`hydrocli ingest`: build the store of a basin, or find it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hydrocli.basin.plausibility import overview, read_figures
from hydrocli.config import load
from hydrocli.experiment.setup import ingested

logger = logging.getLogger(__name__)


def ingest(target: Path, overrides: list[str]) -> list[dict[str, Any]]:
    """Read the data of a basin into its store, unless they are there.

    Returns:
        One row: the store, the numbers of cells, steps and gauges in it, and rows of the plausibility of gauges.

    Raises:
        HydrocliError: everything wrong with the data.
    """
    experiment = load(target, overrides)
    basin = ingested(experiment)
    store = Path(experiment.forcing.store) / basin.fingerprint
    size = sum(file.stat().st_size for file in store.iterdir()) / 1e6
    cells, steps, gauges = len(basin.network), len(basin.times), len(basin.gauges.code)
    logger.info(f"{store}: {cells} cells, {steps} steps, {gauges} gauges, {size:.1f} MB")
    row = {"store": store, "cells": cells, "steps": steps, "gauges": gauges, "size_mb": size}
    return [row | {"plausibility": overview(read_figures(store).gauges)}]
