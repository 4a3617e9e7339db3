"""Zarr after the CF conventions, versions 2 and 3: one store, or a folder tree of stores that follow one another.

A store is a folder, or a zip archive whose name ends with .zarr.zip. What it may hold says
`hydrocli.basin.readers._cf`.
"""

from __future__ import annotations

import os
from typing import Any

from hydrocli.basin.listings import note_folder
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.readers._cf import CfFormat, CfReader
from hydrocli.basin.readers._files import fitting, needs
from hydrocli.errors import InputError

MARKS = ("zarr.json", ".zgroup", ".zmetadata")
"""Names of files of which a store has at least one."""
ZIPPED = ".zarr.zip"


def find(source: ForcingSource, where: str) -> list[str]:
    """Paths of the stores of a source.

    Raises:
        InputError: there is none, or a folder cannot be listed.
    """
    if source.path.is_file() and source.path.name.lower().endswith(ZIPPED):
        return [os.fspath(source.path)]
    if not source.path.is_dir():
        what = "is not a Zarr store" if source.path.exists() else "does not exist"
        raise InputError(where, f"{source.path} {what}", "Relative paths start from the folder of the YAML file.")
    waiting, found = [os.fspath(source.path)], list[str]()
    while waiting:
        here = waiting.pop()
        try:
            note_folder(here, os.stat(here))  # noqa: PTH116 - a string
            with os.scandir(here) as listed:
                entries = list(listed)
        except OSError as error:
            remedy = "Change its permissions, or move it out of this folder."
            raise InputError(where, f"{here} cannot be listed ({error.strerror})", remedy) from error
        if any(entry.name in MARKS for entry in entries):
            found.append(here)
            continue
        found += [entry.path for entry in entries if entry.name.lower().endswith(ZIPPED)]
        waiting += [entry.path for entry in entries if entry.is_dir()]
    if not found:
        what = f"{source.path} has no Zarr store, which is a folder with one of {', '.join(MARKS)}"
        raise InputError(where, what)
    return fitting(sorted(found), source, where)


def open_dataset(path: str, variable: str | None, raw: str | None) -> Any:
    """See `CfFormat.open`."""
    try:
        import xarray
        import zarr
    except ImportError as error:
        raise needs("zarr", "zarr", error) from error
    options: dict[str, Any] = {"engine": "zarr", "chunks": None, "mask_and_scale": {raw: False} if raw else True}
    if not path.lower().endswith(ZIPPED):
        return xarray.open_dataset(path, **options)
    store: Any = zarr.storage.ZipStore(path, mode="r")
    dataset = xarray.open_dataset(store, **options)
    dataset.set_close(store.close)
    return dataset


READER = CfReader(
    CfFormat("Zarr", (".zarr", ZIPPED), find, open_dataset),
    "a time without bounds is the end of its step, or the day of a daily field",
)
