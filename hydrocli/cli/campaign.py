"""The commands for campaigns: many runs from one file."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hydrocli.cli import options
from hydrocli.cli.app import Call, command
from hydrocli.cli.options import CAMPAIGN, Campaign
from hydrocli.cli.tables import show_rows

SECONDS_BETWEEN_LOOKS = 2.0
SHOWN = 40
"""Rows of a table of states on a terminal, unless all are asked for."""


def _structures() -> list[str]:
    from hydrocli.structures.structure import kinds

    return [*kinds(), "lstm"]


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"{text!r} is not of the form I/N with 1 <= I <= N")
    return int(match[1]), int(match[2])


@command(
    "Campaigns",
    shared=("sets", "force", "json", "quiet", "verbose"),
    force="Archive existing runs of another configuration and start over.",
    examples=("hydrocli batch campaign.yaml --workers 8", "hydrocli batch campaign.yaml --shard 1/10"),
    exit_codes=(0, 2, 3, 5, 6, 75),
)
def batch(
    call: Call,
    target: Campaign = CAMPAIGN,
    workers: Annotated[
        Any, options.value("--workers", "-n", metavar="N", help="Processes; overrides the file.", of=options.count)
    ] = None,
    shard: Annotated[
        Any,
        options.value(
            metavar="I/N", help="Part I of N; default: SLURM_ARRAY_TASK_ID of SLURM_ARRAY_TASK_COUNT.", of=_shard
        ),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Also run again what has failed.")] = False,
) -> None:
    """Run every catchment-model combination of a campaign that is not finished yet."""
    from hydrocli.campaign.batch import Options
    from hydrocli.campaign.batch import batch as run
    from hydrocli.campaign.slurm import shard_of_environment

    asked = Options(workers, shard or shard_of_environment(), retry, call.force)
    rows = run(target, call.sets, asked)
    if call.as_json:
        call.show(rows)


def again(call: Call, target: Path, step: str) -> bool:
    """Do a step that follows a calibration for all runs of a campaign; whether the target is one."""
    from hydrocli.config import is_campaign

    if not is_campaign(target):
        return False
    from hydrocli.campaign.batch import Options
    from hydrocli.campaign.batch import batch as run
    from hydrocli.campaign.slurm import shard_of_environment

    rows = run(target, call.sets, Options(shard=shard_of_environment(), steps=(step,)))
    if call.as_json:
        call.show(rows)
    return True


@command(
    "Campaigns",
    shared=("json",),
    examples=("hydrocli status campaign.yaml --watch", "hydrocli status campaign.yaml --all --json"),
    exit_codes=(0, 2, 3),
)
def status(
    call: Call,
    target: Campaign = CAMPAIGN,
    every: Annotated[bool, typer.Option("--all", help="All runs, not only those that run or have failed.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every 2 s until all is done.")] = False,
) -> None:
    """Show the state of each run of a campaign, during it or afterwards."""
    from hydrocli.commands.status import status as run

    while True:
        rows, counted = run(target)
        if watch:
            typer.echo("\033[2J\033[H", nl=False)
        if call.as_json:
            call.show(rows)
        else:
            _show_states(rows, counted, every)
        if not watch or not (counted["running"] or counted["waiting"] or counted["stopped"]):
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _show_states(rows: Sequence[Mapping[str, Any]], counted: Mapping[str, int], every: bool) -> None:
    columns = ("model", "item", "state", "seconds", "cost", "nse", "attempts", "cells", "reason")
    wanted = [dict(row) for row in rows if every or row["state"] not in ("done", "waiting")]
    shown = [row | {"reason": ""} if row["state"] == "done" else row for row in wanted]
    show_rows([{name: row[name] for name in columns} for row in (shown if every else shown[:SHOWN])])
    if len(wanted) > SHOWN and not every:
        typer.echo(f"... and {len(wanted) - SHOWN} more: --all shows them")
    typer.echo(", ".join(f"{number} {state}" for state, number in counted.items() if number))


@command(
    "Campaigns",
    shared=("json", "quiet", "verbose"),
    examples=("hydrocli collect campaign.yaml", "hydrocli collect campaign.yaml --output tables"),
    exit_codes=(0, 2, 3),
)
def collect(
    call: Call,
    target: Campaign = CAMPAIGN,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder to write; default: collected, in the campaign's."
        ),
    ] = None,
) -> None:
    """Write one Parquet data set of all finished runs: scores, signatures, parameters, discharge."""
    from hydrocli.commands.collect import collect as run

    call.show(run(target, output))


@command(
    "Campaigns",
    shared=("sets",),
    examples=("hydrocli slurm-script campaign.yaml > job.sh && sbatch job.sh",),
    exit_codes=(0, 2),
    loads=False,
)
def slurm_script(call: Call, target: Campaign = CAMPAIGN) -> None:
    """Print a script for sbatch: an array of jobs that share a campaign, stop in time and are queued again."""
    from hydrocli.campaign.slurm import slurm_script as run

    typer.echo(run(target, call.sets), nl=False)


@command(
    "Checks and maintenance",
    shared=("json", "quiet", "verbose"),
    examples=("hydrocli precompile", "hydrocli precompile --structure gr --precision double"),
    exit_codes=(0, 2),
)
def precompile(
    call: Call,
    structure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Structure; repeatable; default: all.",
            autocompletion=options.among(_structures),
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="double or single; repeatable; default: both.",
            autocompletion=options.among(("double", "single")),
        ),
    ] = None,
) -> None:
    """Compile the model code that later runs on this machine will need. Takes some minutes, once."""
    from hydrocli.commands.precompile import precompile as run

    call.show(run(structure or [], precision or []))
