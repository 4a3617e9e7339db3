"""Discharge in the layouts of archives: daily means, 1 to 5 m3/s from 1 to 5 March 2020 on 36 km2; and any series."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Times
from hydrocli.basin.discharge_formats import DischargeSource

DAILY = [(f"2020-03-{day:02}", float(day)) for day in range(1, 6)]

ARCHIVES: list[tuple[str, str, str]] = [
    (
        "caravan",
        "timeseries/csv/camels/camels_012.csv",
        "date,total_precipitation_sum,streamflow\n" + "".join(f"{d},1,{q * 2.4}\n" for d, q in DAILY),
    ),
    (
        "camels",
        "01/012_streamflow_qc.txt",
        "".join(f"012 {d.replace('-', ' ')} {q / 0.3048**3:.6f} A\n" for d, q in DAILY),
    ),
    (
        "camels",
        "CAMELS_GB_hydromet_timeseries_012_19701001-20150930.csv",
        "date,precipitation,discharge_spec,discharge_vol\n" + "".join(f"{d},1,9,{q}\n" for d, q in DAILY),
    ),
    (
        "camels",
        "CAMELS_FR_tsd_012.csv",
        "# CAMELS-FR\ntsd_date;tsd_q_l;tsd_q_mm\n" + "".join(f"{d.replace('-', '')};{q * 1e3};9\n" for d, q in DAILY),
    ),
    (
        "camels",
        "CAMELS_CH_obs_based_012.csv",
        "date,discharge_vol(m3/s),discharge_spec(mm/d)\n" + "".join(f"{d},{q},9\n" for d, q in DAILY),
    ),
    (
        "camels",
        "CAMELS_DE_hydromet_timeseries_012.csv",
        "date,discharge_vol_obs,discharge_spec_obs\n" + "".join(f"{d},{q},9\n" for d, q in DAILY),
    ),
    (
        "grdc",
        "012_Q_Day.Cmd.txt",
        "# GRDC-No.:  012\n# River: RHÔNE\n# DATA\nYYYY-MM-DD;hh:mm; Value\n"
        + "".join(f"{d};--:--; {q:10.3f}\n" for d, q in DAILY),
    ),
    (
        "hubeau",
        "obs_elab.csv",
        "code_site;code_station;date_obs_elab;resultat_obs_elab;grandeur_hydro_elab;libelle_qualification\n"
        + "".join(f"01;012;{d};{q * 1e3};QmnJ;Bonne\n01;012;{d};99;HIXnJ;Bonne\n" for d, q in DAILY),
    ),
]
"""Format, name of the file, text."""


def _one_column(folder: Path, times: Times, values: Floats) -> DischargeSource:
    start = f"{times[0].astype('datetime64[m]')}".translate(str.maketrans("", "", "-T:"))
    (folder / "q_G1.csv").write_text("\n".join([start, *map(str, values)]) + "\n")
    return DischargeSource(folder)


def _table(folder: Path, times: Times, values: Floats, name: str) -> DischargeSource:
    """Tidy or wide, by the first word of the name; text or Parquet, by its suffix."""
    path, is_wide = folder / name, name.startswith("wide")
    columns = {"time": times, "G1": values} if is_wide else {"gauge": "G1", "time": times, "discharge": values}
    frame = pd.DataFrame(columns)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep=";", decimal=",")
    return DischargeSource(path, "wide" if is_wide else "tidy")


def _hubeau(folder: Path, times: Times, values: Floats) -> DischargeSource:
    rows = [
        {"code_station": "G1", "date_obs": f"{time}Z", "grandeur_hydro": "Q", "resultat_obs": value * 1e3}
        for time, value in zip(times, values, strict=True)
    ]
    (folder / "page.json").write_text(json.dumps({"data": rows}))
    return DischargeSource(folder, "hubeau")


def _netcdf(folder: Path, times: Times, values: Floats) -> DischargeSource:
    import xarray

    made = xarray.Dataset(
        {"q": (("station", "time"), values[None] * 1e3, {"units": "l s-1"})},
        {"time": times.astype("datetime64[ns]"), "station": ("station", ["G1"], {"cf_role": "timeseries_id"})},
    )
    made.to_netcdf(folder / "q.nc", engine="h5netcdf")
    return DischargeSource(folder / "q.nc", "netcdf")


LAYOUTS: dict[str, Callable[[Path, Times, Floats], DischargeSource]] = {
    "one column": _one_column,
    "tidy CSV": partial(_table, name="tidy.csv"),
    "tidy Parquet": partial(_table, name="tidy.parquet"),
    "wide CSV": partial(_table, name="wide.csv"),
    "wide Parquet": partial(_table, name="wide.parquet"),
    "Hub'Eau": _hubeau,
    "NetCDF": _netcdf,
}
"""What writes a series of the gauge G1 at some times [m3/s] into a folder, and says how it is read."""
