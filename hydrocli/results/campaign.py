"""The folder of a campaign: its runs and their states, as read from the run folders.

`campaign.parquet` is built from the manifests of the run folders whenever it is written or shown. Its own content is
the list of runs only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydrocli.errors import InputError
from hydrocli.files import os_errors_as_input_errors
from hydrocli.results.folder import MANIFEST, Manifest, RunFolder, Status, parts_of, read_manifest, status
from hydrocli.results.schemas import RUN, TABLES, Column, Table
from hydrocli.results.write import write_table
from hydrocli.run_format import missing_files

CAMPAIGN = Table(
    "campaign",
    "the runs of a campaign and their states",
    (
        RUN,
        Column("model", "text", "name of the model"),
        Column("item", "text", "code of the catchment"),
        Column("state", "text", "waiting, running, stopped, failed or done"),
        Column("reason", "text", "how it ended, or the process that computes it"),
        Column("seconds", "float", "wall time so far, all parts", "s", "not started"),
        Column("cost", "float", "cost at the end of the calibration", "-", "not calibrated"),
        Column("nse", "float", "NSE of the calibration, mean of its gauges", "-", "not calibrated"),
        Column("attempts", "integer", "number of starts"),
        Column("cells", "integer", "number of cells of the basin", "", "not simulated"),
        Column("steps", "integer", "number of time steps", "", "not simulated"),
        Column("evaluations", "integer", "number of evaluations of the cost", "", "not calibrated"),
        Column("host", "text", "host of the last start", "", "not started"),
        Column("updated", "text", "last change of its manifest (UTC)", "", "not started"),
    ),
    "batch",
)

Row = dict[str, Any]
FOLDER_NAME = re.compile(r"\w[\w.\-]*")
FAILED_STEP = "{step} failed: "
"""Start of the warning in the manifest about a failed command after the calibration."""
PRODUCTS = {"validate": "scores", "signatures": "signatures"}
"""Table that a command after the calibration writes."""


@dataclass(frozen=True)
class RunLocation:
    """Model, catchment and folder of a run of a campaign."""

    model: str
    item: str
    folder: Path


def run_locations(campaign: Path) -> list[RunLocation]:
    """The runs of a campaign, as its table has them; those that have begun where the disk was too full for a table.

    Raises:
        InputError: there is neither table nor run, the table cannot be read, or a name in it is not a folder name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = campaign / CAMPAIGN.file
    begun = [] if path.exists() else sorted(campaign.glob(f"*/*/{MANIFEST}"))
    if begun:
        return [RunLocation(file.parent.parent.name, file.parent.name, file.parent) for file in begun]
    if not path.exists():
        raise InputError(str(campaign), f"has no {CAMPAIGN.file}", "Run `hydrocli batch` first.")
    try:
        with os_errors_as_input_errors(path, "cannot be read"):
            table = pq.ParquetFile(path).read(columns=["model", "item"])
        rows = table.to_pylist()
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(
            str(path), "is not a readable Parquet file", "Remove it and run `hydrocli batch` again."
        ) from error
    odd = [name for row in rows for name in row.values() if not FOLDER_NAME.fullmatch(str(name))]
    if odd:  # the table may be manipulated, and `collect` creates folders with these names
        raise InputError(
            str(path),
            f"lists a run {odd[0]!r}, which is not a valid folder name",
            "Remove the file, then run `hydrocli batch` again.",
        )
    return [RunLocation(row["model"], row["item"], campaign / row["model"] / row["item"]) for row in rows]


def rows_of(wanted: Iterable[RunLocation], steps: Sequence[str]) -> list[Row]:
    """A row for each run, from its folder; `steps` are the commands after the calibration."""
    return [_row(place, steps) for place in wanted]


def write_campaign(campaign: Path, rows: Sequence[Row], name: str) -> None:
    """Write `campaign.parquet`.

    Raises:
        InputError: it cannot be written.
    """
    names = [column.name for column in CAMPAIGN.columns if column.name != "run"]
    columns: Mapping[str, Any] = {name: [row[name] for row in rows] for name in names}
    write_table(campaign, CAMPAIGN, columns, run=name)


def mark(folder: Path, run: str, steps: Sequence[str], sentence: str, *, started: bool = True) -> None:
    """Record the failure of a run that could not do so itself: its worker was killed, or it was never started.

    A finished calibration remains finished; the failure then concerns the first missing one of the `steps` after it.

    Raises:
        HydrocliError: another process holds the folder by now, or it cannot be written.
    """
    with RunFolder.open(folder, run) as owned:
        if owned.manifest.state == "finished":
            missing = steps_lacking(folder, steps)
            owned.warn((FAILED_STEP.format(step=missing[0]) if missing else "") + sentence)
            return
        if not started:
            owned.start()
        owned.log("failed", "error", sentence=sentence)
        owned.update(state="failed", ending=sentence)


def steps_lacking(folder: Path, steps: Sequence[str]) -> list[str]:
    """The steps whose tables are missing, or older than the discharge."""
    discharge = folder / TABLES["discharge"].file
    if not discharge.exists():
        return list(steps)
    made = discharge.stat().st_mtime_ns
    products = {step: folder / TABLES[PRODUCTS[step]].file for step in steps}
    return [step for step, path in products.items() if not path.exists() or path.stat().st_mtime_ns < made]


def _row(place: RunLocation, steps: Sequence[str]) -> Row:
    row: Row = {column.name: None for column in CAMPAIGN.columns if column.name != "run"}
    row |= {"model": place.model, "item": place.item, "state": "waiting", "reason": "", "attempts": 0}
    if not (place.folder / MANIFEST).exists():
        return row
    try:
        manifest, now = read_manifest(place.folder), status(place.folder)
    except InputError as error:
        return row | {"state": "failed", "reason": str(error)}
    state, reason = _state(place.folder, now, manifest, steps)
    if now.holder:
        state, reason = "running", f"on {now.holder}"
    counts = manifest.counts
    whole = {name: _whole(counts.get(name)) for name in ("cells", "steps", "evaluations")}
    return (
        row
        | whole
        | {
            "state": state,
            "reason": reason,
            "seconds": sum(manifest.timings[part] for part in parts_of(manifest.timings)),
            "cost": counts.get("cost"),
            "nse": counts.get("nse"),
            "attempts": int(counts.get("starts", 0)),
            "host": manifest.host,
            "updated": manifest.updated,
        }
    )


def _state(folder: Path, now: Status, manifest: Manifest, steps: Sequence[str]) -> tuple[str, str]:
    state, ending, warnings, files = now.state, now.ending, manifest.warnings, manifest.files
    if state != "finished":
        return {"created": "waiting"}.get(state, state), ending
    products = {TABLES[PRODUCTS[step]].file for step in steps}  # these are made again
    damaged = [f"{name} {what}" for name, what in missing_files(folder, files).items() if name not in products]
    if damaged:
        return "failed", "; ".join(damaged)
    missing = steps_lacking(folder, steps)
    for step in missing:
        details = [warning for warning in warnings if warning.startswith(FAILED_STEP.format(step=step))]
        if details:
            return "failed", details[-1]
    return ("stopped", f"calibrated; not yet done: {', '.join(missing)}") if missing else ("done", ending)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def summary(rows: Sequence[Row]) -> dict[str, int]:
    """Number of runs in each state."""
    states = ("done", "running", "waiting", "stopped", "failed")
    return {state: sum(row["state"] == state for row in rows) for state in states}
