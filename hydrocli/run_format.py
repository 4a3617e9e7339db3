"""The format of run folders, and the checksums of their files: what is compared before anything in them is read.

The manifest of a finished run lists its files with size and SHA-256, and has a checksum of its own. Files that later
commands replace (scores, signatures) leave the list first and come back when they are whole. The log, the lock, the
report and its figures are not listed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hydrocli.errors import InputError

RUN_FORMAT = 3
"""Raised whenever a table, column or key of a run folder is renamed or changes its meaning."""
CONFIG, MANIFEST = "config.yaml", "manifest.json"
LISTED = (CONFIG, "*.parquet", "parameters/*.tif", "maps/*.tif")
"""Patterns of the files that a manifest lists."""
PARTS = "basins/*/manifest.json"
"""Manifests of the other basins of a regional calibration: they change later, so only their presence is checked."""
OWN = "sha256"
"""Key of the manifest with the checksum of all its other keys."""
RESTORE = "Restore the file from a copy, or calibrate again with --force."

Files = Mapping[str, Mapping[str, Any]]
"""Size in bytes and SHA-256 of files by their path in the run folder."""


def require_run_format(folder: Path) -> None:
    """Compare the format of a run folder; a folder without a readable manifest is left to those who read it.

    Raises:
        InputError: the folder was written in another format.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return
    if isinstance(manifest, dict) and is_other_format(manifest.get("format")):
        raise other_format(folder, manifest["format"])


def checksums(folder: Path, names: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of files of a run folder, by their path in it.

    Args:
        folder: of the run.
        names: the files, of which some may not be there; left out: all that a manifest lists.
    """
    names = tuple(names)
    paths = [folder / name for name in names] or [path for pattern in LISTED for path in sorted(folder.glob(pattern))]
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": digest}
    if not names:
        found |= {path.relative_to(folder).as_posix(): {} for path in sorted(folder.glob(PARTS))}
    return found


def missing_files(folder: Path, files: Files) -> dict[str, str]:
    """What is wrong with listed files as far as their size tells it, in words, by path; their content is not read."""
    found = {}
    for name, listed in files.items():
        try:
            size = (folder / name).stat().st_size
        except OSError:
            found[name] = "is missing; the run has written it"
            continue
        if listed and size != listed["bytes"]:
            found[name] = f"is damaged: it has {size} bytes, and the run has written {listed['bytes']}"
    return found


def require_same(path: Path, content: bytes | memoryview, listed: Mapping[str, Any] | None, remedy: str = "") -> None:
    """Compare the content of a file with what the manifest lists.

    Raises:
        InputError: it differs.
    """
    if listed and hashlib.sha256(content).hexdigest() != listed["sha256"]:
        what = "is damaged: its content is not what the run has written (SHA-256 differs)"
        raise InputError(str(path), what, remedy or RESTORE)


def own_checksum(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest, as plain JSON values, without its own checksum."""
    values = {key: value for key, value in manifest.items() if key != OWN}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def require_whole_configuration(folder: Path) -> None:
    """Compare `config.yaml` of a finished run with its manifest; a folder that is no such run is left to others.

    Raises:
        InputError: the file is missing, or not what the run has written.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        listed = manifest["files"][CONFIG] if manifest["state"] == "finished" else None
    except (OSError, ValueError, KeyError, TypeError):
        return
    path = folder / CONFIG
    if listed is None:
        return
    if not path.exists():
        raise InputError(str(path), "is missing; the run has written it", RESTORE)
    remedy = "Restore the file from a copy; give changes by --set, or in a YAML file of your own."
    require_same(path, path.read_bytes(), listed, remedy)


def is_other_format(found: Any) -> bool:
    """Whether the value stands for a run folder, but of another format: a number, or the name of format 1."""
    is_ours = isinstance(found, int) or (
        isinstance(found, str) and bool(re.fullmatch(r"hydrocli run folder \d+", found))
    )
    return is_ours and found != RUN_FORMAT


def other_format(path: Path, found: Any) -> InputError:
    """The error of a folder or file of another format."""
    number = str(found).rpartition(" ")[2]
    what = f"was written in format {number} of run folders; this version of hydrocli uses format {RUN_FORMAT}"
    remedy = "Calibrate again with this version, in a new folder, or read it with the version that wrote it."
    return InputError(str(path), what, remedy)
