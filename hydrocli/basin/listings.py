"""Lists of archives that are kept beside the stores: an archive that has not changed is not listed and read again.

What a listing depends on is noted while it is made: the folders that were listed, and the files that were opened to
find the times of their fields. A kept listing counts as long as each of these folders, and each file whose fields are
used, is as it was: folders by their number and time of change, files by their size and time of change. So a new,
removed or renamed file is noticed by its folder, a changed one by itself.

A change leaves no trace in a time of change where it follows another one within the resolution of the clock of the file
system. What was changed in the last `FRESH` seconds before it was listed is therefore listed again the next time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from hydrocli import __version__
from hydrocli.errors import HydrocliError
from hydrocli.files import atomic_write

FOLDER = "listings"
"""Of a folder of stores."""
FRESH = 10.0
"""Seconds: coarse clocks of file systems tick every two; the rest is for clocks of servers that differ from ours."""
KEPT = 500
"""Listings in a folder; the oldest go first."""
_FORMAT = 1


@dataclass
class Seen:
    """What a listing depends on.

    Attributes:
        began: when it was begun [s since 1970].
        folders: time of change [ns] and number of each folder that was listed.
        files: size and time of change [ns] of each file that was looked at.
    """

    began: float = field(default_factory=time.time)
    folders: dict[str, tuple[int, int]] = field(default_factory=dict)
    files: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it was changed shortly before it was looked at."""
        limit = 1e9 * (self.began - FRESH)
        changed = (time for time, _ in self.folders.values())
        return all(time < limit for time in changed) and all(time < limit for _, time in self.files.values())


@dataclass(frozen=True)
class Listing:
    """What is kept of the listing of the archives of a source.

    Attributes:
        notes: sentences worth a warning.
        digests: of each pass over files, by its section; see `hydrocli.basin.source`.
    """

    notes: tuple[str, ...]
    digests: dict[str, str]


_noting: ContextVar[Seen | None] = ContextVar("_noting", default=None)


@contextmanager
def noting() -> Iterator[Seen]:
    """Within the block, what a listing depends on is noted."""
    seen = Seen()
    token = _noting.set(seen)
    try:
        yield seen
    finally:
        _noting.reset(token)


def note_folder(path: str, state: os.stat_result) -> None:
    """Note a folder that is about to be listed, as it is now."""
    seen = _noting.get()
    if seen is not None:
        seen.folders[path] = state.st_mtime_ns, state.st_ino


def note_opened(path: str) -> None:
    """Note a file, or a folder with all of its files, whose content says which fields there are."""
    seen = _noting.get()
    if seen is None:
        return
    with suppress(OSError):  # whoever opens it says so
        state = os.stat(path)  # noqa: PTH116 - tens of thousands of files
        if not os.path.isdir(path):  # noqa: PTH112 - as above
            seen.files[path] = state.st_size, state.st_mtime_ns
            return
        for folder, _, names in os.walk(path):
            note_folder(folder, os.stat(folder))  # noqa: PTH116 - as above
            for name in names:
                note_opened(os.path.join(folder, name))  # noqa: PTH118 - as above


def load(store_folder: Path, key: Iterable[str]) -> Listing | None:
    """The listing that is kept for a key, if nothing that it depends on has changed."""
    try:
        kept = json.loads(_path(store_folder, key).read_text(encoding="utf-8"))
        if (kept["format"], kept["version"], kept["key"]) != (_FORMAT, __version__, list(key)):
            return None
        for path, *state in kept["folders"]:
            now = os.stat(path)  # noqa: PTH116 - as above
            if [now.st_mtime_ns, now.st_ino] != state:
                return None
        states = map(os.stat, kept["files"])
        if any(
            now.st_size != size or now.st_mtime_ns != changed
            for now, size, changed in zip(states, kept["sizes"], kept["changed"], strict=True)
        ):
            return None
        return Listing(tuple(kept["notes"]), dict(kept["digests"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # there is none, or it is broken: the archives are listed


def save(store_folder: Path, key: Iterable[str], listing: Listing, seen: Seen) -> None:
    """Keep a listing, unless it may be out of date already; where this is impossible, nothing is kept."""
    if not seen.is_settled:
        return
    path = _path(store_folder, key)
    content = {
        "format": _FORMAT,
        "version": __version__,
        "key": list(key),
        "notes": listing.notes,
        "digests": listing.digests,
        "folders": [[folder, *state] for folder, state in seen.folders.items()],
        "files": list(seen.files),
        "sizes": [size for size, _ in seen.files.values()],
        "changed": [changed for _, changed in seen.files.values()],
    }
    with suppress(OSError, HydrocliError):  # a store that others own, a full disk
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as file:
            file.write(json.dumps(content).encode())
        others = sorted(path.parent.glob("*.json"), key=lambda other: other.stat().st_mtime)
        for old in others[:-KEPT]:
            old.unlink(missing_ok=True)


def _path(store_folder: Path, key: Iterable[str]) -> Path:
    digest = hashlib.sha256("\0".join(key).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return store_folder / FOLDER / f"{digest}.json"
