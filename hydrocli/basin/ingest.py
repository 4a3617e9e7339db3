"""Ingestion: what the user has on disk becomes a `Basin`, once; later starts find it in the store.

The order of things: list the files and fingerprint them; look for a store of that fingerprint; else cut the network out
of the flow directions, read forcing, discharge and descriptors at its cells, and write the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.basin import store
from hydrocli.basin.basin import Basin, Gauges, Times
from hydrocli.basin.discharge import read_discharge
from hydrocli.basin.forcing import Conversion, Counts, Piece, fill, gaps
from hydrocli.basin.gauges import Placement, place, read_table
from hydrocli.basin.grid import Floats, latitudes
from hydrocli.basin.network import Drainage, Network
from hydrocli.basin.rasters import RasterReader, UnreadableError, quick_opening, raster_grid, read_whole
from hydrocli.basin.source import BasinSource, Plan, fingerprint_of, make_plan
from hydrocli.errors import Errors, InputError

__all__ = ["BasinSource", "open_basin"]

Progress = Callable[[str, int, int], None]
"""Called with what is being read, how much is done, and of how much."""
SHOWN_GAPS = 5

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
            _build(source, plan, fingerprint, folder, workers, progress)
        stored = store.load(store_folder, fingerprint)
        if stored is None:
            raise InputError(str(store_folder / fingerprint), "cannot be read back", "Is the disk sound?")
    for note in stored.meta["notes"]:
        logger.warning(note)
    return stored.basin


def make_domain(source: BasinSource) -> tuple[Network, Gauges, list[str]]:
    """Cut the catchments of the gauges out of the flow directions; sentences worth a warning come with them."""
    drainage, placement = place_gauges(source)
    if placement.errors:
        raise Errors(list(placement.errors))
    cells = zip(placement.row.tolist(), placement.column.tolist(), strict=True)
    network = Network.from_drainage(drainage, cells)
    return network, placement.on(network, drainage), placement.shared_cells()


def place_gauges(source: BasinSource) -> tuple[Drainage, Placement]:
    """Read the flow directions and find the cells of the gauges; what is wrong with gauges stands in the placement."""
    where = str(source.flow_directions)
    grid = raster_grid(source.flow_directions, source.crs)
    grid.check_north_up(where)
    directions, nodata = read_whole(source.flow_directions)
    drainage = Drainage.from_d8(directions, source.encoding, grid, nodata, where)
    table = read_table(source.gauges).select(source.gauge_codes)
    return drainage, place(table, drainage, source.area_tolerance, source.gauges_crs)


def make_reader(source: BasinSource, network: Network) -> RasterReader:
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
    for path in (path for piece in pieces for path in piece.files if path):
        try:
            return 1.0 - float(np.mean(reader.sampling(path).covered))
        except UnreadableError:
            if not reader.unreadable_as_missing:
                raise
    return 1.0


def _build(
    source: BasinSource, plan: Plan, fingerprint: str, folder: Path, workers: int, progress: Progress | None
) -> None:
    """Write the store of a basin into an empty folder."""
    network, gauges, notes = make_domain(source)
    reader = make_reader(source, network)
    discharge, silent = read_discharge(plan.discharge, plan.codes, plan.times, source.step)
    descriptors = read_descriptors(source, reader)
    forcings, coverage = {}, dict[str, Any]()
    conversions = _conversions(source, network)
    for name, pieces in plan.forcings.items():
        uncovered = uncovered_share(reader, pieces)
        forcings[name] = store.create_array(folder, name, (len(plan.times), len(network)))
        told = partial(progress, name) if progress else None
        counts = fill(forcings[name], pieces, reader, conversions[name], workers, told)
        coverage[name] = {**asdict(counts), "uncovered": uncovered}
        notes += forcing_notes(name, pieces, plan.times) + _value_notes(name, counts, uncovered)
    notes += [
        f"descriptor {name} is missing in {np.isnan(values).mean():.1%} of the cells"
        for name, values in descriptors.items()
        if np.isnan(values).any()
    ]
    basin = Basin(
        network=network,
        gauges=gauges,
        start=source.start.astype("datetime64[s]"),
        step=source.step,
        discharge=discharge,
        descriptors=descriptors,
        fingerprint=fingerprint,
        **{name: np.load(path, mmap_mode="r") for name, path in forcings.items()},
    )
    store.save(folder, basin, coverage, plan.notes + silent + notes)


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


def _conversions(source: BasinSource, network: Network) -> dict[str, Conversion]:
    """From the values of the files to millimetres, by the name of the forcing."""
    evapotranspiration = Conversion(source.evapotranspiration_factor)
    if source.evapotranspiration_kind == "oudin":
        latitude = latitudes(network.grid, network.x, network.y)
        evapotranspiration = Conversion(source.evapotranspiration_factor, source.temperature_offset, latitude)
    return {"precipitation": Conversion(source.precipitation_factor), "evapotranspiration": evapotranspiration}
