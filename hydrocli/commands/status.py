"""`hydrocli status`: the states of the runs of a campaign, looked up in their folders; nothing is locked or written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydrocli.config import load_campaign
from hydrocli.results.campaign import rows_of, run_locations, summary


def status(target: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """A row for each run of a campaign, and how many are in each state.

    Raises:
        HydrocliError: no campaign, or one that was never started.
    """
    campaign = load_campaign(target).campaign
    rows = rows_of(run_locations(Path(campaign.folder)), campaign.after_calibration)
    return rows, summary(rows)
