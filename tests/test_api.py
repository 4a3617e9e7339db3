"""The model on arrays: the gradient of every structure is that of its cost, and a calibration finds the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hydrocli.api import WEIGHTS, Model
from hydrocli.errors import ConfigurationError, InputError
from hydrocli.structures.structure import METEOROLOGICAL_FORCINGS, Structure, kinds

DOWNSTREAM = np.array([3, 3, 4, 4, 5, -1, 5, 6, 6, 8, 8, 9])
CELLS, STEPS, SKIP = DOWNSTREAM.size, 400, 60
STRUCTURES = [Structure(kind) for kind in kinds()] + [Structure("gr", snow="degree_day")]


def forcing() -> dict[str, Any]:
    random = np.random.default_rng(5)
    season = np.sin(np.arange(STEPS) / 60.0)[:, np.newaxis]
    return {
        "precipitation": random.gamma(0.15, 6.0, (STEPS, CELLS)),
        "pet": np.full((STEPS, CELLS), 0.1),
        "temperature": 1.0 + 6.0 * season + random.standard_normal((STEPS, CELLS)),
    }


def model(structure: str | Structure = "gr", **changes: Any) -> Model:
    arguments = {"downstream": DOWNSTREAM, "area": 1e6, "step": 3600, "gauges": [5, 6], "structure": structure}
    return Model(**(arguments | forcing() | changes))


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda one: f"{one.kind}-{one.snow}")
def test_the_gradient_is_that_of_the_cost(structure: Structure) -> None:
    here = model(structure)
    random = np.random.default_rng(2)
    point = here.defaults() | {"hp": np.full(CELLS, 0.3)} if "hp" in here.names else here.defaults()
    if "kexc" in here.names:
        point["kexc"] = np.full(CELLS, -0.05)  # without percolation its default, 0, is where direct runoff has a kink
    if structure.has_network:
        point[WEIGHTS] = 0.1 * random.standard_normal(structure.weights)
    observed = 1.3 * here.simulate(point) + 0.05
    _, gradient = here.cost_and_gradient(observed, point, skip=SKIP)
    assert set(gradient) == set(point)
    for name, values in point.items():
        direction = random.standard_normal(values.shape)
        width = 1e-6 * max(1e-2, np.abs(values).max())
        cost = [
            here.cost_and_gradient(observed, point | {name: values + sign * width * direction}, skip=SKIP)[0]
            for sign in (1, -1)
        ]
        expected = (cost[0] - cost[1]) / (2 * width)
        assert gradient[name] @ direction == pytest.approx(expected, rel=2e-4, abs=1e-8), name


def test_the_order_of_cells_changes_nothing() -> None:
    random = np.random.default_rng(3)
    new = random.permutation(CELLS)
    number = np.argsort(new)
    moved = {name: values[:, new] for name, values in forcing().items()}
    flows_to = DOWNSTREAM[new]
    downstream = np.where(flows_to >= 0, number[flows_to], -1)
    cp = random.uniform(100.0, 300.0, CELLS)
    first = model()
    other = model(downstream=downstream, gauges=[number[5], number[6]], **moved)
    discharge = first.simulate({"cp": cp})
    assert np.array_equal(other.simulate({"cp": cp[new]}), discharge)
    observed = 2.0 * discharge
    (cost, gradient), (again, moved_gradient) = (
        one.cost_and_gradient(observed, {"cp": values}) for one, values in ((first, cp), (other, cp[new]))
    )
    assert again == cost
    assert np.array_equal(moved_gradient["cp"], gradient["cp"][new])


def test_water_is_conserved() -> None:
    """With stores that are full, no exchange and no evaporation, what rains on the basin arrives at its outlet."""
    rain = np.full((2000, CELLS), 0.5)
    here = model(precipitation=rain, pet=np.zeros_like(rain), temperature=None, interception=1e-6)
    discharge = here.simulate({"cp": 10.0, "ct": 10.0, "hp": 0.9})
    assert discharge[0, -1] == pytest.approx(0.5e-3 * CELLS * 1e6 / 3600, rel=1e-3)


def test_a_calibration_finds_the_truth() -> None:
    here, costs = model(), []
    truth = {"cp": 260.0, "ct": 350.0, "kexc": -0.2}
    observed = here.simulate(truth)
    found = here.calibrate(
        observed, train=list(truth), skip=SKIP, iterations=80, callback=lambda number, cost: costs.append(cost)
    )
    assert found.cost < 1e-6
    assert found.scores == pytest.approx([1.0, 1.0], abs=1e-5)
    assert costs == sorted(costs, reverse=True)
    for name, value in truth.items():
        assert found.parameters[name] == pytest.approx(np.full(CELLS, value), rel=0.02)
    assert np.array_equal(found.parameters["akw"], here.defaults()["akw"])
    assert np.array_equal(here.simulate(found.parameters), here.simulate({n: found.parameters[n] for n in truth}))


def test_a_distributed_calibration_has_a_value_for_each_cell_and_keeps_its_bounds() -> None:
    here = model()
    observed = here.simulate({"cp": np.linspace(100.0, 400.0, CELLS)})
    found = here.calibrate(
        observed, mapping="distributed", train=["cp"], bounds={"cp": (150.0, 300.0)}, skip=SKIP, iterations=5
    )
    assert np.ptp(found.parameters["cp"]) > 1.0
    assert found.parameters["cp"].min() >= 150.0
    assert found.parameters["cp"].max() <= 300.0


def test_a_network_is_trained() -> None:
    here = model("grnn")
    observed = 1.2 * here.simulate()
    start = here.defaults() | {WEIGHTS: here.structure.initial_weights(1, 0.1)}
    before = here.cost_and_gradient(observed, start, skip=SKIP)[0]
    found = here.calibrate(observed, start, train=[WEIGHTS], skip=SKIP, iterations=5)
    assert found.cost < before
    assert not np.array_equal(found.parameters[WEIGHTS], start[WEIGHTS])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"downstream": [1, 0]}, "holds a circle"),
        ({"downstream": [1, 7]}, "must be indices of 2 cells"),
        ({"pet": np.zeros((3, 2))}, "has the shape"),
        ({"temperature": np.zeros((3, CELLS))}, "different numbers of steps"),
        ({"structure": Structure("gr", snow="degree_day"), "temperature": None}, "is needed"),
    ],
)
def test_arrays_that_do_not_fit(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        model(**changes)


def test_what_is_asked_wrongly() -> None:
    here = model()
    with pytest.raises(ConfigurationError, match="cq: unknown in this structure"):
        here.simulate({"cq": 1.0})
    with pytest.raises(ConfigurationError, match="has the shape"):
        here.cost_and_gradient(np.zeros((1, STEPS)))
    with pytest.raises(InputError):
        here.cost_and_gradient(np.full((2, STEPS), np.nan))


def test_an_unknown_mapping_is_refused() -> None:
    here = model()
    with pytest.raises(ConfigurationError, match="one of: uniform, distributed"):
        here.calibrate(here.simulate(), mapping="cnn")  # type: ignore[arg-type]


def test_a_snow_structure_asks_for_temperature() -> None:
    assert Structure("gr", snow="degree_day").model.forcings == METEOROLOGICAL_FORCINGS
