"""Files are whole or not there: after kills at random moments, on a full disk, without permission."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from results_examples import Spawn, example

from hydrocli import files
from hydrocli.basin.grid import Grid
from hydrocli.errors import InputError
from hydrocli.files import atomic_write
from hydrocli.formatting import to_jsonable
from hydrocli.results import schemas
from hydrocli.results.folder import RunFolder, read_manifest, status
from hydrocli.results.log import append, read_log, repair_last_line
from hydrocli.results.write import write_json, write_maps, write_series, write_table, write_text

WRITER = """
    import os, sys
    from pathlib import Path
    import numpy as np
    import pandas, pyarrow.parquet, rasterio.io  # once, so that the children start at once
    from hydrocli.basin.grid import Grid
    from hydrocli.results import schemas
    from hydrocli.results.folder import RunFolder
    from hydrocli.results.write import write_maps, write_series

    def write_without_end():
        times = np.datetime64("2014-09-15", "s") + 3600 * np.arange(1, 20001)
        grid = Grid("EPSG:2154", (1000.0, 0.0, 0.0, 0.0, -1000.0, 0.0), 50, 50)
        cells = np.arange(50)
        with RunFolder.open(Path(sys.argv[1]), "killed") as folder:
            folder.start()
            for turn in range(1000000):
                series = {"observed": np.full((2, 20000), turn), "simulated": np.full((2, 20000), turn)}
                write_series(folder.path, schemas.DISCHARGE, ["A", "B"], times, series, run="killed")
                write_maps(folder.path, grid, cells, cells, {"cp": np.full(50, turn)}, run="killed")
                folder.log("turn", turn=turn)
                folder.update(counts={"turn": turn})
                if turn == 0:
                    print(os.getpid(), flush=True)

    for _ in range(int(sys.argv[2])):
        child = os.fork()
        if child == 0:
            write_without_end()
        os.waitpid(child, 0)
        print("killed", flush=True)
        sys.stdin.readline()
