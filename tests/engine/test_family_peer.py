"""Parity with smash 1.3.0 on Cance of the family of gr, of its routings, and of snow with ssn-gr4.

A random parameter in every cell. smash computes in single precision throughout.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from peer_harness import Cance, gauge_cost, load, quiet, smash_gradient, with_data

from hydrocli.engine.net_forcing import meteorological_forcing, rainfall
from hydrocli.engine.order import wavefront_order
from hydrocli.engine.simulator import Simulator, State
from hydrocli.structures.structure import Structure

pytestmark = pytest.mark.peer


def random_map(model, bounds: tuple[float, float]) -> np.ndarray:
    return np.random.default_rng(5).uniform(*bounds, model.mesh.flwdir.shape)


AS_PUBLISHED = {"flux_limits": "as_published"}
PEERS = {
    "gr5": Structure("gr5"),
    "gr5_mlp": Structure("gr5nn", **AS_PUBLISHED),
    "gr6": Structure("gr6"),
    "gr6_mlp": Structure("gr6nn", **AS_PUBLISHED),
    "grc": Structure("grc"),
    "grc_mlp": Structure("grcnn", **AS_PUBLISHED),
    "grd": Structure("grd"),
    "grd_mlp": Structure("grdnn", **AS_PUBLISHED),
    "loieau": Structure("loieau"),
    "loieau_mlp": Structure("loieaunn", **AS_PUBLISHED),
}
"""Structures by the hydrological module of smash, with the kinematic wave."""


def beside(module: str, structure: Structure) -> tuple[Cance, np.ndarray]:
    """smash's model and the weights that both have."""
    weights = structure.initial_weights(1, 0.02 if "he" in structure.states else 0.1).astype(np.float32)
    inputs, hidden, outputs = structure.widths if structure.has_network else (0, 0, 0)
    weights, first = weights if structure.has_network else weights[:0], hidden * inputs

    def prepare(model) -> None:
        if weights.size:
            second = weights[first + hidden :]
            matrices = [weights[:first].reshape(hidden, inputs), second[: hidden * outputs].reshape(outputs, hidden)]
            model.set_nn_parameters_weight(matrices)
            model.set_nn_parameters_bias([weights[first : first + hidden], second[hidden * outputs :]])

    return load(module, prepare, structure), weights.astype(np.float64)


def assert_equal(cance: Cance, weights: np.ndarray) -> None:
    """Discharge to 1e-5 of the peak, as for gr4, and the levels at the end."""
    discharge, state = cance.simulator().simulate(cance.parameters, cance.state, weights)
    expected = cance.model.response.q
    np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-5 * expected.max())
    for symbol, level in zip(cance.structure.states, state.levels, strict=True):
        final = cance.model.get_rr_final_states(symbol)[cance.row, cance.column]
        np.testing.assert_allclose(level, final, rtol=0, atol=2e-5 * max(1.0, np.abs(final).max()), err_msg=symbol)


@pytest.mark.parametrize("module", PEERS)
def test_discharge_and_levels(module):
    """With a network, the corrections matter: without them the discharge is another one."""
    cance, weights = beside(module, PEERS[module])
    assert_equal(cance, weights)
    if weights.size:
        plain, _ = cance.simulator().simulate(cance.parameters, cance.state, 0 * weights)
        assert np.abs(plain - cance.model.response.q).max() > 0.02 * cance.model.response.q.max()


@pytest.mark.parametrize("routing", ["linear_reservoir", "lag0", "none"])
def test_routings(routing):
    """Behind gr4; the gauges are far from the headwaters, where a lag is felt."""
    assert_equal(*beside("gr4", Structure("gr", routing=routing)))


@pytest.mark.parametrize(
    ("module", "structure"),
    [(name, PEERS[name]) for name in ("gr6", "grc", "grd", "loieau")]
    + [("gr4", Structure(routing="linear_reservoir"))],
    ids=["gr6", "grc", "grd", "loieau", "lr"],
)
def test_gradient(module, structure):
    """Per row to 1e-4 of its norm, which is smash's single precision, see `test_peer`; measured: 1e-6 to 6e-5."""
    cance, _ = beside(module, structure)
    expected_cost, expected, _ = smash_gradient(cance, network=False)
    value, gradient, _ = cance.simulator().gradient(cance.parameters, cance.state, gauge_cost(cance))
    assert value == pytest.approx(expected_cost, rel=1e-5)
    for name, theirs, ours in zip(cance.names, expected, (*gradient.parameters, *gradient.levels), strict=True):
        assert np.linalg.norm(theirs - ours) <= 1e-4 * np.linalg.norm(ours), name


@pytest.fixture(scope="module")
def snowy() -> tuple[Cance, np.ndarray, np.ndarray]:
    """smash's model after a winter, total precipitation and temperature [t, n]."""
    cance = load("gr4")
    hours = np.arange(len(cance.rain))
    cycle = 1.0 + 4.0 * np.sin(2 * np.pi * hours / 24) + 6.0 * np.sin(2 * np.pi * hours / 400)
    place = np.random.default_rng(3).normal(0.0, 1.0, len(cance.level))
    temperature = (cycle[:, np.newaxis] + place).astype(np.float32)
    total = np.maximum(cance.rain, 0.0).astype(np.float32)
    rain = rainfall(total, temperature)
    with quiet():
        model = with_data(
            {"snow_module": "ssn", "hydrological_module": "gr4", "routing_module": "kw", "prcp_partitioning": False}
            | {"read_snow": False, "read_temp": False}
        )
        for name in ("cp", "ct", "kexc", "akw", "bkw"):
            model.set_rr_parameters(name, cance.model.get_rr_parameters(name))
        for name in ("hp", "ht"):
            model.set_rr_initial_states(name, cance.model.get_rr_initial_states(name))
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
