"""The inputs of a run: where they are, and whether they are still those that it was calibrated with.

A calibration keeps fingerprints in its manifest: of the values of its gauges and of their observations in the
calibration period, of the content of rasters, and of name, size and time of change of the files of forcing. What is
added for other gauges or later times changes none of them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from math import inf
from pathlib import Path

import numpy as np

from hydrocli.arrays import Floats, Integers
from hydrocli.basin import store
from hydrocli.basin.basin import DAY, Basin, Times, missing_by_step
from hydrocli.basin.dem import DemSource
from hydrocli.basin.discharge import Observations, read_discharge
from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.basin.gauges import GaugeTable
from hydrocli.basin.plausibility import read_figures
from hydrocli.basin.plausibility_limits import Limits, findings
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.source import (
    LUMPED,
    BasinSource,
    DescriptorSource,
    Plan,
    fingerprint_of,
    gauges_of,
    inputs_read_once,
    make_plan,
    parts_of_terrain,
)
from hydrocli.basin.vectors import PolygonSource
from hydrocli.config import Experiment, regional_members
from hydrocli.config.forcing import ForcingFiles
from hydrocli.config.gauges import Discharge
from hydrocli.errors import Errors, HydrocliError, InputError
from hydrocli.experiment.roles import stamp

logger = logging.getLogger(__name__)

DRY_SPIN_UP = 0.5
"""Share of the spin-up without rain data above which its stores do not have the level of the season."""
OBSERVATIONS, TABLE, END = "gauges.discharge", "gauges.table", "period.end"


def source_of(experiment: Experiment) -> BasinSource:
    """The files and options that the basin of an experiment is read from."""
    gauges, forcing = experiment.gauges, experiment.forcing
    pet, basin = forcing.pet, experiment.basin
    directions = basin.flow_directions
    codes = (*gauges.calibration, *gauges.validation) if isinstance(gauges.calibration, tuple) else ()
    gauge = codes[0] if basin.domain == LUMPED and len(codes) == 1 else ""
    return BasinSource(
        start=stamp(experiment.period.start),
        end=stamp(experiment.period.end),
        step=experiment.period.step,
        flow_directions=Path(directions.path) if directions else None,
        encoding=directions.encoding if directions else "",
        gauges=Path(gauges.table),
        precipitation=_forcing_source(forcing.precipitation, gauge),
        pet_kind=pet.kind,
        pet=None if pet.kind == "oudin" else _forcing_source(pet, gauge),
        temperature=_forcing_source(forcing.temperature, gauge) if forcing.temperature else None,
        discharge=_discharge_source(gauges.discharge) if gauges.discharge else None,
        descriptors={name: DescriptorSource(**dict(one)) for name, one in basin.descriptors.items()},
        gauge_codes=codes,
        gauges_crs=gauges.crs,
        area_tolerance=gauges.area_tolerance,
        gauge_columns=gauges.columns.model_dump(exclude_none=True),
        area_unit=gauges.area_unit,
        snap_distance=gauges.snap_distance,
        flow_directions_crs=directions.crs if directions else None,
        crs=basin.crs,
        unreadable_as_missing=forcing.unreadable_as_missing,
        fill_pet=forcing.fill_pet // DAY,
        dem=DemSource(**dict(basin.dem)) if basin.dem else None,
        domain=basin.domain,
        polygons=PolygonSource(**dict(basin.polygons)) if basin.polygons else None,
        gauges_layer=gauges.layer,
    )


def _discharge_source(files: Discharge) -> DischargeSource:
    stated = files.columns.model_dump(exclude_none=True)
    options = files.model_dump(exclude={"path", "columns", "flags"})
    flags = (
        None if files.flags is None else tuple(f"{flag:g}" if isinstance(flag, float) else flag for flag in files.flags)
    )
    return DischargeSource(path=Path(files.path), columns=stated, flags=flags, **options)


def _forcing_source(files: ForcingFiles, gauge: str) -> ForcingSource:
    """What a section says of its files; keys that it does not have keep their defaults. `gauge`: of a lumped basin."""
    given = {key.name: getattr(files, key.name) for key in fields(ForcingSource) if hasattr(files, key.name)}
    return ForcingSource(**given | {"path": Path(files.path), "gauge": gauge})


def missing_rain(experiment: Experiment, times: Times, missing: Floats) -> list[InputError]:
    """What forbids a calibration: rain data that are missing for too much of its period, or of its spin-up.

    Args:
        experiment: with `forcing.max_missing_rain`.
        times: stamps of the steps [t].
        missing: share of the cells without rain in each step [t].
    """
    window = experiment.period.calibration
    if window is None:
        return []
    limit = experiment.forcing.max_missing_rain
    start, end = (stamp(time) for time in window)
    parts = {
        "calibration period": ((times > start) & (times <= end), limit, "raise `forcing.max_missing_rain`"),
        "spin-up before the calibration": (times <= start, max(limit, DRY_SPIN_UP), "start it at the first file"),
    }
    errors = []
    for name, (inside, most, otherwise) in parts.items():
        share = float(missing[inside].mean()) if inside.any() else 0.0
        if share > most:
            first = times[inside][int((missing[inside] > 0).argmax())]
            what = f"rain is missing in {share:.1%} of the {name}, first at {first}; the limit is {most:.0%}"
            errors.append(InputError("forcing.precipitation", what, f"Add the files, change `period`, or {otherwise}."))
    return errors


def refuse_missing_rain(experiment: Experiment, basin: Basin) -> None:
    """Refuse a calibration without rain data for too much of its period; see `missing_rain`.

    Raises:
        InputError: names the share and the first step.
    """
    if errors := missing_rain(experiment, basin.times, missing_by_step(basin.precipitation)):
        raise errors[0] if len(errors) == 1 else Errors(list(errors))


def limits_of(experiment: Experiment) -> Limits:
    """The limits of the section `plausibility`; off is infinity, or what nothing is below."""
    given = experiment.plausibility.model_dump()
    fill_values, exempt = given.pop("fill_values") != "off", given.pop("exempt")
    numbers = {
        key: (-inf if key.startswith("min_") else inf) if value == "off" else value for key, value in given.items()
    }
    return Limits(**numbers, fill_values=fill_values, exempt=exempt)


def refuse_implausible(experiment: Experiment, store: Path) -> None:
    """Refuse a basin whose figures are beyond the limits; what is only unusual is logged as a warning.

    Args:
        experiment: with its limits.
        store: folder of the basin.

    Raises:
        Errors: all that is beyond a limit.
    """
    errors, notes = findings(read_figures(store), limits_of(experiment))
    for note in notes:
        logger.warning(note)
    if errors:
        raise errors[0] if len(errors) == 1 else Errors(list(errors))


def fingerprints(experiment: Experiment, codes: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Fingerprint of every input by its key, that of a gauge with its code; of several basins with their names.

    Args:
        experiment: of the calibration.
        codes: of the gauges that calibrate, by name of the basin.

    Raises:
        HydrocliError: an input cannot be read.
    """
    found: dict[str, str] = {}
    with inputs_read_once():
        for number, member in enumerate(regional_members(experiment)):
            prefix = f"{member.name}: " if number else ""
            own = _fingerprints(member, codes[member.name])
            found |= {f"{prefix}{key}": digest for key, digest in own.items()}
    return found


