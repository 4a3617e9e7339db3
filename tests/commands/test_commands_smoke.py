"""The three commands on a fortnight of the embedded sample: the one test of `make quick` that compiles a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runs_harness import call, configuration, manifest, table

from hydrocli.results import read
from hydrocli.results.schemas import TABLES

FORTNIGHT = {
    "period.start": "2014-10-01T00:00Z",
    "period.calibration": ["2014-10-04T00:00Z", "2014-10-12T00:00Z"],
    "period.validation": {"later": ["2014-10-12T00:00Z", "2014-10-15T00:00Z"]},
    "period.end": "2014-10-15T00:00Z",
    "first_guess": {"kind": "given"},
    "optimiser.iterations": 3,
}


@pytest.mark.quick
def test_calibrate_validate_signatures(tmp_path: Path) -> None:
    file = configuration(tmp_path / "smoke.yaml", tmp_path / "store", changes=FORTNIGHT)
    for command in ("calibrate", "validate", "signatures"):
        call(command, file)
    folder = tmp_path / "smoke"
    assert manifest(folder)["state"] == "finished"
    costs = table(folder, "convergence")["cost"]
    assert costs[-1] < costs[0]
    scores = table(folder, "scores")
    nse = scores["metric"] == "nse"
    assert set(scores["scenario"][nse]) == {"calibration", "temporal", "spatial", "spatio-temporal"}
    assert np.isfinite(scores["value"][nse].astype(float)).all()
    run = read(folder)
    written = [name for name in TABLES if run.has(name)]
    assert {"discharge", "parameters", "states", "domain", "scores", "signatures", "balance"} <= set(written)
    assert all(len(run.table(name)) for name in written if name not in ("events", "signatures"))
