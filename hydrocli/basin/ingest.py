"""Ingestion: what the user has on disk becomes a `Basin`, once; later starts find it in the store.

The order of things: list the files and fingerprint them; look for a store of that fingerprint; else cut the network out
of the flow directions, read forcing, discharge and descriptors at its cells, and write the store. Of a period that goes
on after that of an older store, only the later steps are read (`hydrocli.basin.extension`).

Many basins that share flow directions and archives are ingested in one pass over them (`ingest_batch`). Each gets the
store that it would have got alone, to the bit; a field of a region is read once, not once for each of its hundreds of
catchments.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats, Integers
from hydrocli.basin import store
from hydrocli.basin.basin import DAY, Basin, Gauges, Times, missing_by_step
from hydrocli.basin.descriptors import read_descriptors
from hydrocli.basin.discharge import Observations, read_discharge
from hydrocli.basin.domain import OF_DRAINAGE, make_domain, points_of
from hydrocli.basin.extension import Base, find_base, reading_of
from hydrocli.basin.forcing import Making, Target, fill, fill_cells, fill_gaps
from hydrocli.basin.grid import latitudes
from hydrocli.basin.network import DrainageNetwork
from hydrocli.basin.readers import FileFacts, Sampler, UnreadableError, reader_of
from hydrocli.basin.sampling import Points
from hydrocli.basin.source import (
    OF_FORCING,
    BasinSource,
    ForcingPlan,
    Pass,
    Plan,
    collecting,
    fingerprint_of,
    inputs_read_once,
    make_plan,
    options_of_grid,
)
from hydrocli.basin.units import conversion_of
from hydrocli.basin.values import (
    Counts,
    refuse_fill_values,
    refuse_wrong_sign,
    refuse_wrong_sum,
)
from hydrocli.errors import Errors, HydrocliError, InputError, Stopped
from hydrocli.files import remove_leftovers

Progress = Callable[[str, int, int], None]
"""Called with what is being read, how much is done, and of how much."""
AT_ONCE = 200
"""Basins whose files are open at a time; more of them are read in several passes."""
Failures = dict[str, HydrocliError]
"""What is wrong with basins, by fingerprint."""
SHOWN_GAPS = 5
logger = logging.getLogger(__name__)


def open_basin(source: BasinSource, store_folder: Path, workers: int = 1, progress: Progress | None = None) -> Basin:
    """Find the basin in the store, or read all its files and store it.

    Args:
        source: what to read.
        store_folder: where stores are kept.
        workers: processes that read fields.
        progress: called while fields are read.

    Returns:
        The basin; its forcing is memory-mapped.

    Raises:
        Errors: everything wrong with names, grids and gauges, together.
        InputError: for a broken file.
    """
    remove_leftovers(store_folder)
    plan = make_plan(source, store_folder)
    fingerprint = fingerprint_of(source, plan)
    stored = store.load(store_folder, fingerprint)
    if stored is None:
        plan.forcing.list_again()
        plan = make_plan(source, store_folder)
        fingerprint = fingerprint_of(source, plan)
        with inputs_read_once():
            draft = make_draft(source, plan, fingerprint)
        base = find_base(source, plan, draft.network, store_folder)
        with store.building(store_folder, fingerprint) as folder:
            one = Filling(draft, folder, slice(None), base)
            complete([one], points_of(source, draft.network), workers, progress)
        stored = store.load(store_folder, fingerprint)
        if stored is None:
            raise InputError(str(store_folder / fingerprint), "cannot be read back", "Check the disk, then run again.")
    plan.forcing.keep()
    for note in stored.meta["notes"]:
        logger.warning(note)
    return stored.basin


def first_readable(one: Pass, sampler: Sampler, *, unreadable_as_missing: bool) -> FileFacts | None:
    """What the first readable field of a forcing says of itself; None where unreadable files may count as missing."""
    for layer in (layer for piece in one.pieces for layer in piece.layers if layer):
        try:
            return sampler.facts(layer)
        except UnreadableError:
            if not unreadable_as_missing:
                raise
    return None


def covered_by(facts: FileFacts | None, points: Points) -> tuple[Flags, str]:
    """Which points [n] the fields of a forcing cover, and how they get their values, in words."""
    if facts is None:
        return np.zeros(len(points), bool), ""
    return facts.sampling.covered, facts.sampling.label


def making_of(one: Pass, source: BasinSource, points: Points, facts: FileFacts | None) -> tuple[Making, str]:
    """What is made of the fields of a forcing, and a phrase on the unit of its values.

    Args:
        one: pass over the files.
        source: of the basin.
        points: of its cells.
        facts: of the files; None where none can be read.

    Raises:
        InputError: the unit is not understood, or differs from the one that the configuration states.
    """
    is_temperature = "temperature" in one.arrays
    unit, is_packed = (facts.unit, facts.is_packed) if facts else ("", False)
    conversion, phrase = conversion_of(
        one.source, unit, one.interval, one.section, is_temperature=is_temperature, is_packed=is_packed
    )
    latitude = latitudes(points.grid, points.x, points.y) if is_temperature and "pet" in one.arrays else None
    return Making(one.arrays, conversion, latitude, source.unreadable_as_missing), phrase


@dataclass(frozen=True)
class Draft:
    """A basin without its forcing: see `Basin`; `notes` are sentences worth a warning."""

    source: BasinSource
    plan: Plan
    fingerprint: str
    network: DrainageNetwork
    gauges: Gauges
    observed: Observations
    descriptors: dict[str, Floats]
    descriptor_facts: dict[str, dict[str, str]]
    notes: list[str]


def unit_of(array: str, making: Making, phrase: str) -> str:
    """Where the unit of an array comes from, for the user; `phrase` is on that of the files."""
    return "computed from the temperature" if array == "pet" and making.latitude is not None else phrase


def make_draft(source: BasinSource, plan: Plan, fingerprint: str) -> Draft:
    """Read everything of a basin but its forcing."""
    network, gauges, notes = make_domain(source)
    observed = read_discharge(plan.discharge, plan.codes, plan.times, source.step)
    descriptors = read_descriptors(source, network)
    fields = {name: one.values for name, one in descriptors.items()}
    notes = [*plan.notes, *observed.notes, *notes, *(note for one in descriptors.values() for note in one.notes)]
    facts = {name: one.facts for name, one in descriptors.items()}
    return Draft(source, plan, fingerprint, network, gauges, observed, fields, facts, notes)


class Filling(NamedTuple):
    """A basin whose store is being written.

    Attributes:
        draft: the basin.
        folder: empty, of its store.
        cells: which of the points that are read are its cells.
        base: the store with which it begins, if there is one.
    """

    draft: Draft
    folder: Path
    cells: Integers | slice
    base: Base | None


def complete(basins: Sequence[Filling], points: Points, workers: int, progress: Progress | None) -> None:
    """Read forcing that several basins share, once, and write the store of each.

    Args:
        basins: whose sources differ in nothing that concerns the forcing, and whose bases have the same steps and
            sections.
        points: cells of all of them.
        workers, progress: as for `open_basin`.
    """
    source, plan, base = basins[0].draft.source, basins[0].draft.plan, basins[0].base
    coverage: list[dict[str, Any]] = [{"discharge": list(one.draft.observed.assumptions)} for one in basins]
    notes: list[list[str]] = [list(one.draft.notes) for one in basins]
    paths: list[dict[str, Path]] = [{} for _ in basins]
    totals: list[dict[str, Counts]] = [{} for _ in basins]
    unreadable: list[dict[str, list[str]]] = [{} for _ in basins]
    with ExitStack() as files:
        for one in plan.forcing.passes:
            sampler = reader_of(one.source).sampler(one.source, points)
            with sampler:
                facts = first_readable(one, sampler, unreadable_as_missing=source.unreadable_as_missing)
            making, phrase = making_of(one, source, points, facts)
            covered, resampling = covered_by(facts, points)
            first = base.steps if base and one.section in base.sections else 0
            for name in one.arrays:
                for basin, own in zip(basins, paths, strict=True):
                    own[name] = _array_of(basin, name, first, files)
            targets = [Target(own, basin.cells) for own, basin in zip(paths, basins, strict=True)]
            report = partial(progress, one.section.removeprefix("forcing.")) if progress else None
            found = fill(targets, one.pieces_from(first), sampler, making, workers, report)
            gaps = {name: gap_notes(name, one, plan.times) for name in one.arrays}
            for number, basin in enumerate(basins):
                before = basin.base if first else None
                lost = [*(before.unreadable(one.section) if before else ()), *found.unreadable]
                unreadable[number][one.section] = lost
                for name in one.arrays:
                    counts = found.totals[number][name]
                    counts = before.counts(name) + counts if before else counts
                    totals[number][name] = counts
                    uncovered = 1.0 - float(np.mean(covered[basin.cells]))
                    refuse_impossible(name, counts, one.section, source.step)
                    coverage[number][name] = counts.facts() | {
                        "uncovered": uncovered,
                        "unit": unit_of(name, making, phrase),
                        "label": one.label,
                        "resampling": resampling,
                    }
                    notes[number] += [*gaps[name], *unreadable_notes(name, lost)]
                    notes[number] += _value_notes(name, counts, uncovered, plan.times)
                    if name == "pet" and counts.missing:
                        notes[number] += _complete_pet(paths[number][name], basin.draft, first)
        readings = [
            reading_of(basin.draft.source, plan, basin.draft.network, totals[number], unreadable[number])
            for number, basin in enumerate(basins)
        ]

        def save(number: int) -> None:
            draft, folder, _, base = basins[number]
            shape = len(plan.times), len(draft.network)
            forcings = {name: store.open_rows(path, shape) for name, path in paths[number].items()}
            facts, stored = coverage[number] | {"descriptors": draft.descriptor_facts}, base.stored if base else None
            store.save(folder, _basin_of(draft, forcings), facts, notes[number], readings[number], stored)

        with ThreadPoolExecutor(max(workers, 1)) as pool:  # NumPy and the disk do most of it, without the interpreter
            list(pool.map(save, range(len(basins))))


def _array_of(basin: Filling, name: str, first: int, files: ExitStack) -> Path:
    """A file for an array of a basin, of which rows from the first one on are to be written."""
    shape = len(basin.draft.plan.times), len(basin.draft.network)
    if basin.base is None or not first:
        return store.create_array(basin.folder, name, shape)
    return files.enter_context(store.extend_array(basin.base.stored.path, basin.folder, name, first, shape))


def _basin_of(draft: Draft, forcings: dict[str, NDArray[np.float32]]) -> Basin:
    return Basin(
        network=draft.network,
        gauges=draft.gauges,
        start=draft.source.start.astype("datetime64[s]"),
        step=draft.source.step,
        discharge=draft.observed.discharge,
        discharge_until=draft.observed.until,
        descriptors=draft.descriptors,
        descriptor_units={name: facts["unit"] for name, facts in draft.descriptor_facts.items()},
        fingerprint=draft.fingerprint,
        **forcings,
    )


def gap_notes(name: str, one: Pass, times: Times) -> list[str]:
    """A sentence about the gaps of an array, naming the first of them."""
    runs = one.gaps(name)
    if not runs:
        return []
    shown = [f"{times[low]}" if high == low + 1 else f"{times[low]} to {times[high - 1]}" for low, high in runs]
    more = f" and {len(runs) - SHOWN_GAPS} more" if len(runs) > SHOWN_GAPS else ""
    count = sum(high - low for low, high in runs)
    return [f"{name} has no file at {count} of {len(times)} steps: {', '.join(shown[:SHOWN_GAPS])}{more}"]


def refuse_impossible(name: str, counts: Counts, section: str, step: int) -> None:
    """Refuse an array whose values together prove that it is read wrong.

    Raises:
        InputError: see `hydrocli.basin.values`.
    """
    if name == "temperature" or (name == "pet" and section == "forcing.temperature"):
        return
    refuse_fill_values(counts, section)
    refuse_wrong_sign(counts, section)
    if name == "pet":
        refuse_wrong_sum(counts, section, step)


def _complete_pet(path: Path, draft: Draft, first: int) -> list[str]:
    """Fill what is missing of the potential evapotranspiration in a file; sentences worth a warning.

    Args:
        path: of the file.
        draft: of the basin.
        first: step before which nothing is missing.

    Raises:
        InputError: a gap is too long.
    """
    source, network, times = draft.source, draft.network, draft.plan.times
    values = store.open_rows(path, (len(times), len(network)), may_write=True)
    notes = []
    filled = fill_gaps(values, DAY // source.step, source.fill_pet, first)
    if filled:
        notes.append(f"pet is filled from the nearest days in {filled / values.size:.3%} of steps and cells")
    if not first and (cells := fill_cells(values, network.x, network.y)):
        notes.append(f"pet is that of the nearest cell in {cells} of {len(network)} cells, which have none")
    missing = missing_by_step(values[first:]) > 0
    if missing.any():
        what = f"is missing at {times[first + int(missing.argmax())]}, and {source.fill_pet} days around it as well"
        remedy = "Add the files, shorten `period`, or raise `forcing.fill_pet`."
        raise InputError("forcing.pet" if source.pet else "forcing.temperature", what, remedy)
    return notes


def unreadable_notes(name: str, paths: list[str]) -> list[str]:
    """A sentence about files that count as missing, naming the first of them."""
    distinct = list(dict.fromkeys(paths))
    if not distinct:
        return []
    return [f"{name}: {len(distinct)} files cannot be read and count as missing, first {distinct[0]}"]


def _value_notes(name: str, counts: Counts, uncovered: float, times: Times) -> list[str]:
    notes = []
    if counts.missing:
        share = counts.missing / counts.values
        notes.append(f"{name} is missing in {share:.3%} of steps and cells, first at {times[counts.first_missing]}")
    if counts.negative:
        notes.append(f"{name} had {counts.negative} negative values, which count as missing")
    if uncovered:
        notes.append(f"{name} does not cover {uncovered:.1%} of the active cells")
    return notes


def ingest_batch(
    sources: Sequence[BasinSource], store_folder: Path, workers: int = 1, progress: Progress | None = None
) -> list[str | HydrocliError]:
    """Build every store that is not there yet; what is wrong with one basin does not keep the others from theirs.

    Args:
        sources: of the basins.
        store_folder: where stores are kept.
        workers: processes that read fields.
        progress: called while fields are read.

    Returns:
        For each basin the fingerprint that names its store, or what is wrong.
    """
    found: list[str | HydrocliError] = []
    groups: dict[tuple[str, ...], dict[str, Draft]] = {}
    failures: Failures = {}
    listed: list[ForcingPlan] = []
    remove_leftovers(store_folder)
    with inputs_read_once():
        for source in sources:
            group = groups.setdefault(options_of_grid(source, (*OF_DRAINAGE, *OF_FORCING)), {})
            found.append(_draft(source, store_folder, group, listed))
        for drafts in groups.values():
            waiting = list(drafts.values())
            for first in range(0, len(waiting), AT_ONCE):
                failures |= _build(waiting[first : first + AT_ONCE], store_folder, workers, progress)
        for plan in listed:
            plan.keep()
    return [failures.get(result, result) if isinstance(result, str) else result for result in found]


def _draft(
    source: BasinSource, store_folder: Path, group: dict[str, Draft], listed: list[ForcingPlan]
) -> str | HydrocliError:
    """The fingerprint of a basin, which is added to its group if it has no store yet; `listed` gets its archives."""
    errors: list[HydrocliError] = []
    with collecting(errors):
        plan = make_plan(source, store_folder)
        fingerprint = fingerprint_of(source, plan)
        if fingerprint not in group and store.load(store_folder, fingerprint) is None:
            plan.forcing.list_again()
            plan = make_plan(source, store_folder)
            fingerprint = fingerprint_of(source, plan)
            group[fingerprint] = make_draft(source, plan, fingerprint)
        listed.append(plan.forcing)
        return fingerprint
    return errors[0] if len(errors) == 1 else Errors(errors)


def _build(drafts: list[Draft], store_folder: Path, workers: int, progress: Progress | None) -> Failures:
    """Write the stores of basins of one group; a value that one of them cannot have is looked for by halves."""
    try:
        _build_at_once(drafts, store_folder, workers, progress)
    except Stopped:
        raise
    except HydrocliError as error:
        files = error.errors if isinstance(error, Errors) else [error]
        if len(drafts) == 1 or any(isinstance(one, UnreadableError) for one in files):  # a file that all of them need
            return {draft.fingerprint: error for draft in drafts}
        half = len(drafts) // 2
        parts = drafts[:half], drafts[half:]
        return {key: one for part in parts for key, one in _build(part, store_folder, workers, progress).items()}
    return {}


def _build_at_once(drafts: list[Draft], store_folder: Path, workers: int, progress: Progress | None) -> None:
    """Write the stores of basins of one group: those that begin with stores of as many steps together."""
    alike: dict[tuple[int, frozenset[str]], list[tuple[Draft, Base | None]]] = {}
    for draft in drafts:
        base = find_base(draft.source, draft.plan, draft.network, store_folder)
        key = (base.steps, base.sections) if base else (0, frozenset[str]())
        alike.setdefault(key, []).append((draft, base))
    for several in alike.values():
        points, cells = _all_points([draft for draft, _ in several])
        with ExitStack() as stores:
            basins = []
            for (draft, base), own in zip(several, cells, strict=True):
                folder = stores.enter_context(store.building(store_folder, draft.fingerprint))
                basins.append(Filling(draft, folder, own, base))
            complete(basins, points, workers, progress)


def _all_points(drafts: list[Draft]) -> tuple[Points, list[Integers | slice]]:
    """The cells of some basins on one raster of flow directions, each once, and which of them are those of each.

    They are in the order of the basins: those of a basin that shares no cell with one before lie side by side.
    """
    networks = [draft.network for draft in drafts]
    x, y = (np.concatenate([getattr(network, axis) for network in networks]) for axis in ("x", "y"))
    row, column = networks[0].grid.cells_at(x, y)  # which may lie outside of it
    _, first, cell = np.unique(row * 2**31 + column, return_index=True, return_inverse=True)
    order = np.sort(first)
    number = np.argsort(np.argsort(first))[cell]
    points = replace(points_of(drafts[0].source, networks[0]), x=x[order], y=y[order])
    cells: list[Integers | slice] = []
    for own in np.split(number, np.cumsum([len(network) for network in networks])[:-1]):
        is_run = bool((np.diff(own) == 1).all())
        cells.append(slice(int(own[0]), int(own[-1]) + 1) if is_run else own)
    return points, cells
