"""Parity with smash 1.3.0 on Cance of what stands on gr: gr5 with gr5, gr5nn with gr5_mlp, snow with ssn-gr4.

A random parameter in every cell, kinematic wave. smash computes in single precision throughout.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from peer_harness import Cance, load, quiet

from hydrocli.engine.net_forcing import meteorological_forcing, rainfall
from hydrocli.engine.order import wavefront_order
from hydrocli.engine.simulator import Simulator, State
from hydrocli.structures.structure import Structure

pytestmark = pytest.mark.peer


def random_map(model, bounds: tuple[float, float]) -> np.ndarray:
    return np.random.default_rng(5).uniform(*bounds, model.mesh.flwdir.shape)


@pytest.mark.parametrize("peer", ["gr5", "gr5_mlp"])
def test_gr5(peer):
    """1e-5 of the peak, as for gr4."""
    structure = Structure("gr5nn", flux_limits="as_published") if peer == "gr5_mlp" else Structure("gr5")
    weights = structure.initial_weights(1, 0.1).astype(np.float32) if structure.has_network else np.zeros(0)
    inputs, hidden, outputs = structure.widths if structure.has_network else (0, 0, 0)
    first = hidden * inputs

    def prepare(model) -> None:
        model.set_rr_parameters("aexc", random_map(model, (0.05, 0.6)))
        if weights.size:
            second = weights[first + hidden :]
            matrices = [weights[:first].reshape(hidden, inputs), second[: hidden * outputs].reshape(outputs, hidden)]
            model.set_nn_parameters_weight(matrices)
            model.set_nn_parameters_bias([weights[first : first + hidden], second[hidden * outputs :]])

    cance = load(peer, prepare)
    aexc = cance.model.get_rr_parameters("aexc")[cance.row, cance.column].astype(np.float64)
    parameters = np.concatenate([cance.maps[:3], aexc[np.newaxis], cance.maps[3:5]])
    simulator = cance.simulator("double", structure)
    discharge, state = simulator.simulate(parameters, cance.state, weights.astype(np.float64))
    expected = cance.model.response.q
    np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-5 * expected.max())
    final = np.stack([cance.model.get_rr_final_states(name)[cance.row, cance.column] for name in ("hp", "ht")])
    np.testing.assert_allclose(state.levels, final, rtol=0, atol=2e-5)


@pytest.fixture(scope="module")
def snowy() -> tuple[Cance, np.ndarray, np.ndarray]:
    """smash's model after a winter, total precipitation and temperature [t, n]."""
    with quiet():
        smash = pytest.importorskip("smash")
        setup, mesh = smash.factory.load_dataset("cance")
        setup |= {
            "snow_module": "ssn",
            "hydrological_module": "gr4",
            "routing_module": "kw",
            "prcp_partitioning": False,
        }
        setup |= {"read_snow": False, "read_temp": False}
    cance = load("gr4")
    hours = np.arange(len(cance.rain))
    cycle = 1.0 + 4.0 * np.sin(2 * np.pi * hours / 24) + 6.0 * np.sin(2 * np.pi * hours / 400)
    place = np.random.default_rng(3).normal(0.0, 1.0, len(cance.level))
    temperature = (cycle[:, np.newaxis] + place).astype(np.float32)
    total = np.maximum(cance.rain, 0.0).astype(np.float32)
    rain = rainfall(total, temperature)
    with quiet():
        model = smash.Model(setup, mesh)
        for name in ("cp", "ct", "kexc", "akw", "bkw"):
            model.set_rr_parameters(name, cance.model.get_rr_parameters(name))
        for name in ("hp", "ht"):
            model.set_rr_initial_states(name, cance.model.get_rr_initial_states(name))
        model.set_rr_parameters("ci", cance.model.get_rr_parameters("ci"))
        model.set_rr_parameters("kmlt", random_map(model, (0.05, 0.8)))
        for name, values in (("prcp", rain), ("snow", total - rain), ("temp", temperature)):
            field = np.full(model.atmos_data.prcp.shape, -99.0, np.float32)
            field[cance.row, cance.column] = values.T
            setattr(model.atmos_data, name, field)
        model.forward_run(common_options={"verbose": False})
    return replace(cance, model=model), total, temperature


def test_snow_in_front_of_gr(snowy):
    """1e-5 of the peak; snow falls and melts: the store has held more than 10 mm somewhere."""
    cance, total, temperature = snowy
    structure, model = Structure("gr", snow="degree_day"), cance.model
    kmlt = model.get_rr_parameters("kmlt")[cance.row, cance.column].astype(np.float64)
    order = wavefront_order(cance.downstream, cance.level, len(total))
    forcing, missing = meteorological_forcing(order, (total, cance.demand, temperature), np.arange(len(cance.level)))
    assert not missing.any()
    width = np.full(len(cance.level), float(model.mesh.dx[0, 0]))
    simulator = Simulator(
        order, forcing, width**2, width, cance.gauges, 3600, structure=structure, attributes=cance.ci[np.newaxis]
    )
    hs, hi = (model.get_rr_initial_states(name)[cance.row, cance.column].astype(np.float64) for name in ("hs", "hi"))
    state = State(np.stack([hs, hi, *cance.maps[5:]]), *np.zeros((2, len(hs))))
    highest = np.zeros(len(hs))

    def observe(buffer, start, count) -> None:
        np.maximum(highest, buffer.levels[0, : count + 1, order.slot].max(axis=1), out=highest)

    discharge, end = simulator.simulate(np.concatenate([kmlt[np.newaxis], cance.maps[:5]]), state, observe=observe)
    expected = model.response.q
    np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-5 * expected.max())
    assert highest.max() > 10
    for row, name in enumerate(("hs", "hi", "hp", "ht")):
        final = model.get_rr_final_states(name)[cance.row, cance.column]
        np.testing.assert_allclose(end.levels[row], final, rtol=0, atol=2e-5 * max(1.0, final.max()))
