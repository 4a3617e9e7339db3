"""Parity with smash 1.3.0 (gr4, kinematic wave) on Cance, with a random parameter in every cell.

smash computes in single precision throughout: in its stores, its sums and its adjoint.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hydrocli.model.neutralise import flux_matching, neutralise
from hydrocli.model.skew import skew
from hydrocli.model.sweep import State, Sweep

pytestmark = pytest.mark.peer

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

    def sweep(self, precision: str = "double") -> Sweep:
        order = skew(self.downstream, self.level, len(self.rain))
        hi = self.model.get_rr_initial_states("hi")[self.row, self.column].astype(np.float64)
        forcing, _, _ = neutralise(order, self.rain, self.demand, self.ci, hi, np.arange(len(hi)))
        width = np.full(len(self.level), float(self.model.mesh.dx[0, 0]))
        return Sweep(order, forcing, width**2, width, self.gauges, 3600, precision)

    @property
    def state(self) -> State:
        cells = len(self.level)
        return State(self.maps[5:], np.zeros(cells), np.zeros(cells))


@pytest.fixture(scope="module")
def cance():
    with quiet():
        smash = pytest.importorskip("smash")
        setup, mesh = smash.factory.load_dataset("cance")
        model = smash.Model(setup | {"hydrological_module": "gr4", "routing_module": "kw"}, mesh)
        rng = np.random.default_rng(0)
        grids = {name: rng.uniform(*span, mesh["flwdir"].shape) for name, span in zip(NAMES, RANGES, strict=True)}
        for name, grid in grids.items():
            (model.set_rr_initial_states if name in ("hp", "ht") else model.set_rr_parameters)(name, grid)
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


def test_interception_capacity_is_equal_in_every_cell(cance):
    """Both choose from tenths of a millimetre; smash's tenths are single-precision numbers."""
    found = flux_matching(cance.rain, cance.demand, cance.times, 3600)
    np.testing.assert_array_equal(np.round(10 * found), np.round(10 * cance.ci))
    assert len(np.unique(found)) > 3


@pytest.mark.parametrize("precision", ["double", "single"])
def test_discharge(cance, precision):
    """1e-5 of the peak: stores in single precision, 1440 steps."""
    discharge, state = cance.sweep(precision).simulate(cance.maps[:5], cance.state)
    expected = cance.model.response.q
    np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-5 * expected.max())
    final = np.stack([cance.model.get_rr_final_states(name)[cance.row, cance.column] for name in ("hp", "ht")])
    np.testing.assert_allclose(state.levels, final, rtol=0, atol=2e-5)


def test_gradient(cance):
    """d cost / d every parameter and initial level of every cell against smash's backward run.

    Its single precision sets how close it can come, and ours shows how much that is: per row, the distance from smash
    may be ten times what our own gradient loses from double to single precision (5e-6 to 7e-5 of the row's norm), since
    smash sums in another order and takes powers and hyperbolic tangents in single precision. Measured: 3e-6 to 6e-5.
    """
    with quiet():
        options = {"parameters": list(NAMES), "control_tfm": "keep"}
        asked = {"mapping": "distributed", "optimizer": "lbfgsb", "optimize_options": options}
        _, run = cance.smash.backward_run(
            cance.model,
            **asked,
            cost_options={"gauge": "all", "wgauge": "mean"},
            common_options={"verbose": False},
            return_options={"cost": True, "grad": True},
        )
        labels = cance.smash.optimize_control_info(cance.model, **asked)["name"]
    number = {(r + 1, c + 1): cell for cell, (r, c) in enumerate(zip(cance.row, cance.column, strict=True))}
    expected = np.full(cance.maps.shape, np.nan)
    for label, value in zip(labels, run.grad, strict=True):
        name, r, c = label.split("-")
        expected[NAMES.index(name), number[int(r), int(c)]] = value
    observed = np.where(cance.model.response_data.q < 0, np.nan, cance.model.response_data.q).astype(np.float64)
    spread = np.nansum((observed - np.nanmean(observed, axis=1, keepdims=True)) ** 2, axis=1)

    def cost(discharge):
        """Mean over the gauges of 1 - NSE."""
        misfit = np.nan_to_num(discharge - observed)
        return float(((misfit**2).sum(axis=1) / spread).mean()), 2 * misfit / spread[:, None] / len(spread)

    value, gradient, _ = cance.sweep().gradient(cance.maps[:5], cance.state, cost)
    _, single, _ = cance.sweep("single").gradient(cance.maps[:5], cance.state, cost)
    bars, rough = (np.concatenate([g.parameters, g.levels]) for g in (gradient, single))
    assert value == pytest.approx(run.cost, rel=1e-5)
    for k, name in enumerate(NAMES):
        distance, lost = (
            np.linalg.norm(other - bars[k]) / np.linalg.norm(bars[k]) for other in (expected[k], rough[k])
        )
        assert distance <= 10 * lost, (name, distance, lost)
        assert lost < 1e-4, (name, lost)
