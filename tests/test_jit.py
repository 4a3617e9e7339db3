"""The cache of compiled code: keyed by what is compiled, found again, forgiving of damage and of missing rights."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import hydrocli

SMALL_LOOP = (
    "import numpy as np; from hydrocli.engine.order import window\n"
    "print(window(np.zeros((1, 1), np.int64), np.ones((1, 1), np.int64), 0, 0, 0, 9), np.__name__)\n"
)
SMALL_CALIBRATION = (
    "import numpy as np; from hydrocli.engine.order import wavefront_order, order_forcing\n"
    "from hydrocli.engine.simulator import Simulator, State\n"
    "order = wavefront_order(np.array([1, 2, -1]), np.array([0, 1, 2]), 40)\n"
    "net = np.zeros(order.forcing_size, np.float32)\n"
    "order_forcing(np.sin(np.arange(120.0)).reshape(40, 3).astype(np.float32), 0, order, net)\n"
    "simulator = Simulator(order, (net,), np.full(3, 1e6), np.full(3, 1e3), np.array([2]), 3600)\n"
    "state = State(np.full((2, 3), 0.3), np.zeros(3), np.zeros(3))\n"
    "maps = np.array([[200.0], [90.0], [-0.5], [5.0], [0.6]]) * np.ones(3)\n"
    "value, gradient, _ = simulator.gradient(maps, state, lambda q: (float((q * q).sum()), 2.0 * q))\n"
    "print(value, *gradient.parameters.ravel())\n"
)
FOLDER = "from hydrocli.jit import cache_folder; print(cache_folder())"


@pytest.fixture
def package(tmp_path):
    """A copy of the package that a test may edit; the folder to put on the path."""
    copy = tmp_path / "site"
    shutil.copytree(Path(hydrocli.__file__).parent, copy / "hydrocli", ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def python(package, tmp_path):
    """Runs Python code in a new process against the copy; standard output, stripped."""

    def run(code: str, **environment: str | None) -> str:
        asked = {"HYDROCLI_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
        merged = {**os.environ, **asked, **environment}
        cleaned = {name: value for name, value in merged.items() if value is not None}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env=cleaned,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def compiled_files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.nb?")}


def test_an_edit_of_any_compiled_source_is_another_folder(python, package):
    before = python(FOLDER)
    assert python(FOLDER) == before
    for source in ("jit.py", "water/production.py", "water/vector_math.py", "structures/gr.py", "engine/order.py"):
        path = package / "hydrocli" / source
        text = path.read_text()
        path.write_text(text + "\n# an edit\n")
        assert python(FOLDER) != before, source
        path.write_text(text)
    assert python(FOLDER) == before


def test_another_cpu_is_another_folder(python):
    folders = {
        python(FOLDER, **environment) for environment in ({}, {"HYDROCLI_ISA": "sse2"}, {"HYDROCLI_ISA": "avx2"})
    }
    assert len(folders) == 3
    assert python(FOLDER, NUMBA_CPU_NAME="x86-64") not in folders


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="instruction sets of x86-64")
def test_code_for_an_older_instruction_set_runs(python):
    """The narrowest one that LLVM has for this kind of machine gives the numbers of the widest."""
    expected, found = python(SMALL_CALIBRATION), python(SMALL_CALIBRATION, HYDROCLI_ISA="sse2")
    np.testing.assert_allclose([*map(float, found.split())], [*map(float, expected.split())], rtol=1e-9)


def test_an_unknown_instruction_set_is_refused_with_the_known_ones(python):
    code = "from hydrocli.errors import ConfigurationError\ntry:\n    import hydrocli.jit as j; j.cpu()\n"
    told = python(code + "except ConfigurationError as error:\n    print(error)\n", HYDROCLI_ISA="mmx")
    assert "HYDROCLI_ISA: mmx" in told
    assert "Use avx2, sse2; or unset it." in told


def test_every_room_with_compiled_code_is_in_the_key():
    from hydrocli.jit import ROOMS_COMPILED

    root = Path(hydrocli.__file__).parent
    compiling = re.compile(r"^@(?:kernel|loop|reduction|exact)$|\b(?:bind|unrolled|expression)\(", re.M)
    rooms = {p.relative_to(root).parts[0] for p in root.rglob("*.py") if compiling.search(p.read_text())}
    assert rooms - {"jit.py"}
    assert rooms - {"jit.py"} <= set(ROOMS_COMPILED)


def test_the_second_process_finds_the_first_ones_code(python, tmp_path):
    first = python(SMALL_LOOP)
    files = compiled_files(tmp_path / "cache")
    assert len(files) >= 2
    assert python(SMALL_LOOP) == first
    assert compiled_files(tmp_path / "cache") == files


GRADIENT = """
import sys; sys.path.insert(0, {folder!r})
import numpy as np
from model_harness import case_of, squares
from hydrocli.engine.observers import CellBalance, Observers
from hydrocli.structures.structure import Structure
structure = Structure({kind!r}, hidden=(4,))
some, weights = case_of(structure, 20, 8), np.full(structure.weights, 0.01)
simulator = some.simulator()
balance = Observers(simulator, some.parameters, weights, CellBalance(simulator, np.zeros(8, np.int64)))
simulator.simulate(some.parameters, some.state, weights, balance)
print(simulator.gradient(some.parameters, some.state, squares, weights)[0].hex())
"""


@pytest.mark.parametrize("kind", ["gr", "node"])
def test_the_second_process_compiles_no_loop_of_a_structure(python, tmp_path, kind):
    """Loops that `bind` made of a template are found again: a simulation, its balance and a gradient."""
    code = GRADIENT.format(folder=str(Path(__file__).parent / "engine"), kind=kind)
    first = python(code)
    files = compiled_files(tmp_path / "cache")
    assert any(f".reverse_{kind}" in name for name in files)
    assert python(code) == first
    assert compiled_files(tmp_path / "cache") == files


@pytest.mark.parametrize("damage", ["empty", "half", "noise"])
def test_damaged_files_are_compiled_again(python, tmp_path, damage):
    first = python(SMALL_LOOP)
    files = [Path(path) for path in compiled_files(tmp_path / "cache")]
    for path in files:
        content = path.read_bytes()
        noise = np.random.default_rng(0).bytes(len(content))
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "noise": noise}[damage])
    assert python(SMALL_LOOP) == first
    mended = compiled_files(tmp_path / "cache")
    assert python(SMALL_LOOP) == first
    assert compiled_files(tmp_path / "cache") == mended  # repaired, not only survived


def test_folder_by_order_of_preference(python, tmp_path):
    asked = tmp_path / "asked"
    assert Path(python(FOLDER, HYDROCLI_CACHE=str(asked))).parent == asked
    found = python(FOLDER, HYDROCLI_CACHE=None, XDG_CACHE_HOME=str(tmp_path / "xdg"))
    assert Path(found).parent == tmp_path / "xdg" / "hydrocli"
    found = python(FOLDER, HYDROCLI_CACHE=None, XDG_CACHE_HOME=None, HOME=str(tmp_path / "home"))
    assert Path(found).parent == tmp_path / "home" / ".cache" / "hydrocli"


@pytest.mark.parametrize("variable", ["HYDROCLI_CACHE", "HOME"])
def test_a_folder_that_cannot_be_made_is_replaced(python, tmp_path, variable):
    """A file in the way stands for a missing right, which the superuser always has."""
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "temporary").mkdir()
    environment: dict[str, str | None] = {
        "HYDROCLI_CACHE": None,
        "XDG_CACHE_HOME": None,
        "TMPDIR": str(tmp_path / "temporary"),
    }
    environment[variable] = str(tmp_path / "file" / "below")
    if variable == "HYDROCLI_CACHE":
        environment["HOME"] = str(tmp_path / "home")
    output = python(SMALL_LOOP + FOLDER, **environment).splitlines()
    assert Path(output[-1]).is_relative_to(tmp_path / "temporary")
    assert compiled_files(tmp_path / "temporary")


def test_a_user_without_a_home_is_served(python, tmp_path):
    """A container's anonymous user: no $HOME, no entry in the list of users."""
    (tmp_path / "temporary").mkdir()
    nobody = "import pathlib\ndef home(): raise RuntimeError('no home directory')\npathlib.Path.home = home\n"
    found = python(nobody + FOLDER, HYDROCLI_CACHE=None, XDG_CACHE_HOME=None, TMPDIR=str(tmp_path / "temporary"))
    assert Path(found).is_relative_to(tmp_path / "temporary")


