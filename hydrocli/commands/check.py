"""`hydrocli check`: what a run would work on, whether its data are plausible, and what it would cost.

The data are read into the store, as a run would do first; else their values cannot be judged. No model is run.
"""

from __future__ import annotations

from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.basin import store
from hydrocli.basin.basin import stamps
from hydrocli.basin.coverage import Coverage, DescriptorCoverage, ForcingCoverage, inspect
from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.basin.plausibility import Figures, candidate_rows, depths_by_day
from hydrocli.basin.plausibility_limits import findings
from hydrocli.basin.source import fingerprint_of, inputs_read_once, make_plan
from hydrocli.config import Experiment, load, regional_members
from hydrocli.errors import HydrocliError, InputError
from hydrocli.experiment.estimate import BYTES_OF_PROCESS, FORCING_BYTES, SECONDS_OF_PROCESS, estimate
from hydrocli.experiment.inputs import limits_of, missing_rain, source_of
from hydrocli.experiment.mappings import descriptors_of
from hydrocli.experiment.networks import step_notes
from hydrocli.experiment.roles import calibration_series, merging_note, roles_of, stamp
from hydrocli.experiment.setup import build_stores
from hydrocli.results import read


def check(target: Path, overrides: list[str], *, files_only: bool = False) -> dict[str, Any]:
    """Report of domain, gauges, forcing, plausibility, memory and time.

    Args:
        target: YAML file or run folder.
        overrides: texts `section.key=value`.
        files_only: look at the files, and read few of their values: nothing is written, and nothing is said of
            plausibility where the basin is in no store yet.

    Returns:
        Values, lists of rows and lists of sentences by words; `problems` holds all that ingestion would refuse, also of
        the further basins of a regional calibration.

    Raises:
        Errors: the configuration cannot be read.
    """
    members = regional_members(load(target, overrides))
    with inputs_read_once():
        failures = [None] * len(members) if files_only else build_stores(members)
        report, *others = map(_checked, members, failures)
    if others:
        for other in others:
            report["problems"] += [f"{other['name']}: {problem}" for problem in other["problems"]]
        keys = ("name", "calibrated_cells", "steps", "memory_mb", "seconds_per_gradient")
        report["regional"] = [{key: other[key] for key in keys if key in other} for other in others]
    return report


def series_of(target: Path, overrides: list[str]) -> dict[str, Any] | None:
    """Series and maps of the basin of a configuration, from its store; None where it is in none.

    Returns:
        Arrays by name: of the n cells `x`, `y`, `row`, `column`, `downstream`, `drained_area` [m2], `zone` (next gauge
        downstream, -1 for none); of the g gauges `gauges` (codes) and `cells`; `is_geographic`; and those of
        `hydrocli.basin.plausibility.depths_by_day`.
    """
    experiment = load(target, overrides)
    source, folder = source_of(experiment), Path(experiment.forcing.store)
    try:
        stored = store.load(folder, fingerprint_of(source, make_plan(source, folder)))
    except HydrocliError:
        return None
    if stored is None:
        return None
    network, gauges = stored.basin.network, stored.basin.gauges
    tree = GaugeTree.of(network.downstream, gauges.cell)
    gauge_of_zone = np.full(tree.zones + 1, -1)
    gauge_of_zone[tree.of_gauge] = np.arange(len(gauges.code))
    return {
        "x": network.x,
        "y": network.y,
        "row": network.row,
        "column": network.column,
        "downstream": network.downstream,
        "drained_area": network.drained_area,
        "zone": gauge_of_zone[tree.zone],
        "gauges": gauges.code,
        "cells": gauges.cell,
        "is_geographic": network.grid.is_geographic,
        **depths_by_day(stored.basin),
    }


