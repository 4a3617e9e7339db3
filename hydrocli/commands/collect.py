"""`hydrocli collect`: the runs of a campaign that are done, as one data set."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hydrocli.config import load_campaign, resolved_campaign
from hydrocli.errors import InputError
from hydrocli.results.campaign import rows_of, run_locations
from hydrocli.results.collection import collect as write
from hydrocli.results.collection import metadata_of

logger = logging.getLogger(__name__)


def collect(target: Path, output: Path | None) -> list[dict[str, Any]]:
    """Write the data set; median, mean and deviation of the parameters by model come back.

    Args:
        target: YAML file or folder of the campaign.
        output: folder to write; left out: `collected` in that of the campaign.

    Raises:
        InputError: no run is done, or something cannot be read or written.
    """
    campaign = load_campaign(target).campaign
    folder = Path(campaign.folder)
    there = run_locations(folder)
    rows = rows_of(there, campaign.after_calibration)
    done = [place for place, row in zip(there, rows, strict=True) if row["state"] == "done"]
    if not done:
        raise InputError(str(folder), "no run of this campaign is finished", "See `hydrocli status`.")
    target_folder = output or folder / "collected"
    metadata = {"campaign": resolved_campaign(campaign), **metadata_of(done[0])}
    made = write(done, rows, target_folder, campaign.name, metadata)
    if len(done) < len(rows):
        logger.warning(f"{len(rows) - len(done)} of {len(rows)} runs are unfinished and not included")
    counted = ", ".join(f"{count} rows of {table}" for table, count in made.rows.items())
    logger.info(f"{target_folder}: {made.runs} runs, {counted}")
    return made.summary
