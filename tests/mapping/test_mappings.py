"""Every mapping: its transpose by dot product against complex step, bounds, first guesses, chains of stages."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mapping_harness import (
    CELLS,
    FIELD,
    N_CELLS,
    cnn,
    combined,
    mlp,
    multilinear,
    multipower,
    rows,
    started,
    uniform_rows,
)

import hydrocli.mapping
from hydrocli.errors import ConfigurationError, Errors
from hydrocli.mapping.bounds import denormalise, denormalise_transpose, normalise
from hydrocli.mapping.composition import FrozenMapping
from hydrocli.mapping.direct import Distributed, Uniform
from hydrocli.mapping.layers import Layers, Neighbourhood
from hydrocli.mapping.mapping import DescriptorMapping, Mapping
from hydrocli.mapping.parameter_table import ParameterSpec, with_values

SOME = {"cp": ("slope",), "kexc": ("forest", "dd")}
KINDS: dict[str, Callable[[], Mapping]] = {
    "uniform": lambda: Uniform(rows(), CELLS),
    "distributed": lambda: Distributed(rows(), CELLS),
    "fixed": lambda: FrozenMapping(rows(), CELLS),
    "multilinear": multilinear,
    "multilinear of some": lambda: multilinear(used=SOME),
    "multipower": multipower,
    "multipower of some": lambda: multipower(used=SOME),
    "mlp": mlp,
    "mlp without hidden layers": lambda: mlp(hidden=()),
    "mlp silu": lambda: mlp(activation="silu", initialisation="he"),
    "mlp tanh": lambda: mlp(hidden=(3, 4, 5), activation="tanh"),
    "cnn": cnn,
    "cnn silu": lambda: cnn(activation="silu", channels=(3,), width=5),
    "cnn tanh": lambda: cnn(activation="tanh", width=1, initialisation="he"),
    "combined": combined,
    "started": started,
}
every_kind = pytest.mark.parametrize("build", KINDS.values(), ids=KINDS)
by_descriptors = pytest.mark.parametrize("build", [multilinear, multipower, mlp, cnn])


def test_no_mapping_escapes_the_exam() -> None:
    """Parts of mappings, layers and windows, are examined within them."""
    found = set()
    for module in pkgutil.iter_modules(hydrocli.mapping.__path__):
        for _, kind in inspect.getmembers(importlib.import_module(f"hydrocli.mapping.{module.name}"), inspect.isclass):
            if hasattr(kind, "transpose") and kind not in (Mapping, DescriptorMapping, Layers, Neighbourhood):
                found.add(kind)
    assert found == {type(build()) for build in KINDS.values()}


def test_fixed_maps_have_no_control_and_owe_nothing() -> None:
    mapping = FrozenMapping(rows(), CELLS)
    assert mapping.lower.size == mapping.first_guess().size == len(mapping.names) == 0
    maps = mapping.parameters(mapping.first_guess())
    for values, row in zip(maps, rows(), strict=True):
        np.testing.assert_array_equal(values, np.broadcast_to(row.value, N_CELLS))
    assert mapping.transpose(mapping.first_guess(), np.ones_like(maps)).size == 0


@every_kind
def test_transpose_by_dot_product_and_complex_step(build) -> None:
    """<J dz, y> = <dz, J^T y>; complex step has no truncation, so 1e-12 leaves room for rounding only."""
    mapping = build()
    rng = np.random.default_rng(1)
    z, dz = rng.uniform(0.1, 0.9, (2, mapping.lower.size))
    z = np.where(np.isinf(mapping.lower), 2.0 * z - 1.0, z)  # weights of both signs
    parameters_bar = rng.normal(size=(5, N_CELLS))
    forward = np.vdot(mapping.parameters(z + 1e-30j * dz).imag / 1e-30, parameters_bar)
    backward = np.vdot(dz, mapping.transpose(z, parameters_bar))
    assert forward == pytest.approx(backward, rel=1e-12)


@every_kind
def test_transpose_takes_nothing_from_fixed_rows(build) -> None:
    mapping = build()
    parameters_bar = np.zeros((5, N_CELLS))
    parameters_bar[[1, 3]] = 1.0
    assert not mapping.transpose(mapping.first_guess(), parameters_bar).any()


@every_kind
def test_maps_stay_within_their_bounds_and_fixed_rows_as_they_are(build) -> None:
    """Whatever the control: weights of the size of 1e3 saturate the sigmoid, and neither overflow nor pass a bound."""
    mapping = build()
    rng = np.random.default_rng(2)
    low, high = np.maximum(mapping.lower, -1e3), np.minimum(mapping.upper, 1e3)
    for control in (low, high, rng.uniform(low, high), mapping.first_guess()):
        maps = mapping.parameters(control)
        assert maps.shape == (5, N_CELLS)
        for values, row in zip(maps, rows(), strict=True):
            if row.calibrated:
                assert (values >= row.lower).all()
                assert (values <= row.upper).all()
            else:
                np.testing.assert_array_equal(values, np.broadcast_to(row.value, N_CELLS))
        assert np.isfinite(mapping.transpose(control, np.ones((5, N_CELLS)))).all()


@every_kind
def test_every_control_has_its_own_name(build) -> None:
    mapping = build()
    assert len(set(mapping.names)) == len(mapping.names) == mapping.lower.size == mapping.first_guess().size


@by_descriptors
def test_a_mapping_by_descriptors_starts_as_the_uniform_one(build) -> None:
    """A value at a bound is moved inside by a thousandth of the width, where the sigmoid still has a slope."""
    maps = build().parameters(build().first_guess())
    for values, expected in zip(maps[[0, 2, 4]], [200.0, -49.9, 0.3], strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-12)
        assert np.ptp(values) == 0


@by_descriptors
def test_a_mapping_by_descriptors_starts_from_no_map(build) -> None:
    varied = [replace(row, value=FIELD) if row.symbol == "hp" else row for row in uniform_rows()]
    mapping = build()
    mapping._rows = type(mapping._rows).stack(varied, N_CELLS)
    with pytest.raises(Errors, match="parameter hp: the first guess varies in space"):
        mapping.first_guess()


@by_descriptors
def test_the_first_gradient_parts_the_cells(build) -> None:
    """With last weights of zero, those of the layers before owe nothing yet; the last weights do."""
    mapping = build()
    parameters_bar = np.zeros((5, N_CELLS))
    parameters_bar[0] = np.linspace(-1.0, 1.0, N_CELLS)
    control = mapping.first_guess()
    gradient = mapping.transpose(control, parameters_bar)
    assert np.abs(gradient).max() > 0
    assert np.ptp(mapping.parameters(control - 1e-3 * gradient)[0]) > 0


@by_descriptors
def test_places_tell_where_a_control_stands(build) -> None:
    mapping = build()
    assert len(set(mapping.weight_indices)) == len(mapping.weight_indices) == len(mapping.names)
    last = max(place.layer for place in mapping.weight_indices)
    rng = np.random.default_rng(3)
    control = mapping.first_guess()
    before = mapping.parameters(control)
    for number, place in enumerate(mapping.weight_indices):
        if place.layer == last and place.array == "bias":
            moved = control.copy()
            moved[number] += rng.uniform(0.5, 1.0)
            changed = (mapping.parameters(moved) != before).any(axis=1)
            np.testing.assert_array_equal(np.flatnonzero(changed), [[0, 2, 4][place.unit]])


def test_bounds_are_met_exactly_and_inverted() -> None:
    lower, upper = np.array([1e-6, 1e-3, -50.0, 0.1]), np.array([1000.0, 1.0, 50.0, 0.3])
    assert np.array_equal(denormalise(np.zeros(4), lower, upper), lower)
    assert np.array_equal(denormalise(np.ones(4), lower, upper), upper)
    z = np.array([0.1, 0.3, 0.7, 0.9])
    np.testing.assert_allclose(normalise(denormalise(z, lower, upper), lower, upper), z, rtol=1e-13)
    dot = np.vdot(denormalise(z + 1e-30j, lower, upper).imag / 1e-30, z)
    assert np.vdot(np.ones(4), denormalise_transpose(z, lower, upper, z)) == pytest.approx(dot, rel=1e-14)


def test_uniform_is_one_value_and_starts_from_the_mean_of_a_field() -> None:
    mapping = Uniform(rows(), CELLS)
    assert mapping.names == ("cp", "kexc", "hp")
    theta = mapping.parameters(mapping.first_guess())
    np.testing.assert_allclose(theta[0], 200.0, rtol=1e-14)
    np.testing.assert_allclose(theta[2], 0.0, atol=1e-13)
    np.testing.assert_allclose(theta[4], FIELD[CELLS].mean(), rtol=1e-14)
    assert np.array_equal(theta[[1, 3]], [np.full(N_CELLS, 500.0), FIELD])


def test_distributed_has_controls_in_the_calibrated_cells_only() -> None:
    mapping = Distributed(rows(), CELLS)
    assert mapping.names[:5] == ("cp[0]", "cp[1]", "cp[3]", "cp[4]", "cp[6]")
    assert len(mapping.names) == mapping.lower.size == 15
    control = mapping.first_guess()
    np.testing.assert_allclose(mapping.parameters(control)[4], FIELD, rtol=1e-14)
    control[:] = 1.0
    theta = mapping.parameters(control)
    assert np.array_equal(theta[0], np.where(CELLS, 1000.0, 200.0))
    assert np.array_equal(theta[4], np.where(CELLS, 0.999999, FIELD))
    theta = mapping.parameters(np.arange(15.0) / 15)
    assert mapping.names[7] == "kexc[3]"
    assert theta[2, 3] == pytest.approx(-50 + 100 * 7 / 15)


def test_a_distributed_stage_goes_on_from_a_uniform_one_and_back() -> None:
    uniform = Uniform(rows(), CELLS)
    found = uniform.parameters(np.array([1.0, 0.0, 0.3]))  # at the bounds, too
    distributed = Distributed(with_values(rows(), found), CELLS)
    np.testing.assert_allclose(distributed.parameters(distributed.first_guess()), found, rtol=1e-14)
    back = Uniform(with_values(rows(), found), CELLS)
    np.testing.assert_allclose(back.first_guess(), [1.0, 0.0, 0.3], rtol=1e-14)


def test_first_guesses_outside_the_bounds_are_refused_all_at_once() -> None:
    field = FIELD.copy()
    field[3], field[5] = np.nan, 7.0
    broken = [
        ParameterSpec("cp", 1.0, 1000.0, 0.5),
        ParameterSpec("ct", 1.0, 9.0, 9.0),
        ParameterSpec("hp", 0, 1, field),
    ]
    with pytest.raises(Errors) as raised:
        Distributed(broken, CELLS)
    first, second = raised.value.errors
    assert (first.where, first.what) == ("parameter cp", "the value 0.5 is outside the bounds [1, 1000]")
    assert (second.where, second.what) == ("parameter hp", "the value nan in cell 3 is outside the bounds [0, 1]")
    assert raised.value.exit_status == ConfigurationError.exit_status


def test_empty_bounds_and_nothing_calibrated_are_refused() -> None:
    with pytest.raises(Errors, match=r"cp: the bounds \[5, 5\] are not an interval"):
        Uniform([ParameterSpec("cp", 5.0, 5.0, 5.0)], CELLS)
    with pytest.raises(Errors, match="no parameter is calibrated"):
        Uniform([ParameterSpec("cp", 5.0, 5.0, 5.0, calibrated=False)], CELLS)
