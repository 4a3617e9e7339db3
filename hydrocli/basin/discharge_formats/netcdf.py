"""`netcdf`: CF NetCDF with a variable of discharge by time and station (CF 9), and a variable of codes.

Needs the extra `netcdf`. The codes are the variable with `cf_role: timeseries_id`, or one named station_id, station,
gauge, code or id. The discharge is the variable of standard name water_volume_transport_in_river_channel, or the only
one of time and station; `columns.discharge` names another.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.basin.clock import Stamps
from hydrocli.basin.discharge_formats import SECTION, DischargeSource, Found, Period, Records
from hydrocli.basin.tables import code_text
from hydrocli.errors import ConfigurationError, InputError

CODES = ("station_id", "station", "gauge", "gauge_id", "code", "id", "basin")
STANDARD_NAME = "water_volume_transport_in_river_channel"


class NetcdfFormat:
    """See the module."""

    def find(self, source: DischargeSource, codes: Sequence[str]) -> tuple[str, ...]:
        """See `DischargeFormat`."""
        return (os.fspath(source.path),)

    def read(
        self, paths: Sequence[str], source: DischargeSource, codes: Sequence[str], period: Period, notes: list[str]
    ) -> Found:
        """See `DischargeFormat`."""
        try:
            import h5netcdf  # noqa: F401 - the engine
            import xarray as xr
        except ImportError as error:
            remedy = "Install them with: pip install 'hydrocli[netcdf]'"
            raise ConfigurationError(f"{SECTION}.format", "netcdf needs xarray and h5netcdf", remedy) from error
        path = Path(paths[0])
        try:
            with path.open("rb") as file:
                is_classic = file.read(3) == b"CDF"
            # Named, since a search for engines would import every one that is installed.
            with xr.open_dataset(path, engine="scipy" if is_classic else "h5netcdf") as dataset:
                return _read(dataset, path, source, codes)
        except (OSError, ValueError) as error:
            what = f"cannot be read as NetCDF ({error})"
            raise InputError(str(path), what, "Replace it by a sound copy.") from error


FORMAT = NetcdfFormat()


def _read(dataset: Any, path: Path, source: DischargeSource, codes: Sequence[str]) -> Found:
    import pandas as pd

    identifiers = _codes(dataset, path, source)
    variable = _variable(dataset, identifiers, path, source)
    dimension = identifiers.dims[0]
    time = dataset["time"]
    times = np.asarray(time.values, "datetime64[s]")
    bounds, label = time.attrs.get("bounds") or time.encoding.get("bounds"), None
    if bounds in dataset:
        times, label = np.asarray(dataset[bounds].values, "datetime64[s]")[:, 1], "end"
    stamps = Stamps(times, np.ones(len(times), bool))
    unit = str(variable.attrs.get("units", "m3/s"))
    found: Found = {}
    for place, value in enumerate(identifiers.values):
        code = code_text(value.decode() if isinstance(value, bytes) else value)
        if code in codes:
            values = pd.Series(np.asarray(variable.isel({dimension: place}).values, np.float64))
            found[code] = Records(
                stamps,
                values,
                lambda row: f"{path}: time {row}",
                unit=unit,
                label=label,
                layout=f"variable {variable.name}",
            )
    return found


def _codes(dataset: Any, path: Path, source: DischargeSource) -> Any:
    """The variable of codes, of one dimension."""
    stated = source.columns.get("gauge")
    by_role = [name for name, one in dataset.variables.items() if one.attrs.get("cf_role") == "timeseries_id"]
    names = [stated] if stated else [*by_role, *CODES]
    found = next((dataset[name] for name in names if name in dataset.variables and dataset[name].ndim == 1), None)
    if found is None:
        remedy = f"Name it in `{SECTION}.columns.gauge`; it has {', '.join(map(str, dataset.variables))}."
        raise InputError(str(path), "has no variable of codes of stations", remedy)
    return found


def _variable(dataset: Any, identifiers: Any, path: Path, source: DischargeSource) -> Any:
    """The variable of discharge, by time and station."""
    if "time" not in dataset.variables:
        raise InputError(str(path), "has no coordinate time", "Write it after the CF conventions.")
    fitting = [name for name, one in dataset.data_vars.items() if set(one.dims) == {"time", identifiers.dims[0]}]
    named = [name for name in fitting if dataset[name].attrs.get("standard_name") == STANDARD_NAME]
    stated = source.columns.get("discharge")
    chosen = [name for name in fitting if name == stated] if stated else (named or fitting)
    if len(chosen) != 1:
        what = f"has {len(chosen)} variables of discharge by time and station"
        remedy = f"Name one in `{SECTION}.columns.discharge`: {', '.join(map(str, fitting)) or 'there is none'}."
        raise InputError(str(path), what, remedy)
    return dataset[chosen[0]]
