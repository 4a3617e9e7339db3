"""The commands of one run and of its data. What they need is imported when they run, so that help stays quick."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hydrocli.cli import options
from hydrocli.cli.app import Call, command
from hydrocli.cli.options import CONFIG, RunOrCampaign, Target
from hydrocli.cli.tables import show_report
from hydrocli.errors import InputError, NumericalError

ALL_SHARED = ("sets", "threads", "json", "quiet", "verbose")
COMPUTES = (0, 2, 3, 4, 6)


@command(
    "Calibration",
    shared=("sets", "threads", "force", "json", "quiet", "verbose"),
    examples=(
        "hydrocli calibrate config.yaml",
        "hydrocli calibrate config.yaml --set optimiser.iterations=20 --threads 4",
        "hydrocli calibrate config.yaml --set structure.kind=ode --set folder=runs/ode",
    ),
    exit_codes=(*COMPUTES, 75),
)
def calibrate(call: Call, target: Target = CONFIG) -> None:
    """Calibrate, and write the run folder.

    A calibration that was stopped continues where it was. A finished one is left alone.
    """
    from hydrocli.commands.calibrate import calibrate as run

    scores, parameters = run(target, call.sets, call.force)
    call.show(scores)
    if not call.as_json:
        call.show(parameters, title="\nCalibrated parameters over the calibrated cells")


@command(
    "Calibration",
    examples=("hydrocli validate config.yaml", "hydrocli validate runs/cance --json"),
    exit_codes=(*COMPUTES, 5),
)
def validate(call: Call, target: RunOrCampaign = CONFIG) -> None:
    """Score a finished run, or all runs of a campaign.

    The scenarios are calibration, temporal (other period), spatial (other gauge) and spatio-temporal (both).
    """
    from hydrocli.cli.campaign import again

    if not again(call, target, "validate"):
        from hydrocli.commands.validate import validate as run

        call.show(run(target, call.sets))


@command(
    "Calibration",
    examples=("hydrocli signatures config.yaml", "hydrocli signatures runs/cance --json"),
    exit_codes=(*COMPUTES, 5),
)
def signatures(call: Call, target: RunOrCampaign = CONFIG) -> None:
    """Detect flood events, and compare hydrological signatures of observed and simulated discharge.

    The table shows the median relative error [-] of each signature over the events of a gauge and period.
    """
    from hydrocli.cli.campaign import again

    if not again(call, target, "signatures"):
        from hydrocli.commands.signatures import signatures as run

        call.show(run(target, call.sets))


@command(
    "Calibration",
    shared=ALL_SHARED,
    examples=(
        "hydrocli simulate config.yaml --output runs/simulation",
        "hydrocli simulate other.yaml --parameters-from runs/cance --output runs/other",
    ),
    exit_codes=COMPUTES,
)
def simulate(
    call: Call,
    target: Target = CONFIG,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write; default: the folder of the YAML."),
    ] = None,
    parameters_from: Annotated[
        Path | None,
        typer.Option(
            "--parameters-from",
            metavar="RUN",
            help="Transfer structure, parameters or regionalisation, and networks from another run.",
        ),
    ] = None,
) -> None:
    """Run the model once, with the parameters of the YAML or of another run."""
    from hydrocli.commands.simulate import simulate as run

    rows = run(target, call.sets, output, parameters_from)
    if call.as_json:
        call.show(rows)


@command(
    "Forecasts",
    shared=ALL_SHARED,
    examples=(
        "hydrocli forecast runs/cance --issue 2014-11-04T06:00Z",
        "hydrocli forecast runs/cance --issue 2014-11-04T06:00Z -o now",
    ),
    exit_codes=COMPUTES,
)
def forecast(
    call: Call,
    target: Target = CONFIG,
    issue: Annotated[
        Any, options.value("--issue", metavar="TIME", help="Time up to which all is known (UTC).", of=options.time)
    ] = ...,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write; default: RUN/forecasts/<issue time>."),
    ] = None,
) -> None:
    """Forecast the discharge from a time on, after assimilating the observations before it.

    The same issue again is left alone while its inputs are the same.
    """
    from hydrocli.commands.forecast import forecast as run

    _show_forecasts(call, run(target, call.sets, issue, output))


@command(
    "Forecasts",
    shared=ALL_SHARED,
    examples=("hydrocli hindcast runs/cance --from 2014-11-01 --to 2014-11-10 --every 3h",),
    exit_codes=COMPUTES,
)
def hindcast(
    call: Call,
    target: Target = CONFIG,
    first: Annotated[
        Any, options.value("--from", metavar="TIME", help="First issue time (UTC).", of=options.time)
    ] = ...,
    last: Annotated[Any, options.value("--to", metavar="TIME", help="Last issue time (UTC).", of=options.time)] = ...,
    every: Annotated[
        Any, options.value("--every", metavar="DURATION", help="Time between issues.", of=options.duration)
    ] = 10800,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write; default: RUN/hindcast."),
    ] = None,
) -> None:
    """Make the forecasts of past times as if they were now, and score them by lead time.

    The table shows the root mean square error [m3/s] at some lead times.
    """
    from hydrocli.commands.forecast import hindcast as run

    _show_forecasts(call, run(target, call.sets, first, last, every, output))


def _show_forecasts(call: Call, made: tuple[Path, list[dict[str, Any]]]) -> None:
    """Figures and the table of new forecasts; figures that a killed call has not drawn."""
    folder, rows = made
    if rows or not (folder / "figures" / "forecast.png").exists():
        from hydrocli.report.forecast_figures import draw_forecasts

        draw_forecasts(folder)
    call.show(rows)


@command(
    "Data",
    shared=ALL_SHARED,
    examples=("hydrocli ingest config.yaml", "hydrocli ingest campaign.yaml"),
    exit_codes=(0, 2, 3, 6),
)
def ingest(call: Call, target: RunOrCampaign = CONFIG) -> None:
    """Read the data of a basin, or of all basins of a campaign, into the store; skip what is there.

    The table shows the water balance of each gauge and the lag of its discharge behind the rain.
    """
    from hydrocli.config import is_campaign

    if is_campaign(target):
        from hydrocli.campaign.batch import ingest_campaign as run
    else:
        from hydrocli.commands.ingest import ingest as run
    rows = run(target, call.sets)
    call.show(rows if call.as_json else rows[0].get("plausibility", []) if rows else [])


@command(
    "Data",
    shared=("sets", "json"),
    examples=("hydrocli check config.yaml", "hydrocli check config.yaml --report", "hydrocli check config.yaml --json"),
    exit_codes=(0, 2, 3),
)
def check(
    call: Call,
    target: Target = CONFIG,
    files_only: Annotated[
        bool, typer.Option("--files-only", help="Look at the files only; read no archive, write nothing.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Write a page with maps, double-mass curves and all figures.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The page; default: check-NAME.html, in this folder."),
    ] = None,
) -> None:
    """Check configuration, files, values, grids and gauges; estimate memory and time. No model is run.

    The data are read into the store, as a run would do first. The table shows whether they are plausible.
    """
    from hydrocli.commands.check import check as run

    found = run(target, call.sets, files_only=files_only)
    show_report(found if call.as_json else _for_reading(found), as_json=call.as_json)
    if report or output:
        from hydrocli.commands.check import series_of
        from hydrocli.report.check_page import write_check_page

        page = output or Path(f"check-{found['name']}.html")
        write_check_page(page, found, series_of(target, call.sets))
        typer.echo(f"The page is {page}.", err=True)
    sys.stdout.flush()
    for problem in found["problems"]:
        typer.echo(f"error: {problem}", err=True)
    if found["problems"]:
        raise typer.Exit(InputError.exit_status)


def _for_reading(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what a terminal has no place for: problems, which come as errors, and the large tables."""
    left_out = ("problems", "plausibility_by_month", "plausibility_of_forcing", "gauge_candidates")
    shown = {key: value for key, value in report.items() if key not in left_out}
    if "plausibility" in report:
        from hydrocli.basin.plausibility import missing_by_month, overview

        shown["plausibility"] = overview(report["plausibility"])
        shown["missing_by_month"] = missing_by_month(report["plausibility_by_month"])
    return shown


