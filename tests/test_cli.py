"""The door: what reaches `runs`, what stands on which stream, and the exit status of every ending."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import hydrocli
from hydrocli.cli import app
from hydrocli.errors import (
    ConfigurationError,
    Errors,
    HeldError,
    HydrocliError,
    InputError,
    NumericalError,
    PartialError,
    Stopped,
)
from hydrocli.execution.progress import current

COMMANDS = {
    "calibrate",
    "validate",
    "signatures",
    "report",
    "compare",
    "simulate",
    "ingest",
    "check",
    "gradcheck",
    "sample",
} | {
    "schema",
    "solvers",
    "init",
    "clean",
    "batch",
    "status",
    "collect",
    "slurm-script",
    "warmup",
    "export",
}

Stand = Callable[[str, Callable[..., Any]], None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Put a function in the place of one of `runs`."""

    def stand_in(command: str, function: Callable[..., Any]) -> None:
        module = SimpleNamespace(**{command: function})
        monkeypatch.setitem(sys.modules, f"hydrocli.commands.{command}", module)

    return stand_in


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hydrocli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def raising(error: BaseException) -> Callable[..., Any]:
    def run(*_: Any) -> None:
        raise error

    return run


def test_help_names_the_commands_and_the_statuses() -> None:
    result = call("--help")
    assert result.exit_code == 0
    assert all(command in result.stdout for command in COMMANDS)
    assert {command.name or command.callback.__name__ for command in app.registered_commands} == COMMANDS
    assert "75 " in result.stdout


def test_help_is_quick() -> None:
    """Half a second is asked for. Seconds of the processor are counted, which other processes do not stretch."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert process("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.5


@pytest.mark.parametrize("arguments", [["--help"], ["calibrate", "--help"], ["--version"], ["schema"], ["init"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from hydrocli.cli import app; sys.argv[1:] = " + repr(arguments) + "\n"
        "try: app()\nexcept SystemExit: pass\n"
        "print(*sorted(m for m in sys.modules if '.' not in m), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "numba", "llvmlite", "scipy", "pandas", "rasterio", "pyarrow"} & set(result.stderr.split())


def test_version() -> None:
    assert call("--version").stdout == f"hydrocli {hydrocli.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["calibrat"],
        ["calibrate", "--frce"],
        ["calibrate", "a", "b"],
        ["calibrate", "-q", "-v"],
        ["sample"],
        ["sample", "folder", "--step", "7h"],
        ["sample", "folder", "--start", "soon"],
        ["sample", "folder", "--cells", "many"],
    ],
)
def test_usage_errors(arguments: list[str], stand_in: Stand) -> None:
    for command in ("calibrate", "sample"):
        stand_in(command, raising(AssertionError("not reached")))
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


def test_what_calibrate_is_given(stand_in: Stand) -> None:
    given: list[Any] = []
    stand_in("calibrate", lambda *arguments: given.append((*arguments, current())))
    assert call("calibrate").exit_code == 0
    assert (
        call("calibrate", "a.yaml", "--set", "seed=2", "--force", "-q", "--set", "execution.threads=2").exit_code == 0
    )
    (target, sets, force, console), (other, both, forced, quiet) = given
    assert (target, list(sets), force, console.quiet, console.verbose) == (Path("config.yaml"), [], False, False, False)
    assert (other, both, forced, quiet.quiet) == (Path("a.yaml"), ["seed=2", "execution.threads=2"], True, True)


def test_what_sample_is_given(stand_in: Stand) -> None:
    given: dict[str, Any] = {}
    stand_in("sample", lambda folder, options, law: given.update(vars(options), folder=folder))
    assert call("sample", "new", "--step", "15min", "--start", "2020-01-01T02:00+02:00", "--gauges", "3").exit_code == 0
    assert (given["folder"], given["step"], given["temperature_step"], given["gauges"]) == (Path("new"), 900, 86400, 3)
    assert (str(given["start"]), str(given["end"])) == ("2020-01-01T00:00:00", "2020-09-01T00:00:00")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigurationError("a.yaml:3: seed", "is wrong", "change it"), 2),
        (InputError("a.yaml:3: seed", "is wrong", "change it"), 3),
        (NumericalError("a.yaml:3: seed", "is wrong", "change it"), 4),
        (PartialError("a.yaml:3: seed", "is wrong", "change it"), 5),
        (HeldError("a.yaml:3: seed", "is wrong", "change it"), 6),
    ],
)
def test_errors_of_the_user(error: HydrocliError, status: int, stand_in: Stand) -> None:
    stand_in("ingest", raising(error))
    result = call("ingest")
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr == "error: a.yaml:3: seed: is wrong\n  change it\n"


def test_several_errors(stand_in: Stand) -> None:
    stand_in("ingest", raising(Errors([InputError("a", "one"), ConfigurationError("b", "two")])))
    result = call("ingest", "--quiet")
    assert (result.exit_code, result.stderr) == (3, "error: a: one\nerror: b: two\n")


def test_stopped_with_a_checkpoint(stand_in: Stand) -> None:
    stand_in("calibrate", raising(Stopped("runs/a", "SIGTERM after 12 iterations", "run again to continue")))
    result = call("calibrate")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (75, "stopped: runs/a: SIGTERM after 12 iterations")


def test_interrupted_without_a_checkpoint(stand_in: Stand) -> None:
    stand_in("ingest", raising(KeyboardInterrupt()))
    result = call("ingest")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_a_bug_shows_where(stand_in: Stand) -> None:
    stand_in("ingest", raising(ZeroDivisionError("oh")))
    result = call("ingest")
    assert result.exit_code == 1
    assert "ZeroDivisionError: oh" in result.stderr
    assert "in run" in result.stderr
    assert "please report" in result.stderr


def test_configuration_errors_of_a_real_process(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: a\nseeed: 1\n")
    result = process("clean", "config.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "error: config.yaml:2: seeed: is not a known key\n  did you mean `seed`?\n" in result.stderr
    assert "error: config.yaml: forcing: is required" in result.stderr
    assert "Traceback" not in result.stderr


def test_nobody_reads_the_output() -> None:
    """`hydrocli schema | head -1` ends without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        command = [sys.executable, "-m", "hydrocli", "schema"]
        result = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    assert result.stderr == ""
    assert result.returncode == 141


