"""`hydrocli simulate`: one forward run with given parameters, or those of a run; needs no observations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hydrocli.config import load, resolved
from hydrocli.errors import ConfigurationError
from hydrocli.results.folder import MANIFEST, RunFolder, read_manifest
from hydrocli.results.write import write_text
from hydrocli.runs.build import Case, ingested, tell_compilation
from hydrocli.runs.evaluation import maps_of_run
from hydrocli.runs.outcome import unsolved, write_outcome
from hydrocli.runs.phi2 import read_phi2
from hydrocli.runs.progress import Console

IDENTITY = "simulation"
"""In the place where a calibration has the hash of its configuration."""


def simulate(target: Path, overrides: list[str], console: Console, output: Path | None = None) -> None:
    """Simulate the whole period and write a run folder of it.

    Args:
        target: YAML file, whose parameters are taken, or run folder, whose calibrated maps are.
        overrides: `section.key=value` texts.
        console: what is said goes there.
        output: folder to write; left out: that of the YAML.

    Raises:
        ConfigurationError: the folder to write holds a calibration.
    """
    experiment, run = load(target, overrides), _run_of(target)
    path = (output or Path(experiment.folder)).absolute()
    if (path / MANIFEST).exists() and read_manifest(path).identity not in ("", IDENTITY):
        raise ConfigurationError(str(path), "holds a calibration", "Name another folder for the simulation: --output.")
    experiment = experiment.model_copy(update={"folder": str(path)})
    with RunFolder.open(path, experiment.name) as folder:
        console.sink = lambda fields: folder.log(**fields)
        write_text(folder.path / "config.yaml", resolved(experiment))
        folder.start(identity=IDENTITY, seed=experiment.seed)
        tell_compilation(console)
        with folder.timed("ingestion"):
            case = Case(experiment, ingested(experiment, console), run, run)
        folder.update(inputs={"basin": case.basin.fingerprint})
        with folder.timed("results"):
            cells = len(case.basin.network)
            if run:
                maps = maps_of_run(run, case)
            else:
                maps = np.stack([np.broadcast_to(np.asarray(row.value, np.float64), cells) for row in case.rows])
            scores = write_outcome(folder, case, maps, case.phi1, read_phi2(run) if run else None)
        told = ", ".join(f"{code} {score:.3f}" for code, score in scores.items() if np.isfinite(score))
        folder.finish(
            f"Simulated {len(case.basin.times)} steps." + (f" NSE {told}." if told else "") + unsolved(folder)
        )
        console.note(f"{folder.path}: {folder.manifest.ending}")


def _run_of(target: Path) -> Path | None:
    """The run folder that a target stands for: itself, or the one whose `config.yaml` it is."""
    folder = target if target.is_dir() else target.absolute().parent
    return folder if target.is_dir() or (target.name == "config.yaml" and (folder / MANIFEST).exists()) else None
