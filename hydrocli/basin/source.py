"""What a basin is made from: the user's paths and options, and the list of the files that they mean.

Files are known by their names and dates of change, so that a second start, which finds the basin in its store, reads no
field.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from hydrocli.basin import listings, store
from hydrocli.basin.basin import DAY, Times, stamps
from hydrocli.basin.containers import parts_on_disk
from hydrocli.basin.dem import DemSource, tiles_of
from hydrocli.basin.discharge import DischargeFiles, find_discharge
from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.basin.file_names import printable
from hydrocli.basin.forcing import fill_gaps
from hydrocli.basin.formats import FORMATS
from hydrocli.basin.gauges import GaugeTable, read_gauges
from hydrocli.basin.grid import crs_to_wkt, transform_points
from hydrocli.basin.network import ENCODINGS, NEXTXY
from hydrocli.basin.planning import Piece, gaps, plan_amounts, plan_by_day, plan_climatology, with_true_times
from hydrocli.basin.readers import ForcingSource, reader_of
from hydrocli.basin.sharing import inputs_read_once as inputs_read_once
from hydrocli.basin.sharing import shared as shared
from hydrocli.basin.tables import parts_of
from hydrocli.basin.vectors import Polygons, PolygonSource, read_polygons
from hydrocli.errors import Errors, HydrocliError, InputError, Stopped

CAMA_CRS = "EPSG:4326"
"""Of the maps of CaMa-Flood, which name none."""
CAMA_PARAMETERS = "params.txt"
"""File beside their nextxy.bin: columns, rows, layers, cell size, west, east, south, north, one a line."""
KINDS = ("interannual", "raster", "oudin")
LUMPED = "lumped"
"""Domain of one cell with the area of its gauge."""
ABSENT = (-1, -1)
"""Stands for size and time of change of a file that is not there."""
OF_FORCING = (
    "start",
    "end",
    "step",
    "precipitation",
    "pet_kind",
    "pet",
    "temperature",
    "unreadable_as_missing",
    "fill_pet",
)
"""Options of a source that say which files of forcing are read, and how."""


@dataclass(frozen=True)
class DescriptorSource:
    """Where a descriptor comes from: a file, or the terrain.

    Attributes:
        path: raster or polygons; None for one that is derived.
        derived: name in `hydrocli.basin.formats.DERIVED`.
        classes: of a raster or an attribute, whose share is taken.
        attribute: of polygons, whose mean is taken; None: their share of a cell.
        layer: of polygons.
        band: of a raster; None where it has one.
        nodata: of a raster, besides that of the file.
        resampling: of a raster, see `hydrocli.basin.sampling`.
        crs: of the file, whatever it says.
        unit: of the values; None: what the file says.
    """

    path: Path | None = None
    derived: str | None = None
    classes: tuple[str | float, ...] | None = None
    attribute: str | None = None
    layer: str | None = None
    band: int | None = None
    nodata: tuple[float, ...] = ()
    resampling: str | None = None
    crs: str | None = None
    unit: str | None = None


@dataclass(frozen=True)
class BasinSource:
    """Where everything about a basin is, and how to read it.

    Attributes:
        start: beginning of the first step (UTC).
        end: end of the last step.
        step: 900 ... 86400, divides a day [s].
        flow_directions: raster of D8 codes; its grid is the grid of the model. None: `dem` gives them.
        encoding: of the codes, see `hydrocli.basin.network.ENCODINGS`, or `NEXTXY`.
        gauges: table code, x, y, area [km2].
        precipitation: mm/step.
        pet_kind: interannual (mmdd in the names, mm/day), raster (mm/day or mm/step), oudin (from the temperature).
        pet: potential evapotranspiration; None for the kind oudin.
        temperature: of the air, degrees C; needed for the kind oudin.
        discharge: observations; None where there are none.
        descriptors: where each comes from.
        gauge_codes: gauges wanted, in this order; empty: all of the table.
        gauges_crs: of the table's coordinates; None: that of the flow directions.
        area_tolerance: largest relative difference of a gauge's drained area.
        gauge_columns: names in the table of code, x, y and area, where they are others.
        area_unit: of the table: km2 or m2; None: km2, unless no catchment on Earth were as large.
        snap_distance: how far a gauge may be from its cell [m]; None: the eight cells around. With it, the table need
            not have areas.
        flow_directions_crs: of the flow directions, whatever the file names.
        crs: of files that do not name theirs.
        unreadable_as_missing: a broken file of forcing counts as missing instead of ending the work.
        fill_pet: days from which potential evapotranspiration that is missing may be taken, at most; what is then
            still missing ends the work.
        dem: elevations; None where neither directions nor descriptors are derived.
        domain: cells of the model: `gauges`, their catchments; `all`; or `lumped`, one cell with the area of its gauge,
            which needs neither flow directions nor elevations.
        polygons: cells of the model beside the catchments of the gauges. Without `gauge_codes`, gauges outside are
            left out.
        gauges_layer: of a GeoPackage that has several.
    """

    start: np.datetime64
    end: np.datetime64
    step: int
    flow_directions: Path | None
    encoding: str
    gauges: Path
    precipitation: ForcingSource
    pet_kind: str
    pet: ForcingSource | None = None
    temperature: ForcingSource | None = None
    discharge: DischargeSource | None = None
    descriptors: Mapping[str, DescriptorSource] = field(default_factory=dict)
    gauge_codes: tuple[str, ...] = ()
    gauges_crs: str | None = None
    area_tolerance: float = 0.2
    gauge_columns: Mapping[str, str] = field(default_factory=dict)
    area_unit: str | None = None
    snap_distance: float | None = None
    flow_directions_crs: str | None = None
    crs: str | None = None
    unreadable_as_missing: bool = False
    fill_pet: int = 10
    dem: DemSource | None = None
    domain: str = "gauges"
    polygons: PolygonSource | None = None
    gauges_layer: str | None = None

    def __post_init__(self) -> None:
        formats = {forcing.format for forcing in (self.precipitation, self.pet, self.temperature) if forcing}
        if self.encoding not in (*ENCODINGS, NEXTXY, "") or self.pet_kind not in KINDS or formats - set(FORMATS):
            raise ValueError(f"unknown: {self.encoding}, {self.pet_kind} or {', '.join(formats)}")
        if (self.temperature if self.pet_kind == "oudin" else self.pet) is None:
            raise ValueError(f"pet of the kind {self.pet_kind} has no source")
        has_directions = self.flow_directions and self.encoding
        if not has_directions and (self.dem is None or self.dem.resolution is None) and self.domain != LUMPED:
            raise ValueError("neither flow directions and their encoding nor elevations and a resolution")

    @property
    def times(self) -> Times:
        """Stamps of the period, datetime64[s][t]."""
        length = int((self.end - self.start).astype("timedelta64[s]").astype(int))
        if length <= 0 or length % self.step or DAY % self.step:
            what = f"from {self.start} to {self.end} is not a number of steps of {self.step} s"
            raise InputError("period", what, "The step must divide the period, and a day.")
        return stamps(self.start, length // self.step, self.step)


@dataclass(frozen=True)
class Pass:
    """One reading of the fields of a source, and the arrays that are made of them.

    Attributes:
        source: what is read.
        section: key of the configuration that names it, such as forcing.pet.
        pieces: see `Piece`.
        interval: of a field of an amount [s].
        arrays: names of the arrays.
        label: what the times of the fields mean, for the user.
    """

    source: ForcingSource
    section: str
    pieces: list[Piece]
    interval: int
    arrays: tuple[str, ...]
    label: str

    @property
    def paths(self) -> list[str]:
        """Files that hold the fields, each once."""
        return list(dict.fromkeys(layer.path for piece in self.pieces for layer in piece.layers if layer))

    def pieces_from(self, first: int) -> list[Piece]:
        """The pieces of all steps from the first one on, which may begin within one of them."""
        last = max((piece.first + len(piece.shares) for piece in self.pieces), default=0)
        return [piece.of_steps(first, last) for piece in self.pieces if piece.first + len(piece.shares) > first]

    def gaps(self, array: str) -> list[tuple[int, int]]:
        """Runs of steps of an array without fields: first, one past the last."""
        return gaps(self.pieces, of_temperature=array == "temperature")


@dataclass(frozen=True)
class Listed:
    """The archives of a source as they were listed.

    Attributes:
        passes: over archives.
        notes: sentences worth a warning.
        errors: all that is missing or ambiguous.
        seen: what the listing depends on, besides the files that hold the fields.
    """

    passes: tuple[Pass, ...]
    notes: tuple[str, ...]
    errors: tuple[HydrocliError, ...]
    seen: listings.Seen


class ForcingPlan:
    """The fields of the forcings of a source, which many basins may share.

    A listing that is kept beside the stores says whether anything has changed; the archives are listed only where it
    has, or where their fields are asked for.

    Args:
        source: whose forcings they are.
        store_folder: where a listing may be kept; None for nowhere.
    """

    def __init__(self, source: BasinSource, store_folder: Path | None = None) -> None:
        self._source, self._folder = source, store_folder
        self._key = [*map(str, options_of(source, OF_FORCING)), str(store.FORMAT), os.getcwd()]  # noqa: PTH109
        self._listing = listings.load(store_folder, self._key) if store_folder else None
        self._rows: dict[tuple[str, int], str] = {}
        self._is_kept = False

    @cached_property
    def _listed(self) -> Listed:
        return _list_forcing(self._source)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Over archives."""
        return self._listed.passes

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences worth a warning."""
        return self._listing.notes if self._listing else self._listed.notes

    @property
    def errors(self) -> tuple[HydrocliError, ...]:
        """All that is missing or ambiguous."""
        return () if self._listing else self._listed.errors

    @property
    def digests(self) -> dict[str, str]:
        """Of path, size and time of change of the files of each pass, by its section."""
        return self._listing.digests if self._listing else self._digests

    @cached_property
    def _digests(self) -> dict[str, str]:
        found, seen = {}, self._listed.seen
        for one in self.passes:
            states = {path: _state_of(path) for path in parts_on_disk(one.paths)}
            found[one.section] = _digest((one.section, path, state) for path, state in states.items())
            seen.files |= states
        return found

    def digest_of_rows(self, one: Pass, steps: int) -> str:
        """Hash of all that the first steps of the arrays of a pass depend on: pieces, and files as they are now."""
        key = one.section, steps
        if key not in self._rows:
            hasher = hashlib.sha256(repr((one.interval, one.arrays)).encode())
            for piece in _first_pieces(one, steps):
                layers = [layer and (layer.path, layer.number) for layer in piece.layers]
                facts = piece.first, piece.shares, str(piece.day), piece.parts, piece.expected, piece.is_difference
                hasher.update(repr((facts, layers)).encode("utf-8", "surrogateescape"))
            files = ((one.section, path, state) for path, state in self._states_of_rows(one, steps).items())
            self._rows[key] = hasher.hexdigest()[:32] + _digest(files)[:32]
        return self._rows[key]

    def first_changed_after(self, one: Pass, steps: int, time: int) -> str:
        """The first file of the first steps of a pass that has changed since a time [ns]; empty where none has."""
        states = self._states_of_rows(one, steps)
        return next((path for path, (_, changed) in states.items() if changed > time), "")

    def _states_of_rows(self, one: Pass, steps: int) -> dict[str, tuple[int, int]]:
        """Of their files, as they were when they were listed."""
        known = self._listed.seen.files if self._digests else {}
        paths = (layer.path for piece in _first_pieces(one, steps) for layer in piece.layers if layer)
        return {path: known.get(path) or _state_of(path) for path in parts_on_disk(paths)}

    def list_again(self) -> None:
        """Forget what was kept: the archives are listed now, so that what is read next is what they hold."""
        self._listing = None

    def keep(self) -> None:
        """Keep the listing of archives that were listed, for the next start."""
        if self._folder is None or self._is_kept or self._listing is not None or self.errors:
            return
        self._is_kept = True
        listing = listings.Listing(self.notes, self.digests)
        if ABSENT not in self._listed.seen.files.values():
            listings.save(self._folder, self._key, listing, self._listed.seen)


def _first_pieces(one: Pass, steps: int) -> Iterator[Piece]:
    """The pieces of the first steps of a pass, the last one without its later steps."""
    return (piece.of_steps(0, steps) for piece in one.pieces if piece.first < steps)


@dataclass(frozen=True)
class Plan:
    """The files that a source needs, found by their names only.

    Attributes:
        times: stamps of the period.
        codes: of the gauges.
        forcing: fields of the forcings.
        discharge: files of the observations.
        notes: sentences worth a warning.
    """

    times: Times
    codes: tuple[str, ...]
    forcing: ForcingPlan
    discharge: DischargeFiles
    notes: list[str]

    @property
    def arrays(self) -> dict[str, Pass]:
        """The pass over files that makes each array: precipitation, pet, temperature."""
        return {name: one for one in self.forcing.passes for name in one.arrays}


def gauges_of(source: BasinSource, codes: Sequence[str] | None = None) -> GaugeTable:
    """The rows of the gauges of a source, or of some codes; raises as `read_gauges`."""
    wanted = source.gauge_codes if codes is None else codes
    columns, needs_area = source.gauge_columns, source.snap_distance is None
    table = read_gauges(
        source.gauges, wanted, columns, source.area_unit, needs_area=needs_area, layer=source.gauges_layer
    )
    return table if wanted or source.polygons is None else _within_polygons(table, source, source.polygons)


def _within_polygons(table: GaugeTable, source: BasinSource, polygons: PolygonSource) -> GaugeTable:
    """The rows of gauges that are within polygons, or as near to them as they may be to their cells.

    Raises:
        InputError: none is.
    """
    import shapely

    wkt, cell = _grid_of_model(source)
    areas = polygons_of(source, polygons, wkt).geometry
    x, y = table.x, table.y
    if crs := source.gauges_crs or table.crs:
        x, y = transform_points(crs_to_wkt("gauges.crs", crs), wkt, x, y, 0.0, "gauges.crs")
    reach = source.snap_distance if source.snap_distance is not None and cell > 1.0 else cell
    near = shapely.distance(shapely.union_all(areas), shapely.points(x, y)) <= reach
    inside = [code for code, is_near in zip(table.code, near.tolist(), strict=True) if is_near]
    if not inside:
        what = f"no gauge of {table.path} lies within {polygons.path}"
        raise InputError("basin.polygons", what, "Are `gauges.crs` and the extents of both right?")
    if len(inside) == len(table.code):
        return table
    note = f"{len(inside)} of {len(table.code)} gauges lie within basin.polygons; the others are left out"
    chosen = table.select(inside)
    return replace(chosen, notes=(*chosen.notes, note))


def polygons_of(source: BasinSource, polygons: PolygonSource, crs_wkt: str) -> Polygons:
    """Polygons of the domain in a coordinate reference system; read once within `inputs_read_once`."""
    key = "polygons", str(polygons), crs_wkt, str(source.crs)
    return shared(key, lambda: read_polygons(polygons, "basin.polygons", crs_wkt, source.crs))


def _grid_of_model(source: BasinSource) -> tuple[str, float]:
    """Coordinate reference system of the model, as WKT, and the size of its cells; no values are read."""
    from hydrocli.basin.readers.geotiff import raster_grid

    if source.flow_directions is None:
        assert source.dem is not None
        assert source.dem.resolution is not None
        if source.dem.grid_crs:
            return crs_to_wkt("basin.dem.grid_crs", source.dem.grid_crs), source.dem.resolution
        first = tiles_of(source.dem.path)[0]
        return raster_grid(first, source.crs, source.dem.crs).crs_wkt, source.dem.resolution
    if source.encoding == NEXTXY and source.flow_directions.suffix == ".bin":
        return crs_to_wkt("basin.crs", source.flow_directions_crs or source.crs or CAMA_CRS), 1.0
    grid = raster_grid(source.flow_directions, source.crs, source.flow_directions_crs, 1)
    return grid.crs_wkt, grid.transform[0]


def options_of_grid(source: BasinSource, names: Iterable[str]) -> tuple[str, ...]:
    """Values of some options as texts, and of those that say where the grid of a lumped basin is."""
    own = (source.gauges, source.gauge_codes, source.gauges_crs) if source.domain == LUMPED else ()
    return tuple(map(str, (*options_of(source, names), *own)))


def options_of(source: BasinSource, names: Iterable[str]) -> tuple[object, ...]:
    """Values of some options of a source."""
    return tuple(getattr(source, name) for name in names)


def make_plan(source: BasinSource, store_folder: Path | None = None) -> Plan:
    """List the files that a source needs.

    Args:
        source: what is read.
        store_folder: where stores are, and listings of archives that have not changed may be kept.

    Raises:
        Errors: for all that is missing or ambiguous.
    """
    times, errors, notes = source.times, list[HydrocliError](), list[str]()
    codes, area = tuple[str, ...](), tuple[float, ...]()
    discharge = DischargeFiles(None, ())
    with collecting(errors):
        table = gauges_of(source)
        notes += table.notes
        codes, area = table.code, tuple(table.area.tolist())
    with collecting(errors):
        discharge = find_discharge(source.discharge, codes, area)
    options = map(str, options_of(source, OF_FORCING))
    forcing = shared(("forcing", *options), lambda: ForcingPlan(source, store_folder))
    errors += forcing.errors
    notes += forcing.notes
    for key, path in _single_files(source).items():
        if not path.exists():
            errors.append(InputError(key, f"{path} does not exist"))
    if errors:
        raise Errors(errors)
    notes += discharge.notes
    return Plan(times, codes, forcing, discharge, notes)


def fingerprint_of(source: BasinSource, plan: Plan) -> str:
    """32 hexadecimal digits that change with the options, and with path, size or time of change of any file used."""
    options = asdict(source)
    hasher = hashlib.sha256(json.dumps([store.FORMAT, options], default=str, sort_keys=True).encode())
    inputs = _digest((name, path, _state_of(path)) for name, path in _inputs(source, plan))
    hasher.update("".join([inputs, *plan.forcing.digests.values()]).encode())
    return hasher.hexdigest()[:32]


def _state_of(path: str) -> tuple[int, int]:
    """Size and time of change of a file; `ABSENT` where it cannot be found."""
    try:
        state = os.stat(path)  # noqa: PTH116 - tens of thousands of files
    except OSError:
        return ABSENT
    return state.st_size, state.st_mtime_ns


def _require_found(path: str) -> None:
    try:
        os.stat(path)  # noqa: PTH116 - as above
    except OSError as error:
        raise InputError(path, f"cannot be opened ({error.strerror})") from error


def _digest(files: Iterable[tuple[str, str, tuple[int, int]]]) -> str:
    """Hash of role, path, size and time of change of files."""
    hasher = hashlib.sha256()
    for name, path, (size, changed) in files:
        if (size, changed) == ABSENT and not name.startswith("forcing."):  # of these, whoever reads them says so
            _require_found(path)
        entry = f"{name}\0{os.path.abspath(path)}\0{size}\0{changed}\0"  # noqa: PTH100
        hasher.update(entry.encode("utf-8", "surrogateescape"))  # a name may be no text
    return hasher.hexdigest()


@contextmanager
def collecting(errors: list[HydrocliError]) -> Iterator[None]:
    """Put errors raised inside into the list, and go on; a stop is none."""
    try:
        yield
    except Stopped:
        raise
    except Errors as several:
        errors += several.errors
    except HydrocliError as error:
        errors.append(error)


def _list_forcing(source: BasinSource) -> Listed:
    errors, notes, passes = list[HydrocliError](), list[str](), list[Pass]()
    with listings.noting() as seen:
        with collecting(errors):
            passes.append(_pass(source.precipitation, "forcing.precipitation", source, ("precipitation",), notes))
        if source.pet is not None:
            with collecting(errors):
                passes.append(_pass(source.pet, "forcing.pet", source, ("pet",), notes))
        if source.temperature is not None:
            arrays = ("pet", "temperature") if source.pet_kind == "oudin" else ("temperature",)
            with collecting(errors):
                passes.append(_pass(source.temperature, "forcing.temperature", source, arrays, notes))
    return Listed(tuple(passes), tuple(notes), tuple(errors), seen)


def _pass(forcing: ForcingSource, section: str, source: BasinSource, arrays: tuple[str, ...], notes: list[str]) -> Pass:
    """The plan of one archive.

    Raises:
        InputError: it has no field in the period, or one that belongs to no step.
    """
    reader, where, times, step = reader_of(forcing), f"{section}.path", source.times, source.step
    if arrays == ("pet",) and source.pet_kind == "interannual":
        pieces, interval = plan_climatology(reader.find_days(forcing, where), times, step), DAY
        label = "a day of the year"
    else:
        found = reader.find(forcing, where)
        archive = with_true_times(found, forcing, times, step, where)
        notes += archive.notes
        label = _label(forcing, reader.label, has_bounds=found.has_bounds)
        label += f" ({found.names})" if found.names else ""
        if "temperature" in arrays or (arrays == ("pet",) and archive.is_daily and step < DAY):
            pieces, interval = plan_by_day(archive, times, step), DAY
        else:
            pieces, interval, more = plan_amounts(archive, times, step, forcing, where)
            notes += more
        if all(piece.is_gap for piece in pieces):
            first = f"the first, {printable(Path(archive.layers[0].path).name)}, is of {archive.times[0]}"
            what = f"has no field in the period; {first}, the last of {archive.times[-1]}"
            raise InputError(where, what, f"Do its dates agree with `period`? Else write `{section}.pattern`.")
    if all(piece.is_gap for piece in pieces):
        raise InputError(where, "has no field in the period", "Do its dates agree with `period`?")
    if "pet" in arrays:
        refuse_long_gaps(gaps(pieces), times, step, source.fill_pet, where)
    return Pass(forcing, section, pieces, interval, arrays, label)


def _label(forcing: ForcingSource, of_reader: str, *, has_bounds: bool) -> str:
    """What the times of the fields mean, for the user."""
    label = "a field is valid between its bounds" if has_bounds else of_reader
    if forcing.label is not None:
        label = f"the time of a field is the {forcing.label} of its step (stated by `label`)"
    if forcing.offset:
        label += f", shifted by {forcing.offset / 60:+.0f} min"
    return label if forcing.timezone == "UTC" else f"{label}, in the zone {forcing.timezone}"


def refuse_long_gaps(runs: list[tuple[int, int]], times: Times, step: int, days: int, where: str) -> None:
    """Refuse gaps of potential evapotranspiration that the days beside them cannot fill.

    Args:
        runs: steps without fields: first, one past the last.
        times: stamps of the steps.
        step: [s].
        days: from which a value may come, at most.
        where: key of the path, for messages.

    Raises:
        InputError: names the first.
    """
    values = np.zeros((len(times), 1), np.float32)
    for low, high in runs:
        values[low:high] = np.nan
    fill_gaps(values, DAY // step, days)
    missing = np.flatnonzero(np.isnan(values[:, 0]))
    if missing.size:
        first = next((low, high) for low, high in runs if low <= missing[0] < high)
        span = f"from {times[first[0]]} to {times[first[1] - 1]}"
        what = f"has no field {span}, a gap that the {days} days beside it cannot fill"
        raise InputError(where, what, "Add the files, shorten `period`, or raise `forcing.fill_pet`.")


def _single_files(source: BasinSource) -> dict[str, Path]:
    """Files of the terrain, by their keys."""
    files = {
        "basin.flow_directions.path": source.flow_directions,
        "basin.dem.path": source.dem.path if source.dem else None,
        "basin.polygons.path": source.polygons.path if source.polygons else None,
    }
    files |= {f"basin.descriptors.{name}": one.path for name, one in source.descriptors.items()}
    return {key: path for key, path in files.items() if path is not None}


def parts_of_terrain(source: BasinSource) -> dict[str, list[str]]:
    """Files of flow directions, elevations, polygons and descriptors, with their companions, by their keys."""
    found = {key: _files_of(path) for key, path in _single_files(source).items()}
    if source.encoding == NEXTXY and source.flow_directions:
        beside = source.flow_directions.with_name(CAMA_PARAMETERS)
        found["basin.flow_directions.path"] += [str(beside)] if beside.is_file() else []
    return found


def _files_of(path: Path) -> list[str]:
    """Files of an input; of a virtual raster those that it is made of, too."""
    if path.suffix.lower() != ".vrt":
        return parts_of(path)
    from hydrocli.basin.readers.geotiff import opened, reading

    with reading(path), opened(path) as dataset:
        return list(map(str, dataset.files))


def _inputs(source: BasinSource, plan: Plan) -> Iterator[tuple[str, str]]:
    """Role and path of every file used but those of the forcing."""
    yield from (("gauges", path) for path in parts_of(source.gauges))
    yield from ((key, part) for key, parts in parts_of_terrain(source).items() for part in parts)
    yield from (("discharge", part) for path in plan.discharge.paths if path for part in parts_of(Path(path)))
