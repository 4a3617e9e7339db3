"""smash 1.3.0 as a contestant, by its public functions, on one thread."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import smash
from bench_cases import cance, nse, random_layers

OPTIONS = {"verbose": False, "ncpu": 1}
PARAMETERS = ["cp", "ct", "kexc", "akw", "bkw"]
WEIGHTS = ["weight_1", "bias_1", "weight_2", "bias_2"]


def _cance(module: str = "gr4") -> tuple[dict[str, object], dict[str, object]]:
    setup, mesh = smash.factory.load_dataset("cance")
    return setup | {"hydrological_module": module, "routing_module": "kw"}, mesh


class SmashRun:
    """Forward and gradient of Cance.

    Args:
        save: file in which the same case is left for others.
        module: gr4, gr4_mlp, gr4_ode or gr4_ude; a network gets random weights, since smash leaves them at zero.
    """

    def __init__(self, save: str, module: str = "gr4") -> None:
        self.model = smash.Model(*_cance(module))
        case = cance(self.model)
        case.save(Path(save))
        self.trained = list(PARAMETERS)
        if module in ("gr4_mlp", "gr4_ude"):
            matrices, biases = zip(*random_layers(), strict=True)
            self.model.set_nn_parameters_weight(list(matrices))
            self.model.set_nn_parameters_bias(list(biases))
            self.trained += WEIGHTS
        self.about = {"cells": case.cells, "steps": case.steps}

    def forward(self) -> None:
        self.model.forward_run(common_options=OPTIONS)

    def discharge(self, path: str) -> None:
        """Leave discharge [g, steps] in a file."""
        self.forward()
        np.save(path, self.model.response.q.astype(float))

    def gradient(self) -> dict[str, float]:
        """Time between two iterations of Adam on all cells: one adjoint run, which gives the cost too, and little else.

        A whole `optimize` has one more adjoint run before and a forward run after, `backward_run` a forward run.
        """
        moments: list[tuple[float, float]] = []
        smash.optimize(
            self.model,
            mapping="distributed",
            optimizer="adam",
            optimize_options={"parameters": self.trained, "termination_crit": {"maxiter": 2}},
            common_options=OPTIONS,
            callback=lambda iopt: moments.append((time.perf_counter(), time.process_time())),
        )
        (wall, cpu), (wall_after, cpu_after) = moments
        return {"wall": wall_after - wall, "cpu": cpu_after - cpu}


class SmashReading:
    """Reading Cance up to a date."""

    def __init__(self) -> None:
        setup, self.mesh = _cance()
        self.setup = setup | {"adjust_interception": False}
        self.about = {"folder": str(Path(setup["prcp_directory"]).parent)}

    def read(self, end: str, rain_only: bool = False) -> None:
        others = dict.fromkeys(("read_qobs", "read_pet", "read_descriptor"), not rain_only)
        smash.Model(self.setup | {"end_time": end} | others, self.mesh)


class SmashArchive:
    """Reading the rain of an archive of GeoTIFFs, with one mesh of all catchments.

    Args:
        folder: of the archive.
        files: of rain, one for each hour.
        catchments: how many.
    """

    def __init__(self, folder: str, files: int, catchments: int) -> None:
        from bench_archives import BLOCK, HOUR, START, gauges

        code, x, y = zip(*gauges(catchments), strict=True)
        area = np.full(len(code), BLOCK**2 * 1e6)
        self.mesh = smash.factory.generate_mesh(
            f"{folder}/flow.tif", x=np.array(x), y=np.array(y), area=area, code=np.array(code)
        )
        setup, _ = _cance()
        self.setup = setup | dict.fromkeys(("read_qobs", "read_pet", "read_descriptor", "adjust_interception"), False)
        self.setup |= {
            "start_time": str(START),
            "end_time": str(START + files * HOUR),
            "dt": 3600,
            "prcp_directory": f"{folder}/rain",
            "prcp_conversion_factor": 0.1,
        }

    def read(self) -> None:
        smash.Model(self.setup, self.mesh)


class SmashCalibration:
    """Calibrations of Cance with its own optimisers and their own defaults; reading is over before.

    Args:
        start, warm, end: of the run, and where scoring starts.
        gauges: codes of those that calibrate, with equal weights.
    """

    def __init__(self, start: str, warm: str, end: str, gauges: list[str]) -> None:
        setup, mesh = _cance()
        self.gauges = gauges
        self.cost = {"gauge": gauges, "end_warmup": warm, "jobs_cmpt": "nse"}
        self.model = self.uniform_model = smash.Model(setup | {"start_time": start, "end_time": end}, mesh)
        times = np.datetime64(start) + 3600 * np.arange(1, self.model.setup.ntime_step + 1).astype("timedelta64[s]")
        self.scored = times > np.datetime64(warm)

    def uniform(self, optimizer: str) -> dict[str, object]:
        """One value per parameter; the last result is where `distributed` starts."""
        self.uniform_model = self._optimised(self.model, mapping="uniform", optimizer=optimizer)
        return self._told(self.uniform_model)

    def distributed(self) -> dict[str, object]:
        """One value per parameter and cell."""
        return self._told(self._optimised(self.uniform_model, mapping="distributed", optimizer="lbfgsb"))

    def _optimised(self, model: smash.Model, **how: str) -> smash.Model:
        return smash.optimize(model, cost_options=self.cost, common_options=OPTIONS, **how)

    def _told(self, model: smash.Model) -> dict[str, object]:
        observed = np.where(model.response_data.q < 0, np.nan, model.response_data.q)[:, self.scored].astype(float)
        simulated = model.response.q[:, self.scored].astype(float)
        scores = {code: nse(*pair) for code, *pair in zip(model.mesh.code, observed, simulated, strict=True)}
        return {"nse": {code: scores[code] for code in self.gauges}}
