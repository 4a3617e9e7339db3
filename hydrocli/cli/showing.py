"""The commands that show what run folders hold; no model is needed for them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hydrocli.cli.commands import app
from hydrocli.cli.ending import told
from hydrocli.cli.options import CONFIG, Sets


class Format(StrEnum):
    """Kinds of files that a figure can become."""

    PNG = "png"
    SVG = "svg"
    PDF = "pdf"


Formats = Annotated[
    list[Format],
    typer.Option("--format", "-f", help="Kind of the files in figures/: png, svg or pdf; repeatable."),
]


def _folder(target: Path, overrides: list[str]) -> Path:
    """The run folder that a YAML names, or the target itself."""
    if target.is_dir():
        return target
    from hydrocli.config import load

    return Path(load(target, overrides).folder)


@app.command()
def report(
    targets: Annotated[
        list[Path] | None, typer.Argument(help="YAML files or run folders.", show_default=str(CONFIG))
    ] = None,
    sets: Sets = [],  # noqa: B006
    against: Annotated[Path | None, typer.Option("--against", help="A second run, drawn beside each.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; left out: the run folder. One target only.")
    ] = None,
    formats: Formats = [Format.PNG],  # noqa: B006
) -> None:
    """Write report.html, one page with all figures inside, and the figures as files."""
    targets = targets or [CONFIG]
    if output is not None and len(targets) > 1:
        raise typer.BadParameter("--output is for one target", param_hint="--output")
    with told():
        from hydrocli.report.run_page import report as make

        second = None if against is None else _folder(against, [])
        for target in targets:
            page = make(_folder(target, sets), against=second, output=output, formats=[kind.value for kind in formats])
            typer.echo(str(page))
