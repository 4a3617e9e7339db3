"""What a basin is made from: the user's paths and options, and the list of the files that they mean.

Everything here goes by names of files and their dates of change, so that a second start, which finds the basin in its
store, opens no raster.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from hydrocli.basin import store
from hydrocli.basin.archive import Archive, open_archive, open_interannual
from hydrocli.basin.basin import Times, stamps
from hydrocli.basin.discharge import DischargeFiles, find_discharge
from hydrocli.basin.forcing import Piece, daily_files, interannual_files, plan_by_day, plan_by_step, subdaily_files
from hydrocli.basin.gauges import read_table
from hydrocli.basin.network import ENCODINGS
from hydrocli.basin.pet import DAY, day_of_step
from hydrocli.errors import Errors, HydrocliError, InputError

T = TypeVar("T")

PRECIPITATION, PET, TEMPERATURE = "forcing.precipitation.path", "forcing.pet.path", "forcing.temperature.path"
KINDS = ("interannual", "raster", "oudin")
OF_FORCING = (
    "start",
    "end",
    "step",
    "precipitation",
    "pet_kind",
    "pet",
    "temperature",
    "unreadable_as_missing",
)
"""Options of a source that say which files of forcing are read, and how."""


@dataclass(frozen=True)
class ForcingSource:
    """Where a forcing is, and what is true of its files.

    Attributes:
        path: folder tree of GeoTIFF with dates in their names.
        scale_factor: scale_factor * value + add_offset is in mm, or degrees C.
        add_offset: see `scale_factor`.
    """

    path: Path
    scale_factor: float = 1.0
    add_offset: float = 0.0


@dataclass(frozen=True)
class BasinSource:
    """Where everything about a basin is, and how to read it.

    Attributes:
        start: beginning of the first step (UTC).
        end: end of the last step.
        step: 900 ... 86400, divides a day [s].
        flow_directions: raster of D8 codes; its grid is the grid of the model.
        encoding: of the codes: smash, esri or ldd.
        gauges: table code, x, y, area [km2].
        precipitation: mm/step.
        pet_kind: interannual (mmdd in the names, mm/day), raster (mm/day or mm/step), oudin (from the temperature).
        pet: potential evapotranspiration; None for the kind oudin.
        temperature: of the air, degrees C; needed for the kind oudin.
        discharge: observations; None where there are none.
        discharge_format: smash or tidy.
        descriptors: raster of each descriptor.
        gauge_codes: gauges wanted, in this order; empty: all of the table.
        gauges_crs: of the table's coordinates; None: that of the flow directions.
        area_tolerance: largest relative difference of a gauge's drained area.
        crs: of rasters that do not tell theirs.
        unreadable_as_missing: a broken raster of forcing counts as missing instead of ending the work.
    """

    start: np.datetime64
    end: np.datetime64
    step: int
    flow_directions: Path
    encoding: str
    gauges: Path
    precipitation: ForcingSource
    pet_kind: str
    pet: ForcingSource | None = None
    temperature: ForcingSource | None = None
    discharge: Path | None = None
    discharge_format: str = "smash"
    descriptors: Mapping[str, Path] = field(default_factory=dict)
    gauge_codes: tuple[str, ...] = ()
    gauges_crs: str | None = None
    area_tolerance: float = 0.2
    crs: str | None = None
    unreadable_as_missing: bool = False

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS or self.pet_kind not in KINDS:
            raise ValueError(f"unknown: {self.encoding} or {self.pet_kind}")
        if (self.temperature if self.pet_kind == "oudin" else self.pet) is None:
            raise ValueError(f"pet of the kind {self.pet_kind} has no source")

    @property
    def pet_input(self) -> ForcingSource:
        """What potential evapotranspiration is read from: itself, or the temperature."""
        chosen = self.temperature if self.pet_kind == "oudin" else self.pet
        assert chosen is not None, "checked when the source was made"
        return chosen

    @property
    def times(self) -> Times:
        """Stamps of the period, datetime64[s][t]."""
        length = int((self.end - self.start).astype("timedelta64[s]").astype(int))
        if length <= 0 or length % self.step or DAY % self.step:
            what = f"from {self.start} to {self.end} is not a number of steps of {self.step} s"
            raise InputError("period", what, "The step must divide the period, and a day.")
        return stamps(self.start, length // self.step, self.step)


@dataclass(frozen=True, eq=False)
class ForcingPlan:
    """The files of the forcings of a source, which many basins may share.

    Attributes:
        precipitation, pet: pieces, see `Plan`.
        notes: sentences worth a warning.
        digest: of path, size and time of change of every file; made when first asked for.
        errors: all that is missing or ambiguous.
    """

    precipitation: list[Piece]
    pet: list[Piece]
    notes: tuple[str, ...]
    errors: tuple[HydrocliError, ...]

    @cached_property
    def digest(self) -> str:
        """See the class."""
        pieces = {"precipitation": self.precipitation, "pet": self.pet}
        return _digest((name, path) for name in pieces for piece in pieces[name] for path in piece.files if path)


_kept: ContextVar[dict[tuple[str, ...], Any] | None] = ContextVar("_kept", default=None)


@contextmanager
def inputs_read_once() -> Iterator[None]:
    """Within the block what many basins share is listed and read once: archives of forcing, flow directions, tables."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def shared(key: tuple[str, ...], make: Callable[[], T]) -> T:
    """What `make` gives; within `inputs_read_once`, what it has given for this key before."""
    kept = _kept.get()
    if kept is None:
        return make()
    if key not in kept:
        kept[key] = make()
    return cast(T, kept[key])


