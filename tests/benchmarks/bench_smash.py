"""smash 1.3.0 as a contestant, by its public functions, on one thread."""

from __future__ import annotations

import time
from pathlib import Path

import smash
from bench_cases import cance

OPTIONS = {"verbose": False, "ncpu": 1}


def _cance() -> tuple[dict[str, object], dict[str, object]]:
    setup, mesh = smash.factory.load_dataset("cance")
    return setup | {"hydrological_module": "gr4", "routing_module": "kw"}, mesh


class SmashRun:
    """Forward and gradient of Cance; `save` names the file in which the same case is left for others."""

    def __init__(self, save: str) -> None:
        self.model = smash.Model(*_cance())
        case = cance(self.model)
        case.save(Path(save))
        self.about = {"cells": case.cells, "steps": case.steps}

    def forward(self) -> None:
        self.model.forward_run(common_options=OPTIONS)

    def gradient(self) -> dict[str, float]:
        """Time between two iterations of Adam on all cells: one adjoint run, which gives the cost too, and little else.

        A whole `optimize` has one more adjoint run before and a forward run after, `backward_run` a forward run.
        """
        moments: list[tuple[float, float]] = []
        smash.optimize(
            self.model,
            mapping="distributed",
            optimizer="adam",
            optimize_options={"parameters": ["cp", "ct", "kexc", "akw", "bkw"], "termination_crit": {"maxiter": 2}},
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
