"""The work of a calibration in its run folder: data, stages, final simulation, results."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.source import inputs_read_once
from hydrocli.calibration.journal import Journal
from hydrocli.calibration.problem import Iteration, StageResult
from hydrocli.calibration.recorder import Recorder
from hydrocli.calibration.stages import run_stages
from hydrocli.config import Experiment, load, regional_members
from hydrocli.errors import InputError, Stopped
from hydrocli.execution.progress import track
from hydrocli.execution.signals import StopFlag
from hydrocli.experiment.baseline import BaselineCalibration
from hydrocli.experiment.cost import corner_of
from hydrocli.experiment.inputs import fingerprints, refuse_missing_rain
from hydrocli.experiment.regional import RegionalCalibration, opened, write_others
from hydrocli.experiment.setup import CalibrationSetup, all_ingested, announce_compilation
from hydrocli.experiment.simulation import asked_of, final_simulation, unsolved
from hydrocli.experiment.stages import BasinCalibration
from hydrocli.experiment.uncertainty import write_uncertainty
from hydrocli.jit import compilation_seconds
from hydrocli.results import schemas
from hydrocli.results.folder import CONFIG, JOURNAL, RunFolder, page_hint
from hydrocli.results.write import write_table

logger = logging.getLogger(__name__)

AnyCalibration = BasinCalibration | RegionalCalibration | BaselineCalibration
STAGE = ("stage", "reason", "iterations", "evaluations", "cost", "seconds")


def fit(folder: RunFolder, experiment: Experiment, stop: StopFlag) -> dict[str, float]:
    """Calibrate in an owned folder that has been started, or go on from its journal.

    Returns:
        NSE of each calibration gauge over the calibration period.

    Raises:
        Stopped: a signal came; what was evaluated is in the journal.
        HydrocliError: everything wrong with the data or the numbers.
    """
    announce_compilation()
    with folder.timed("ingestion"), inputs_read_once():  # listed and read for the store and for the fingerprints
        setups = read_data(folder, experiment, stop)
        inputs = fingerprints(experiment, {setup.experiment.name: setup.calibration for setup in setups})
    fingerprint = " ".join(setup.basin.fingerprint for setup in setups)
    _same_inputs(folder, {"basin": fingerprint} | inputs)
    _note_fresh_weights(setups[0])
    for note in dict.fromkeys(note for setup in setups for note in setup.notes):
        folder.warn(note)
        logger.warning(note)
    with ExitStack() as stack:
        _pretrain(folder, setups[0])
        with folder.timed("preparation"):
            calibration = stack.enter_context(opened(setups))
        return _calibrated(folder, calibration, fingerprint, stop)


def read_data(folder: RunFolder, experiment: Experiment, stop: StopFlag) -> list[CalibrationSetup]:
    """The basins of a calibration with its configuration, read from their stores or from their files.

    Raises:
        Stopped: a signal came.
        HydrocliError: everything wrong with the data.
    """

    def stopping() -> None:
        if stop():
            raise _stopped(stop, folder)

    members = regional_members(experiment)
    setups = [CalibrationSetup(*pair) for pair in zip(members, all_ingested(members, stopping), strict=True)]
    for setup in setups:
        refuse_missing_rain(setup.experiment, setup.basin)
        schemas.domain(list(setup.basin.descriptors))  # refuses names early
        asked_of(setup)  # and outputs that cannot be
    return setups


def _calibrated(folder: RunFolder, calibration: AnyCalibration, fingerprint: str, stop: StopFlag) -> dict[str, float]:
    """Run the stages and write what they have found; NSE by gauge comes back."""
    for note in calibration.notes:
        folder.warn(note)
        logger.warning(note)
    iterations: list[Iteration] = []
    results = _optimised(folder, calibration, fingerprint, stop, iterations)
    if not results[-1].finished:
        raise _stopped(stop, folder)
    with folder.timed("results"):
        _write_calibration(folder, calibration, results, iterations)
        counts = {"evaluations": iterations[-1].evaluations, "iterations": len(iterations)}
        cells = int(calibration.setup.calibrated_cells.sum())
        folder.update(
            counts=counts | {"controls": results[-1].x.size, "calibrated_cells": cells},
            stages=[{field: getattr(result, field) for field in STAGE} for result in results],
        )
        scores = _write_results(folder, calibration, results)
        numbers = {"cost": results[-1].cost, "nse": float(np.mean(list(scores.values())))}
        folder.update(counts={name: value for name, value in numbers.items() if np.isfinite(value)})
    sentence = "; ".join(f"{result.stage}: {result.reason}" for result in results)
    folder.finish(f"Cost {results[-1].cost:.6g}. {sentence}{unsolved(folder)}")
    (folder.path / JOURNAL).unlink(missing_ok=True)
    logger.info(f"{folder.path}: cost {results[-1].cost:.6g}. {results[-1].reason}{unsolved(folder)}")
    logger.info(f"next: `hydrocli validate {folder.path}`; {page_hint(folder.path)}")
    return scores


def _write_results(folder: RunFolder, calibration: AnyCalibration, results: Sequence[StageResult]) -> dict[str, float]:
    """Uncertainty and final simulation; NSE by gauge comes back."""
    if isinstance(calibration, BaselineCalibration):
        return calibration.write(folder, results)
    if isinstance(calibration, BasinCalibration):
        write_uncertainty(folder, calibration, results)
    maps, network, model = calibration.found(results)
    if isinstance(calibration, BasinCalibration):
        calibration.release()  # the final simulation needs rows of its own
    with track("final simulation"):
        scores = final_simulation(
            folder, calibration.setup, maps, network, model, first_guess=calibration.uniform_start(results)
        )
    if isinstance(calibration, RegionalCalibration):
        scores |= write_others(calibration, results)
    return scores


def _stopped(stop: StopFlag, folder: RunFolder) -> Stopped:
    return Stopped(str(folder.path), f"stopped by {stop.name}; all results so far are saved", "Run again to continue.")


def _note_fresh_weights(setup: CalibrationSetup) -> None:
    """Say that the parameters come from a run, and the weights of its network do not."""
    source, asked = setup.experiment.parameters.source, setup.experiment
    if not setup.structure.has_network or not source or asked.initial_weights.source:
        return
    if load(Path(source) / CONFIG).structure.kind == asked.structure.kind:
        logger.info(
            f"parameters from {source}, new initial weights; use `initial_weights.from` to take its weights too"
        )


def _pretrain(folder: RunFolder, setup: CalibrationSetup) -> None:
    """Pre-train the network, where the structure asks for it, and write how near to GR it is."""
    if not setup.initial_network.is_to_learn:
        return
    with folder.timed("pretraining"):
        found = setup.pretraining
    assert found is not None
    write_table(folder.path, schemas.PRETRAINING, found.columns, run=folder.manifest.run)
    folder.update(counts={"pretraining_nse": float(found.nse.min())})
    if found.warning:
        folder.warn(found.warning)
        logger.warning(found.warning)


def _same_inputs(folder: RunFolder, inputs: dict[str, str]) -> None:
    """Refuse to continue on other data than those it began with."""
    before = folder.manifest.inputs
    if before.get("basin") != inputs["basin"] and (folder.path / JOURNAL).exists():
        changed = [key for key, digest in inputs.items() if key != "basin" and before.get(key, digest) != digest]
        named = f": {', '.join(changed)}" if changed else ""
        raise InputError(
            str(folder.path),
            f"the input data, gauges or period.end have changed since the start of this calibration{named}",
            "Restore them, or start again with --force.",
        )
    folder.update(inputs=inputs)


def _optimised(
    folder: RunFolder,
    calibration: AnyCalibration,
    fingerprint: str,
    stop: StopFlag,
    iterations: list[Iteration],
) -> list[StageResult]:
    key = hashlib.sha256(f"{folder.manifest.identity} {fingerprint}".encode()).hexdigest()
    names, evaluations = [plan.name for plan in calibration.plans], [plan.evaluations for plan in calibration.plans]
    with (
        folder.timed("calibration"),
        track("calibrating", round(sum(evaluations)), "evaluations", limit=True) as task,
        Journal(folder.path / JOURNAL, key) as journal,
    ):
        if journal.recorded:
            logger.info(f"resuming: {journal.recorded} evaluations restored")
        scores_by_cost: dict[float, Floats] = {}
        began: dict[int, int] = {}

        def on_evaluation(cost: float) -> None:
            scores_by_cost[cost] = calibration.scores.copy()

        def on_iteration(iteration: Iteration) -> None:
            number = _stage_number(names, iteration.stage)
            began.setdefault(number, iterations[-1].evaluations if iterations else 0)
            iterations.append(iteration)
            # The cost of an iteration is that of one of its evaluations, or still that of the iteration before.
            scores = scores_by_cost.get(iteration.cost)
            scores_by_cost.clear()
            if iteration.replayed:
                return
            folder.assert_held()
            numbers: dict[str, Any] = {
                "stage": iteration.stage,
                "iteration": iteration.iteration,
                "cost": iteration.cost,
            }
            if scores is not None:
                scores_by_cost[iteration.cost] = scores
                numbers["nse"] = dict(zip(calibration.codes, scores.tolist(), strict=True))
            if np.isfinite(iteration.gradient_norm):
                numbers["gradient_norm"] = iteration.gradient_norm
            here = evaluations[number] - (iteration.evaluations - began[number])
            left = max(0.0, here) + sum(evaluations[number + 1 :])
            task.update(iteration.evaluations, iteration.evaluations + round(left), **numbers)

        compiled = _compilation_seconds(calibration)
        results = run_stages(calibration.stages, Recorder(journal, on_iteration, stop, on_evaluation))
        folder.add_times(calibration_compilation=float(np.max(_compilation_seconds(calibration) - compiled)))
        if not results[-1].finished:
            task.outcome = "stopped"
        return results


def _compilation_seconds(calibration: AnyCalibration) -> Floats:
    """Seconds that the process of each basin has compiled so far."""
    if isinstance(calibration, RegionalCalibration):
        return np.array(calibration.compilation_seconds())
    return np.array([compilation_seconds()])


def _stage_number(names: Sequence[str], stage: str) -> int:
    """Number of the stage that a stage, or one of its descents (`first guess 2`), belongs to."""
    fitting = [name for name in names if stage == name or stage.startswith(f"{name} ")]
    return names.index(max(fitting, key=len))


def _write_calibration(
    folder: RunFolder,
    calibration: AnyCalibration,
    results: Sequence[StageResult],
    iterations: Sequence[Iteration],
) -> None:
    """control.parquet, convergence.parquet and, where one was asked for, lcurve.parquet."""
    control, last = calibration.control(results), results[-1]
    columns: dict[str, Any] = {
        "name": list(control.names),
        "value": last.x,
        "lower": control.lower,
        "upper": control.upper,
        "gradient": last.gradient,
    }
    write_table(folder.path, schemas.CONTROL, columns, run=folder.manifest.run)
    fields = ("stage", "iteration", "evaluations", "cost", "batch_cost", "gradient_norm", "seconds")
    history = {field: np.array([getattr(item, field) for item in iterations]) for field in fields}
    write_table(folder.path, schemas.CONVERGENCE, history, run=folder.manifest.run)
    if isinstance(calibration, BasinCalibration) and (points := calibration.curve(results)):
        names = ("weight", "misfit", "prior", "smoothing", "penalty")
        curve: dict[str, Any] = {name: [getattr(point, name) for point in points] for name in names}
        curve["corner"] = np.arange(len(points)) == corner_of(points)
        write_table(folder.path, schemas.LCURVE, curve, run=folder.manifest.run)
