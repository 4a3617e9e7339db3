"""The commands that show what run folders hold; no model is needed for them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hydrocli.cli.commands import app
from hydrocli.cli.ending import told
from hydrocli.cli.options import CONFIG, AsJson, Sets, Target
from hydrocli.cli.tables import show_rows


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


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(help="Run folders, or quoted patterns of them, as 'runs/*'.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for compare.html, comparison.parquet and figures/.")
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", "-m", help="Score that the table shows: nse, kge, rmse ...")
    ] = "nse",
    formats: Formats = [Format.PNG],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Compare the scores of runs by model and scenario; median and quartiles, and the figures of the papers."""
    with told():
        from hydrocli.errors import ConfigurationError
        from hydrocli.report.comparison import at_a_glance
        from hydrocli.report.comparison_page import FILE
        from hydrocli.report.comparison_page import compare as run

        rows, notes = run(runs, output=output, formats=[kind.value for kind in formats])
        for note in notes:
            typer.echo(note, err=True)
        metrics = sorted({row["metric"] for row in rows})
        if metric not in metrics:
            raise ConfigurationError("--metric", f"{metric} is not among {', '.join(metrics)}")
        title = f"{metric}: median [quartiles] (number of values)"
        show_rows(rows if as_json else at_a_glance(rows, metric), as_json=as_json, title=title)
        if output is not None:
            typer.echo(f"the page is {output / FILE}", err=True)
        else:
            typer.echo("--output FOLDER writes the page, its figures and the table", err=True)


class To(StrEnum):
    """Formats of other programs."""

    GEOPACKAGE = "geopackage"
    NETCDF = "netcdf"


@app.command()
def export(
    target: Target = CONFIG,
    to: Annotated[To, typer.Option("--to", help="geopackage: gauges with scores, network; netcdf: discharge.")] = (
        To.GEOPACKAGE
    ),
    sets: Sets = [],  # noqa: B006
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; left out: map.gpkg or discharge.nc in the run."),
    ] = None,
) -> None:
    """Write gauges and network as GeoPackage, or discharge as CF NetCDF."""
    with told():
        from hydrocli.results import read
        from hydrocli.results.export import export as run

        typer.echo(str(run(read(_folder(target, sets)), to.value, output)))
