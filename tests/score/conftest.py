from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Peer:
    """smash's model of Cance after one forward run, and what it read, as float64 with NaN where it has no value."""

    smash: Any
    model: Any
    codes: tuple[str, ...]
    observed: np.ndarray
    simulated: np.ndarray
    rain: np.ndarray
    area: np.ndarray
    step: int
    times: np.ndarray

    def call(self, function, *arguments, **options):
        """Its functions, without their progress bars and the warnings of their libraries."""
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(io.StringIO()):
                return function(*arguments, **options)


@pytest.fixture(scope="session")
def peer():
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        smash = pytest.importorskip("smash")
        setup, mesh = smash.factory.load_dataset("cance")
        setup |= {"hydrological_module": "gr4", "routing_module": "kw"}
        with contextlib.redirect_stderr(io.StringIO()):
            model = smash.Model(setup, mesh)
            model.forward_run(common_options={"verbose": False})
    series = (model.response_data.q, model.response.q, model.atmos_data.mean_prcp)
    observed, simulated, rain = (np.where(values < 0, np.nan, values).astype(np.float64) for values in series)
    step = int(model.setup.dt)
    times = np.datetime64(model.setup.start_time, "s") + step * np.arange(1, rain.shape[1] + 1)
    codes, area = tuple(str(code) for code in mesh["code"]), np.array(model.mesh.area_dln, dtype=np.float64)
    return Peer(smash, model, codes, observed, simulated, rain, area, step, times)
