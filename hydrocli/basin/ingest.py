"""Ingestion: what the user has on disk becomes a `Basin`, once; later starts find it in the store.

The order of things: list the files and fingerprint them; look for a store of that fingerprint; else cut the network out
of the flow directions, read forcing, discharge and descriptors at its cells, and write the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin import store
from hydrocli.basin.basin import Basin, Gauges, Times
from hydrocli.basin.discharge import read_discharge
from hydrocli.basin.forcing import Conversion, Counts, Piece, Target, fill, gaps
from hydrocli.basin.gauges import Placement, place, read_table
from hydrocli.basin.grid import latitudes
from hydrocli.basin.network import Drainage, DrainageNetwork
from hydrocli.basin.rasters import RasterReader, UnreadableError, quick_opening, raster_grid, read_whole
from hydrocli.basin.source import BasinSource, Plan, fingerprint_of, make_plan, options_of, shared
from hydrocli.errors import Errors, InputError

__all__ = ["BasinSource", "open_basin"]

Progress = Callable[[str, int, int], None]
"""Called with what is being read, how much is done, and of how much."""
SHOWN_GAPS = 5
OF_DRAINAGE = ("flow_directions", "encoding", "crs")
"""Options of a source that say how the whole raster drains."""

logger = logging.getLogger(__name__)


def open_basin(source: BasinSource, store_folder: Path, workers: int = 1, progress: Progress | None = None) -> Basin:
    """Find the basin in the store, or read all its files and store it.

    Args:
        source: what to read.
        store_folder: where stores are kept.
        workers: processes that read rasters.
        progress: told how the reading goes.

    Raises:
        Errors: everything wrong with names, grids and gauges, together.
        InputError: for a broken file.
    """
    plan = make_plan(source)
    fingerprint = fingerprint_of(source, plan)
    stored = store.load(store_folder, fingerprint)
    if stored is None:
        with store.building(store_folder, fingerprint) as folder:
            draft = make_draft(source, plan, fingerprint)
            reader = make_reader(source, draft.network)
            complete([draft], [folder], [slice(None)], reader, workers, progress)
        stored = store.load(store_folder, fingerprint)
        if stored is None:
            raise InputError(str(store_folder / fingerprint), "cannot be read back", "Is the disk sound?")
    for note in stored.meta["notes"]:
        logger.warning(note)
    return stored.basin


def make_domain(source: BasinSource) -> tuple[DrainageNetwork, Gauges, list[str]]:
    """Cut the catchments of the gauges out of the flow directions; sentences worth a warning come with them."""
    drainage, placement = place_gauges(source)
    if placement.errors:
        raise Errors(list(placement.errors))
    cells = zip(placement.row.tolist(), placement.column.tolist(), strict=True)
    network = DrainageNetwork.from_drainage(drainage, cells)
    return network, placement.on(network, drainage), placement.shared_cells()


def place_gauges(source: BasinSource) -> tuple[Drainage, Placement]:
    """Read the flow directions and find the cells of the gauges; what is wrong with gauges stands in the placement."""
    key = "drainage", *map(str, options_of(source, OF_DRAINAGE))
    drainage = shared(key, lambda: read_drainage(source))
    table = read_table(source.gauges).select(source.gauge_codes)
    return drainage, place(table, drainage, source.area_tolerance, source.gauges_crs)


def read_drainage(source: BasinSource) -> Drainage:
    """The flow directions of the whole raster."""
    where = str(source.flow_directions)
    grid = raster_grid(source.flow_directions, source.crs)
    grid.check_north_up(where)
    directions, nodata = read_whole(source.flow_directions)
    return Drainage.from_d8(directions, source.encoding, grid, nodata, where)


def make_reader(source: BasinSource, network: DrainageNetwork) -> RasterReader:
    """What reads rasters at the cells of a network."""
    return RasterReader(network.grid, network.x, network.y, source.crs, source.unreadable_as_missing)


def read_descriptors(source: BasinSource, reader: RasterReader) -> dict[str, Floats]:
    """Descriptors at the active cells, NaN where their rasters have none."""
    # A broken descriptor is an error even where broken forcing is only missing.
    strict = RasterReader(reader.grid, reader.x, reader.y, source.crs)
    with quick_opening():
        return {name: strict.read(path) for name, path in source.descriptors.items()}


def uncovered_share(reader: RasterReader, pieces: list[Piece]) -> float:
    """Share of the active cells that the first readable raster of a forcing does not cover."""
    return 1.0 - float(np.mean(covered_cells(reader, pieces)))


def covered_cells(reader: RasterReader, pieces: list[Piece]) -> NDArray[np.bool_]:
    """Which of the active cells the first readable raster of a forcing covers [n]."""
    for path in (path for piece in pieces for path in piece.files if path):
        try:
            return reader.sampling(path).covered
        except UnreadableError:
            if not reader.unreadable_as_missing:
                raise
    return np.zeros(len(reader.x), bool)


@dataclass(frozen=True)
class Draft:
    """A basin without its forcing: see `Basin`; `notes` are sentences worth a warning."""

    source: BasinSource
    plan: Plan
    fingerprint: str
    network: DrainageNetwork
    gauges: Gauges
    discharge: Floats
    descriptors: dict[str, Floats]
    notes: list[str]


def make_draft(source: BasinSource, plan: Plan, fingerprint: str) -> Draft:
    """Read everything of a basin but its forcing."""
    network, gauges, notes = make_domain(source)
    discharge, silent = read_discharge(plan.discharge, plan.codes, plan.times, source.step)
    descriptors = read_descriptors(source, make_reader(source, network))
    gaps = [
        f"descriptor {name} is missing in {np.isnan(values).mean():.1%} of the cells"
        for name, values in descriptors.items()
        if np.isnan(values).any()
    ]
    return Draft(source, plan, fingerprint, network, gauges, discharge, descriptors, plan.notes + silent + notes + gaps)


def complete(
    drafts: Sequence[Draft],
    folders: Sequence[Path],
    cells: Sequence[Integers | slice],
    reader: RasterReader,
    workers: int,
    progress: Progress | None,
) -> None:
    """Read forcing that several basins share, once, and write the store of each into its empty folder.

    Args:
        drafts: the basins, whose sources differ in nothing that concerns the forcing.
        folders: one for each.
        cells: which of the cells of the reader are those of each basin.
        reader: of the cells of all of them.
        workers, progress: as for `open_basin`.
    """
    source, plan = drafts[0].source, drafts[0].plan
    coverage: list[dict[str, Any]] = [{} for _ in drafts]
    notes: list[list[str]] = [list(draft.notes) for draft in drafts]
    paths: list[dict[str, Path]] = [{} for _ in drafts]
    conversions = _conversions(source, reader)
    for name, pieces in plan.forcings.items():
        covered = covered_cells(reader, pieces)
        for draft, folder, own in zip(drafts, folders, paths, strict=True):
            own[name] = store.create_array(folder, name, (len(plan.times), len(draft.network)))
        targets = [Target(own[name], here) for own, here in zip(paths, cells, strict=True)]
        told = partial(progress, name) if progress else None
        counts = fill(targets, pieces, reader, conversions[name], workers, told)
        gaps = forcing_notes(name, pieces, plan.times)
        for number, here in enumerate(cells):
            uncovered = 1.0 - float(np.mean(covered[here]))
            coverage[number][name] = {**asdict(counts[number]), "uncovered": uncovered}
            notes[number] += gaps + _value_notes(name, counts[number], uncovered)
    for number, (draft, folder) in enumerate(zip(drafts, folders, strict=True)):
        forcings = {name: np.load(path, mmap_mode="r") for name, path in paths[number].items()}
        store.save(folder, _basin_of(draft, forcings), coverage[number], notes[number])


def _basin_of(draft: Draft, forcings: dict[str, NDArray[np.float32]]) -> Basin:
    return Basin(
        network=draft.network,
        gauges=draft.gauges,
        start=draft.source.start.astype("datetime64[s]"),
        step=draft.source.step,
        discharge=draft.discharge,
        descriptors=draft.descriptors,
        fingerprint=draft.fingerprint,
        **forcings,
    )


def forcing_notes(name: str, pieces: list[Piece], times: Times) -> list[str]:
    """A sentence about the gaps of a forcing, naming the first of them."""
    runs = gaps(pieces)
    if not runs:
        return []
    shown = [f"{times[low]}" if high == low + 1 else f"{times[low]} to {times[high - 1]}" for low, high in runs]
    more = f" and {len(runs) - SHOWN_GAPS} more" if len(runs) > SHOWN_GAPS else ""
    count = sum(high - low for low, high in runs)
    return [f"{name} has no file at {count} of {len(times)} steps: {', '.join(shown[:SHOWN_GAPS])}{more}"]


def _value_notes(name: str, counts: Counts, uncovered: float) -> list[str]:
    notes = []
    if counts.missing:
        notes.append(f"{name} is missing in {counts.missing / counts.values:.3%} of steps and cells")
    if counts.negative:
        notes.append(f"{name} had {counts.negative} negative values, which count as missing")
    if uncovered:
        notes.append(f"{name} does not cover {uncovered:.1%} of the active cells")
    return notes


def _conversions(source: BasinSource, reader: RasterReader) -> dict[str, Conversion]:
    """From the values of the files to millimetres, by the name of the forcing."""
    rain, read = source.precipitation, source.pet_input
    latitude = latitudes(reader.grid, reader.x, reader.y) if source.pet_kind == "oudin" else None
    return {
        "precipitation": Conversion(rain.scale_factor, rain.add_offset),
        "pet": Conversion(read.scale_factor, read.add_offset, latitude),
    }
