"""NetCDF after the CF conventions: one file, or a folder tree of files that follow one another in time.

Files of the classic format (NetCDF 3) and of NetCDF 4 (HDF5) are read, also compressed or in archives. What they may
hold says `hydrocli.basin.readers._cf`.
"""

from __future__ import annotations

import io
from typing import Any

from hydrocli.basin.containers import is_packed, read_bytes
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.readers._cf import CfFormat, CfReader
from hydrocli.basin.readers._files import files_of, needs

SUFFIXES = (".nc", ".nc4", ".cdf")


def find(source: ForcingSource, where: str) -> list[str]:
    """Paths of the files of a source; raises as `files_of`."""
    return files_of(source, SUFFIXES, where)


def open_dataset(path: str, variable: str | None, raw: str | None) -> Any:
    """See `CfFormat.open`."""
    try:
        import h5netcdf  # noqa: F401 - the engine
        import xarray
    except ImportError as error:
        raise needs("netcdf", "netcdf", error) from error
    packed = read_bytes(path) if is_packed(path) else b""
    with io.BytesIO(packed) if packed else open(path, "rb") as file:  # noqa: PTH123 - a path of any bytes
        is_classic = file.read(3) == b"CDF"  # NetCDF 3
    return xarray.open_dataset(
        io.BytesIO(packed) if packed else path,
        engine="scipy" if is_classic else "h5netcdf",
        mask_and_scale={raw: False} if raw else True,
    )


READER = CfReader(
    CfFormat("NetCDF", SUFFIXES, find, open_dataset),
    "a time without bounds is the end of its step, or the day of a daily field",
)
