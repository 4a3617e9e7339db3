"""What a file of a table or of features is: its first bytes decide, not its name."""

from __future__ import annotations

from pathlib import Path

from hydrocli.errors import InputError

KINDS = {
    b"PAR1": "Parquet",
    b"SQLite format 3\0": "GeoPackage",
    b"\0\0'\n": "Shapefile",
    b"PK\3\4": "an Excel workbook or another archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"II*\0": "a GeoTIFF",
    b"MM\0*": "a GeoTIFF",
    b"\x89HDF": "NetCDF or HDF5",
    b"CDF": "NetCDF",
    b"%PDF": "a PDF",
}
"""What begins with these bytes."""
TABLES = ("text", "Parquet", "GeoPackage", "Shapefile")


def kind_of(path: Path, where: str) -> str:
    """What a file is by its first bytes: one of TABLES.

    Raises:
        InputError: it is not there, or no table.
    """
    if path.is_dir():
        if any(path.rglob("*.parquet")):
            return "Parquet"
        raise InputError(where, f"{path} is a folder, a table is expected")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise InputError(where, f"{path} does not exist") from None
    except OSError as error:
        raise InputError(where, f"{path} cannot be opened ({error.strerror})", "Change its permissions.") from error
    kind = next((kind for start, kind in KINDS.items() if head.startswith(start)), "text")
    if kind not in TABLES:
        raise InputError(where, f"{path} is {kind}, a table is expected", "Export it as CSV, Parquet or GeoPackage.")
    return kind
