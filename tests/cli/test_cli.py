"""The door: what reaches `runs`, what stands on which stream, and the exit status of every ending."""

from __future__ import annotations

import json
import os
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
from hydrocli.cli.app import completed_keys
from hydrocli.cli.errors import show_error
from hydrocli.errors import (
    EXIT_CODES,
    ConfigurationError,
    Errors,
    HeldError,
    HydrocliError,
    InputError,
    NumericalError,
    OutOfMemoryError,
    PartialError,
    Stopped,
)
from hydrocli.execution.progress import current

COMMANDS = sorted(
    [
        *("calibrate", "validate", "signatures", "simulate", "forecast", "hindcast", "report", "compare"),
        *("export", "ingest", "check"),
        *(
            "synthetic",
            "batch",
            "status",
            "collect",
            "slurm-script",
            "init",
            "import-smash",
            "schema",
            "docs",
            "gradcheck",
        ),
        *("compare-solvers", "precompile", "clean"),
    ]
)

Stand = Callable[[str, Callable[..., Any]], None]
Snapshot = Callable[[str, str], None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Put a function in the place of one of `runs`."""

    def stand_in(command: str, function: Callable[..., Any]) -> None:
        module = SimpleNamespace(**{command: function})
        monkeypatch.setitem(sys.modules, f"hydrocli.commands.{command}", module)

    return stand_in


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), prog_name="hydrocli")


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hydrocli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def raising(error: BaseException) -> Callable[..., Any]:
    def run(*_: Any) -> None:
        raise error

    return run


def test_help_names_the_commands_and_all_exit_codes() -> None:
    result = call("--help")
    assert result.exit_code == 0
    assert all(f"\n  {command} " in result.stdout for command in COMMANDS)
    assert sorted(command.name for command in app.registered_commands) == COMMANDS
    classes = [ConfigurationError, InputError, NumericalError, PartialError, HeldError, OutOfMemoryError, Stopped]
    assert {one.exit_status for one in classes} | {0, 1, 130, 141} == set(EXIT_CODES)
    assert all(f"\n  {code} " in result.stdout for code in EXIT_CODES)
    assert call().stdout == result.stdout


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, snapshot: Snapshot) -> None:
    result = call(*command.split(), "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not command or "Examples:" in result.stdout
    snapshot(f"help-{command or 'hydrocli'}.txt", result.stdout)


def test_init(snapshot: Snapshot) -> None:
    snapshot("init.yaml", call("init").stdout)


def test_pages_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("tutorial", "# From data to report\n\nText.\n"), ("regional", "\n# Many basins\n")):
        (tmp_path / f"{name}.md").write_text(text)
    files = {path.stem: path for path in sorted(tmp_path.glob("*.md"))}
    monkeypatch.setattr("hydrocli.cli.showing.pages", lambda: files)
    assert call("docs").stdout == "regional  Many basins\ntutorial  From data to report\n"
    assert call("docs", "tutorial").stdout == "# From data to report\n\nText.\n"
    assert call("docs", "nothing").stderr == (
        "error: nothing: is not a page of the documentation\n  Pages: regional, tutorial.\n"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["calibrate", "--help"], ["--version"], ["schema"], ["init"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from hydrocli.cli import app; sys.argv[1:] = " + repr(arguments) + "\n"
        "try: app()\nexcept SystemExit: pass\n"
        "print(*sorted(m for m in sys.modules if '.' not in m), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numba", "llvmlite", "scipy", "pandas", "rasterio", "pyarrow"}
    # The structures that the configuration asks for their parameters are written with NumPy.
    heavy |= {"numpy"} if arguments[-1].startswith("--") else set()
    assert not heavy & set(result.stderr.split())


def test_version() -> None:
    assert call("--version").stdout == f"hydrocli {hydrocli.__version__}\n"


WRONG = (
    "calibrat",
    "calibrate --frce",
    "calibrate a b",
    "calibrate --set",
    "calibrate -q -v",
    "calibrate --threads none",
    "batch --workers 0",
    "batch --shard 3/2",
    "compare",
    "compare runs --metric nash",
    "export --to shapefile",
    "report --format gif",
    "report a b --output c",
    "status --watch=yes",
    "synthetic",
    "synthetic folder --step 7h",
    "synthetic folder --start soon",
    "synthetic folder --cells many",
    "synthetic folder --noise low",
    "synthetic folder --true-model gr5",
)


def test_usage_errors(snapshot: Snapshot, stand_in: Stand) -> None:
    """They look like all other errors, and neither Python nor a library speaks in them."""
    for command in ("calibrate", "synthetic"):
        stand_in(command, raising(AssertionError("not reached")))
    pages = []
    for line in WRONG:
        result = call(*line.split())
        assert (result.exit_code, result.stdout) == (2, ""), line
        assert result.stderr.startswith("error: ")
        assert not any(
            word in result.stderr for word in ("Value error", "pydantic", "Invalid value", "Usage", "<class")
        )
        pages.append(f"$ hydrocli {line}\n{result.stderr}")
    snapshot("usage-errors.txt", "\n".join(pages))


@pytest.mark.parametrize("command", ["report", "export"])
def test_a_campaign_in_the_place_of_a_run(command: str, tmp_path: Path) -> None:
    (tmp_path / "campaign.yaml").write_text("name: trial\nmodels: {a: {}}\n")
    for target, pattern in ((tmp_path / "campaign.yaml", "FOLDER/*/*"), (tmp_path, f"{tmp_path}/*/*")):
        result = call(command, str(target))
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"{target}: is a campaign, not a run" in result.stderr
        assert f"`hydrocli compare '{pattern}'`" in result.stderr


def test_errors_are_red_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = ConfigurationError("a.yaml", "is empty")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert show_error(error) == 2
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    show_error(error)
    monkeypatch.setenv("NO_COLOR", "1")
    show_error(error)
    plain, red, without = capsys.readouterr().err.splitlines()
    assert plain == without == "error: a.yaml: is empty"
    assert red == "\x1b[31merror: \x1b[0ma.yaml: is empty"


def test_keys_of_the_configuration_are_completed() -> None:
    found = completed_keys("optimiser.it")
    assert found == ["optimiser.iterations="]
    assert "execution.threads=" in completed_keys("")


def test_what_calibrate_is_given(stand_in: Stand) -> None:
    given: list[Any] = []
    stand_in("calibrate", lambda *arguments: given.append((*arguments, current())) or ([], []))
    assert call("calibrate").exit_code == 0
    assert call("calibrate", "a.yaml", "--set", "seed=2", "--force", "-q", "--threads", "2").exit_code == 0
    (target, sets, force, console), (other, both, forced, quiet) = given
    assert (target, list(sets), force, console.quiet, console.verbose) == (Path("config.yaml"), [], False, False, False)
    assert (other, both, forced, quiet.quiet) == (Path("a.yaml"), ["seed=2", "execution.threads=2"], True, True)


def test_what_sample_is_given(stand_in: Stand) -> None:
    given: dict[str, Any] = {}
    stand_in("synthetic", lambda folder, options, true_model: given.update(vars(options), folder=folder))
    assert (
        call("synthetic", "new", "--step", "15min", "--start", "2020-01-01T02:00+02:00", "--gauges", "3").exit_code == 0
    )
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
    assert (result.exit_code, result.stderr) == (130, "stopped: interrupted\n")


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


def test_the_page_of_a_wrong_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot) -> None:
    monkeypatch.chdir(tmp_path)
    text = call("init").stdout.replace("optimiser:", "optimizer:").replace("step: 1h", "step: 7h")
    Path("config.yaml").write_text(text)
    result = call("calibrate")
    assert (result.exit_code, result.stdout) == (2, "")
    snapshot("configuration-errors.txt", result.stderr)


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


def test_check_tells_problems_and_fails(stand_in: Stand) -> None:
    report = {
        "cells": 383,
        "memory": "12 MB",
        "gauges": [{"gauge": "A", "area_asked": 107.0, "area_found": 108.1}],
        "problems": ["gauges.table: gauge B lies outside"],
    }
    stand_in("check", lambda *_, **__: report)
    result = call("check")
    assert result.exit_code == 3
    assert result.stderr == "error: gauges.table: gauge B lies outside\n"
    assert "383" in result.stdout
    assert "108.1" in result.stdout
    assert "problems" not in result.stdout
    assert json.loads(call("check", "--json").stdout) == report
    stand_in("check", lambda *_, **__: report | {"problems": []})
    assert call("check").exit_code == 0


@pytest.mark.parametrize(("passed", "status"), [(True, 0), (False, 4)])
def test_gradcheck_fails_with_its_tests(passed: bool, status: int, stand_in: Stand) -> None:
    stand_in("gradcheck", lambda *_: [{"test": "dot-product", "error": 1e-13, "passed": passed}])
    result = call("gradcheck")
    assert result.exit_code == status
    assert "1.00e-13" in result.stdout


def test_schema_and_init(tmp_path: Path) -> None:
    assert json.loads(call("schema").stdout)["title"] == "Experiment"
    assert call("init").stdout.startswith("# Configuration of hydrocli")
    file = str(tmp_path / "new.yaml")
    assert call("init", file).exit_code == 0
    assert Path(file).read_text() == call("init").stdout
    Path(file).write_text("mine")
    refused = call("init", file)
    assert (refused.exit_code, Path(file).read_text()) == (2, "mine")
    assert "already exists" in refused.stderr
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
