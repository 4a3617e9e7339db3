"""smash's model of Cance with a random parameter in every cell, and the same basin and forcing as arrays."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hydrocli.engine.net_forcing import net_forcing
from hydrocli.engine.order import wavefront_order
from hydrocli.engine.simulator import Simulator, State
from hydrocli.structures.structure import GR, Structure

NAMES = ("cp", "ct", "kexc", "akw", "bkw", "hp", "ht")
RANGES = ((50, 800), (20, 500), (-5, 2), (1, 20), (0.3, 1), (0.05, 0.8), (0.05, 0.8))
# Where the water of a cell goes, rows and columns, for smash's directions 1 (north) to 8 (north-west).
TOWARDS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


@contextlib.contextmanager
def quiet():
    """Its progress bars and the warnings of its libraries are not ours."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Cance:
    """smash's model after a run with maps[7, n], and the same basin, forcing and ci as arrays over its active cells."""

    smash: Any
    model: Any
    row: np.ndarray
    column: np.ndarray
    downstream: np.ndarray
    level: np.ndarray
    maps: np.ndarray
    gauges: np.ndarray
    rain: np.ndarray
    demand: np.ndarray
    times: np.ndarray
    ci: np.ndarray

    def simulator(self, precision: str = "double", structure: Structure = GR) -> Simulator:
        order = wavefront_order(self.downstream, self.level, len(self.rain))
        hi = self.model.get_rr_initial_states("hi")[self.row, self.column].astype(np.float64)
        forcing, _, _ = net_forcing(order, self.rain, self.demand, self.ci, hi, np.arange(len(hi)))
        width = np.full(len(self.level), float(self.model.mesh.dx[0, 0]))
        return Simulator(order, (forcing,), width**2, width, self.gauges, 3600, precision, structure=structure)

    @property
    def state(self) -> State:
        cells = len(self.level)
        return State(self.maps[5:], np.zeros(cells), np.zeros(cells))


def load(module: str, prepare: Callable[[Any], None] = lambda model: None) -> Cance:
    """smash's model with a hydrological module and the kinematic wave; `prepare` may change it before it runs."""
    with quiet():
        smash = pytest.importorskip("smash")
        setup, mesh = smash.factory.load_dataset("cance")
        model = smash.Model(setup | {"hydrological_module": module, "routing_module": "kw"}, mesh)
        rng = np.random.default_rng(0)
        grids = {name: rng.uniform(*span, mesh["flwdir"].shape) for name, span in zip(NAMES, RANGES, strict=True)}
        for name, grid in grids.items():
            (model.set_rr_initial_states if name in ("hp", "ht") else model.set_rr_parameters)(name, grid)
        prepare(model)
        model.forward_run(common_options={"verbose": False})
    row, column = np.nonzero(mesh["active_cell"] == 1)
    number = {place: cell for cell, place in enumerate(zip(row, column, strict=True))}
    steps = [TOWARDS[code - 1] for code in mesh["flwdir"][row, column].astype(int)]
    downstream = np.array(
        [number.get((r + i, c + j), -1) for r, c, (i, j) in zip(row, column, steps, strict=True)], np.int64
    )
    depth = np.zeros(len(row), np.int64)
    for cell in range(len(row)):
        below = downstream[cell]
        while below >= 0:
            depth[cell], below = depth[cell] + 1, downstream[below]
    gauges = np.array([number[tuple(place)] for place in mesh["gauge_pos"]])
    single = np.stack([grid[row, column] for grid in grids.values()]).astype(np.float32)
    rain, demand = (np.ascontiguousarray(x[row, column].T) for x in (model.atmos_data.prcp, model.atmos_data.pet))
    times = np.datetime64(model.setup.start_time, "s") + 3600 * np.arange(1, len(rain) + 1)
    ci = model.get_rr_parameters("ci")[row, column].astype(np.float64)
    return Cance(
        smash, model, row, column, downstream, depth.max() - depth, single.astype(np.float64),
        gauges, rain, demand, times, ci,
    )  # fmt: skip


def smash_gradient(cance: Cance, network: bool) -> tuple[float, np.ndarray, np.ndarray]:
    """Cost (mean over gauges of 1 - NSE), its gradient by maps[7, n] and by the weights in our order, from smash."""
    layers = ("weight_1", "bias_1", "weight_2", "bias_2") if network else ()
    with quiet():
        options = {"parameters": [*NAMES, *layers], "control_tfm": "keep"}
        asked = {"mapping": "distributed", "optimizer": "adam" if network else "lbfgsb", "optimize_options": options}
        _, run = cance.smash.backward_run(
            cance.model,
            **asked,
            cost_options={"gauge": "all", "wgauge": "mean"},
            common_options={"verbose": False},
            return_options={"cost": True, "grad": True},
        )
        labels = cance.smash.optimize_control_info(cance.model, **asked)["name"]
    number = {(r + 1, c + 1): cell for cell, (r, c) in enumerate(zip(cance.row, cance.column, strict=True))}
    maps = np.full(cance.maps.shape, np.nan)
    shapes = {name: getattr(cance.model.nn_parameters, name).shape for name in layers}
    weights = {name: np.full(shape, np.nan) for name, shape in shapes.items()}
    for label, value in zip(labels, run.grad, strict=True):
        name, *place = label.split("-")
        index = tuple(map(int, place))
        if name in weights:
            weights[name][tuple(i - 1 for i in index)] = value
        else:
            maps[NAMES.index(name), number[index]] = value
    return run.cost, maps, np.concatenate([np.zeros(0), *(values.ravel() for values in weights.values())])


def gauge_cost(cance: Cance) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """The same cost and its derivative, for a discharge[g, t]."""
    observed = np.where(cance.model.response_data.q < 0, np.nan, cance.model.response_data.q).astype(np.float64)
    spread = np.nansum((observed - np.nanmean(observed, axis=1, keepdims=True)) ** 2, axis=1)

    def cost(discharge: np.ndarray) -> tuple[float, np.ndarray]:
        misfit = np.nan_to_num(discharge - observed)
        return float(((misfit**2).sum(axis=1) / spread).mean()), 2 * misfit / spread[:, None] / len(spread)

    return cost
