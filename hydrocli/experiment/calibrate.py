"""A calibration in its run folder, from first guess to final simulation, stopped and continued at will.

What decides whether there is anything to do is here, and starts in an instant; the work is in `fit`.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from pathlib import Path

from hydrocli.config import Experiment, differing_keys, load, numbers_hash, resolved
from hydrocli.errors import ConfigurationError, HydrocliError, InputError
from hydrocli.execution.log import recorded
from hydrocli.execution.signals import StopFlag, stop_flag
from hydrocli.experiment.ensemble import members
from hydrocli.results import Run
from hydrocli.results.folder import CONFIG, JOURNAL, RunFolder
from hydrocli.results.write import write_text

logger = logging.getLogger(__name__)

SOURCES = {
    "parameters": ("parameters", "network_weights"),
    "initial": ("states",),
    "initial_weights": ("network_weights",),
}
"""Sections that may name another run, and its tables that are taken."""


def calibrate_experiment(experiment: Experiment, force: bool = False) -> dict[str, float]:
    """Calibrate, or continue, or find nothing to do; of an ensemble all members, one after the other.

    Args:
        experiment: the configuration.
        force: start anew beside a run of another configuration.

    Returns:
        NSE of each calibration gauge, of an ensemble those of the first member that had anything to do; empty where
        there was nothing to do.

    Raises:
        HydrocliError: see `hydrocli.errors`; `Stopped` when a signal came and the same call continues.
    """
    scores = _calibrate_one(experiment, force)
    for member in members(experiment):
        found = _calibrate_one(member, force=False)
        scores = scores or found
    return scores


def _calibrate_one(experiment: Experiment, force: bool) -> dict[str, float]:
    with stop_flag() as stop, RunFolder.open(Path(experiment.folder), experiment.name) as folder:
        if not _prepared(folder, experiment, force, stop):
            logger.info(f"{folder.path}: nothing to do: this calibration is finished (use --force to repeat it).")
            return {}
        from hydrocli.experiment.fit import fit  # the libraries that compute take a second to load

        with recorded(folder.record):
            return fit(folder, experiment, stop)


def _prepared(folder: RunFolder, experiment: Experiment, force: bool, stop: StopFlag) -> bool:
    """Whether there is something to do in the folder; another calibration in it is refused, or set aside."""
    identity, found, sources = numbers_hash(experiment), folder.manifest, _sources(experiment)
    finished, begun = found.state == "finished", (folder.path / JOURNAL).exists()
    # An earlier start that evaluated nothing (a file was missing, say) binds nobody.
    if force and found.identity:
        from hydrocli.experiment.fit import read_data

        read_data(folder, experiment, stop)  # what is wrong with them must not move the earlier run
        aside = folder.begin_again(resolved(experiment), identity=identity, seed=experiment.seed, inputs=sources)
        logger.info(f"the earlier run is kept in {aside}")
        return True
    if found.identity != identity and (finished or begun):
        raise _another_run(folder.path, experiment)
    if (finished or begun) and (changed := _changed(found.inputs, sources)):
        what = f"the parent run in {' and '.join(changed)} has changed since the start of this calibration"
        raise ConfigurationError(str(folder.path), what, "Restore it, or start again with --force.")
    if finished:
        Run(folder.path, found).require_whole(later=False)
        _require_same_inputs(folder)
        return False
    if begun:
        logger.info(f"resuming {folder.path} where it was left")
    folder.start(identity=identity, seed=experiment.seed, inputs=sources)
    write_text(folder.path / CONFIG, resolved(experiment))
    return True


def _require_same_inputs(folder: RunFolder) -> None:
    """Refuse to call a calibration done whose inputs have changed since.

    Raises:
        InputError: names them, and the ways on.
    """
    from hydrocli.experiment.inputs import OBSERVATIONS, changed_inputs

    changed = changed_inputs(load(folder.path / CONFIG), folder.manifest.inputs)
    if not changed:
        return
    what = f"the calibration is finished, but these inputs have changed since: {', '.join(changed)}"
    ways = "Calibrate again with --force (the run is kept beside) or in another folder (--set folder=NEW)"
    if all(OBSERVATIONS in key for key in changed):
        ways += "; `hydrocli validate` scores this calibration with the observations of now"
    raise InputError(str(folder.path), what, ways + ".")


def _sources(experiment: Experiment) -> dict[str, str]:
    """Hashes of what is taken from other runs, by the keys that name them; their paths alone stay as they are."""
    hashes = {}
    for section, tables in SOURCES.items():
        if folder := getattr(experiment, section).source:
            files = [file for table in tables if (file := Path(folder) / f"{table}.parquet").exists()]
            hashes[f"{section}.from"] = sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return hashes


def _changed(before: dict[str, str], now: dict[str, str]) -> list[str]:
    return [key for key, digest in now.items() if before.get(key, digest) != digest]


def _another_run(path: Path, experiment: Experiment) -> ConfigurationError:
    try:
        keys = differing_keys(load(path / CONFIG), experiment)
        what = "is a simulation"
        if keys:
            what = f"is a calibration with different {', '.join(keys)}"
        elif experiment.regional.basins:
            what = "is a calibration, but the files of regional.basins have changed since its start"
    except HydrocliError:
        what = "is a run whose configuration cannot be read"
    return ConfigurationError(
        str(path), what, "Choose another folder, or use --force to archive the existing run and start again."
    )
