"""The commands of `hydrocli`. What they need is imported when they run, so that help and completion stay quick."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

import hydrocli
from hydrocli.cli.campaign import again
from hydrocli.cli.ending import told
from hydrocli.cli.options import CONFIG, AsJson, Quiet, Sets, Target, Verbose, console_of
from hydrocli.cli.tables import show_report, show_rows

DATA, NUMERICS = 3, 4

app = typer.Typer(
    name="hydrocli",
    help="Calibrate spatially distributed flood models from the command line.",
    epilog="Exit status: 0 done, 2 usage or configuration, 3 input data, 4 numerical failure, 5 some basins failed, "
    "6 run folder held by another process, 75 stopped by a signal with a checkpoint (run again to continue), 1 a bug.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"hydrocli {hydrocli.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def calibrate(
    target: Target = CONFIG,
    sets: Sets = [],  # noqa: B006 - typer copies it
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Annotated[bool, typer.Option("--force", help="Start anew beside a run of another configuration.")] = False,
) -> None:
    """Calibrate, and write the run folder; continue where an earlier call was stopped."""
    with console_of(quiet, verbose):
        from hydrocli.commands.calibrate import calibrate as run

        show_rows(run(target, sets, force))


@app.command()
def validate(
    target: Target = CONFIG,
    sets: Sets = [],  # noqa: B006
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Score a finished run, or all of a campaign: calibration, temporal, spatial, spatio-temporal."""
    with console_of(quiet, verbose):
        if again(target, sets, "validate", as_json=as_json):
            return
        from hydrocli.commands.validate import validate as run

        show_rows(run(target, sets), as_json=as_json)


