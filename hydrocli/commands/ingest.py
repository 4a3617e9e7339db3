"""`hydrocli ingest`: build the store of a basin, or find it."""

from __future__ import annotations

from pathlib import Path

from hydrocli.config import load
from hydrocli.execution.progress import Console
from hydrocli.experiment.setup import ingested


def ingest(target: Path, overrides: list[str], console: Console) -> None:
    """Read the data of a basin into its store, unless they are there.

    Raises:
        HydrocliError: everything wrong with the data.
    """
    experiment = load(target, overrides)
    basin = ingested(experiment, console)
    store = Path(experiment.forcing.store) / basin.fingerprint
    console.note(
        f"{store}: {len(basin.network)} cells, {len(basin.times)} steps, {len(basin.gauges.code)} gauges, "
        f"{sum(file.stat().st_size for file in store.iterdir()) / 1e6:.1f} MB"
    )
