"""What a source holds, without reading all of it: for a check before a long run.

Where the basin is in the store already, everything comes from there. Else the network is cut out, the tables are read,
of the forcing only the times of the fields, and the values of the first, middle and last of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin import store
from hydrocli.basin.basin import Gauges, missing_by_step
from hydrocli.basin.descriptors import readable_descriptors
from hydrocli.basin.discharge import read_discharge
from hydrocli.basin.domain import make_domain, points_of
from hydrocli.basin.forcing import SHOWN_ERRORS, Fields, Making, Rows, make, steps_of
from hydrocli.basin.ingest import (
    covered_by,
    first_readable,
    making_of,
    refuse_impossible,
    unit_of,
    unreadable_notes,
)
from hydrocli.basin.network import DrainageNetwork
from hydrocli.basin.planning import Piece
from hydrocli.basin.plausibility import Figures, read_figures
from hydrocli.basin.readers import Layer, Sampler, UnreadableError, reader_of
from hydrocli.basin.sampling import Points
from hydrocli.basin.source import (
    BasinSource,
    Pass,
    Plan,
    collecting,
    fingerprint_of,
    inputs_read_once,
    make_plan,
)
from hydrocli.basin.values import Counts
from hydrocli.errors import Errors, HydrocliError, Stopped


@dataclass(frozen=True)
class ForcingCoverage:
    """How a forcing covers period and domain.

    Attributes:
        name: precipitation, pet or temperature.
        files: that hold its fields in the period.
        steps: in the period.
        gaps: first and last stamp of each run of steps without files.
        steps_without_files: in all gaps.
        uncovered: share of the active cells outside the rasters.
        missing: share of missing values over steps and cells; None where the forcing is not ingested yet.
        unit: of the values of the files, and why it is taken for it.
        label: what the times of the fields mean.
        resampling: how cells get their values from the fields.
        missing_by_step: share of the cells without a value in each step, as far as it is known before ingestion [t].
        lowest, highest: of the values that were looked at, in mm per step or degrees C; None where none was.
    """

    name: str
    files: int
    steps: int
    gaps: tuple[tuple[np.datetime64, np.datetime64], ...]
    steps_without_files: int
    uncovered: float
    missing: float | None
    unit: str
    label: str
    resampling: str
    missing_by_step: Floats
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True)
class DescriptorCoverage:
    """A descriptor over the cells.

    Attributes:
        name: of it.
        unit: of its values; empty where nothing states it.
        origin: how it was made, in words.
        missing: share of the cells without a value.
        lowest, mean, highest: of the values; NaN where there is none.
    """

    name: str
    unit: str
    origin: str
    missing: float
    lowest: float
    mean: float
    highest: float

    @classmethod
    def of(cls, name: str, values: Floats, unit: str, origin: str) -> DescriptorCoverage:
        """Of values float64[n]."""
        known = values[np.isfinite(values)]
        range_of = (known.min(), known.mean(), known.max()) if known.size else (np.nan, np.nan, np.nan)
        return cls(name, unit, origin, float(np.isnan(values).mean()), *map(float, range_of))


@dataclass(frozen=True)
class Coverage:
    """What `hydrocli check` reports of a basin; what could not be found out is None, and `errors` say why.

    Attributes:
        network: the domain.
        gauges: on it, with areas stated and found.
        discharge: observed at each gauge in the period, float64[g, t].
        forcings: of precipitation, pet, and temperature where there is one.
        descriptors: of all descriptors that can be read.
        store: folder of the ingested basin, where there is one.
        assumptions: sentences on what the files of discharge are taken for.
        figures: of the plausibility of the basin; None where it is not ingested yet.
        notes: sentences worth a warning.
        errors: what ingestion would refuse.
    """

    network: DrainageNetwork | None = None
    gauges: Gauges | None = None
    discharge: Floats | None = None
    forcings: tuple[ForcingCoverage, ...] = ()
    descriptors: tuple[DescriptorCoverage, ...] = ()
    store: Path | None = None
    assumptions: tuple[str, ...] = ()
    figures: Figures | None = None
    notes: tuple[str, ...] = ()
    errors: tuple[HydrocliError, ...] = ()

    @property
    def observed_missing(self) -> Floats | None:
        """Share of missing observations of each gauge in the period, float64[g]."""
        return None if self.discharge is None else np.isnan(self.discharge).mean(axis=1)

    @property
    def descriptors_missing(self) -> dict[str, float]:
        """Share of the cells without a value, by name of the descriptor."""
        return {one.name: one.missing for one in self.descriptors}


def inspect(source: BasinSource, store_folder: Path | None = None) -> Coverage:
    """Look at the files of a source, and at the store in `store_folder` if it has the basin; problems are collected."""
    errors: list[HydrocliError] = []
    plan, stored = None, None
    with collecting(errors):
        plan = make_plan(source, store_folder)
        if store_folder is not None:
            stored = store.load(store_folder, fingerprint_of(source, plan))
    if plan and stored:
        return _of_store(plan, stored)
    with inputs_read_once():
        return _of_files(source, plan, errors)


def _of_store(plan: Plan, stored: store.Stored) -> Coverage:
    basin, found = stored.basin, stored.meta["coverage"]
    forcings = []
    for name, one in plan.arrays.items():
        facts = found[name]
        entry = _forcing(plan, name, one, facts["uncovered"], facts["unit"], facts["resampling"])
        shares = missing_by_step(getattr(basin, name)) if facts["missing"] else np.zeros(len(plan.times))
        forcings.append(replace(entry, missing=facts["missing"] / facts["values"], missing_by_step=shares))
    made = found["descriptors"]
    descriptors = [DescriptorCoverage.of(name, values, **made[name]) for name, values in basin.descriptors.items()]
    return Coverage(
        network=basin.network,
        gauges=basin.gauges,
        discharge=basin.discharge,
        forcings=tuple(forcings),
        descriptors=tuple(descriptors),
        store=stored.path,
        assumptions=tuple(found["discharge"]),
        figures=read_figures(stored.path),
        notes=tuple(stored.meta["notes"]),
    )


def _of_files(source: BasinSource, plan: Plan | None, errors: list[HydrocliError]) -> Coverage:
    network = gauges = observed = None
    assumptions: Sequence[str] = ()
    forcings: list[ForcingCoverage] = []
    descriptors: list[DescriptorCoverage] = []
    notes = list(plan.notes) if plan else []
    with collecting(errors):
        network, gauges, found = make_domain(source)
        notes += found
    if plan:
        with collecting(errors):
            read = read_discharge(plan.discharge, plan.codes, plan.times, source.step)
            observed = read.discharge
            notes += read.notes
            assumptions = read.assumptions
    if network and plan:
        points = points_of(source, network)
        with collecting(errors):
            made, wrong = readable_descriptors(source, network)
            errors += wrong
            for name, one in made.items():
                descriptors.append(DescriptorCoverage.of(name, one.values, one.unit, one.origin))
                notes += one.notes
        for archive in plan.forcing.passes:
            with collecting(errors):
                looked_at, unreadable = _look_at(archive, plan, source, points)
                forcings += looked_at
                notes += unreadable
    # The plan and the domain may both have met what is wrong with one table.
    distinct = {str(error): error for error in errors}
    return Coverage(
        network=network,
        gauges=gauges,
        discharge=observed,
        forcings=tuple(forcings),
        descriptors=tuple(descriptors),
        assumptions=tuple(assumptions),
        notes=tuple(notes),
        errors=tuple(distinct.values()),
    )


def _look_at(one: Pass, plan: Plan, source: BasinSource, points: Points) -> tuple[list[ForcingCoverage], list[str]]:
    """How the arrays of a pass cover domain and period: all its files are opened, few of its fields are read.

    Sentences about files that count as missing come with it.

    Raises:
        HydrocliError: a unit is not understood, files are broken, or a value is none of its kind.
    """
    with reader_of(one.source).sampler(one.source, points) as sampler:
        unreadable = _check_files(one, sampler, unreadable_as_missing=source.unreadable_as_missing)
        facts = first_readable(one, sampler, unreadable_as_missing=source.unreadable_as_missing)
        making, phrase = making_of(one, source, points, facts)
        covered, resampling = covered_by(facts, points)
        values, counts = _sample(one.pieces, sampler, making)
    found = []
    for name in one.arrays:
        refuse_impossible(name, counts[name], one.section, source.step)
        uncovered = 1.0 - float(np.mean(covered))
        entry = _forcing(plan, name, one, uncovered, unit_of(name, making, phrase), resampling)
        if np.isfinite(values[name]).any():
            entry = replace(entry, lowest=float(np.nanmin(values[name])), highest=float(np.nanmax(values[name])))
        for piece in one.pieces:
            if all(layer is None or layer.path in unreadable for layer in piece.layers):
                entry.missing_by_step[piece.first : piece.first + len(piece.shares)] = 1.0
        found.append(entry)
    return found, unreadable_notes(one.section.removeprefix("forcing."), unreadable)


def _check_files(one: Pass, sampler: Sampler, *, unreadable_as_missing: bool) -> list[str]:
    """Open every file of a pass; those that cannot be read come back where they count as missing.

    Raises:
        HydrocliError: all that is wrong with them, of the first `SHOWN_ERRORS` files.
    """
    errors, unreadable = list[HydrocliError](), list[str]()
    files: dict[str, Layer] = {layer.path: layer for piece in one.pieces for layer in piece.layers if layer}
    for layer in files.values():
        try:
            sampler.check(layer)
        except Stopped:
            raise
        except HydrocliError as error:
            if unreadable_as_missing and isinstance(error, UnreadableError):
                unreadable.append(layer.path)
            else:
                errors.append(error)
        if len(errors) == SHOWN_ERRORS:
            break
    if errors:
        raise errors[0] if len(errors) == 1 else Errors(errors)
    return unreadable


def _sample(pieces: list[Piece], sampler: Sampler, making: Making) -> tuple[dict[str, Floats], dict[str, Counts]]:
    """Values of the arrays in the first, middle and last piece with fields, and their counts."""
    present = [piece for piece in pieces if not piece.is_gap]
    values: dict[str, list[Floats]] = {name: [] for name in making.arrays}
    counts = dict.fromkeys(making.arrays, Counts())
    fields = Fields(sampler, making.unreadable_as_missing)
    for piece in {chosen.first: chosen for chosen in (present[0], present[len(present) // 2], present[-1])}.values():
        read, rows = fields.of([piece]), Rows(making, len(sampler.points), steps_of([piece]))
        rows.add([piece], read, make([piece], read, making))
        for name in making.arrays:
            values[name].append(rows.values(name).ravel().astype(np.float64))
            counts[name] += rows.counts(name, [slice(None)])[0]
    return {name: np.concatenate(own) for name, own in values.items()}, counts


def _forcing(plan: Plan, name: str, one: Pass, uncovered: float, unit: str, resampling: str) -> ForcingCoverage:
    runs, times = one.gaps(name), plan.times
    shares = np.full(len(times), uncovered)
    for low, high in runs:
        shares[low:high] = 1.0
    return ForcingCoverage(
        name=name,
        files=len(one.paths),
        steps=len(times),
        gaps=tuple((times[low], times[high - 1]) for low, high in runs),
        steps_without_files=sum(high - low for low, high in runs),
        uncovered=uncovered,
        missing=None,
        unit=unit,
        label=one.label,
        resampling=resampling,
        missing_by_step=shares,
    )