@app.command()
def signatures(
    target: Target = CONFIG,
    sets: Sets = [],  # noqa: B006
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Find flood events; compare signatures of observed and simulated discharge; of a run or of all of a campaign."""
    with console_of(quiet, verbose):
        if again(target, sets, "signatures", as_json=as_json):
            return
        from hydrocli.commands.signatures import signatures as run

        show_rows(run(target, sets), as_json=as_json)


@app.command()
def simulate(
    target: Target = CONFIG,
    sets: Sets = [],  # noqa: B006
    quiet: Quiet = False,
    verbose: Verbose = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; left out: the run folder of the YAML.")
    ] = None,
    of: Annotated[
        Path | None,
        typer.Option("--of", metavar="RUN", help="Carry structure, parameters or mapping, and networks of a run here."),
    ] = None,
) -> None:
    """Run the model once, with the parameters of the YAML or of a run."""
    with console_of(quiet, verbose):
        from hydrocli.commands.simulate import simulate as run

        run(target, sets, output, of)


@app.command()
def solvers(
    target: Target = CONFIG,
    sets: Sets = [],  # noqa: B006
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
    cell: Annotated[
        int | None,
        typer.Option("--cell", help="Number of a cell, as in domain.parquet; left out: that of the gauge."),
    ] = None,
    gauge: Annotated[
        str | None, typer.Option("--gauge", help="Code; left out: the first gauge that calibrates.")
    ] = None,
) -> None:
    """Compare schemes in time on a cell of a run: errors beside a tight reference, costs, stability."""
    with console_of(quiet, verbose):
        from hydrocli.commands.solvers import solvers as run

        show_rows(run(target, sets, cell, gauge), as_json=as_json)


@app.command()
def ingest(target: Target = CONFIG, sets: Sets = [], quiet: Quiet = False, verbose: Verbose = False) -> None:  # noqa: B006
    """Read the data of a basin into its store, or find them there."""
    with console_of(quiet, verbose):
        from hydrocli.config import is_campaign

        if is_campaign(target):
            from hydrocli.campaign.batch import ingest_campaign as run
        else:
            from hydrocli.commands.ingest import ingest as run
        run(target, sets)


@app.command()
def check(
    target: Target = CONFIG,
    sets: Sets = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Check configuration, files, grids, periods and gauges, and estimate memory and time; start nothing."""
    with told():
        from hydrocli.commands.check import check as run

        report = run(target, sets)
        show_report({key: value for key, value in report.items() if as_json or key != "problems"}, as_json=as_json)
        for problem in report["problems"]:
            typer.echo(f"error: {problem}", err=True)
        if report["problems"]:
            raise typer.Exit(DATA)


@app.command()
def gradcheck(
    target: Target = CONFIG,
    sets: Sets = [],  # noqa: B006
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Test the gradient on this very experiment: dot-products and Taylor remainders."""
    with console_of(quiet, verbose):
        from hydrocli.commands.gradcheck import gradcheck as run

        rows = run(target, sets)
        show_rows(rows)
        if not all(row["passed"] for row in rows):
            raise typer.Exit(NUMERICS)


@contextmanager
def _as_usage() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _step(text: str) -> int:
    from hydrocli.config import step_seconds

    with _as_usage():
        return step_seconds(text)


def _time(text: str) -> datetime:
    from hydrocli.config import utc

    with _as_usage():
        return utc(text)


def _time_option(words: str) -> Any:
    return typer.Option(parser=_time, metavar="TIME", help=words)


def _step_option(words: str) -> Any:
    return typer.Option(parser=_step, metavar="STEP", help=words)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Folder to write; new or empty.")],
    cells: Annotated[int, typer.Option(help="Cells of 1 km that drain through the outlet, about.")] = 60,
    gauges: Annotated[
        int | None,
        typer.Option(help="Gauges of the basin, or of each catchment of a region, outlets included (4, or 1)."),
    ] = None,
    start: Annotated[Any, _time_option("Start of the first step, UTC.")] = "2019-09-01",
    end: Annotated[Any, _time_option("End of the last step.")] = "2020-09-01",
    step: Annotated[Any, _step_option("Step of rain and discharge, 15min to 1d.")] = "1h",
    temperature_step: Annotated[Any, _step_option("Step of temperature, 1h or 1d.")] = "1d",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    noise: Annotated[float, typer.Option(help="Standard deviation of the logarithm of the observed discharge.")] = 0.1,
    gaps: Annotated[float, typer.Option(help="Share of the observations that are missing.")] = 0.02,
    encoding: Annotated[str, typer.Option(help="Flow directions as smash, esri or ldd.")] = "smash",
    region: Annotated[bool, typer.Option("--region", help="Many separate catchments in place of one basin.")] = False,
    catchments: Annotated[int, typer.Option(help="Of a region: how many.")] = 235,
    areas: Annotated[
        str, typer.Option(help="Of a region, km2: 10-300 spread over the logarithm, or a list as 12,40,300.")
    ] = "10-300",
    truth: Annotated[
        str, typer.Option(help="True parameters: functions of the descriptors, or uniform.")
    ] = "descriptors",
    law: Annotated[
        str, typer.Option(help="What makes the discharge: gr, or a law no parameter has: infiltration, exchange.")
    ] = "gr",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a synthetic basin or region with known truth, and its configuration."""
    with console_of(quiet, verbose):
        from hydrocli.commands.sample import sample as run
        from hydrocli.synthetic import SampleOptions, areas_of

        options = SampleOptions(
            start,
            end,
            cells,
            gauges or (1 if region else 4),
            step,
            temperature_step,
            seed,
            noise,
            gaps,
            encoding,
            areas_of(areas, catchments) if region else (),
            truth,
        )
        run(folder, options, law)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    with told():
        from hydrocli.config import schema as read

        typer.echo(json.dumps(read(), indent=2))


@app.command()
def init(
    file: Annotated[Path | None, typer.Argument(help="New file to write; left out: standard output.")] = None,
) -> None:
    """Write a commented YAML to start from."""
    with told():
        from hydrocli.config import initial_yaml
        from hydrocli.errors import ConfigurationError

        if file is None:
            typer.echo(initial_yaml(), nl=False)
            return
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(initial_yaml())
        except FileExistsError:
            raise ConfigurationError(str(file), "is already there", "name a new file") from None
        except OSError as error:
            raise ConfigurationError(str(file), f"cannot be written: {error.strerror}") from None


@app.command()
def clean(
    target: Annotated[
        Path, typer.Argument(help="YAML file, or folder of YAML files, whose stores are meant.")
    ] = Path(),
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove what is listed; not while a run reads its data.")
    ] = False,
    old: Annotated[bool, typer.Option("--old", help="Only what no later run will use.")] = False,
) -> None:
    """List ingested stores and compiled code, or remove them."""
    with told():
        from hydrocli.commands import clean as run

        items = [item for item in run.list_items(target) if item.state == "old" or not old]
        show_rows(
            [
                {
                    "kind": i.kind,
                    "state": i.state,
                    "created": f"{i.created:%Y-%m-%d %H:%M}",
                    "bytes": i.bytes,
                    "path": i.path,
                }
                for i in items
            ]
        )
        if remove:
            for item in items:
                run.remove(item)
            typer.echo(f"{len(items)} removed", err=True)


def main() -> None:
    """Entry point of the command `hydrocli`."""
    app()