@command(
    "Checks and maintenance",
    shared=ALL_SHARED,
    examples=("hydrocli gradcheck config.yaml",),
    exit_codes=COMPUTES,
)
def gradcheck(call: Call, target: Target = CONFIG) -> None:
    """Test the gradient on this very experiment: dot-product tests and Taylor remainders."""
    from hydrocli.commands.gradcheck import gradcheck as run

    rows = run(target, call.sets)
    call.show(rows)
    if not all(row["passed"] for row in rows):
        raise typer.Exit(NumericalError.exit_status)


@command(
    "Checks and maintenance",
    examples=("hydrocli compare-solvers runs/cance", "hydrocli compare-solvers runs/cance --gauge V3524010"),
    exit_codes=COMPUTES,
)
def compare_solvers(
    call: Call,
    target: Target = CONFIG,
    cell: Annotated[
        Any,
        options.value(
            "--cell",
            metavar="N",
            help="Number of a cell, as in domain.parquet; default: the gauge's.",
            of=options.whole,
        ),
    ] = None,
    gauge: Annotated[
        str | None,
        typer.Option("--gauge", metavar="CODE", help="Code of a gauge; default: the first calibration gauge."),
    ] = None,
) -> None:
    """Compare time-stepping schemes on one cell of a run: error against a tight reference, cost, stability."""
    from hydrocli.commands.compare_solvers import compare_solvers as run

    call.show(run(target, call.sets, cell, gauge))


