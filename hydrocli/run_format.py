"""The format of run folders: written into each of them, and compared before anything else in it is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hydrocli.errors import InputError

RUN_FORMAT = 3
"""Raised whenever a table, column or key of a run folder is renamed or changes its meaning."""
CONFIG, MANIFEST = "config.yaml", "manifest.json"


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
