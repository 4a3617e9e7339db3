"""smash's model of Cance with a random parameter in every cell, and the same basin and forcing as arrays."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from hydrocli.engine.net_forcing import DAILY_CAPACITY, net_forcing
from hydrocli.engine.order import wavefront_order
from hydrocli.engine.simulator import Simulator, State
from hydrocli.structures.structure import GR, Structure

NAMES = ("cp", "ct", "kexc", "akw", "bkw", "hp", "ht")
SPANS = ((50, 800), (20, 500), (-5, 2), (1, 20), (0.3, 1), (0.05, 0.8), (0.05, 0.8))
OTHERS = {"aexc": (0.05, 0.6), "be": (2, 20), "cl": (20, 500), "ca": (50, 800), "cc": (20, 500), "kb": (0.3, 2)}
LEVELS = {"hl": (0.05, 0.8), "ha": (0.05, 0.8), "hc": (0.05, 0.8), "he": (-60, -1)}
RANGES = dict(zip(NAMES, SPANS, strict=True)) | OTHERS | LEVELS | {"llr": (10, 300)}
"""Of the random parameters and levels, whose names are those of smash."""
ROUTINGS = {"kinematic_wave": "kw", "linear_reservoir": "lr", "lag0": "lag0", "none": "zero"}
"""smash's name of a routing."""
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
    """smash's model after a run with maps[names, n], and the same basin and forcing as arrays over its active cells.

    structure: ours. names: its parameters, those of its routing, and its states.
    """

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
    structure: Structure = GR

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.structure.all_parameters, *self.structure.states)

    def simulator(self, precision: str = "double", structure: Structure | None = None) -> Simulator:
        structure = structure or self.structure
        order = wavefront_order(self.downstream, self.level, len(self.rain))
        hi = np.full(len(self.level), 0.01)
        if structure.model.has_interception:
            hi = self.model.get_rr_initial_states("hi")[self.row, self.column].astype(np.float64)
        forcing, _, _ = net_forcing(order, self.rain, self.demand, self.ci, hi, np.arange(len(hi)))
        width = np.full(len(self.level), float(self.model.mesh.dx[0, 0]))
        return Simulator(order, (forcing,), width**2, width, self.gauges, 3600, precision, structure=structure)

    @property
    def state(self) -> State:
        cells = len(self.level)
        return State(self.maps[len(self.structure.all_parameters) :], np.zeros(cells), np.zeros(cells))

    @property
    def parameters(self) -> np.ndarray:
        return self.maps[: len(self.structure.all_parameters)]


NOTHING = dict.fromkeys(("read_prcp", "read_pet", "read_qobs", "read_descriptor", "adjust_interception"), False)


@cache
def cance_read() -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Setup, mesh and a model of Cance with all its data, which take seconds to read; others get them from it."""
    smash = pytest.importorskip("smash")
    setup, mesh = smash.factory.load_dataset("cance")
    return setup, mesh, smash.Model(setup | {"hydrological_module": "gr4", "routing_module": "kw"}, mesh)


def with_data(changes: dict[str, Any]) -> Any:
    """smash's model of Cance with other keys of the setup."""
    smash = pytest.importorskip("smash")
    setup, mesh, base = cance_read()
    model = smash.Model(setup | NOTHING | changes, mesh)
    model.atmos_data.prcp, model.atmos_data.pet = base.atmos_data.prcp, base.atmos_data.pet
    model.response_data.q = base.response_data.q
    if "ci" in model.rr_parameters.keys:
        model.set_rr_parameters("ci", base.get_rr_parameters("ci"))
    return model


def load(module: str, prepare: Callable[[Any], None] = lambda model: None, structure: Structure = GR) -> Cance:
    """smash's model with a hydrological module and the routing of a structure of ours with the same parameters.

    `prepare` may change it before it runs.
    """
    names = (*structure.all_parameters, *structure.states)
    with quiet():
        smash = pytest.importorskip("smash")
        mesh = cance_read()[1]
        model = with_data({"hydrological_module": module, "routing_module": ROUTINGS[structure.routing]})
        rng = np.random.default_rng(0)
        grids = {name: rng.uniform(*RANGES[name], mesh["flwdir"].shape) for name in names}
        for name, grid in grids.items():
            (model.set_rr_initial_states if name in structure.states else model.set_rr_parameters)(name, grid)
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
    ci = np.full(len(row), DAILY_CAPACITY)
    if structure.model.has_interception:
        ci = model.get_rr_parameters("ci")[row, column].astype(np.float64)
    return Cance(
        smash, model, row, column, downstream, depth.max() - depth, single.astype(np.float64),
        gauges, rain, demand, times, ci, structure,
    )  # fmt: skip


def smash_gradient(cance: Cance, network: bool) -> tuple[float, np.ndarray, np.ndarray]:
    """Cost (mean over gauges of 1 - NSE), its gradient by maps[names, n] and by weights in our order, from smash."""
    layers = ("weight_1", "bias_1", "weight_2", "bias_2") if network else ()
    with quiet():
        options = {"parameters": [*cance.names, *layers], "control_tfm": "keep"}
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
            maps[cance.names.index(name), number[index]] = value
    return run.cost, maps, np.concatenate([np.zeros(0), *(values.ravel() for values in weights.values())])


def gauge_cost(cance: Cance) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """The same cost and its derivative, for a discharge[g, t]."""
    observed = np.where(cance.model.response_data.q < 0, np.nan, cance.model.response_data.q).astype(np.float64)
    spread = np.nansum((observed - np.nanmean(observed, axis=1, keepdims=True)) ** 2, axis=1)

    def cost(discharge: np.ndarray) -> tuple[float, np.ndarray]:
        misfit = np.nan_to_num(discharge - observed)
        return float(((misfit**2).sum(axis=1) / spread).mean()), 2 * misfit / spread[:, None] / len(spread)

    return cost
