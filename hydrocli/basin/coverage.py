"""What a source holds, told without reading all of it: for a look before a long run.

Where the basin is in the store already, everything comes from there. Else the network is cut out, the tables are read,
of the forcing only the names of the files and its first, middle and last raster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin import store
from hydrocli.basin.basin import Gauges
from hydrocli.basin.discharge import read_discharge
from hydrocli.basin.forcing import Piece, gaps
from hydrocli.basin.ingest import (
    make_domain,
    make_reader,
    read_descriptors,
    uncovered_share,
)
from hydrocli.basin.network import DrainageNetwork
from hydrocli.basin.rasters import RasterReader, quick_opening
from hydrocli.basin.source import BasinSource, Plan, collecting, fingerprint_of, make_plan
from hydrocli.errors import HydrocliError


@dataclass(frozen=True)
class ForcingCoverage:
    """How a forcing covers period and domain.

    Attributes:
        name: precipitation or pet.
        files: found in the period.
        steps: in the period.
        gaps: first and last stamp of each run of steps without files.
        steps_without_files: in all gaps.
        uncovered: share of the active cells outside the rasters.
        missing: share of missing values over steps and cells; None where the forcing is not ingested yet.
    """

    name: str
    files: int
    steps: int
    gaps: tuple[tuple[np.datetime64, np.datetime64], ...]
    steps_without_files: int
    uncovered: float
    missing: float | None


@dataclass(frozen=True)
class Coverage:
    """What `hydrocli check` tells of a basin; what could not be found out is None, and why stands in `errors`.

    Attributes:
        network: the domain.
        gauges: on it, with areas asked and found.
        observed_missing: share of missing observations of each gauge in the period, float64[g].
        forcings: of precipitation and pet.
        descriptors_missing: by name, share of the cells without a value.
        store: folder of the ingested basin, where there is one.
        notes: sentences worth a warning.
        errors: what ingestion would refuse.
    """

    network: DrainageNetwork | None = None
    gauges: Gauges | None = None
    observed_missing: Floats | None = None
    forcings: tuple[ForcingCoverage, ...] = ()
    descriptors_missing: dict[str, float] = field(default_factory=dict)
    store: Path | None = None
    notes: tuple[str, ...] = ()
    errors: tuple[HydrocliError, ...] = ()


def inspect(source: BasinSource, store_folder: Path | None = None) -> Coverage:
    """Look at the files of a source, and at the store in `store_folder` if it has the basin; collects all problems."""
    errors: list[HydrocliError] = []
    plan, stored = None, None
    with collecting(errors):
        plan = make_plan(source)
        if store_folder is not None:
            stored = store.load(store_folder, fingerprint_of(source, plan))
    if plan and stored:
        return _of_store(plan, stored)
    return _of_files(source, plan, errors)


def _of_store(plan: Plan, stored: store.Stored) -> Coverage:
    basin, told = stored.basin, stored.meta["coverage"]
    forcings = tuple(
        _forcing(plan, name, pieces, told[name]["uncovered"], told[name]["missing"] / told[name]["values"])
        for name, pieces in plan.forcings.items()
    )
    return Coverage(
        network=basin.network,
        gauges=basin.gauges,
        observed_missing=np.isnan(basin.discharge).mean(axis=1),
        forcings=forcings,
        descriptors_missing={name: float(np.isnan(values).mean()) for name, values in basin.descriptors.items()},
        store=stored.path,
        notes=tuple(stored.meta["notes"]),
    )


def _of_files(source: BasinSource, plan: Plan | None, errors: list[HydrocliError]) -> Coverage:
    network = gauges = observed = None
    forcings: list[ForcingCoverage] = []
    descriptors: dict[str, float] = {}
    notes = list(plan.notes) if plan else []
    with collecting(errors):
        network, gauges, found = make_domain(source)
        notes += found
    if plan:
        with collecting(errors):
            discharge, silent = read_discharge(plan.discharge, plan.codes, plan.times, source.step)
            observed = np.isnan(discharge).mean(axis=1)
            notes += silent
    if network and plan:
        reader = make_reader(source, network)
        with collecting(errors):
            fields = read_descriptors(source, reader)
            descriptors = {name: float(np.isnan(values).mean()) for name, values in fields.items()}
        for name, pieces in plan.forcings.items():
            with collecting(errors):
                _read_some(reader, pieces)
                forcings.append(_forcing(plan, name, pieces, uncovered_share(reader, pieces), None))
    # The plan and the domain may both have stumbled over one table.
    distinct = {str(error): error for error in errors}
    return Coverage(
        network, gauges, observed, tuple(forcings), descriptors, None, tuple(notes), tuple(distinct.values())
    )


def _forcing(plan: Plan, name: str, pieces: list[Piece], uncovered: float, missing: float | None) -> ForcingCoverage:
    runs, times = gaps(pieces), plan.times
    return ForcingCoverage(
        name=name,
        files=len({path for piece in pieces for path in piece.files if path}),
        steps=len(times),
        gaps=tuple((times[low], times[high - 1]) for low, high in runs),
        steps_without_files=sum(high - low for low, high in runs),
        uncovered=uncovered,
        missing=missing,
    )


def _read_some(reader: RasterReader, pieces: list[Piece]) -> None:
    """Read the first, middle and last raster: broken ones and wrong grids show early."""
    paths = [path for piece in pieces for path in piece.files if path]
    with quick_opening():
        for path in (paths[0], paths[len(paths) // 2], paths[-1]):
            reader.read(path)