@command(
    "Data",
    shared=("json", "quiet", "verbose"),
    examples=(
        "hydrocli synthetic basin",
        "hydrocli synthetic basin --cells 200 --start 2014-09-01 --end 2015-02-01",
        "hydrocli synthetic region --region --catchments 20",
        "hydrocli synthetic archive --layout institute",
    ),
    exit_codes=(0, 2, 3),
)
def synthetic(
    call: Call,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write; new or empty.")],
    cells: Annotated[
        Any, options.value(metavar="N", help="Approximate number of cells of 1 km.", of=options.whole)
    ] = 60,
    gauges: Annotated[
        Any,
        options.value(
            metavar="N", help="Gauges, outlets included; default: 4 of a basin, 1 per catchment.", of=options.whole
        ),
    ] = None,
    start: Annotated[
        Any, options.value(metavar="TIME", help="Start of the first step, UTC.", of=options.time)
    ] = "2019-09-01",
    end: Annotated[
        Any, options.value(metavar="TIME", help="End of the last step, UTC.", of=options.time)
    ] = "2020-09-01",
    step: Annotated[
        Any, options.value(metavar="STEP", help="Step of rain and discharge, 15min to 1d.", of=options.step)
    ] = "1h",
    temperature_step: Annotated[
        Any, options.value(metavar="STEP", help="Step of temperature, 1h or 1d.", of=options.step)
    ] = "1d",
    seed: Annotated[Any, options.value(metavar="N", help="Seed of all random numbers.", of=options.whole)] = 1,
    noise: Annotated[
        Any,
        options.value(metavar="X", help="Standard deviation of the log of observed discharge.", of=options.number),
    ] = 0.1,
    gaps: Annotated[
        Any, options.value(metavar="X", help="Fraction of missing observations.", of=options.number)
    ] = 0.02,
    encoding: Annotated[
        Any, options.choice(help="Encoding of the flow directions.", of=("smash", "esri", "ldd"))
    ] = "smash",
    region: Annotated[bool, typer.Option("--region", help="Many separate catchments in place of one basin.")] = False,
    catchments: Annotated[
        Any, options.value(metavar="N", help="Number of catchments of a region.", of=options.count)
    ] = 235,
    areas: Annotated[
        str,
        typer.Option(metavar="KM2", help="Areas of a region's catchments: a range (log-uniform) or a list 12,40,300."),
    ] = "10-300",
    truth: Annotated[
        Any,
        options.choice(
            help="True parameters: functions of the descriptors, or uniform.", of=("descriptors", "uniform")
        ),
    ] = "descriptors",
    layout: Annotated[
        Any,
        options.choice(
            help="Files: plain (GeoTIFF and CSV, with a configuration), or as an institute has them.",
            of=("plain", "institute"),
        ),
    ] = "plain",
    true_model: Annotated[
        Any,
        options.choice(
            "--true-model",
            metavar="MODEL",
            help="What makes the discharge: gr; or gr with an infiltration or exchange that no parameter can copy.",
            of=("gr", "infiltration", "exchange"),
        ),
    ] = "gr",
) -> None:
    """Write a synthetic basin or region with known true parameters, and its configuration."""
    from hydrocli.commands.synthetic import synthetic as run
    from hydrocli.synthetic import SampleOptions, areas_of

    asked = SampleOptions(
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
        layout,
    )
    run(folder, asked, true_model)
    if call.as_json:
        has_configuration = {"configuration": folder / "config.yaml"} if layout == "plain" else {}
        call.show([{"folder": folder} | has_configuration])


