"""Memory that cannot be had: an error with a name, before a library can hang, abort or blame something else."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from runs_harness import ROOT, command, configuration

from hydrocli.errors import HydrocliError, InputError, OutOfMemoryError, Stopped
from hydrocli.execution import resources
from hydrocli.execution.resources import memory_error, require_address_space

SHORT = OutOfMemoryError.exit_status


def limited(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


@pytest.mark.parametrize("name", ["calibrate", "validate", "report", "ingest", "batch"])
@pytest.mark.parametrize("limit", [350, 734, 1150])
def test_a_limit_of_address_space(name: str, limit: int, tmp_path: Path) -> None:
    file = configuration(tmp_path / "run.yaml", tmp_path / "store")
    ended = subprocess.run(
        command(name, file),
        preexec_fn=lambda: limited(limit * 10**6),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == SHORT, ended.stderr
    assert ended.stderr.startswith(f"error: memory: the limit of memory (ulimit -v: {limit / 1000:.2f} GB) is too low")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["run.yaml"]


def test_what_needs_no_library_needs_no_memory() -> None:
    ended = subprocess.run(
        command("init"), preexec_fn=lambda: limited(300 * 10**6), cwd=ROOT, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_the_libraries_load_within_what_is_asked_for() -> None:
    """In a process of its own, as the limit cannot be raised again and threads of libraries stay."""
    source = (
        "import resource\n"
        "from hydrocli.execution.resources import OF_LIBRARIES, OF_PYTHON, require_address_space\n"
        "resource.setrlimit(resource.RLIMIT_AS, (OF_LIBRARIES + OF_PYTHON, resource.RLIM_INFINITY))\n"
        "require_address_space()\n"
        "import rasterio, geopandas, pyarrow.parquet, scipy.optimize, matplotlib.pyplot, numba\n"
        "numba.njit(lambda x: x + 1)(1)\n"
        "print(numba.__version__)"
    )
    ended = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_without_a_limit_nothing_is_asked_for_nor_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_is_limited", lambda: False)
    before = dict(os.environ)
    require_address_space(2**60)
    assert dict(os.environ) == before


def raised(cause: Exception, error: Exception) -> Exception:
    """An error as it looks when it was raised from another one."""
    try:
        try:
            raise cause
        except Exception as found:
            raise error from found
    except Exception as outer:
        return outer


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libarrow.so.2600: failed to map segment from shared object"),
        OSError("Could not find/load shared object file 'libllvmlite.so' from resource location: 'llvmlite.binding'"),
        RuntimeError("can't start new thread"),
        raised(MemoryError("malloc of size 64 failed"), InputError("scores.parquet", "is not a readable Parquet file")),
        raised(MemoryError(), ValueError("Invalid projection")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_shortage_of_memory_is_named_whatever_it_looks_like(error: Exception) -> None:
    found = memory_error(error)
    assert found is not None
    assert (found.exit_status, found.what[:17]) == (SHORT, "not enough memory")


@pytest.mark.parametrize(
    "error",
    [ValueError("a bug"), InputError("rain.tif", "is broken"), OSError(errno.ENOSPC, "full"), Stopped("a", "stopped")],
)
def test_other_errors_stay_what_they_are(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory_error(error) is None
    monkeypatch.setattr(resources, "_is_limited", lambda: True)
    monkeypatch.setattr(resources, "_can_map", lambda size: False)
    assert (memory_error(error) is None) == isinstance(error, HydrocliError)
