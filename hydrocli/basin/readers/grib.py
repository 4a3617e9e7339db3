"""GRIB, editions 1 and 2: one file, or a folder tree of files, read by cfgrib and ecCodes.

The name of a variable is that of cfgrib (`tp`, `t2m`) or the short name of ecCodes (`2t`). Regular grids have axes;
cells of projected grids are found by their latitudes and longitudes, which every message has. Grids of unequal rows
(reduced Gaussian) are refused. Fields of forecasts are found by the time at which they are valid.
"""

from __future__ import annotations

from typing import Any

from hydrocli.basin.containers import is_packed
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.readers._cf import CfFormat, CfReader
from hydrocli.basin.readers._files import files_of, needs
from hydrocli.errors import InputError

SUFFIXES = (".grib", ".grb", ".grib2", ".grb2", ".gb2", ".grib1", ".grb1")


def find(source: ForcingSource, where: str) -> list[str]:
    """Paths of the files of a source; raises as `files_of`, and where one is packed."""
    paths = files_of(source, SUFFIXES, where)
    if packed := next(filter(is_packed, paths), None):
        raise InputError(where, f"{packed} is compressed or in an archive", "Unpack GRIB files before they are read.")
    return paths


def open_dataset(path: str, variable: str | None, raw: str | None) -> Any:
    """See `CfFormat.open`: all messages of a file, or those of one variable. Their packing is always applied."""
    try:
        import cfgrib
        import xarray
    except (ImportError, RuntimeError) as error:  # cfgrib without the library ecCodes
        absent = error if isinstance(error, ImportError) else ImportError(str(error), name="eccodes")
        raise needs("grib", "grib", absent) from error
    if variable is None:
        try:
            return _open(xarray, path, {})
        except cfgrib.DatasetBuildError as error:
            what = f"has messages that do not make one field over time ({' '.join(str(error).split())[:120]})"
            raise InputError(path, what, "Name one variable with `variable`.") from error
    for key in ("cfVarName", "shortName"):
        dataset = _open(xarray, path, {key: variable})
        if len(dataset.data_vars) == 1:
            (found,) = dataset.data_vars
            return dataset.rename({found: variable}) if found != variable else dataset
        dataset.close()
    return _open(xarray, path, {})


def _open(xarray: Any, path: str, keys: dict[str, str]) -> Any:
    # No file of an index beside those of the user.
    return xarray.open_dataset(path, engine="cfgrib", backend_kwargs={"indexpath": "", "filter_by_keys": keys})


READER = CfReader(
    CfFormat("GRIB", SUFFIXES, find, open_dataset),
    "the time at which a field is valid is the end of its step, or the day of a daily field",
)
