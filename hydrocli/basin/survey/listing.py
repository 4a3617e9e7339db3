"""The files below a folder by format, in groups whose names differ in digits only."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from hydrocli.basin.containers import file_of, has_suffix, is_archive, members
from hydrocli.basin.formats import FORMATS
from hydrocli.basin.readers import ForcingSource, reader_of
from hydrocli.errors import InputError

TABLES = (".csv", ".txt", ".tsv", ".parquet", ".gpkg", ".shp", ".day", ".json")
"""Suffixes of tables of gauges and of discharge."""
QUIET = (".yaml", ".yml", ".md", ".xml", ".prj", ".dbf", ".shx", ".cpg", ".qpj", ".idx", ".msk", ".tfw", ".pdf")
"""Suffixes of files that belong to others, or are for people."""
MOST_FILES = 1_000_000
MOST_NAMES = 60
"""Kinds of names in a folder above which its files are one group."""
LARGEST_TAR = 500e6
"""Bytes of a compressed archive that is unpacked to see what it holds."""
SHOWN = 3
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Group:
    """Files of one format whose paths differ in digits only.

    Attributes:
        format: of `hydrocli.basin.formats.FORMATS`.
        paths: sorted.
        has_others: whether the folder that holds all of them has other files of the format.
    """

    format: str
    paths: tuple[str, ...]
    has_others: bool

    @property
    def root(self) -> str:
        """The file, or the folder or archive that holds all files."""
        if len(self.paths) == 1:
            return file_of(self.paths[0])
        # What the first and the last of sorted paths have in common, all have.
        return file_of(os.path.commonpath([os.path.dirname(path) for path in (self.paths[0], self.paths[-1])]))  # noqa: PTH120


@dataclass
class Files:
    """What lies below a folder.

    Attributes:
        folder: that was listed.
        by_format: paths of files of forcing formats.
        tables: paths of files that may be tables.
        left_out: sentences on what is nothing of this.
    """

    folder: Path
    by_format: dict[str, list[str]] = field(default_factory=dict)
    tables: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def groups(self) -> Iterable[Group]:
        """The files of forcing formats in groups."""
        start = len(os.fspath(self.folder)) + 1
        for name, unsorted in self.by_format.items():
            paths = sorted(unsorted)
            by_folder: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
            for path in paths:
                folder, _, file = _DIGITS.sub("#", path[start:]).rpartition(os.sep)
                by_folder[folder][file].append(path)
            for alike in by_folder.values():
                # Names that have words for numbers, such as months: the folder is the archive.
                whole = [[path for own in alike.values() for path in own]] if len(alike) > MOST_NAMES else []
                for own in whole or alike.values():
                    group = Group(name, tuple(sorted(own)), has_others=False)
                    inside = (
                        bisect_left(paths, f"{group.root}/"),
                        bisect_left(paths, f"{group.root}{chr(ord('/') + 1)}"),
                    )
                    yield replace(group, has_others=inside[1] - inside[0] > len(own))


def listed(folder: Path) -> Files:
    """List all files below a folder; hidden ones, run folders and stores of hydrocli are skipped.

    Raises:
        InputError: it is no folder, or cannot be listed.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "is not a folder" if folder.exists() else "does not exist")
    every = {name: reader_of(ForcingSource(folder, name)).suffixes for name in FORMATS}
    suffixes = {name: endings for name, endings in every.items() if not set(endings) & set(TABLES)}
    files, waiting, count, others = Files(folder), [os.fspath(folder)], 0, dict[str, list[str]]()
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if here == os.fspath(folder):
                raise InputError(here, f"cannot be listed ({error.strerror})", "Change its permissions.") from error
            files.left_out.append(f"{here} cannot be listed ({error.strerror})")
            continue
        if here != os.fspath(folder) and any(entry.name == "manifest.json" for entry in entries):
            files.left_out.append(f"{here} is a run folder")
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            count += 1
            if entry.is_dir() and not entry.name.lower().endswith(".zarr"):
                waiting.append(entry.path)
            elif not _sorted_in(entry.path, suffixes, files):
                others.setdefault(Path(entry.name).suffix.lower(), []).append(entry.path)
        if count > MOST_FILES:
            files.left_out.append(f"only the first {count} files were looked at")
            break
    for suffix, paths in others.items():
        if suffix not in QUIET:
            shown = ", ".join(os.path.relpath(path, folder) for path in paths[:SHOWN])
            files.left_out.append(f"{len(paths)} files of another kind ({suffix or 'no suffix'}): {shown}")
    return files


def _sorted_in(path: str, suffixes: dict[str, tuple[str, ...]], files: Files) -> bool:
    """Put a file where it belongs; whether it has a place."""
    name = os.path.basename(path)  # noqa: PTH119 - thousands of names
    for known, endings in suffixes.items():
        if has_suffix(name, endings):
            files.by_format.setdefault(known, []).append(path)
            return True
    if is_archive(name):
        return _packed(path, suffixes, files)
    if name.lower().endswith(TABLES):
        files.tables.append(Path(path))
        return True
    return False


def _packed(path: str, suffixes: dict[str, tuple[str, ...]], files: Files) -> bool:
    """Put the members of an archive where they belong."""
    if not path.lower().endswith((".zip", ".tar")) and os.path.getsize(path) > LARGEST_TAR:  # noqa: PTH202 - as above
        files.left_out.append(f"{path} is a large compressed archive, which was not looked into")
        return True
    try:
        inside = {name: members(path, endings) for name, endings in suffixes.items()}
    except OSError as error:
        files.left_out.append(f"{path} cannot be listed ({error})")
        return True
    for name, paths in inside.items():
        if paths:
            files.by_format.setdefault(name, []).extend(paths)
    return any(inside.values())
