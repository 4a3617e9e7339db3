"""Checkpoint of a calibration: an append-only file of all its evaluations.

scipy's L-BFGS-B cannot export its state (scipy#19522), but every optimiser is a deterministic function of the evaluated
values. A resumed calibration therefore repeats its optimisers from the start and takes earlier evaluations from the
journal (see `recorder`). This takes little time and gives identical results.

The file consists of a magic word and frames: kind, length, payload, CRC-32 of the three. Each frame is written before
the optimiser continues, so a killed process loses nothing. The file is synchronised (fsync) once per second, so a crash
of the machine loses the evaluations of one second, which are repeated. An incomplete last frame is removed when the
journal is opened again.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import scipy

from hydrocli.arrays import Floats
from hydrocli.errors import ConfigurationError, InputError

MAGIC = b"hydrocli"
FORMAT = 1
HEADER, STAGE, BATCH = range(1, 4)
BETWEEN_SYNCS = 1.0
"""Seconds; an evaluation of a small basin takes less than a disk takes to confirm it."""
_HEAD = struct.Struct("<IQ")
_CRC = struct.Struct("<I")
_BATCH = struct.Struct("<QQQd")


@dataclass(frozen=True, eq=False)
class Batch:
    """Control vectors evaluated together.

    Attributes:
        points: [k, m].
        values: their costs, [k].
        gradients: [k, m], or [0, m] for values only.
        seconds: how long the evaluation took.
    """

    points: Floats
    values: Floats
    gradients: Floats
    seconds: float

    def packed(self) -> bytes:
        """The payload of its frame."""
        head = _BATCH.pack(*self.points.shape, len(self.gradients), self.seconds)
        return head + self.points.tobytes() + self.values.tobytes() + self.gradients.tobytes()

    @classmethod
    def unpacked(cls, payload: bytes) -> Batch:
        """The batch of a payload; its arrays are views of it."""
        count, size, rows, seconds = _BATCH.unpack_from(payload)
        numbers = np.frombuffer(payload, dtype=np.float64, offset=_BATCH.size)
        points, values, gradients = np.split(numbers, [count * size, count * size + count])
        return cls(points.reshape(count, size), values, gradients.reshape(rows, size), seconds)


class Journal:
    """The journal of one calibration: earlier entries are read first, then new ones are written.

    Args:
        path: the file; created if missing.
        key: hash of everything that defines the calibration.

    Attributes:
        path: the file.
        recorded: batches found on opening.
        dropped: bytes of an incomplete frame, removed on opening.
        written_with: machine and libraries of the process that created the journal.

    Raises:
        ConfigurationError: the file belongs to a calibration with another key, or has another format.
        InputError: the file is not the journal, or cannot be read or written.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.recorded = self.dropped = 0
        self._synced = -BETWEEN_SYNCS
        self.written_with = machine()
        try:
            self._file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")  # noqa: SIM115, PTH123
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._open(key)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; every entry is on the disk then."""
        with suppress(OSError):  # an append has already reported the error
            os.fsync(self._file.fileno())
        with suppress(OSError):
            self._file.close()

    def next(self) -> str | Batch | None:
        """The next entry of an earlier process, name of a stage or batch; None once all are read."""
        frame = self._read()
        if frame is None:
            return None
        kind, payload = frame
        return payload.decode() if kind == STAGE else Batch.unpacked(payload)

    def append(self, entry: str | Batch) -> None:
        """Write an entry; only after `next` has returned None.

        The file is synchronised once per second.

        Raises:
            InputError: the disk is full or not available; earlier entries are safe.
        """
        if isinstance(entry, str):
            self._write(_framed(STAGE, entry.encode()))
        else:
            self._write(_framed(BATCH, entry.packed()))

    def _open(self, key: str) -> None:
        magic = self._file.read(len(MAGIC))
        if not MAGIC.startswith(magic):
            raise InputError(str(self.path), "is not the journal of a calibration", "Move the file away and run again.")
        header = self._read()
        if header is None:
            self._begin(key)
            return
        self._check(json.loads(header[1]), key)
        first = end = self._file.tell()
        while frame := self._read():
            self.recorded += frame[0] == BATCH
            end = self._file.tell()
        self.dropped = self._size - end
        self._cut(end)
        self._file.seek(first)

    def _begin(self, key: str) -> None:
        self._cut(0)
        header = {"format": FORMAT, "key": key, "written_with": self.written_with}
        self._write(MAGIC + _framed(HEADER, json.dumps(header).encode()))
        folder = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(folder)  # the name of the file, too
        os.close(folder)

    def _check(self, header: dict[str, Any], key: str) -> None:
        if header["format"] != FORMAT:
            what = f"has format {header['format']}; this version of hydrocli uses format {FORMAT}"
        elif header["key"] != key:
            what = f"belongs to another calibration ({header['key'][:12]}, this one is {key[:12]})"
        else:
            self.written_with = header["written_with"]
            return
        raise ConfigurationError(str(self.path), what, "Choose another folder, or start again with --force.")

    def _read(self) -> tuple[int, bytes] | None:
        head = self._file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        kind, length = _HEAD.unpack(head)
        if length > self._size - self._file.tell():  # invalid lengths must not be allocated
            return None
        payload = self._file.read(length)
        whole = self._file.read(_CRC.size) == _CRC.pack(zlib.crc32(payload, zlib.crc32(head)))
        return (kind, payload) if whole else None

    def _write(self, frame: bytes) -> None:
        try:
            self._file.write(frame)
            self._file.flush()
            if time.monotonic() - self._synced > BETWEEN_SYNCS:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            raise self._unusable(error) from error

    def _cut(self, end: int) -> None:
        self._file.seek(end)
        self._file.truncate()
        self._size = end

    def _unusable(self, error: OSError) -> InputError:
        return InputError(
            str(self.path),
            f"cannot be read or written: {error.strerror}",
            "Correct the cause and run again to continue.",
        )


class NoJournal:
    """In the place of a journal, for a descent that is so short that it is repeated."""

    path, written_with = Path(), ""

    def next(self) -> None:
        """Nothing was recorded."""

    def append(self, entry: str | Batch) -> None:
        """Nothing is kept."""


def machine() -> str:
    """Machine and library versions that may affect the last bits of results."""
    return f"{platform.node()} ({platform.machine()}), numpy {np.__version__}, scipy {scipy.__version__}"


def _framed(kind: int, payload: bytes) -> bytes:
    framed = _HEAD.pack(kind, len(payload)) + payload
    return framed + _CRC.pack(zlib.crc32(framed))
