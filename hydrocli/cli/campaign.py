"""The commands for campaigns: many runs from one file."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from hydrocli.cli.ending import told
from hydrocli.cli.options import AsJson, Quiet, Sets, Verbose, console_of
from hydrocli.cli.tables import show_rows

CAMPAIGN = Path("campaign.yaml")
SECONDS_BETWEEN_LOOKS = 2.0
SHOWN = 40
"""Rows of a table of states on a terminal, unless all are asked for."""

Campaign = Annotated[Path, typer.Argument(help="YAML file or folder of a campaign.", show_default=True)]


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise typer.BadParameter(f"{text!r} is not of the form i/n, with 1 <= i <= n")
    return int(match[1]), int(match[2])


def batch(
    target: Campaign = CAMPAIGN,
    sets: Sets = [],  # noqa: B006 - typer copies it
    quiet: Quiet = False,
    verbose: Verbose = False,
    workers: Annotated[
        int | None, typer.Option("--workers", "-n", min=1, help="Processes; overrides the file.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="This part of N; left out: SLURM_ARRAY_TASK_ID of SLURM_ARRAY_TASK_COUNT."),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Also runs that have failed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start anew beside runs of another configuration.")] = False,
    as_json: AsJson = False,
) -> None:
    """Calibrate every catchment with every model; do what is missing, skip what is done."""
    part = _shard(shard) if shard else None
    with console_of(quiet, verbose):
        from hydrocli.campaign.batch import Options
        from hydrocli.campaign.batch import batch as run
        from hydrocli.campaign.slurm import shard_of_environment

        options = Options(workers, part or shard_of_environment(), retry, force)
        rows = run(target, sets, options)
        if as_json:
            show_rows(rows, as_json=True)


def again(target: Path, sets: list[str], step: str, *, as_json: bool) -> bool:
    """Do a step that follows a calibration for all runs of a campaign; whether the target is one."""
    from hydrocli.config import is_campaign

    if not is_campaign(target):
        return False
    from hydrocli.campaign.batch import Options
    from hydrocli.campaign.batch import batch as run
    from hydrocli.campaign.slurm import shard_of_environment

    rows = run(target, sets, Options(shard=shard_of_environment(), steps=(step,)))
    if as_json:
        show_rows(rows, as_json=True)
    return True


def status(
    target: Campaign = CAMPAIGN,
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Every run, not only those that are not done.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every other second, until Ctrl-C.")] = False,
) -> None:
    """Show in which state the runs of a campaign are, from any terminal, while it goes on or after."""
    with told():
        from hydrocli.campaign.status import status as run

        while True:
            rows, counted = run(target)
            if watch:
                typer.echo("\033[2J\033[H", nl=False)
            if as_json:
                show_rows(rows, as_json=True)
            else:
                _show_states(rows, counted, every)
            if not watch or not (counted["running"] or counted["waiting"] or counted["stopped"]):
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _show_states(rows: list[dict[str, Any]], counted: dict[str, int], every: bool) -> None:
    columns = ("model", "item", "state", "seconds", "cost", "nse", "attempts", "cells", "reason")
    wanted = [row for row in rows if every or row["state"] not in ("done", "waiting")]
    shown = [row | {"reason": ""} if row["state"] == "done" else row for row in wanted]
    show_rows([{name: row[name] for name in columns} for row in (shown if every else shown[:SHOWN])])
    if len(wanted) > SHOWN and not every:
        typer.echo(f"... and {len(wanted) - SHOWN} more: --all shows them")
    typer.echo(", ".join(f"{number} {state}" for state, number in counted.items() if number))


def collect(
    target: Campaign = CAMPAIGN,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; left out: collected, in the campaign's.")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Write one Parquet data set of all runs that are done: scores, signatures, parameters, discharge."""
    with console_of(quiet, verbose):
        from hydrocli.campaign.collect import collect as run

        show_rows(run(target, output), as_json=as_json)


def slurm_script(target: Campaign = CAMPAIGN, sets: Sets = []) -> None:  # noqa: B006
    """Print a script for sbatch: an array of jobs that share a campaign, stop in time and are queued again."""
    with told():
        from hydrocli.campaign.slurm import slurm_script as run

        typer.echo(run(target, sets), nl=False)


def warmup(
    structure: Annotated[
        list[str] | None, typer.Option(help="gr, grnn, ode or node; repeatable; left out: all of them.")
    ] = None,
    precision: Annotated[list[str] | None, typer.Option(help="double or single; repeatable; left out: both.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compile once what later runs on this machine will need."""
    with console_of(quiet, verbose):
        from hydrocli.commands.warmup import warmup as run

        show_rows(run(structure or [], precision or []))


def add_to(app: typer.Typer) -> None:
    """Make these commands of an application."""
    for command in (batch, status, collect, slurm_script, warmup):
        app.command(command.__name__.replace("_", "-"))(command)
