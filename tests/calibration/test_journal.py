"""The journal: entries come back to the bit, torn ones are cut off, another calibration's are refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from hydrocli.calibration.journal import Batch, Journal
from hydrocli.errors import ConfigurationError, InputError

X = np.array([[0.1, -0.0, 1 / 3], [np.pi, 5e-324, 1e300]])
ENTRIES = ["descent", Batch(X[:1], np.array([0.5]), X[1:], 1.5), Batch(X, np.array([np.nan, np.inf]), X[:0], 0.25)]


def written(path: Path) -> Path:
    with Journal(path, "key") as journal:
        for entry in ENTRIES:
            journal.append(entry)
    return path


def contents(journal: Journal) -> list[object]:
    found: list[object] = []
    while (entry := journal.next()) is not None:
        found.append(entry if isinstance(entry, str) else (entry.packed(), entry.points.shape, entry.gradients.shape))
    return found


EXPECTED = [e if isinstance(e, str) else (e.packed(), e.points.shape, e.gradients.shape) for e in ENTRIES]


def test_entries_come_back_to_the_bit(path: Path) -> None:
    with Journal(written(path), "key") as journal:
        assert (journal.recorded, journal.dropped) == (2, 0)
        assert contents(journal) == EXPECTED
        journal.append("more")
    with Journal(path, "key") as journal:
        assert contents(journal) == [*EXPECTED, "more"]


def test_cut_at_every_byte_it_keeps_the_whole_entries_and_goes_on(path: Path) -> None:
    whole = written(path).read_bytes()
    kept = []
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with Journal(path, "key") as journal:
            found = contents(journal)
            journal.append("more")
        assert found == EXPECTED[: len(found)]
        kept.append(len(found))
        with Journal(path, "key") as journal:
            assert journal.dropped == 0
            assert contents(journal) == [*found, "more"]
    assert kept == sorted(kept)
    assert set(kept) == {0, 1, 2}


def test_a_flipped_bit_drops_what_follows(path: Path) -> None:
    whole = bytearray(written(path).read_bytes())
    whole[-40] ^= 1
    path.write_bytes(whole)
    with Journal(path, "key") as journal:
        assert journal.dropped > 0
        assert contents(journal) == EXPECTED[:2]


@pytest.mark.parametrize("tail", [bytes(64), b"\xff" * 64], ids=["zeros", "ones"])
def test_a_nonsense_tail_is_dropped(path: Path, tail: bytes) -> None:
    path.write_bytes(written(path).read_bytes() + tail)
    with Journal(path, "key") as journal:
        assert journal.dropped == 64
        assert contents(journal) == EXPECTED


def test_another_key_is_refused_and_leaves_the_file_alone(path: Path) -> None:
    before = written(path).read_bytes()
    with pytest.raises(ConfigurationError, match=r"belongs to another calibration \(key, this one is other\)"):
        Journal(path, "other")
    assert path.read_bytes() == before


def test_another_file_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(InputError, match="not the journal"):
        Journal(path, "key")
    assert path.read_text() == "precious"


def test_another_format_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(path)
    monkeypatch.setattr("hydrocli.calibration.journal.FORMAT", 99)
    with pytest.raises(ConfigurationError, match="has format 1; this version of hydrocli uses format 99"):
        Journal(path, "key")


def test_no_folder_and_a_full_disk_are_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="No such file"):
        Journal(path / "missing" / "journal", "key")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(written(path), "key") as journal:
        contents(journal)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="No space left"):
            journal.append("more")
