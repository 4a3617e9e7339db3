"""Formats of files: the modules of `hydrocli.basin.readers` (forcing) and of `hydrocli.basin.discharge_formats`.

A module of its own, so that the configuration can list the formats without loading NumPy and the libraries of rasters.
"""

from __future__ import annotations

from pathlib import Path
from pkgutil import iter_modules
from typing import NamedTuple

FORMATS: tuple[str, ...] = tuple(
    sorted(
        module.name
        for module in iter_modules([str(Path(__file__).parent / "readers")])
        if not module.name.startswith("_")  # what several formats share
    )
)
DISCHARGE_FORMATS: tuple[str, ...] = tuple(
    sorted(module.name for module in iter_modules([str(Path(__file__).parent / "discharge_formats")]))
)


class DerivedDescriptor(NamedTuple):
    """A descriptor that is computed.

    Attributes:
        unit: of its values.
        long_name: what it is.
        needs_dem: whether it is made of elevations; else of the flow directions.
    """

    unit: str
    long_name: str
    needs_dem: bool = True


DERIVED: dict[str, DerivedDescriptor] = {
    "elevation": DerivedDescriptor("m", "mean elevation"),
    "slope": DerivedDescriptor("m/m", "mean slope of the elevation model"),
    "drainage_density": DerivedDescriptor("km/km2", "length of streams per area"),
    "height_above_drainage": DerivedDescriptor("m", "mean height above the nearest stream, along the flow"),
    "distance_to_outlet": DerivedDescriptor("km", "distance along the flow to the outlet", needs_dem=False),
}
"""Descriptors that need no file of their own."""
