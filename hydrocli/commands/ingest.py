"""`hydrocli ingest`: build the store of a basin, or find it."""

from __future__ import annotations

import logging
from pathlib import Path

from hydrocli.config import load
from hydrocli.experiment.setup import ingested

logger = logging.getLogger(__name__)


def ingest(target: Path, overrides: list[str]) -> None:
    """Read the data of a basin into its store, unless they are there.

    Raises:
        HydrocliError: everything wrong with the data.
    """
    experiment = load(target, overrides)
    basin = ingested(experiment)
    store = Path(experiment.forcing.store) / basin.fingerprint
    logger.info(
        f"{store}: {len(basin.network)} cells, {len(basin.times)} steps, {len(basin.gauges.code)} gauges, "
        f"{sum(file.stat().st_size for file in store.iterdir()) / 1e6:.1f} MB"
    )
