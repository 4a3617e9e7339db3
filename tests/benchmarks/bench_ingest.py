"""Cold ingestion of Cance beside the peer's reading of the same files, and how it grows with files and workers."""

from __future__ import annotations

import statistics

from bench_worker import AbsentError, Answer, Contestant
from rich.console import Console
from rich.table import Table

ENDS = {"quarter": "2014-10-15", "half": "2014-11-15", "all": "2015-01-15"}
BAR = 3.0
ROUNDS = 3


def ingest(console: Console) -> dict[str, object]:
    """Print the table; returns its medians.

    Both read rain, evapotranspiration, discharge and descriptors; hydrocli also cuts its network out of the flow
    directions of France and writes its store, the peer is given its mesh. The archive is in the page cache for both:
    what is cold is the store.
    """
    try:
        peer = Contestant("smash reading")
    except AbsentError as absent:
        console.print(f"[yellow]{absent}, whose wheel holds the archive of Cance: ingestion is left out.[/]")
        return {}
    with peer, Contestant("hydrocli reading", folder=peer.about["folder"]) as ours:
        rows = {name: _turns(ours, peer, end) for name, end in ENDS.items()}
    columns = (
        "files",
        "steps",
        "hydrocli s",
        "two workers s",
        "smash s",
        "its rain alone s",
        "smash / hydrocli",
        "asked",
    )
    table = Table(*columns, title="ingestion of Cance, cold store: wall time, medians", title_justify="left")
    for name, row in rows.items():
        ratio = row["smash"]["wall"] / row["hydrocli"]["wall"]
        holds = "[green]yes[/]" if ratio >= BAR else "[red]no[/]"
        verdict = f">= {BAR:g} {holds}" if name == "all" else ""
        walls = [f"{row[who]['wall']:.2f}" for who in ("hydrocli", "two workers", "smash", "rain alone")]
        table.add_row(name, str(row["hydrocli"]["steps"]), *walls, f"{ratio:.2f}", verdict)
    console.print(table)
    return rows


def _turns(ours: Contestant, peer: Contestant, end: str) -> dict[str, Answer]:
    """Medians of each, asked in turns; the first turn only brings the files into the page cache."""
    asked = {
        "hydrocli": lambda: ours.ask("read", end=end, workers=1),
        "two workers": lambda: ours.ask("read", end=end, workers=2),
        "smash": lambda: peer.ask("read", end=end),
        "rain alone": lambda: peer.ask("read", end=end, rain_only=True),
    }
    turns = [{who: ask() for who, ask in asked.items()} for _ in range(1 + ROUNDS)][1:]
    medians = {
        who: {clock: statistics.median(t[who][clock] for t in turns) for clock in ("wall", "cpu")} for who in asked
    }
    medians["hydrocli"]["steps"] = turns[0]["hydrocli"]["steps"]
    return medians