def changed_inputs(stored: Experiment, inputs: Mapping[str, str]) -> dict[str, str]:
    """Fingerprints of the inputs that are not those of a manifest, by key; empty where it has none.

    Inputs that are no longer there cannot be compared; a warning says so.

    Args:
        stored: configuration of the run.
        inputs: of its manifest.
    """
    changed: dict[str, str] = {}
    try:
        with inputs_read_once():
            for number, member in enumerate(regional_members(stored)):
                prefix = f"{member.name}: " if number else ""
                own = {key.removeprefix(prefix): digest for key, digest in inputs.items() if key.startswith(prefix)}
                if END not in own:
                    continue
                end = datetime.fromisoformat(own[END])
                period = member.period.model_copy(update={"end": end})
                now = _fingerprints(member.model_copy(update={"period": period}), _codes(own))
                changed |= {f"{prefix}{key}": one for key, one in now.items() if own.get(key, one) != one}
    except HydrocliError as error:
        logger.warning(f"the inputs cannot be compared with those of the calibration: {error}")
    return changed


def observations(
    experiment: Experiment, codes: tuple[str, ...], times: np.ndarray
) -> dict[str, tuple[Floats, Integers | None]]:
    """Observed discharge [t] of gauges as their files have it now, at stamps of a run, and intervals of means [t].

    Raises:
        HydrocliError: they cannot be read.
    """
    source, folder = source_of(experiment), Path(experiment.forcing.store)
    plan = make_plan(source, folder)
    if np.array_equal(times.astype("datetime64[s]"), plan.times):
        read = observed(source, plan, folder)
    else:
        read = read_discharge(plan.discharge, plan.codes, times.astype("datetime64[s]"), experiment.period.step)
    places = {code: plan.codes.index(code) for code in codes if code in plan.codes}
    return {code: (read.discharge[g], None if read.until is None else read.until[g]) for code, g in places.items()}