@command(
    "Configuration and help",
    shared=(),
    examples=("hydrocli init config.yaml", "hydrocli init config.yaml --from archive"),
    exit_codes=(0, 2, 3, 7),
    loads=False,
)
def init(
    call: Call,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="New file to write; default: standard output.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FOLDER",
            help="Folder of data: recognise formats, names, variables, units, codes; list what must be answered.",
        ),
    ] = None,
) -> None:
    """Write a commented configuration to start from."""
    from hydrocli.errors import ConfigurationError

    if file is not None and file.exists():
        raise ConfigurationError(str(file), "already exists", "Name a new file.")
    if folder is None:
        from hydrocli.config import initial_yaml

        text, sentences = initial_yaml(), list[str]()
    else:
        from hydrocli.commands.init import init_from
        from hydrocli.execution.resources import require_address_space

        require_address_space()
        text, sentences = init_from(folder, file.parent if file else Path())
    for sentence in sentences:
        typer.echo(sentence, err=True)
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigurationError(str(file), "already exists", "Name a new file.") from None
    except OSError as error:
        raise ConfigurationError(str(file), f"cannot be written: {error.strerror}") from None


@command(
    "Configuration and help",
    shared=("json",),
    examples=("hydrocli import-smash setup.yaml mesh.hdf5 --output config.yaml",),
    exit_codes=(0, 2, 3),
)
def import_smash(
    call: Call,
    setup: Annotated[Path, typer.Argument(metavar="SETUP", help="Setup of smash 1.3, a YAML file.")],
    mesh: Annotated[
        Path | None,
        typer.Argument(metavar="MESH", help="Mesh of smash, an HDF5 file, with flow directions and gauges."),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="New YAML file; rasters and tables are written beside it."),
    ] = Path("config.yaml"),
) -> None:
    """Write the configuration that is equivalent to a setup of smash, and say what has no equivalent."""
    from hydrocli.commands.import_smash import import_smash as run

    sentences = run(setup, mesh, output)
    for sentence in sentences:
        typer.echo(sentence, err=True)
    if call.as_json:
        call.show([{"configuration": output, "notes": sentences}])


@command(
    "Configuration and help",
    shared=(),
    examples=("hydrocli schema > hydrocli.schema.json",),
    exit_codes=(0,),
    loads=False,
)
def schema(call: Call) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from hydrocli.config import schema as read

    typer.echo(json.dumps(read(), indent=2))


@command(
    "Checks and maintenance",
    shared=("json",),
    examples=("hydrocli clean config.yaml", "hydrocli clean config.yaml --old --remove"),
    exit_codes=(0, 2),
    loads=False,
)
def clean(
    call: Call,
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET", help="YAML file, or folder of YAML files, whose stores are listed.", show_default="."
        ),
    ] = Path(),
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove what is listed. Not while a run reads its data.")
    ] = False,
    old: Annotated[bool, typer.Option("--old", help="Only what no later run will use.")] = False,
) -> None:
    """List ingested stores and compiled code, or remove them."""
    from hydrocli.commands import clean as run

    items = [item for item in run.list_entries(target) if item.state == "old" or not old]
    call.show(
        [
            {
                "kind": item.kind,
                "state": item.state,
                "created": f"{item.created:%Y-%m-%d %H:%M}",
                "size_mb": item.bytes / 1e6,
                "path": item.path,
            }
            for item in items
        ]
    )
    if remove:
        for item in items:
            run.remove(item)
        typer.echo(f"{len(items)} removed", err=True)