@dataclass(frozen=True)
class Plan:
    """The files that a source needs, found by their names only.

    Attributes:
        times: stamps of the period.
        codes: of the gauges.
        forcing: pieces of rain and of potential evapotranspiration, or of the temperature for it.
        discharge: files of the observations.
        notes: sentences worth a warning.
    """

    times: Times
    codes: tuple[str, ...]
    forcing: ForcingPlan
    discharge: DischargeFiles
    notes: list[str]

    @property
    def forcings(self) -> dict[str, list[Piece]]:
        """Pieces by the name of the forcing."""
        return {
            "precipitation": self.forcing.precipitation,
            "pet": self.forcing.pet,
        }


def options_of(source: BasinSource, names: Iterable[str]) -> tuple[object, ...]:
    """Values of some options of a source."""
    return tuple(getattr(source, name) for name in names)


def make_plan(source: BasinSource) -> Plan:
    """List the files that a source needs.

    Raises:
        Errors: for all that is missing or ambiguous.
    """
    times, errors, notes = source.times, list[HydrocliError](), list[str]()
    codes: tuple[str, ...] = ()
    discharge = DischargeFiles("smash", ())
    with collecting(errors):
        codes = read_table(source.gauges).select(source.gauge_codes).code
    with collecting(errors):
        discharge = find_discharge(source.discharge, source.discharge_format, codes)
    forcing = shared(("forcing", *map(str, options_of(source, OF_FORCING))), lambda: _list_forcing(source))
    errors += forcing.errors
    notes += forcing.notes
    for name, path in _single_rasters(source).items():
        if not path.is_file():
            errors.append(InputError(f"basin.{name}", f"{path} does not exist"))
    if errors:
        raise Errors(errors)
    if source.discharge is not None and discharge.format == "smash":
        notes += [f"gauge {c} has no file of discharge" for c, p in zip(codes, discharge.paths, strict=True) if not p]
    return Plan(times, codes, forcing, discharge, notes)


def fingerprint_of(source: BasinSource, plan: Plan) -> str:
    """32 hexadecimal digits that change with the options, and with path, size or time of change of any file used."""
    options = {key: value for key, value in asdict(source).items() if key != "descriptors"}
    hasher = hashlib.sha256(json.dumps([store.FORMAT, options], default=str, sort_keys=True).encode())
    hasher.update(_digest(_inputs(source, plan)).encode() + plan.forcing.digest.encode())
    return hasher.hexdigest()[:32]


def _digest(files: Iterable[tuple[str, str]]) -> str:
    """Hash of role, path, size and time of change of files."""
    hasher = hashlib.sha256()
    for name, path in files:
        try:
            told = os.stat(path)  # noqa: PTH116 - tens of thousands of files
        except OSError as error:
            raise InputError(path, f"cannot be opened ({error.strerror})") from error
        hasher.update(f"{name}\0{os.path.abspath(path)}\0{told.st_size}\0{told.st_mtime_ns}\0".encode())  # noqa: PTH100
    return hasher.hexdigest()


@contextmanager
def collecting(errors: list[HydrocliError]) -> Iterator[None]:
    """Put errors raised inside into the list, and go on."""
    try:
        yield
    except Errors as several:
        errors += several.errors
    except HydrocliError as error:
        errors.append(error)


def _list_forcing(source: BasinSource) -> ForcingPlan:
    times, errors, notes = source.times, list[HydrocliError](), list[str]()
    rain, pet = list[Piece](), list[Piece]()
    with collecting(errors):
        archive = _archive(source.precipitation.path, PRECIPITATION, notes)
        rain = _existing(plan_by_step(archive, times, source.step, PRECIPITATION), PRECIPITATION)
    with collecting(errors):
        pet = _existing(_plan_pet(source, times, notes), _where_pet(source))
    return ForcingPlan(rain, pet, tuple(notes), tuple(errors))


def _where_pet(source: BasinSource) -> str:
    return TEMPERATURE if source.pet_kind == "oudin" else PET


def _plan_pet(source: BasinSource, times: Times, notes: list[str]) -> list[Piece]:
    where, step, path = _where_pet(source), source.step, source.pet_input.path
    labels = times.astype("datetime64[D]") if step == DAY else day_of_step(times)
    if source.pet_kind == "interannual":
        files = interannual_files(open_interannual(path, where))
        return plan_by_day(files, labels, times, step)
    archive = _archive(path, where, notes)
    if source.pet_kind == "raster":
        if archive.is_daily and step < DAY:
            return plan_by_day(daily_files(archive), labels, times, step)
        return plan_by_step(archive, times, step, where)
    if archive.is_daily:
        return plan_by_day(daily_files(archive), labels, times, step)
    return plan_by_day(subdaily_files(archive), day_of_step(times), times, step)


def _archive(folder: Path, where: str, notes: list[str]) -> Archive:
    archive = open_archive(folder, where)
    if archive.undated:
        notes.append(f"{len(archive.undated)} files without a date are left out, first {archive.undated[0]}")
    return archive


def _existing(pieces: list[Piece], where: str) -> list[Piece]:
    if all(piece.is_gap for piece in pieces):
        raise InputError(where, "has no file in the period", "Do its dates agree with `period`?")
    return pieces


def _single_rasters(source: BasinSource) -> dict[str, Path]:
    descriptors = {f"descriptors.{name}": path for name, path in source.descriptors.items()}
    return {"flow_directions.path": source.flow_directions, **descriptors}


def _inputs(source: BasinSource, plan: Plan) -> Iterator[tuple[str, str]]:
    """Role and path of every file used but those of the forcing."""
    yield "gauges", str(source.gauges)
    yield from ((name, str(path)) for name, path in _single_rasters(source).items())
    yield from (("discharge", path) for path in plan.discharge.paths if path)
