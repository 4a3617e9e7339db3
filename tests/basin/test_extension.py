"""A longer period begins with the rows of a shorter one: the store is that made at once, old or new at any moment."""

from __future__ import annotations

import errno
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from hydrocli.basin import store
from hydrocli.basin.basin import Basin
from hydrocli.basin.ingest import ingest_batch, open_basin
from hydrocli.basin.readers import ForcingSource, Layer
from hydrocli.basin.readers.geotiff import RasterSampler
from hydrocli.basin.source import BasinSource

Writer = Callable[..., Path]
HOUR = np.timedelta64(1, "h")
MAY_DIFFER = ("created", "checksum")


def shorter(source: BasinSource, hours: int) -> BasinSource:
    return replace(source, end=source.start + hours * HOUR)


def content(basin: Basin, folder: Path) -> dict[str, object]:
    """All that a store holds, to the bit; sums of all values but for the order in which they are added up."""
    path = folder / basin.fingerprint
    meta = json.loads((path / "meta.json").read_text())
    for counts in meta["reading"]["counts"].values():
        counts |= {name: round(counts[name], 6) for name in ("total", "below")}
    files = {name: (path / name).read_bytes()[:size] for name, size in meta["sizes"].items()}
    return files | {key: value for key, value in meta.items() if key not in MAY_DIFFER}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the rasters of forcing that are read."""
    names: list[str] = []
    plain = RasterSampler.read_many

    def counting(self: RasterSampler, layers: list[Layer]) -> np.ndarray:
        names.extend(Path(layer.path).name for layer in layers)
        return plain(self, layers)

    monkeypatch.setattr(RasterSampler, "read_many", counting)
    return names


@pytest.mark.parametrize("hours", [1, 13, 24, 35])
def test_the_store_of_a_longer_period_is_that_made_at_once(
    hours: int, source: BasinSource, tmp_path: Path, read: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    old = open_basin(shorter(source, hours), tmp_path / "store")
    before, kept = content(old, tmp_path / "store"), np.array(old.precipitation)
    read.clear()
    new = open_basin(source, tmp_path / "store")
    assert len([name for name in read if name.startswith("rain")]) == 36 - hours
    sentence = f"has the first {hours} steps: {36 - hours} are added (forcing.pet, forcing.precipitation)"
    assert any(sentence in message for message in caplog.messages)
    assert content(new, tmp_path / "store") == content(open_basin(source, tmp_path / "once"), tmp_path / "once")
    for name in ("precipitation.f32", "pet.f32"):
        files = [tmp_path / "store" / basin.fingerprint / name for basin in (old, new)]
        assert files[0].samefile(files[1])
    assert content(old, tmp_path / "store") == before
    np.testing.assert_array_equal(old.precipitation, kept)
    assert store.load(tmp_path / "store", old.fingerprint) is not None


def test_a_store_grows_again_and_again(source: BasinSource, tmp_path: Path, read: list[str]) -> None:
    for hours in (6, 12, 30):
        open_basin(shorter(source, hours), tmp_path / "store")
    read.clear()
    new = open_basin(source, tmp_path / "store")
    assert len([name for name in read if name.startswith("rain")]) == 6
    assert content(new, tmp_path / "store") == content(open_basin(source, tmp_path / "once"), tmp_path / "once")
    assert (tmp_path / "store" / new.fingerprint / "pet.f32").stat().st_nlink == 4
    sizes = sum(entry.bytes for entry in store.list_stores(tmp_path / "store") if entry.path.name == new.fingerprint)
    assert sizes < store.list_stores(tmp_path / "once")[0].bytes


@pytest.mark.parametrize("obstacle", ["no links", "locked", "a longer store", "left by a killed process"])
def test_rows_are_copied_where_the_file_cannot_grow(
    obstacle: str, source: BasinSource, tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store"
    old = open_basin(shorter(source, 12), folder)
    before, path = content(old, folder), folder / old.fingerprint / "precipitation.f32"

    def refuse(*args: object) -> NoReturn:
        raise OSError(errno.EPERM, "Operation not permitted")

    if obstacle == "no links":
        monkeypatch.setattr(os, "link", refuse)
    elif obstacle == "locked":
        monkeypatch.setattr(store.fcntl, "flock", refuse)
    elif obstacle == "a longer store":
        changed = replace(shorter(source, 20), descriptors={})
        longer = open_basin(changed, folder)
        kept = content(longer, folder)
        next(source.precipitation.path.rglob("*201902281500.tif")).unlink()
    else:
        with path.open("ab") as file:
            file.write(b"half a row")
    read.clear()
    new = open_basin(source, folder)
    assert len([name for name in read if name.startswith("rain")]) == 24 - (obstacle == "a longer store")
    assert not path.samefile(folder / new.fingerprint / path.name)
    assert content(new, folder) == content(open_basin(source, tmp_path / "once"), tmp_path / "once")
    assert content(old, folder) == before
    if obstacle == "a longer store":
        assert content(longer, folder) == kept
    assert store.load(folder, old.fingerprint) is not None


def change(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**11))


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (change, "rain_201902280500.tif has changed since"),
    "removed": (Path.unlink, "files were added, removed or replaced before its end"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_old_file_leads_to_reading_all_and_it_is_said_why(
    what: str, source: BasinSource, tmp_path: Path, read: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    open_basin(shorter(source, 24), tmp_path / "store")
    apply, reason = CHANGES[what]
    apply(next(source.precipitation.path.rglob("*201902280500.tif")))
    read.clear()
    new = open_basin(source, tmp_path / "store")
    assert len([name for name in read if name.startswith("rain")]) == 36 - (what == "removed")
    assert [name for name in read if not name.startswith("rain")] == ["0301_PET.tif"]
    assert any("forcing.precipitation is read from its start" in text and reason in text for text in caplog.messages)
    assert content(new, tmp_path / "store") == content(open_basin(source, tmp_path / "once"), tmp_path / "once")


def test_what_was_filled_from_other_days_is_read_anew(
    source: BasinSource, tmp_path: Path, write_raster: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    """The second day has no temperature of its own until the third one is there, too: it was filled from the first."""
    caplog.set_level(logging.INFO)
    folder = source.flow_directions.parent / "temperature"
    days = {"20190228": 280.0, "20190301": 285.0, "20190302": 290.0}
    for day, kelvin in days.items():
        write_raster(folder / f"{day}.tif", np.full((4, 4), kelvin))
    (folder / "20190301.tif").unlink()
    archive = source.precipitation.path / "20190302"
    for hour in range(37, 73):
        stamp = "".join(filter(str.isdigit, str(source.start + hour * HOUR)))[:12]
        write_raster(archive / f"rain_{stamp}.tif", np.full((4, 4), hour, np.float32))
    oudin = replace(source, pet=None, temperature=ForcingSource(folder, unit="K"), pet_kind="oudin", discharge=None)
    open_basin(oudin, tmp_path / "store")
    longer = replace(oudin, end=source.start + 72 * HOUR)
    new = open_basin(longer, tmp_path / "store")
    assert any("are added (forcing.precipitation)" in text for text in caplog.messages)
    assert any("gaps were filled there, and later days may fill them otherwise" in text for text in caplog.messages)
    assert content(new, tmp_path / "store") == content(open_basin(longer, tmp_path / "once"), tmp_path / "once")


def test_gaps_after_the_end_are_filled_from_the_days_before(source: BasinSource, tmp_path: Path) -> None:
    """Potential evapotranspiration of the second day is missing: also in the longer store it is that of the first."""
    (source.pet.path / "0301_PET.tif").unlink()
    open_basin(shorter(source, 24), tmp_path / "store")
    new = open_basin(source, tmp_path / "store")
    assert (tmp_path / "store" / new.fingerprint / "pet.f32").stat().st_nlink == 2
    assert content(new, tmp_path / "store") == content(open_basin(source, tmp_path / "once"), tmp_path / "once")


def test_stores_of_a_batch_grow_together(source: BasinSource, tmp_path: Path, read: list[str]) -> None:
    catchments = [replace(source, gauge_codes=(code,)) for code in ("A1", "B2")]
    ingest_batch([shorter(one, 24) for one in catchments], tmp_path / "store")
    read.clear()
    found = ingest_batch(catchments, tmp_path / "store")
    assert len([name for name in read if name.startswith("rain")]) == 12
    for one, fingerprint in zip(catchments, found, strict=True):
        alone = open_basin(one, tmp_path / "once")
        assert alone.fingerprint == fingerprint
        assert content(open_basin(one, tmp_path / "store"), tmp_path / "store") == content(alone, tmp_path / "once")


def test_another_domain_or_option_begins_anew(source: BasinSource, tmp_path: Path, read: list[str]) -> None:
    open_basin(shorter(source, 24), tmp_path / "store")
    for other in (
        replace(source, gauge_codes=("B2",)),
        replace(source, precipitation=replace(source.precipitation, scale_factor=0.2)),
    ):
        read.clear()
        open_basin(other, tmp_path / "store")
        assert len([name for name in read if name.startswith("rain")]) == 36


def test_a_kill_while_a_store_grows_leaves_the_old_one(source: BasinSource, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    old = open_basin(shorter(source, 24), folder)
    before = content(old, folder)
    (tmp_path / "source").write_bytes(pickle.dumps(source))
    script = (
        "import os, pickle, signal, sys\n"
        "from pathlib import Path\n"
        "from hydrocli.basin.ingest import open_basin\n"
        "def show(name, done, total):\n"
        "    if name == 'pet':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "source = pickle.loads(Path(sys.argv[1]).read_bytes())\n"
        "open_basin(source, Path(sys.argv[2]), 1, show)\n"
    )
    command = [sys.executable, "-c", script, tmp_path / "source", folder]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    path = folder / old.fingerprint / "precipitation.f32"
    assert path.stat().st_size > before["sizes"]["precipitation.f32"]  # type: ignore[index]
    assert store.load(folder, old.fingerprint) is not None
    assert content(old, folder) == before
    new = open_basin(source, folder)
    assert content(new, folder) == content(open_basin(source, tmp_path / "once"), tmp_path / "once")
    assert {entry.path.name for entry in store.list_stores(folder)} == {old.fingerprint, new.fingerprint}


def test_a_failure_gives_back_the_rows_that_were_added(source: BasinSource, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    old = open_basin(shorter(source, 24), folder)
    last = next(source.precipitation.path.rglob("*201903011100.tif"))
    sound = last.read_bytes()
    last.write_bytes(b"II*\0")
    with pytest.raises(Exception, match="cannot be read as a raster"):
        open_basin(source, folder)
    path = folder / old.fingerprint / "precipitation.f32"
    assert path.stat().st_size == content(old, folder)["sizes"]["precipitation.f32"]  # type: ignore[index]
    last.write_bytes(sound)
    new = open_basin(source, folder)
    assert path.samefile(folder / new.fingerprint / path.name)
