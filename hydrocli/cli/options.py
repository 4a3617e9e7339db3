"""Arguments and options that several commands share, and the console that they speak through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hydrocli.cli.ending import told

Target = Annotated[Path, typer.Argument(help="YAML file, or run folder.", show_default=True)]
Sets = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as optimiser.iterations=20; repeatable."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on standard error but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="More on standard error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Results as JSON, for machines.")]

CONFIG = Path("config.yaml")


@contextmanager
def console_of(quiet: bool, verbose: bool) -> Iterator[None]:
    """Show what a command says; what ends the command is told, and a signal ends it cleanly."""
    from hydrocli.execution.progress import Console
    from hydrocli.execution.signals import stopped_at_once

    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other")
    with told(), stopped_at_once(), Console(quiet=quiet, verbose=verbose):
        yield
