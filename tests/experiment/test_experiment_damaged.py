"""Run folders that were damaged, copied or moved, and inputs that were corrected after a calibration."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from runs_harness import SAMPLE, call, configuration, manifest, rows, table
from test_experiment_structures import GIVEN
from typer.testing import CliRunner

from hydrocli.cli import app
from hydrocli.config import load
from hydrocli.errors import HydrocliError
from hydrocli.results import read
from hydrocli.results.schemas import TABLES

NOT_LISTED = {"log.jsonl", "lock.json", "report.html"}
"""Files that no table comes from, or that change later."""
SHORT = GIVEN | {"optimiser": {"kind": "lbfgsb", "iterations": 1}, "outputs": {"series": []}}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "flipped": flip,
    "removed": lambda path: path.unlink(),
}


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, which may be damaged."""
    return shutil.copytree(finished.with_suffix(""), tmp_path / "run")


def read_all(folder: Path) -> None:
    """What commands read of a run: all that is there."""
    found = read(folder).require_whole()
    assert found.configuration
    load(folder)
    for name in TABLES:
        if found.has(name):
            found.arrays(name)


def problem(folder: Path) -> str:
    """What reading all of a run is refused with; empty where it is not."""
    try:
        read_all(folder)
    except HydrocliError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_file_that_is_damaged_is_named(run: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """Of every file of the run folder; rasters are copies of tables, which no command reads, and are warned of."""
    assert problem(run) == ""
    for path in sorted(one for one in run.rglob("*") if one.is_file() and one.name not in NOT_LISTED):
        name, whole = path.relative_to(run).as_posix(), path.read_bytes()
        DAMAGES[damage](path)
        said = problem(run) + caplog.text
        if not (path.suffix == ".tif" and damage in ("zeroed", "flipped")):
            assert (path.name if name != "manifest.json" else "manifest") in said, f"{name} {damage}"
        caplog.clear()
        path.write_bytes(whole)
    assert problem(run) == ""


COMMANDS = {
    "calibrate": ("removed", "states.parquet", ()),
    "validate": ("flipped", "discharge.parquet", ()),
    "signatures": ("flipped", "catchment_timeseries.parquet", ()),
    "report": ("removed", "balance.parquet", ()),
    "export": ("flipped", "domain.parquet", ()),
    "compare": ("flipped", "scores.parquet", ()),
    "compare-solvers": ("removed", "parameters.parquet", ()),
    "gradcheck": ("flipped", "config.yaml", ()),
    "check": ("removed", "config.yaml", ()),
}


def tried(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_name_what_is_damaged(run: Path, command: str) -> None:
    damage, name, options = COMMANDS[command]
    DAMAGES[damage](run / name)
    result = tried(command, run, *options)
    assert result.exit_code in (2, 3), result.output
    assert name in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_to_start_from_is_checked(run: Path, finished: Path, tmp_path: Path) -> None:
    flip(run / "parameters.parquet")
    for option in (("--parameters-from", run), ("--set", f"parameters.from={run}")):
        result = tried("simulate", finished, *option, "--output", tmp_path / "new")
        assert result.exit_code == 3, result.output
        assert "parameters.parquet" in result.stderr


def test_tables_of_later_commands_are_made_again(run: Path) -> None:
    """They leave the list of checksums while they are written, so that a kill does not damage the run."""
    listed = manifest(run)["files"]
    assert {"config.yaml", "scores.parquet", "parameters/cp.tif"} <= set(listed)
    DAMAGES["removed"](run / "scores.parquet")
    assert "scores.parquet" in call("report", run, status=3).stderr
    call("validate", run)
    assert manifest(run)["files"]["scores.parquet"] == listed["scores.parquet"]
    assert problem(run) == ""


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_commands_act_on_the_folder_that_they_are_given(
    run: Path, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a folder, as its configuration, and from inside; nothing touches the place where the run was made."""
    here = tmp_path / "elsewhere" / "other"
    (shutil.copytree if how == "copied" else shutil.move)(run, here)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for command, product in (("validate", "scores.parquet"), ("signatures", "events.parquet")):
        for target in (here, here / "config.yaml", Path("config.yaml")):
            (here / product).unlink()
            with monkeypatch.context() as patch:
                patch.chdir(here)
                call(command, target)
            assert (here / product).exists()
    assert "nothing to do" in call("calibrate", here / "config.yaml").stderr
    call("export", here / "config.yaml")
    assert (here / "map.gpkg").exists()
    call("compare", here)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def data_of(folder: Path) -> Path:
    """The sample, its observations and rain as copies that may be corrected."""
    return shutil.copytree(SAMPLE, folder)


def correct_observations(data: Path, code: str, factor: float, after: int) -> None:
    """Multiply the observed discharge of a gauge from a line on."""
    (file,) = (data / "qobs").glob(f"*{code}*")
    head, *values = file.read_text().splitlines()
    values[after:] = [str(factor * float(value)) if float(value) >= 0 else value for value in values[after:]]
    file.write_text("\n".join([head, *values]) + "\n")


def test_observations_that_were_corrected_after_the_calibration(store: Path, tmp_path: Path) -> None:
    """`calibrate` names them, `validate` scores with them and says so; other times and gauges change nothing."""
    data = data_of(tmp_path / "data")
    file = configuration(tmp_path / "run.yaml", store, data, SHORT)
    call("calibrate", file)
    first = {(row["gauge"], row["period"]): row["nse"] for row in rows(call("validate", file, "--json"))}
    correct_observations(data, "S0002", 1.5, 0)  # validates only
    assert "nothing to do" in call("calibrate", file).stderr
    said = call("validate", file, "--json")
    assert "S0002" in said.stderr
    second = {(row["gauge"], row["period"]): row["nse"] for row in rows(said)}
    assert {key for key in first if first[key] != second[key]} == {("S0002", "calibration"), ("S0002", "later")}
    correct_observations(data, "S0001", 1.5, 0)
    refused = call("calibrate", file, status=3).stderr
    assert "gauges.discharge S0001" in refused
    assert "--force" in refused
    assert "nothing to do" not in refused
    said = call("validate", file, "--json")
    assert "gauges.discharge S0001 changed since the calibration" in said.stderr
    third = {(row["gauge"], row["period"]): row["nse"] for row in rows(said)}
    assert {key for key in second if second[key] != third[key]} == {("S0001", "calibration"), ("S0001", "later")}
    observed = table(tmp_path / "run", "discharge")
    assert np.isfinite(observed["observed"][observed["gauge"] == "S0001"]).any()
    call("calibrate", file, "--force")
    assert "nothing to do" in call("calibrate", file).stderr
    assert (tmp_path / "run.1" / "discharge.parquet").exists()


def test_rain_that_was_corrected_after_the_calibration(tmp_path: Path) -> None:
    """`calibrate` names it; `validate` refuses other rain, and takes the same rain with another date."""
    data = data_of(tmp_path / "data")
    file = configuration(tmp_path / "run.yaml", tmp_path / "store", data, SHORT)
    call("calibrate", file)
    wet = max((data / "prcp").rglob("*.tif"), key=lambda path: path.stat().st_size)
    wet.touch()
    refused = call("calibrate", file, status=3).stderr
    assert "forcing.precipitation" in refused
    assert "repeating the simulation: forcing.precipitation" in call("validate", file).stderr
    assert "nothing to do" in call("calibrate", file).stderr
    dry = min((data / "prcp").rglob("*.tif"), key=lambda path: path.stat().st_size)
    wet.write_bytes(dry.read_bytes())
    for command in ("calibrate", "validate"):
        refused = call(command, file, status=3).stderr
        assert "changed since" in refused
        assert "--force" in refused
