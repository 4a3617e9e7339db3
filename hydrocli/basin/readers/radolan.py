"""RADOLAN: binary composites of the German Weather Service (DWD), such as RW (hourly, adjusted) and YW (5 minutes).

Format, after the description of the composites (DWD, RADOLAN/RADVOR-OP Kompositformat): a header of text ends with the
byte 3. It begins with the product (2 letters), day, hour and minute (ddhhmm), the number 10000, month and year (mmyy);
then come fields of a mark and a value: BY (bytes of the product), PR (precision, such as E-01), INT (interval in
minutes), U (unit of the interval: 0 minutes, 1 days), GP (rows x columns). Then follow two bytes for each cell, the
less significant first, from the south-western cell along the rows to the north. The bits 1 to 12 are the value, 13
marks values from a second source, 14 missing ones, 15 negative ones and 16 clutter, which is missing here too.

The time is the end of the interval. The grid is a polar stereographic projection of a sphere of radius 6370.04 km, true
at 60 degrees north, along the meridian of 10 degrees east, in cells of 1 km.

Files may be compressed (.gz), and months of them packed in archives (.tar, .tar.gz), as the DWD offers them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from hydrocli.basin.containers import is_packed, read_bytes
from hydrocli.basin.grid import Grid, crs_to_wkt
from hydrocli.basin.readers import ForcingSource, is_missing
from hydrocli.basin.readers._images import Field, Image, ImageReader
from hydrocli.errors import InputError

PROJECTION = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +x_0=0 +y_0=0 +R=6370040 +units=m +no_defs +type=crs"
CORNERS = {(900, 900): (-523_462.2, -3_758_645.0), (1100, 900): (-443_462.2, -3_658_645.0)}
"""x and y of the north-western corner, by rows and columns (Kompositformat, tables of the corners), in metres."""
CELL = 1000.0
AMOUNTS = ("RW", "RY", "RH", "RB", "RL", "RU", "RK", "RR", "SF", "SQ", "SH", "SM", "EW", "YW")
"""Products that hold depths of rain in their interval."""
VALUE, MISSING, NEGATIVE, CLUTTER = 0x0FFF, 0x2000, 0x4000, 0x8000
_END, _LONGEST = b"\x03", 2048
_BEGIN = re.compile(r"([A-Z]{2})(\d{2})(\d{2})(\d{2})\d{5}(\d{2})(\d{2})BY")
_MARKS = {
    "precision": re.compile(r"PR *E([+-]\d{2})"),
    "interval": re.compile(r"INT *(\d+)"),
    "shape": re.compile(r"GP *(\d+) *x *(\d+)"),
}
_IN_DAYS = re.compile(r"INT *\d+ *U1")


class Header(NamedTuple):
    """What the header of a composite says.

    Attributes:
        product: two letters.
        end: of the interval (UTC).
        minutes: length of it.
        precision: unit of the values [mm].
        shape: rows, columns.
        length: bytes of the header.
    """

    product: str
    end: np.datetime64
    minutes: int
    precision: float
    shape: tuple[int, int]
    length: int


def header_of(content: bytes, path: str) -> Header:
    """The header at the beginning of a file.

    Raises:
        ValueError: it is none.
        InputError: it is that of a product which is not read here; `path` names the file.
    """
    text, end, _ = content[:_LONGEST].partition(_END)
    words = text.decode("ascii")
    begin = _BEGIN.match(words)
    found = {name: mark.search(words) for name, mark in _MARKS.items()}
    if not end or begin is None:
        raise ValueError("it does not begin with a header such as RW030950100000814BY")
    product, day, hour, minute, month, year = begin.groups()
    if product not in AMOUNTS:
        what = f"is a RADOLAN product {product}, which holds no depths of rain"
        raise InputError(path, what, f"These products are read: {', '.join(AMOUNTS)}.")
    precision, interval, shape = found["precision"], found["interval"], found["shape"]
    if precision is None or interval is None or shape is None:
        raise ValueError(f"its header lacks one of PR, INT and GP: {words[:80]}")
    size = int(shape[1]), int(shape[2])
    if size not in CORNERS:
        known = " and ".join(f"{rows} x {columns}" for rows, columns in CORNERS)
        raise InputError(path, f"has {size[0]} x {size[1]} cells, a grid that is not known here", f"Known are {known}.")
    time = np.datetime64(f"20{year}-{month}-{day}T{hour}:{minute}", "s")
    minutes = int(interval[1]) * (1440 if _IN_DAYS.search(words) else 1)
    return Header(product, time, minutes, 10.0 ** int(precision[1]), size, len(text) + 1)


def fields(path: str, source: ForcingSource) -> list[Field]:
    """The one field of a composite."""
    if source.variable is not None:
        raise InputError(path, "holds one product, which has no name of a variable", "Remove the key `variable`.")
    if is_packed(path):
        content = read_bytes(path)
    else:
        with open(path, "rb") as file:  # noqa: PTH123 - a path of any bytes
            content = file.read(_LONGEST)
    header = header_of(content, path)
    return [Field(header.end - np.timedelta64(header.minutes, "m"), header.end, 0)]


def image(path: str, source: ForcingSource, number: int) -> Image:
    """The field of a composite in mm of its interval."""
    content = read_bytes(path)
    header = header_of(content, path)
    rows, columns = header.shape
    if len(content) - header.length != 2 * rows * columns:
        raise ValueError(f"it has {len(content) - header.length} bytes of values, {2 * rows * columns} are expected")
    raw = np.frombuffer(content, "<u2", offset=header.length).reshape(header.shape)[::-1]
    counts = (raw & VALUE).astype(np.int64)
    counts[(raw & NEGATIVE) != 0] *= -1
    values = counts.astype(np.float64) * (1.0 if source.packing == "ignore" else header.precision)
    values[((raw & (MISSING | CLUTTER)) != 0) | is_missing(counts, source.nodata)] = np.nan
    return Image(values, grid_of(header.shape), "mm", header.precision != 1.0)


@lru_cache
def grid_of(shape: tuple[int, int]) -> Grid:
    """The grid of composites of so many rows and columns."""
    left, top = CORNERS[shape]
    return Grid(crs_to_wkt("radolan", PROJECTION), (CELL, 0.0, left, 0.0, -CELL, top), *shape)


READER = ImageReader(
    "RADOLAN",
    ("---bin", ".bin", ".radolan", "-bin"),
    "the time in the header of a composite is the end of its interval",
    fields,
    image,
)