def _checked(experiment: Experiment, failure: HydrocliError | None) -> dict[str, Any]:
    """The report of one basin; `failure` has kept it from its store."""
    coverage = inspect(source_of(experiment), Path(experiment.forcing.store))
    report: dict[str, Any] = {"name": experiment.name, "run_folder": experiment.folder}
    report["structure"] = experiment.structure.kind
    report |= _period(experiment)
    roles, problems = _roles(experiment, coverage)
    if coverage.network is not None:
        report |= _domain(coverage) | _cost(experiment, coverage, roles)
    if coverage.gauges is not None:
        report["gauges"] = _gauges(coverage, roles)
        report["gauge_candidates"] = candidate_rows(coverage.gauges.candidates)
    if coverage.descriptors:
        report["descriptors"] = [_descriptor(one) for one in coverage.descriptors]
    report["forcing"] = [_forcing(forcing) for forcing in coverage.forcings]
    report["assumptions"] = [
        *map(_assumption, coverage.forcings),
        *coverage.assumptions,
        *(f"descriptor {one.name}: {one.origin}" for one in coverage.descriptors),
    ]
    dry = _dry(experiment, coverage)
    implausible, unusual = list[InputError](), list[str]()
    if coverage.figures is not None:
        implausible, unusual = findings(coverage.figures, limits_of(experiment), rain_is_judged=bool(dry))
        report |= _plausibility(coverage.figures)
    report["warnings"] = [*coverage.notes, *_merging(experiment, coverage, roles), *unusual, *_steps(experiment)]
    report["problems"] = [
        *map(str, coverage.errors or ([failure] if failure else [])),
        *map(str, implausible),
        *problems,
        *dry,
        *_gaps(experiment, coverage),
        *_sources(experiment),
        *_silent(experiment, coverage, roles),
    ]
    return report


def _plausibility(figures: Figures) -> dict[str, Any]:
    """The tables beside the store."""
    return {
        "plausibility": figures.gauges,
        "plausibility_by_month": figures.months,
        "plausibility_of_forcing": figures.forcings,
        "gauge_candidates": figures.candidates,
    }


