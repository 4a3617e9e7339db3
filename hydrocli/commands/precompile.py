"""`hydrocli precompile`: compile the code that later runs on this machine need, by a very small run of each kind."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.config import load
from hydrocli.errors import ConfigurationError
from hydrocli.execution.progress import Console
from hydrocli.experiment.calibrate import calibrate_experiment
from hydrocli.experiment.scores import validate_experiment
from hydrocli.experiment.setup import announce_compilation
from hydrocli.experiment.signatures import signatures_experiment
from hydrocli.jit import cache_folder
from hydrocli.structures.structure import Structure, kinds
from hydrocli.synthetic import SampleOptions
from hydrocli.synthetic.sample import write_sample

logger = logging.getLogger(__name__)

SPAN = np.datetime64("2019-09-01"), np.datetime64("2019-09-21")
PRECISIONS = ("double", "single")
BASELINE = "lstm"
"""The baseline that is compiled; it computes in double precision."""


def precompile(structures: Sequence[str], precisions: Sequence[str]) -> list[dict[str, Any]]:
    """Calibrate, validate and describe a few cells for some days with each structure and precision.

    Args:
        structures: which; none: all.
        precisions: which; none: both.

    Returns:
        What was compiled, and the seconds that it took; a second call takes a fraction.

    Raises:
        ConfigurationError: no such structure or precision.
    """
    models = (*kinds(), BASELINE)
    for option, asked, known in (("--structure", structures, models), ("--precision", precisions, PRECISIONS)):
        if odd := [name for name in asked if name not in known]:
            raise ConfigurationError(option, f"{', '.join(odd)} is not possible", f"one of: {', '.join(known)}")
    announce_compilation()
    logger.info(f"compiled code is kept in {cache_folder()}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="hydrocli-warmup-") as scratch:
        basin = Path(scratch) / "basin"
        with Console(quiet=True):
            write_sample(basin, SampleOptions(*SPAN, cells=50, gauges=2))
        for structure in structures or models:
            for precision in PRECISIONS[:1] if structure == BASELINE else precisions or PRECISIONS:
                began = time.perf_counter()
                _run(basin / "config.yaml", structure, precision)
                rows.append({"structure": structure, "precision": precision, "seconds": time.perf_counter() - began})
                logger.debug(f"{structure}, {precision}: {rows[-1]['seconds']:.1f} s")
    return rows


def _run(file: Path, structure: str, precision: str) -> None:
    has_network = structure == BASELINE or Structure(structure).has_network
    optimiser = "adam" if has_network else "lbfgsb"  # both need the gradient
    guess = "{kind: screening, samples: 4, descents: 1, iterations: 1}"
    changes = [
        f"structure={{kind: {structure}}}",
        f"optimiser={{kind: {optimiser}, iterations: 1}}",
        *(["initial=null"] if structure == BASELINE else [f"first_guess={guess}"]),
        f"execution.precision={precision}",
        f"folder=run-{structure}-{precision}",
    ]
    with Console(quiet=True):
        experiment = load(file, changes)
        calibrate_experiment(experiment)
        validate_experiment(experiment)
        signatures_experiment(experiment)