def test_a_folder_of_somebody_else_is_not_trusted(python, tmp_path):
    """Compiled code is loaded as code: a world-writable place prepared by another user must not be used."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("only the superuser can give a folder away")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    os.chown(foreign, 12345, 12345)
    (tmp_path / "temporary").mkdir()
    found = python(FOLDER, HYDROCLI_CACHE=str(foreign), TMPDIR=str(tmp_path / "temporary"))
    assert Path(found).is_relative_to(tmp_path / "temporary")


def test_a_full_disk_is_no_cache_not_a_failure(python):
    full = (
        "from numba.core.caching import IndexDataCacheFile\n"
        "def save(self, *a): raise OSError(28, 'No space left on device')\n"
        "IndexDataCacheFile.save = save\n"
    )
    assert python(full + SMALL_LOOP) == python(SMALL_LOOP)


def test_commands_that_compute_nothing_do_not_import_numba(python):
    loaded = "import sys, hydrocli, hydrocli.jit, hydrocli.names, hydrocli.errors; print('numba' in sys.modules)"
    assert python(loaded) == "False"


SUMMED = (
    "import numpy as np; from hydrocli.structures.network import _through_slope\n"
    "random = np.random.default_rng(0)\n"
    "print(sum(_through_slope(*random.normal(size=(2, n)), n) for n in range(64, 129)).hex())\n"
)
FILL = "from pyflwdir.dem import fill_depressions; import numpy as np; fill_depressions(np.ones((9, 9)))\n"


def test_a_library_that_used_numba_before_changes_no_bit(python):
    """It has made the code generator with other features of the CPU: vectors of another width, where it has AVX-512."""
    assert python(FILL + SUMMED + FILL) == python(SUMMED)


def test_what_a_killed_compiler_left_is_removed(python, tmp_path):
    """Numba writes under a name of its own, which says nothing of its process: an hour decides."""
    folder = Path(python(FOLDER))
    for name, age in (("a.nbi.tmp.0123", 4000), ("b.nbc.tmp.4567", 0)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    python(FOLDER)
    assert {item.name for item in folder.iterdir()} == {"b.nbc.tmp.4567"}


TIMED = (
    "import time, numpy as np\n"
    "from hydrocli import jit\n"
    "from hydrocli.engine.order import window\n"
    "arguments = np.zeros((1, 1), np.int64), np.ones((1, 1), np.int64), 0, 0, 0, 9\n"
    "began = time.perf_counter()\n"
    "window(*arguments)\n"
    "spent, compiled = time.perf_counter() - began, jit.compilation_seconds()\n"
    "window(*arguments)\n"
    "assert 0.0 < compiled <= spent\n"
    "assert jit.compilation_seconds() == compiled\n"
    "print(compiled)\n"
)


def test_compilation_is_timed_apart(python):
    """Of a first call; a second one compiles nothing, and another process only reads the code."""
    first, *others = (float(python(TIMED)) for _ in range(3))
    assert min(others) < first