"""


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, spawn: Spawn) -> None:
    """A writer is killed 36 times, each killed one taken over by the next; every final name is readable each time."""
    import rasterio

    moments, half_written = random.Random(3), 0
    path = tmp_path / "run"
    parent = spawn(WRITER, path, 36)
    assert parent.stdout is not None
    assert parent.stdin is not None
    for kill in range(36):
        writer = int(parent.stdout.readline())
        time.sleep(moments.uniform(0.0, 0.08))
        os.kill(writer, signal.SIGKILL)
        assert parent.stdout.readline() == "killed\n"
        assert read_manifest(path).state == "running"
        found = status(path)
        assert (found.state, found.holder) == ("stopped", None)
        values = pq.read_table(path / "discharge.parquet")["observed"].to_numpy()
        assert values.shape == (40000,)
        assert len(np.unique(values)) == 1
        with rasterio.open(path / "parameters" / "cp.tif") as dataset:
            assert np.isfinite(dataset.read(1)).sum() == 50
        half_written += any(path.rglob("*.partial"))
        events = [line["event"] for line in read_log(path / "log.jsonl")]
        assert events.count("taken over") == kill
        parent.stdin.write("\n")
        parent.stdin.flush()
    assert half_written > 3, "no test of anything if the kills miss the writes"
    with RunFolder.open(path, "killed") as folder:
        assert "killed" in folder.manifest.ending
        assert not list(path.rglob("*.partial"))
    assert not (path / "lock.json").exists()


def writers(path: Path, grid: Grid) -> dict[str, Callable[[], None]]:
    observed = np.random.default_rng(1).random((2, 50000))
    series = {"observed": observed, "simulated": observed}
    times = np.datetime64("2014-09-15", "s") + 3600 * np.arange(50000)
    cells = np.arange(3)
    return {
        "discharge.parquet": lambda: write_series(path, schemas.DISCHARGE, ["A", "B"], times, series, run="r"),
        "scores.parquet": lambda: write_table(path, schemas.SCORES, example(schemas.SCORES), run="r"),
        "cp.tif": lambda: write_maps(path, grid, cells, cells, {"cp": np.ones(3)}, run="r"),
        "manifest.json": lambda: write_json(path / "manifest.json", {"a": 1}),
        "config.yaml": lambda: write_text(path / "config.yaml", "a: 1"),
    }


@pytest.mark.parametrize("name", ["discharge.parquet", "scores.parquet", "cp.tif", "manifest.json", "config.yaml"])
@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_full_disk_leaves_nothing(
    name: str, call: str, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_file = writers(tmp_path, grid)[name]
    with monkeypatch.context() as patched:
        patched.setattr(files.os, call, full)
        with pytest.raises(InputError, match=rf"{name}: cannot be written: No space left on device\n  Free some space"):
            write_file()
    assert [item for item in tmp_path.rglob("*") if item.is_file()] == []
    write_file()
    assert [item.name for item in tmp_path.rglob("*") if item.is_file()] == [name]


def test_file_size_limit(tmp_path: Path, spawn: Spawn) -> None:
    """The system itself refuses to write on (EFBIG after 64 kB): the older file stays, and the error is a sentence."""
    source = """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from hydrocli.errors import InputError
        from hydrocli.results import schemas
        from hydrocli.results.write import write_series, write_text

        folder = Path(sys.argv[1])
        write_text(folder / "config.yaml", "old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        times = np.datetime64("2014-09-15", "s") + 3600 * np.arange(50000)
        series = {"observed": np.random.rand(2, 50000), "simulated": np.random.rand(2, 50000)}
        for write in (
            lambda: write_series(folder, schemas.DISCHARGE, ["A", "B"], times, series, run="r"),
            lambda: write_text(folder / "config.yaml", "new" * 50000),
        ):
            try:
                write()
            except InputError as error:
                print(error.exit_status, error.what)
    """
    process = spawn(source, tmp_path)
    output, errors = process.communicate(timeout=60)
    assert output.splitlines() == ["3 cannot be written: File too large"] * 2
    assert errors == ""
    assert [item.name for item in tmp_path.iterdir()] == ["config.yaml"]
    assert (tmp_path / "config.yaml").read_text() == "old"


def test_no_permission_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a failing call, since root may write anywhere."""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", denied)
        with pytest.raises(InputError, match=r"cannot be made: Permission denied\n  Check the permissions") as caught:
            RunFolder.open(tmp_path / "a", "a")
    assert caught.value.exit_status == 3
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", denied)
        with pytest.raises(InputError, match=r"lock\.json: cannot be written: Permission denied"):
            RunFolder.open(tmp_path / "a", "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made: File exists"):
        RunFolder.open(tmp_path / "file", "a")
    with pytest.raises(InputError, match="Not a directory"):
        RunFolder.open(tmp_path / "file" / "run", "a")


def test_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")

    def fail_half_way() -> None:
        with atomic_write(tmp_path / "a.txt") as file:
            file.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_plain_values() -> None:
    values = {
        "nan": math.nan,
        "inf": np.float64(math.inf),
        "array": np.array([1.5, np.nan]),
        "time": np.datetime64("2014-09-15T01:00:00"),
        "path": Path("a/b"),
        "flag": np.bool_(True),
        "text": "é",
        3: (1, None),
    }
    assert to_jsonable(values) == {
        "nan": None,
        "inf": None,
        "array": [1.5, None],
        "time": "2014-09-15T01:00:00",
        "path": "a/b",
        "flag": True,
        "text": "é",
        "3": [1, None],
    }
    assert json.loads(json.dumps(to_jsonable(values), allow_nan=False)) == to_jsonable(values)


def test_log_with_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_log(path) == []
    append(path, "start", cells=np.int64(3), cost=math.nan)
    with path.open("ab") as file:
        file.write(b'{"time": "2014-09-15T01:0')
    assert [line["event"] for line in read_log(path)] == ["start"]
    repair_last_line(path)
    append(path, "end", "warning", sentence="two\nlines")
    first, last = read_log(path)
    assert (first["cells"], first["cost"], first["level"]) == (3, None, "info")
    assert (last["event"], last["level"], last["sentence"]) == ("end", "warning", "two\nlines")
    assert first["time"].endswith("+00:00")


def test_cut_log_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: short(handle, data[:5]))
    with pytest.raises(InputError, match="No space left on device"):
        append(tmp_path / "log.jsonl", "start")
