"""The commands that show what run folders and pages hold; no model is needed for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hydrocli.cli import options
from hydrocli.cli.app import Call, command
from hydrocli.cli.options import CONFIG, Target

FIGURES = ("png", "svg", "pdf")
METRICS = ("nse", "nnse", "log_nse", "kge", "rmse", "mae", "pbias", "peak_ratio")
EXPORTS = ("geopackage", "netcdf")


def _figures(texts: list[str] | None) -> list[str]:
    from hydrocli.errors import ConfigurationError

    for text in texts or ():
        if text not in FIGURES:
            raise ConfigurationError("--format", f"{text!r} is not one of: {', '.join(FIGURES)}")
    return list(dict.fromkeys(texts or ["png"]))


Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        "-f",
        metavar="|".join(FIGURES),
        help="File type in figures/; repeatable; default: png.",
        autocompletion=options.among(FIGURES),
    ),
]


def _folder(target: Path, overrides: list[str]) -> Path:
    """The run folder that a YAML names, or the target itself.

    Raises:
        ConfigurationError: the target is a campaign.
    """
    from hydrocli.config import is_campaign, load

    if is_campaign(target):
        from hydrocli.errors import ConfigurationError

        where = target if target.is_dir() else "FOLDER"
        remedy = f"Compare its runs: `hydrocli compare '{where}/*/*'`, or name the folder of one of them."
        raise ConfigurationError(str(target), "is a campaign, not a run", remedy)
    if target.is_dir():
        return target

    return Path(load(target, overrides).folder)


@command(
    "Results",
    shared=("sets", "json"),
    examples=("hydrocli report runs/cance", "hydrocli report runs/node --against runs/gr --format svg"),
    exit_codes=(0, 2, 3),
)
def report(
    call: Call,
    targets: Annotated[
        list[Path] | None,
        typer.Argument(metavar="TARGET", help="YAML files or run folders.", show_default=str(CONFIG)),
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="RUN", help="A second run, drawn beside each.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write; default: the run folder."),
    ] = None,
    formats: Formats = None,
) -> None:
    """Write report.html, one page with all figures inside, and the figures as files."""
    targets, kinds = targets or [CONFIG], _figures(formats)
    if output is not None and len(targets) > 1:
        raise typer.BadParameter("is for one target only", param_hint="--output")
    from hydrocli.report.run_page import report as make

    second = None if against is None else _folder(against, [])
    for target in targets:
        page = make(_folder(target, call.sets), against=second, output=output, formats=kinds)
        _show_file(call, page)


def _show_file(call: Call, path: Path) -> None:
    if call.as_json:
        call.show([{"file": path}])
    else:
        typer.echo(str(path))


@command(
    "Results",
    shared=("json",),
    examples=("hydrocli compare 'runs/*'", "hydrocli compare runs/gr runs/node --metric kge --output comparison"),
    exit_codes=(0, 2, 3),
)
def compare(
    call: Call,
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Run folders, or quoted patterns of them, as 'runs/*'.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder for compare.html, comparison.parquet and figures/."
        ),
    ] = None,
    metric: Annotated[
        Any,
        options.choice("--metric", "-m", metavar="NAME", help=f"Score in the table: {', '.join(METRICS)}.", of=METRICS),
    ] = "nse",
    formats: Formats = None,
) -> None:
    """Compare the scores of runs by model and scenario: median and quartiles, and the figures of the papers."""
    kinds = _figures(formats)
    from hydrocli.errors import ConfigurationError
    from hydrocli.report.comparison import at_a_glance
    from hydrocli.report.comparison_page import FILE
    from hydrocli.report.comparison_page import compare as run

    rows, notes = run(runs, output=output, formats=kinds)
    for note in notes:
        typer.echo(note, err=True)
    metrics = sorted({row["metric"] for row in rows})
    if metric not in metrics:
        raise ConfigurationError("--metric", f"{metric} is not among {', '.join(metrics)}")
    title = f"{metric}: median [quartiles] (number of values)"
    call.show(rows if call.as_json else at_a_glance(rows, metric), title=title)
    if output is not None:
        typer.echo(f"The page is {output / FILE}.", err=True)
    else:
        typer.echo("--output FOLDER writes the page, its figures and the table.", err=True)


@command(
    "Results",
    shared=("sets", "json"),
    examples=("hydrocli export runs/cance", "hydrocli export runs/cance --to netcdf --output q.nc"),
    exit_codes=(0, 2, 3),
)
def export(
    call: Call,
    target: Target = CONFIG,
    to: Annotated[
        Any,
        options.choice(
            "--to", help="geopackage: gauges with scores, and river network; netcdf: discharge.", of=EXPORTS
        ),
    ] = "geopackage",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write; default: map.gpkg or discharge.nc in the run folder."
        ),
    ] = None,
) -> None:
    """Write gauges and river network as GeoPackage, or discharge as CF NetCDF."""
    from hydrocli.results import read
    from hydrocli.results.export import export as run

    _show_file(call, run(read(_folder(target, call.sets)).require_whole(), to, output))


@command(
    "Configuration and help",
    shared=(),
    examples=("hydrocli docs", "hydrocli docs tutorial"),
    exit_codes=(0, 2),
    loads=False,
)
def docs(
    call: Call,
    topic: Annotated[
        str | None,
        typer.Argument(
            metavar="TOPIC",
            help="Name of a page; default: list the pages.",
            autocompletion=options.among(lambda: list(pages())),
        ),
    ] = None,
) -> None:
    """Show a page of the documentation, or list the pages."""
    import os
    import sys

    from hydrocli.errors import ConfigurationError

    found = pages()
    if topic is None:
        width = max(map(len, found), default=0)
        for name, path in found.items():
            typer.echo(f"{name:<{width}}  {_title(path)}")
        return
    if topic not in found:
        raise ConfigurationError(topic, "is not a page of the documentation", f"Pages: {', '.join(found)}.")
    text = found[topic].read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        typer.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    os.environ.setdefault("LESS", "-FRX")  # as git does: colours, and no pager for what fits the screen
    console = Console()
    with console.pager(styles=True):
        console.print(Markdown(text))


def pages() -> dict[str, Path]:
    """The pages of the documentation by name, in alphabetical order."""
    return {path.stem: path for path in sorted((Path(__file__).parents[1] / "docs").glob("*.md"))}


def _title(path: Path) -> str:
    """First line of text of a page, without the marks of a heading."""
    lines = (line.strip("# \n") for line in path.read_text(encoding="utf-8").splitlines())
    return next((line for line in lines if line), "")