def _dry(experiment: Experiment, coverage: Coverage) -> list[str]:
    """Rain data that are missing for too much of the calibration."""
    period = experiment.period
    times = stamps(stamp(period.start), int((period.end - period.start).total_seconds()) // period.step, period.step)
    rain = [forcing for forcing in coverage.forcings if forcing.name == "precipitation"]
    return [str(error) for forcing in rain for error in missing_rain(experiment, times, forcing.missing_by_step)]


def _gaps(experiment: Experiment, coverage: Coverage) -> list[str]:
    """Descriptors with gaps that the mapping needs."""
    missing, kind = coverage.descriptors_missing, experiment.mapping.kind
    needed = [name for name in descriptors_of(experiment, list(missing)) if missing.get(name)]
    return [
        f"descriptor {name}: is missing in {missing[name]:.1%} of the cells, and {kind} needs it" for name in needed
    ]


def _steps(experiment: Experiment) -> list[str]:
    """Sentences on runs of another time step; what is wrong with a run is said by `_sources`."""
    try:
        sources = [getattr(experiment, section).source for section in ("parameters", "initial", "initial_weights")]
        return step_notes(experiment, sources)
    except HydrocliError:
        return []


def _sources(experiment: Experiment) -> list[str]:
    """What is wrong with the runs that this one starts from."""
    problems = []
    for section in ("parameters", "initial", "initial_weights"):
        source = getattr(experiment, section).source
        if source:
            try:
                read(source)
            except HydrocliError as error:
                problems.append(f"{section}.from: {error}")
    return problems


def _roles(experiment: Experiment, coverage: Coverage) -> tuple[dict[str, str], list[str]]:
    """`calibration` or `validation` by gauge, where it has a role, and what is wrong with roles."""
    network, gauges = coverage.network, coverage.gauges
    if network is None or gauges is None:
        return {}, []
    try:
        tree = partial(GaugeTree.of, network.downstream, gauges.cell)
        calibration, validation = roles_of(experiment.gauges, gauges.code, tree)
    except HydrocliError as error:
        return {}, [str(error)]
    return dict.fromkeys(calibration, "calibration") | dict.fromkeys(validation, "validation"), []


def _merging(experiment: Experiment, coverage: Coverage, roles: dict[str, str]) -> list[str]:
    """Sentences on gauges that calibrate as one series; see `gauges.same_cell`."""
    gauges, discharge = coverage.gauges, coverage.discharge
    if gauges is None or discharge is None:
        return []
    codes = [code for code in gauges.code if roles.get(code) == "calibration"]
    place = {code: g for g, code in enumerate(gauges.code)}
    series = calibration_series(experiment.gauges, codes, [int(gauges.cell[place[code]]) for code in codes])
    several = [own for own in series.values() if len(own) > 1]
    return [merging_note(own, discharge[[place[code] for code in own]]) for own in several]


def _silent(experiment: Experiment, coverage: Coverage, roles: dict[str, str]) -> list[str]:
    """Gauges of the calibration that have no observation at all."""
    gauges, missing = coverage.gauges, coverage.observed_missing
    if gauges is None or missing is None or experiment.period.calibration is None:
        return []
    without = [code for code, share in zip(gauges.code, missing, strict=True) if share == 1.0]
    silent = [code for code in without if roles.get(code) == "calibration"]
    return [f"gauges.calibration: gauge {code} has no observation in the period" for code in silent]


def _period(experiment: Experiment) -> dict[str, Any]:
    period = experiment.period
    span = stamp(period.end) - stamp(period.start)
    windows = {"calibration": period.calibration, **period.validation}
    periods = {name: f"{stamp(w[0])}Z to {stamp(w[1])}Z" for name, w in windows.items() if w}
    return {"steps": int(span.astype(int)) // period.step, "step_seconds": period.step, "periods": periods}


def _domain(coverage: Coverage) -> dict[str, Any]:
    network = coverage.network
    assert network is not None
    return {
        "crs": _crs_name(network.grid.crs_wkt),
        "grid": f"{network.grid.height} rows x {network.grid.width} columns",
        "cells": len(network),
        "levels": int(network.level.max()) + 1,
        "area_km2": float(network.cell_area.sum() / 1e6),
        "store": coverage.store or "not ingested yet",
    }


def _crs_name(wkt: str) -> str:
    from pyproj import CRS

    crs = CRS.from_wkt(wkt)
    authority = crs.to_authority()
    return f"{crs.name} ({':'.join(authority)})" if authority else crs.name


def _cost(experiment: Experiment, coverage: Coverage, roles: dict[str, str]) -> dict[str, Any]:
    """Memory and time of a calibration, or of a simulation, in a process of its own."""
    network, gauges, period = coverage.network, coverage.gauges, experiment.period
    assert network is not None
    steps = int((stamp(period.end) - stamp(period.start)).astype(int)) // period.step
    report = {"forcing_on_disk_mb": max(2, len(coverage.forcings)) * FORCING_BYTES * len(network) * steps / 1e6}
    wanted = [code for code, role in roles.items() if role == "calibration"]
    if gauges is None:
        return report
    cost = estimate(experiment, network, gauges, wanted)
    report["memory_mb"] = (BYTES_OF_PROCESS + cost.bytes) / 1e6
    seconds = SECONDS_OF_PROCESS + cost.seconds
    if period.calibration is None or not wanted:
        return report | {"simulation_seconds": seconds}
    return report | {
        "calibrated_cells": cost.cells,
        "seconds_per_gradient": cost.gradient,
        "minutes_at_most": experiment.ensemble * seconds / 60,
    }


def _gauges(coverage: Coverage, roles: dict[str, str]) -> list[dict[str, Any]]:
    gauges, network, missing = coverage.gauges, coverage.network, coverage.observed_missing
    assert gauges is not None
    assert network is not None
    return [
        {
            "gauge": code,
            "role": roles.get(code, "none"),
            "x": float(gauges.x[g]),
            "y": float(gauges.y[g]),
            "row": int(network.row[gauges.cell[g]]),
            "column": int(network.column[gauges.cell[g]]),
            "area_asked_km2": None if isnan(gauges.area_asked[g]) else float(gauges.area_asked[g] / 1e6),
            "area_found_km2": float(gauges.area_found[g] / 1e6),
            "observed_missing": None if missing is None else float(missing[g]),
        }
        for g, code in enumerate(gauges.code)
    ]


def _descriptor(one: DescriptorCoverage) -> dict[str, Any]:
    return {
        "descriptor": one.name,
        "unit": one.unit or "not stated",
        "lowest": one.lowest,
        "mean": one.mean,
        "highest": one.highest,
        "missing": one.missing,
    }


def _forcing(forcing: ForcingCoverage) -> dict[str, Any]:
    gaps = [f"{first}" if first == last else f"{first} to {last}" for first, last in forcing.gaps[:3]]
    return {
        "forcing": forcing.name,
        "files": forcing.files,
        "steps": forcing.steps,
        "steps_without_file": forcing.steps_without_files,
        "first_gaps": "; ".join(gaps),
        "cells_not_covered": forcing.uncovered,
        "values_missing": forcing.missing,
    }


def _assumption(forcing: ForcingCoverage) -> str:
    """What is taken for granted of a forcing: unit, meaning of its times; and the range of the values looked at."""
    target = "degC" if forcing.name == "temperature" else "mm per step"
    seen = (
        "" if forcing.lowest is None else f"; values looked at: {forcing.lowest:.4g} to {forcing.highest:.4g} {target}"
    )
    return f"{forcing.name}: {forcing.unit}; {forcing.label}; {forcing.resampling}{seen}"