def test_scores_as_a_table_and_for_machines(stand_in: Stand) -> None:
    rows = [
        {"gauge": "[A]", "scenario": "temporal", "nse": 0.96123, "n_valid": 12},
        {"gauge": "B", "scenario": "spatial", "nse": float("nan"), "n_valid": None},
    ]
    stand_in("validate", lambda *_: rows)
    table = call("validate")
    assert table.exit_code == 0
    assert "valid" in table.stdout
    assert "0.961" in table.stdout
    assert "[A]" in table.stdout
    lines = [json.loads(line) for line in call("validate", "--json").stdout.splitlines()]
    assert lines == [rows[0], {"gauge": "B", "scenario": "spatial", "nse": None, "n_valid": None}]


def test_a_narrow_terminal_breaks_no_number(stand_in: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 80 columns names may go on in the next line; a number that does reads as two."""
    monkeypatch.setattr("hydrocli.cli.tables.WIDTH_WITHOUT_TERMINAL", 80)
    texts = {"scenario": "spatio-temporal", "gauge": "Y3204040", "period": "calibration"}
    scores = {"nse": 0.85552, "kge": 0.89733, "rmse": 2.298, "mae": 1.354, "pbias": -24.973, "peak_ratio": 0.6}
    stand_in("validate", lambda *_: [texts | scores | {"n_valid": 1056}])
    lines = call("validate").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert ["0.856", "0.897", "2.298", "1.354", "-24.97", "0.6", "1056"] in [line.split()[-7:] for line in lines]
    stand_in("validate", lambda *_: [{"x": 773500.0, "y": 6275500.0, "error": 1.2345e-11}])
    assert call("validate").stdout.split()[-3:] == ["773500", "6275500", "1.23e-11"]


def test_check_tells_problems_and_fails(stand_in: Stand) -> None:
    report = {
        "cells": 383,
        "memory": "12 MB",
        "gauges": [{"gauge": "A", "area_asked": 107.0, "area_found": 108.1}],
        "problems": ["gauges.table: gauge B lies outside"],
    }
    stand_in("check", lambda *_: report)
    result = call("check")
    assert result.exit_code == 3
    assert result.stderr == "error: gauges.table: gauge B lies outside\n"
    assert "383" in result.stdout
    assert "108.1" in result.stdout
    assert "problems" not in result.stdout
    assert json.loads(call("check", "--json").stdout) == report
    stand_in("check", lambda *_: report | {"problems": []})
    assert call("check").exit_code == 0


@pytest.mark.parametrize(("passed", "status"), [(True, 0), (False, 4)])
def test_gradcheck_fails_with_its_tests(passed: bool, status: int, stand_in: Stand) -> None:
    stand_in("gradcheck", lambda *_: [{"test": "dot-product", "error": 1e-13, "passed": passed}])
    result = call("gradcheck")
    assert result.exit_code == status
    assert "1e-13" in result.stdout


def test_schema_and_init(tmp_path: Path) -> None:
    assert json.loads(call("schema").stdout)["title"] == "Experiment"
    assert call("init").stdout.startswith("# A configuration of hydrocli")
    file = str(tmp_path / "new.yaml")
    assert call("init", file).exit_code == 0
    assert Path(file).read_text() == call("init").stdout
    Path(file).write_text("mine")
    refused = call("init", file)
    assert (refused.exit_code, Path(file).read_text()) == (2, "mine")
    assert "is already there" in refused.stderr
    assert call("init", str(tmp_path / "no/folder.yaml")).exit_code == 2


def test_clean_lists_then_removes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDROCLI_CACHE", str(tmp_path / "cache"))
    jit = pytest.importorskip("hydrocli.jit")
    jit.cache_folder.cache_clear()
    old = tmp_path / "cache/compiled-0123456789abcdef"
    (old / "deeper").mkdir(parents=True)
    (old / "deeper/code").write_bytes(b"12345")
    foreign = tmp_path / "cache/mine"
    foreign.mkdir()
    try:
        listed = call("clean", str(tmp_path))
        assert listed.exit_code == 0
        assert "compiled-0123456789abcdef" in listed.stdout
        assert old.exists()
        current = jit.cache_folder()
        assert call("clean", str(tmp_path), "--old", "--remove").exit_code == 0
        assert (old.exists(), current.exists(), foreign.exists()) == (False, True, True)
        assert call("clean", str(tmp_path), "--remove").exit_code == 0
        assert (current.exists(), foreign.exists()) == (False, True)
    finally:
        jit.cache_folder.cache_clear()
