"""Formats of files: the modules of `hydrocli.basin.readers` (forcing) and of `hydrocli.basin.discharge_formats`.

A module of its own, so that the configuration can list the formats without loading NumPy and the libraries of rasters.
"""

from __future__ import annotations

from pathlib import Path
from pkgutil import iter_modules

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
