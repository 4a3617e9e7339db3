"""Tables: those of gauges, and observed discharge in the layouts of `hydrocli.basin.discharge_formats`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hydrocli.basin.basin import DAY
from hydrocli.basin.clock import looks_like_a_local_clock
from hydrocli.basin.discharge import words
from hydrocli.basin.discharge_formats import SECTION, DischargeSource, Period, Records, format_of
from hydrocli.basin.file_kinds import kind_of
from hydrocli.basin.formats import DISCHARGE_FORMATS
from hydrocli.basin.gauges import GaugeTable, read_gauges
from hydrocli.basin.planning import spacing_of
from hydrocli.basin.readers.geotiff import raster_grid
from hydrocli.basin.survey.inputs import Input, Key, Span, alternatives
from hydrocli.basin.survey.listing import Files
from hydrocli.basin.survey.rasters import are_inside, crs_of, grids
from hydrocli.basin.tables import LargeTable, Table, code_text, open_table, read_table
from hydrocli.errors import HydrocliError

COLUMNS = {
    "code": ("code", "gauge", "gauge_id", "station", "station_id", "code_station", "cdstationhydro", "gaugeid", "id"),
    "x": ("x", "xl93", "x_l93", "lon", "longitude", "easting", "gauge_lon", "coordx", "x_2154"),
    "y": ("y", "yl93", "y_l93", "lat", "latitude", "northing", "gauge_lat", "coordy", "y_2154"),
    "area": (
        "area",
        "surface",
        "area_km2",
        "area_m2",
        "drainage_area",
        "surface_bv",
        "bv",
        "superficie",
        "catchment_area",
    ),
}
"""Names of columns of tables of gauges, the likeliest first, in small letters."""
TIDY = {
    "gauge": ("gauge", "code", "gauge_id", "station", "code_station", "station_id", "cdstationhydro", "code_site"),
    "time": ("time", "date", "datetime", "timestamp", "date_obs", "dtobs", "date_heure"),
    "discharge": ("discharge", "value", "streamflow", "q", "debit", "flow", "resultat_obs", "qobs", "runoff"),
}
"""Likewise of tidy tables of discharge."""
LARGEST_GAUGES, LARGEST = 20e6, 200e6
"""Bytes of a table of gauges, and of one of discharge that is read for its times."""
EVER = np.datetime64("1800-01-01", "s"), np.datetime64("2100-01-01", "s")
"""Times between which observations are."""
TRIED = 3
"""Gauges whose observations are read."""
WETTEST = 50.0
"""Runoff in mm/day, mean of all observations, above which the unit is in doubt."""
IN_TABLE = ("hubeau", "tidy", "wide")
"""Formats of one table."""
BY_GAUGE = (*(name for name in DISCHARGE_FORMATS if name not in (*IN_TABLE, "netcdf")), "hubeau")
"""Formats of folders."""
MOST_NETCDF = 20
"""NetCDF files that are tried as tables of discharge."""


@dataclass(frozen=True)
class GaugeFile:
    """A table of gauges, with the keys that it needs."""

    path: Path
    table: GaugeTable
    keys: tuple[Key, ...] = ()
    words: str = ""
    others: tuple[Key, ...] = field(default=())

    def placed_on(self, rasters: list[Input]) -> GaugeFile:
        """With the coordinate system that its coordinates have to be stated in, beside a raster."""
        raster = next((one for role in ("flow_directions", "dem") for one in rasters if one.role == role), None)
        if raster is None:
            return self
        crs = crs_of(self.table, raster_grid(raster.path, "EPSG:4326"))
        if crs is None:
            text = "the gauges are outside of the raster: in which coordinate system are x and y?"
            return replace(self, keys=(*self.keys, Key("crs", "EPSG:4326", text, is_open=True)))
        key = Key("crs", crs, "coordinates are those of longitudes and latitudes", is_assumed=True)
        return replace(self, keys=(*self.keys, key)) if crs else self

    def as_input(self) -> Input:
        """For the survey."""
        return Input("gauges", self.path, self.keys, self.words, codes=self.table.code)


def gauges_of(files: Files, rasters: list[Path], left_out: list[str]) -> tuple[list[GaugeFile], list[Path]]:
    """Tables of gauges, and all other tables; of several those with areas, and with gauges on one of the rasters."""
    found, others = list[GaugeFile](), list[Path]()
    for path in files.tables:
        try:
            one = _gauge_file(path)
        except HydrocliError:
            one = None
        if one is None and path.suffix.lower() in (".gpkg", ".shp"):
            left_out.append(f"{path} has no gauges; areas may be the domain (`basin.polygons`) or a descriptor")
        elif one is None:
            others.append(path)
        else:
            found.append(one)
    known = grids(rasters)
    better = (
        ("without areas", lambda one: np.isfinite(one.table.area).any()),
        ("outside of the rasters", lambda one: any(are_inside(one.table, grid) for grid in known)),
    )
    for words_, is_better in better:
        kept = [one for one in found if is_better(one)] if len(found) > 1 else found
        if kept and len(kept) < len(found):
            left_out += [f"{one.path} has gauges {words_}; another table has them" for one in found if one not in kept]
            found = kept
    return found, others


def _gauge_file(path: Path) -> GaugeFile | None:
    if path.stat().st_size > LARGEST_GAUGES or path.suffix.lower() == ".json":
        return None
    if kind_of(path, "gauges.table") == "text" and not {"x", "code"} <= set(_roles(open_table(path).names)):
        return None
    table = read_table(path, "gauges.table")
    columns = _roles(table.names)
    has_points = table.x is not None
    if "code" not in columns or not table.rows or not (has_points or {"x", "y"} <= set(columns)):
        return None
    keys, stated = list[Key](), {role: name for role, name in columns.items() if name.lower() != role}
    if has_points:
        stated = {role: name for role, name in stated.items() if role not in "xy"}
    if stated:
        keys.append(Key("columns", stated, "names of the columns of the table", is_assumed=True))
    keys += _area_keys(table, columns)
    unit = next((key.value for key in keys if key.name == "area_unit"), None)
    gauges = read_gauges(path, (), stated, unit, needs_area=False)
    if "area" not in columns or not np.isfinite(gauges.area).all():
        text = "areas are missing: the largest river within so many metres is taken"
        keys.append(Key("snap_distance", 3000, text, is_assumed=True))
    return GaugeFile(path, gauges, tuple(keys), _shown(gauges.code))


def _area_keys(table: Table, columns: dict[str, str]) -> list[Key]:
    """The unit of areas, where the name of the column or their size says it is not km2."""
    name = columns.get("area")
    if name is None:
        return []
    errors: list[HydrocliError] = []
    area = table.numbers(name, errors)
    largest = float(np.nanmax(area, initial=0.0))
    if name.lower().endswith("m2") and not name.lower().endswith("km2"):
        return [Key("area_unit", "m2", f"by the name of the column {name}", is_assumed=True)]
    if largest > 1e5:
        text = f"the largest area is {largest:.4g}, which is taken for m2"
        return [Key("area_unit", "m2", text, is_assumed=True)]
    return []


def _roles(names: Sequence[str]) -> dict[str, str]:
    """Column of each role that a table of gauges has."""
    own = {name.lower(): name for name in reversed(names)}
    return {
        role: found for role, known in COLUMNS.items() if (found := next((own[n] for n in known if n in own), None))
    }


def _shown(codes: Sequence[str]) -> str:
    """Number and first codes of gauges."""
    count = f"{len(codes)} gauge{'s' if len(codes) > 1 else ''}: "
    return count + ", ".join(codes[:4]) + (f" and {len(codes) - 4} more" if len(codes) > 4 else "")


def discharge_of(
    files: Files, tables: list[Path], gauges: GaugeFile | None, step: int, left_out: list[str]
) -> list[Input]:
    """Observed discharge of the gauges, in every layout that one of the formats can read.

    Args:
        files: all of them.
        tables: those that are no tables of gauges.
        gauges: the table of the gauges; None: there is none, or several.
        step: of the model [s].
        left_out: sentences on what is no discharge are added.
    """
    if gauges is None:
        if tables:
            left_out.append(f"{len(tables)} tables, such as {tables[0]}: without one table of gauges none is discharge")
        return []
    codes, found = gauges.table.code, list[Input]()
    inside = _by_gauge(tables, codes)
    alone = [path for path in tables if path not in {file for own in inside.values() for file in own}]
    for folder, own in inside.items():
        here = tuple(code for code in codes if any(_names_gauge(path, code) for path in own))
        if one := _first(folder, BY_GAUGE, here, gauges, step):
            found.append(one)
        else:
            left_out.append(f"{folder} has {len(own)} files with codes of gauges in a layout that is not known")
    for path in alone:
        if one := _first(path, IN_TABLE, codes, gauges, step):
            found.append(one)
        else:
            left_out.append(f"{path} is neither a table of gauges nor of their discharge")
    netcdf = [Path(path) for path in files.by_format.get("netcdf", ())[:MOST_NETCDF]]
    found += [one for path in netcdf if _has_stations(path) and (one := _first(path, ("netcdf",), codes, gauges, step))]
    return found


def _has_stations(path: Path) -> bool:
    """Whether a NetCDF file is small enough, and no archive of fields, to be tried."""
    from hydrocli.basin.readers import ForcingSource, reader_of

    try:
        return not reader_of(ForcingSource(path, "netcdf")).variables(str(path))
    except HydrocliError:
        return False


def _names_gauge(path: Path, code: str) -> bool:
    return bool(re.search(rf"(?<![A-Za-z0-9]){re.escape(code)}(?![A-Za-z0-9])", path.stem))


def _by_gauge(tables: list[Path], codes: Sequence[str]) -> dict[Path, list[Path]]:
    """Tables that bear the code of a gauge in their name, by folder."""
    found: dict[Path, list[Path]] = {}
    wanted = set(codes)
    for path in tables:
        if wanted & set(re.split(r"[^A-Za-z0-9]+", path.stem)) or any(_names_gauge(path, code) for code in codes[:200]):
            found.setdefault(path.parent, []).append(path)
    return found


def _first(path: Path, names: Sequence[str], codes: Sequence[str], gauges: GaugeFile, step: int) -> Input | None:
    """The input of the first format that can read a path."""
    return next((one for name in names if (one := _tried(path, name, codes, gauges, step))), None)


def _tried(path: Path, name: str, codes: Sequence[str], gauges: GaugeFile, step: int) -> Input | None:
    """What a format reads of a path; None where it is not of the format."""
    source, keys = DischargeSource(path, name), [Key("format", name)]
    if name in ("wide", "tidy"):
        try:
            table = open_table(path, (lambda cells: bool(set(codes) & set(cells))) if name == "wide" else None)
        except HydrocliError:
            return None
        if name == "wide" and not set(codes) & set(table.names):
            return None
        codes = tuple(code for code in codes if code in table.names) if name == "wide" else codes
        columns = _tidy_columns(table) if name == "tidy" else {}
        if columns is None:
            return None
        if columns:
            source = replace(source, columns=columns)
            keys.append(Key("columns", columns, "names of the columns of the table", is_assumed=True))
        if path.is_file() and path.stat().st_size > LARGEST:
            return Input("discharge", path, tuple(keys), f"{name}, too large to be read here")
    records, asked = _read(source, codes[:TRIED], step)
    if asked:
        return Input("discharge", path, (*keys, *asked), f"{name}, {_shown(codes)}")
    if not records:
        return None
    span = _span(records, step)
    keys += _discharge_keys(source, records, gauges, codes[:TRIED], step)
    what = f"{name}, {_shown(codes)}"
    if span:
        what += f", every {words(span.spacing)} from {span.first} to {span.last}"
    return Input("discharge", path, tuple(keys), what, span, codes=tuple(codes))


def _tidy_columns(table: LargeTable) -> dict[str, str] | None:
    """Columns that a tidy table has under names that have to be stated; None where it is none."""
    own = {name.lower(): name for name in reversed(table.names)}
    found = {role: next((own[n] for n in known if n in own), None) for role, known in TIDY.items()}
    if not all(found.values()):
        return None
    from hydrocli.basin.discharge_formats.tidy import COLUMNS as USUAL

    return {role: name for role, name in found.items() if name and name.lower() not in USUAL[role]}


def _read(source: DischargeSource, codes: Sequence[str], step: int) -> tuple[dict[str, Records], list[Key]]:
    """Records by gauge; keys where the files are of the format, and leave something open that stops their reader."""
    times = np.arange(*EVER, np.timedelta64(step, "s"))
    try:
        reader = format_of(source.format)
        paths = reader.find(source, codes)
        found = reader.read(paths, source, codes, Period(times, step), [])
    except HydrocliError as error:
        return {}, _asked(error)
    wrong = [one for one in found.values() if isinstance(one, HydrocliError)]
    if wrong and (keys := _asked(wrong[0])):
        return {}, keys
    return {code: one for code, one in found.items() if isinstance(one, Records)}, []


def _asked(error: HydrocliError) -> list[Key]:
    """The keys that an error of a reader asks for; none where the files are of another format."""
    if "may be either" in error.what:
        forms = ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M") if "%H" in error.remedy else ("%d/%m/%Y", "%m/%d/%Y")
        return alternatives("date_format", forms, f"{error.what}: which is it?")
    if f"{SECTION}.interval" in error.remedy:
        return alternatives("interval", ("1h", "1d"), f"a file {error.what}")
    return []


def _span(records: dict[str, Records], step: int) -> Span | None:
    times = [np.sort(one.stamps.times) for one in records.values() if len(one.stamps.times)]
    if not times:
        return None
    return Span(min(t[0] for t in times), max(t[-1] for t in times), spacing_of(times[0], step))


def _discharge_keys(
    source: DischargeSource, records: dict[str, Records], gauges: GaugeFile, codes: Sequence[str], step: int
) -> list[Key]:
    """What the files do not say: zone, meaning of times, unit, flags."""
    keys, first = list[Key](), next(iter(records.values()))
    local = [one for one in records.values() if not one.stamps.is_utc.any() and not one.stamps.are_dates]
    changes = next(
        (hour for one in local if (hour := looks_like_a_local_clock(np.sort(one.stamps.times))) is not None), None
    )
    if changes is not None:
        text = f"the clock changes to or from summer time at {changes}: which zone is it?"
        keys.append(Key("timezone", "Europe/Paris", text, is_open=True))
    elif local and source.format not in ("hubeau", "netcdf", "smash"):
        text = "times state no zone; UTC is assumed"
        keys.append(Key("timezone", "Europe/Paris", text, is_assumed=True, is_default=True))
    span = _span(records, step)
    if first.label is None and span is not None and span.spacing >= DAY > step:
        question = "values are daily, and are compared with daily means: are times the starts or the ends of the days?"
        keys += alternatives("label", ("start", "end"), question)
    elif first.label is None:
        text = "times are the ends of intervals; write this key if they are the starts, or `instant` for readings"
        keys.append(Key("label", "start", text, is_assumed=True, is_default=True))
    if source.format in ("wide", "tidy", "smash"):
        keys += _unit_keys(records, gauges)
    if source.format == "smash":
        text = f"the files state no interval between values; that of the step, {words(step)}, is assumed"
        keys.append(Key("interval", "1d", text, is_assumed=True, is_default=True))
    flags = _flags(source, codes, step)
    if flags:
        text = "values are kept whatever their flag; write this key with those to keep"
        keys.append(Key("flags", flags, text, is_assumed=True, is_default=True))
    return keys


def _unit_keys(records: dict[str, Records], gauges: GaugeFile) -> list[Key]:
    import pandas as pd

    code, one = next(iter(records.items()))
    column = one.values.values if not hasattr(one.values, "iloc") else one.values
    text = pd.Series(column).astype("string").str.replace(",", ".", regex=False)
    values = pd.to_numeric(text, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    values = values[values >= 0]
    area = float(gauges.table.area[gauges.table.code.index(code)])
    if values.size and area > 0 and (depth := float(values.mean()) * DAY * 1e3 / area) > WETTEST:
        question = f"as m3/s, runoff at {code} were {depth:.3g} mm/day: which unit is it?"
        return alternatives("unit", ("l/s", "mm/step", "m3/s"), question)
    return [Key("unit", "l/s", "m3/s is assumed", is_assumed=True, is_default=True)]


def _flags(source: DischargeSource, codes: Sequence[str], step: int) -> list[str]:
    """Flags of the values, the most frequent first; none where the files have no flags."""
    if source.format not in ("wide", "tidy", "hubeau", "camels"):
        return []
    records, _ = _read(replace(source, flags=()), codes, step)
    flags = next((one.flags for one in records.values() if one.flags is not None), None)
    if flags is None:
        return []
    counts = flags.astype("string").str.strip().fillna("").value_counts()
    return [code_text(flag) for flag in counts.index.tolist() if flag][:5]