def _codes(inputs: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(key.removeprefix(f"{OBSERVATIONS} ") for key in inputs if key.startswith(f"{OBSERVATIONS} "))


def _fingerprints(experiment: Experiment, codes: tuple[str, ...]) -> dict[str, str]:
    source = source_of(experiment)
    plan = make_plan(source, Path(experiment.forcing.store))
    found = {END: experiment.period.end.isoformat()}
    table = gauges_of(source, codes)
    found |= {f"{TABLE} {code}": _row(table, g) for g, code in enumerate(codes)}
    found |= {key.removesuffix(".path"): _content(parts) for key, parts in parts_of_terrain(source).items()}
    found |= plan.forcing.digests
    return found | _observed(experiment, plan, codes)


def observed(source: BasinSource, plan: Plan, store_folder: Path) -> Observations:
    """Observations of a plan: from the store of the same files if there is one, else from these."""
    stored = store.load(store_folder, fingerprint_of(source, plan))
    if stored is not None:
        return Observations(stored.basin.discharge, [], stored.basin.discharge_until)
    return read_discharge(plan.discharge, plan.codes, plan.times, source.step)


def _row(table: GaugeTable, g: int) -> str:
    row = table.x[g], table.y[g], table.area[g], table.crs
    return hashlib.sha256(repr([*map(float, row[:3]), row[3]]).encode()).hexdigest()[:32]


def _content(parts: Sequence[str]) -> str:
    """Of a file and its companions, in their order."""
    hasher = hashlib.sha256()
    for part in parts:
        with Path(part).open("rb") as file:
            hasher.update(file.read() if len(parts) == 1 else hashlib.file_digest(file, "sha256").digest())
    return hasher.hexdigest()[:32]


def _observed(experiment: Experiment, plan: Plan, codes: tuple[str, ...]) -> dict[str, str]:
    """Of the observations in the calibration period; others have no part in the calibration."""
    window = experiment.period.calibration
    if window is None:
        return {}
    inside = (plan.times > stamp(window[0])) & (plan.times <= stamp(window[1]))
    values = observed(source_of(experiment), plan, Path(experiment.forcing.store)).discharge
    rows = {code: np.ascontiguousarray(values[plan.codes.index(code), inside]) for code in codes}
    return {
        f"{OBSERVATIONS} {code}": hashlib.sha256(np.where(np.isnan(row), np.nan, row).tobytes()).hexdigest()[:32]
        for code, row in rows.items()
    }
