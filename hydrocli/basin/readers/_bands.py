"""Times of the bands of a GeoTIFF: from their descriptions, or from tags as GDAL and others write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from hydrocli.basin.file_names import dates_in

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

TAGS = ("TIFFTAG_DATETIME", "ACQUISITIONDATETIME", "DATETIME", "VALID_TIME", "TIME", "DATE")
"""Tags of a band that hold a date, in capitals."""
_DIMENSION = re.compile(r"NETCDF_DIM_(\w+)", re.IGNORECASE)
_UNITS = re.compile(r"(second|minute|hour|day)s? since (.+)", re.IGNORECASE)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_EXIF = re.compile(r"(\d{4}):(\d\d):(\d\d) ")


def times_of_bands(dataset: DatasetReader) -> list[np.datetime64]:
    """Times of all bands of an open raster, to the second; none where a band has no time.

    A band has the date of its description, that of one of `TAGS`, or the coordinate of time that GDAL notes where it
    translates NetCDF.
    """
    times = []
    for number, description in zip(dataset.indexes, dataset.descriptions, strict=True):
        tags = {key.upper(): value for key, value in dataset.tags(number).items()}
        texts = [description or "", *(tags[key] for key in TAGS if key in tags)]
        found = next((time for text in texts if (time := _date(text)) is not None), None)
        time = found if found is not None else _coordinate(tags, dataset.tags())
        if time is None:
            return []
        times.append(time)
    return times


def _date(text: str) -> np.datetime64 | None:
    """The date in a text; None where there is none, or several that differ, such as the start and the end of a step."""
    times = {time for _, time in dates_in(_EXIF.sub(r"\1-\2-\3 ", text))}
    return np.datetime64(times.pop(), "s") if len(times) == 1 else None


def _coordinate(tags: dict[str, str], of_file: dict[str, str]) -> np.datetime64 | None:
    """The time that stands in `NETCDF_DIM_<time>` of a band, in the units `<time>#units` of the file."""
    units = {key.lower(): value for key, value in of_file.items()}
    for key, value in tags.items():
        match = _DIMENSION.fullmatch(key)
        unit = _UNITS.match(units.get(f"{match[1].lower()}#units", "")) if match else None
        start = _date(unit[2].strip()) if unit else None
        if unit and start is not None:
            seconds = round(float(value) * _SECONDS[unit[1].lower()])
            return start + np.timedelta64(seconds, "s")
    return None
