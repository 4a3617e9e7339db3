"""What earlier runs left behind and may be removed: stores of what was read, and compiled code."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hydrocli import jit
from hydrocli.basin.store import list_stores, remove_store
from hydrocli.config import load

STORE_FOLDER = Path(".hydrocli/store")


@dataclass(frozen=True)
class CacheEntry:
    """Something on disk; `state` is `current`, or `old` where no later run will use it."""

    kind: str
    path: Path
    bytes: int
    created: datetime
    state: str


def list_entries(target: Path) -> list[CacheEntry]:
    """Stores of a configuration, or of a folder of configurations, and the caches of compiled code of this user.

    Raises:
        Errors: `target` is a file, and no configuration.
    """
    folder = target / STORE_FOLDER if target.is_dir() else load(target).forcing.store
    stores = [
        CacheEntry("store", entry.path, entry.bytes, entry.created, "old" if entry.is_partial else "current")
        for entry in list_stores(folder)
    ]
    return stores + _compiled()


def _compiled() -> list[CacheEntry]:
    current = jit.cache_folder()
    return [
        CacheEntry(
            "compiled",
            path,
            sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
            datetime.fromtimestamp(path.stat().st_mtime, UTC),
            "current" if path == current else "old",
        )
        for path in sorted(jit.cache_root().glob("compiled-*"))
        if path.is_dir() and not path.is_symlink()
    ]


def remove(entry: CacheEntry) -> None:
    """Remove what `list_entries` found."""
    if entry.kind == "store":
        remove_store(entry.path)
    else:
        shutil.rmtree(entry.path)
