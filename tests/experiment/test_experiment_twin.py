"""Every optimiser finds the uniform parameters that made the discharge of a twin without noise.

All five parameters of GR are identifiable there, by construction: both gauges lie below routed cells (a catchment of
headwaters alone would say nothing of akw and bkw, which are not used there), discharge spans two orders of magnitude
(akw and bkw act through akw bkw Q^(bkw - 1): at one discharge only one number of the two can be known), the exchange
is not zero, and both stores fill and drain (a production store that never fills says nothing of cp). The initial levels
are forgotten in the warm-up and therefore not among them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_harness import configuration

from hydrocli.basin.basin import Basin
from hydrocli.calibration.journal import Journal
from hydrocli.calibration.recorder import Recorder
from hydrocli.calibration.stages import run_stages
from hydrocli.config import load
from hydrocli.engine.control import Control
from hydrocli.engine.objective import Objective
from hydrocli.experiment.cost import calibration_cost
from hydrocli.experiment.setup import CalibrationSetup, ingested
from hydrocli.experiment.stages import BasinCalibration
from hydrocli.mapping.direct import Uniform

TRUTH = {"cp": 150.0, "ct": 90.0, "kexc": -0.4, "akw": 6.0, "bkw": 0.5}
SHORT: dict[str, Any] = {
    "period.calibration": ["2014-09-10T00:00Z", "2014-10-05T00:00Z"],
    "period.validation": None,
    "parameters.kexc.bounds": [-4.0, 4.0],
    "parameters.akw.bounds": [0.5, 20.0],
    "first_guess": {"kind": "screening", "samples": 32, "descents": 1, "iterations": 8},
}
OPTIMISERS: dict[str, dict[str, Any]] = {
    "lbfgsb": {},
    "levenberg_marquardt": {},
    "adam": {"learning_rate": 0.03, "iterations": 350, "schedule": "cosine", "beta2": 0.99},
    "cmaes": {"iterations": 80, "sigma0": 0.05},
    "sbs": {"min_step": 2e-5},
}


def case_of(file: Path, store: Path, **more: Any) -> CalibrationSetup:
    experiment = load(configuration(file, store, changes=SHORT | more))
    return CalibrationSetup(experiment, ingested(experiment))


@pytest.fixture(scope="module")
def clone(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Basin:
    """The basin of the sample with the discharge of the truth."""
    file = tmp_path_factory.mktemp("truth") / "truth.yaml"
    case = case_of(file, store, **{f"parameters.{symbol}.value": value for symbol, value in TRUTH.items()})
    cells, gauges = np.flatnonzero(case.calibrated_cells), case.gauges(case.calibration)
    simulator, _, _ = case.simulator(cells, gauges, case.calibration_steps)
    control = Control(Uniform(case.rows, case.calibrated_cells), case.flux_network.weights, trained=False)
    model = Objective(simulator, cells, control, calibration_cost(case), case.state, case.place)
    discharge = np.array(case.basin.discharge)
    discharge[gauges, : case.calibration_steps] = model.simulate(control.first_guess())
    return replace(case.basin, discharge=discharge)


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_the_truth_is_found(kind: str, clone: Basin, store: Path, tmp_path: Path) -> None:
    """Within 1 % in every parameter, from a first guess that is off by more."""
    case = case_of(tmp_path / "run.yaml", store, optimiser={"kind": kind} | OPTIMISERS[kind])
    training = BasinCalibration(replace(case, basin=clone))
    with Journal(tmp_path / "journal", "key") as journal:
        results = run_stages(training.stages, Recorder(journal, lambda _: None, lambda: False))
    errors = [np.abs(training.found(results[:n])[0][:5, 0] / list(TRUTH.values()) - 1).max() for n in (2, 3)]
    assert errors[0] > 0.05
    assert errors[1] < 0.01
    assert results[-1].cost < 1e-6 < results[-2].cost
