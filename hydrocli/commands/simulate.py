"""`hydrocli simulate`: one forward run with given parameters, or those of a run; needs no observations."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.config import Experiment, load, resolved
from hydrocli.config.parameters import levels_of
from hydrocli.errors import ConfigurationError
from hydrocli.execution.log import recorded
from hydrocli.experiment import baseline
from hydrocli.experiment.evaluation import SIMULATION, maps_of_run
from hydrocli.experiment.mappings import descriptors_of
from hydrocli.experiment.networks import carried_bounds, carried_mapping, read_regionalisation, step_of
from hydrocli.experiment.setup import CalibrationSetup, ingested
from hydrocli.experiment.simulation import final_simulation, unsolved
from hydrocli.results import read
from hydrocli.results.folder import CONFIG, MANIFEST, RunFolder, read_manifest
from hydrocli.results.write import write_text

logger = logging.getLogger(__name__)


def simulate(
    target: Path,
    overrides: list[str],
    output: Path | None = None,
    parameters_from: Path | None = None,
) -> list[dict[str, Any]]:
    """Simulate the whole period and write a run folder of it.

    Args:
        target: YAML file, whose parameters are taken, or run folder, whose calibrated maps are.
        overrides: `section.key=value` texts.
        output: folder to write; left out: that of the YAML.
        parameters_from: run folder whose structure, parameters and networks are transferred to the basin of the YAML.

    Returns:
        A row for each calibration gauge with its NSE; none without observations.

    Raises:
        ConfigurationError: the folder to write holds a calibration; the YAML lacks descriptors of the mapping.
        InputError: cells that the run does not have, and maps that follow no descriptors.
    """
    experiment, run = load(target, overrides), parameters_from or _run_of(target)
    if run and not parameters_from:
        read(run).require_whole(later=False)
        if step_of(run) != experiment.period.step:
            experiment = _carried(experiment, run)
    if parameters_from:
        experiment = _carried(experiment, parameters_from)
    path = (output or Path(experiment.folder)).absolute()
    if (path / MANIFEST).exists() and read_manifest(path).identity not in ("", SIMULATION):
        raise ConfigurationError(
            str(path), "is a calibration", "Choose another folder for the simulation with --output."
        )
    experiment = experiment.model_copy(update={"folder": str(path)})
    with RunFolder.open(path, experiment.name) as folder, recorded(folder.record):
        folder.start(identity=SIMULATION, seed=experiment.seed)
        write_text(folder.path / CONFIG, resolved(experiment))
        with folder.timed("ingestion"):
            setup = CalibrationSetup(experiment, ingested(experiment), run, run)
        folder.update(inputs={"basin": setup.basin.fingerprint})
        for note in setup.notes:
            folder.warn(note)
            logger.warning(note)
        with folder.timed("results"):
            scores = _simulated(folder, setup, run)
        nse = ", ".join(f"{code} {score:.3f}" for code, score in scores.items() if np.isfinite(score))
        folder.finish(f"Simulated {len(setup.basin.times)} steps." + (f" NSE {nse}." if nse else "") + unsolved(folder))
        logger.info(f"{folder.path}: {folder.manifest.ending}")
    return [{"gauge": code, "nse": score} for code, score in scores.items()]


def _simulated(folder: RunFolder, setup: CalibrationSetup, run: Path | None) -> dict[str, float]:
    """The simulation with the parameters or weights of a run, or of the YAML; NSE by gauge.

    Raises:
        ConfigurationError: a baseline without weights.
    """
    if setup.experiment.baseline is not None:
        source = run or setup.experiment.parameters.source
        if source is None:
            what = f"the structure {setup.experiment.structure.kind} has no weights before a calibration"
            raise ConfigurationError("structure.kind", what, "Calibrate it, or name a run in parameters.from.")
        return baseline.final_simulation(folder, setup, baseline.read_trained(Path(source), setup.experiment))
    cells = len(setup.basin.network)
    if run:
        maps = maps_of_run(run, setup)
    else:
        maps = np.stack([np.broadcast_to(np.asarray(row.value, np.float64), cells) for row in setup.rows])
    return final_simulation(folder, setup, maps, setup.flux_network, read_regionalisation(run) if run else None)


def _run_of(target: Path) -> Path | None:
    """The run folder that a target stands for: itself, or the one whose `config.yaml` it is."""
    folder = target if target.is_dir() else target.absolute().parent
    return folder if target.is_dir() or (target.name == CONFIG and (folder / MANIFEST).exists()) else None


def _carried(experiment: Experiment, of: Path) -> Experiment:
    """A configuration with all that was calibrated in a run, and the equations that this belongs to.

    Raises:
        ConfigurationError: the basin lacks descriptors that the mapping sees.
    """
    read(of).require_whole(later=False)  # says what is wrong with it
    theirs = load(of / CONFIG)
    if theirs.baseline is not None:
        return _carried_baseline(experiment, theirs, of)
    absent = [
        name
        for name in descriptors_of(theirs, list(theirs.basin.descriptors))
        if name not in experiment.basin.descriptors
    ]
    if absent:
        what = f"{', '.join(absent)} missing; the mapping of {of} needs them"
        raise ConfigurationError("basin.descriptors", what, "Add their files.")
    source = str(of.absolute())
    ratio = experiment.period.step / theirs.period.step
    settings = {
        s: theirs.parameters[s].model_copy(update={"value": None, "bounds": carried_bounds(theirs, s, ratio)})
        for s in theirs.structure.declared.all_parameters
    }
    declared, own = theirs.structure.declared, experiment.initial
    levels = {s: theirs.initial[s] for s in declared.calibrated_states if theirs.initial[s].calibrated}
    levels |= {s: theirs.initial[s] for s in levels_of(declared) if own[s] is None}  # the YAML has another structure
    has_network = theirs.structure.network is not None
    update = {
        "structure": theirs.structure,
        "mapping": carried_mapping(theirs),
        "parameters": theirs.parameters.model_copy(update={"source": source, **settings}),
        "initial": experiment.initial.model_copy(update=levels),
        "initial_weights": experiment.initial_weights.model_copy(update={"source": source if has_network else None}),
    }
    return experiment.model_copy(update=update)


def _carried_baseline(experiment: Experiment, theirs: Experiment, of: Path) -> Experiment:
    """A configuration with the baseline of a run; what belongs to cells takes its defaults.

    Raises:
        ConfigurationError: the baseline is local: its weights belong to its gauges.
    """
    if theirs.baseline and theirs.baseline.scope == "local":
        what = f"{of} is a local {theirs.structure.kind}, whose weights belong to its gauges"
        raise ConfigurationError("--parameters-from", what, "Choose a run with structure.scope: regional.")
    own = {key: getattr(theirs, key) for key in ("structure", "mapping", "initial", "first_guess", "optimiser")}
    parameters = theirs.parameters.model_copy(update={"source": of.absolute()})
    return experiment.model_copy(update={**own, "parameters": parameters, "outputs": theirs.outputs})
