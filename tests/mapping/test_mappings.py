"""Every mapping: its transpose by dot product against complex step, bounds, first guesses, chains of stages."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import correlate

import hydrocli.mapping
from hydrocli.errors import ConfigurationError, Errors, InputError
from hydrocli.mapping.bounds import bounded, bounded_transpose, normalised
from hydrocli.mapping.cnn import Cnn
from hydrocli.mapping.combined import Combined
from hydrocli.mapping.descriptors import Scaling
from hydrocli.mapping.distributed import Distributed
from hydrocli.mapping.fixed import Fixed
from hydrocli.mapping.layers import Layers
from hydrocli.mapping.mapping import DescriptorMapping, Mapping
from hydrocli.mapping.mlp import Mlp
from hydrocli.mapping.multilinear import Multilinear
from hydrocli.mapping.multipower import Multipower
from hydrocli.mapping.rows import ParameterRow, continued
from hydrocli.mapping.started import Started
from hydrocli.mapping.uniform import Uniform
from hydrocli.mapping.window import Window

N_CELLS = 7
CELLS = np.array([True, True, False, True, True, False, True])
FIELD = np.linspace(0.2, 0.9, N_CELLS)


def rows() -> list[ParameterRow]:
    return [
        ParameterRow("cp", 1e-6, 1000.0, 200.0),
        ParameterRow("ct", 1e-6, 1000.0, 500.0, calibrated=False),
        ParameterRow("kexc", -50.0, 50.0, 0.0),
        ParameterRow("bkw", 1e-3, 1.0, FIELD, calibrated=False),
        ParameterRow("hp", 1e-6, 0.999999, FIELD),
    ]


# A descriptor that is 0 and 1 somewhere, one beyond [0, 1], as on a basin to which a mapping is carried.
DESCRIPTORS = np.array([np.linspace(0.0, 1.0, N_CELLS), np.linspace(-0.3, 1.2, N_CELLS) ** 2, FIELD])
NAMES = ("slope", "forest", "dd")
PLACE = np.array([2, 2, 3, 3, 3, 4, 6]), np.array([7, 8, 7, 8, 9, 8, 0])  # the last cell has no neighbour


def uniform_rows() -> list[ParameterRow]:
    """The calibrated rows begin at one value, kexc at a bound."""
    return [replace(row, value={"kexc": -50.0, "hp": 0.3}.get(row.symbol, row.value)) for row in rows()]


def multilinear(**options: object) -> Multilinear:
    return Multilinear(uniform_rows(), CELLS, DESCRIPTORS, NAMES, **{"used": {}} | options)


def multipower(**options: object) -> Multipower:
    return Multipower(uniform_rows(), CELLS, DESCRIPTORS, NAMES, **{"used": {}} | options)


def mlp(**options: object) -> Mlp:
    return Mlp(uniform_rows(), CELLS, DESCRIPTORS, **{"hidden": (5, 4)} | options)


def cnn(**options: object) -> Cnn:
    return Cnn(uniform_rows(), CELLS, DESCRIPTORS, PLACE, **{"channels": (4, 3)} | options)


def combined() -> Combined:
    """A network for cp and hp, one value of kexc."""
    ours = [replace(row, calibrated=row.symbol in ("cp", "hp")) for row in uniform_rows()]
    others = [replace(row, calibrated=row.symbol == "kexc") for row in uniform_rows()]
    parts = Mlp(ours, CELLS, DESCRIPTORS, (5,)), Uniform(others, CELLS)
    return Combined(parts, [np.array([0, 4]), np.array([2])])


def started() -> Started:
    """Every second control of the two parts."""
    whole = combined()
    size = whole.lower.size
    return Started(whole, np.linspace(0.1, 0.9, size), np.arange(size) % 2 == 0)


SOME = {"cp": ("slope",), "kexc": ("forest", "dd")}
KINDS: dict[str, Callable[[], Mapping]] = {
    "uniform": lambda: Uniform(rows(), CELLS),
    "distributed": lambda: Distributed(rows(), CELLS),
    "fixed": lambda: Fixed(rows(), CELLS),
    "multilinear": multilinear,
    "multilinear of some": lambda: multilinear(used=SOME),
    "multipower": multipower,
    "multipower of some": lambda: multipower(used=SOME),
    "mlp": mlp,
    "mlp without hidden layers": lambda: mlp(hidden=()),
    "mlp silu": lambda: mlp(activation="silu", initialisation="glorot"),
    "mlp tanh": lambda: mlp(hidden=(3, 4, 5), activation="tanh"),
    "cnn": cnn,
    "cnn silu": lambda: cnn(activation="silu", channels=(3,), width=5),
    "cnn tanh": lambda: cnn(activation="tanh", width=1, initialisation="glorot"),
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
            if hasattr(kind, "transpose") and kind not in (Mapping, DescriptorMapping, Layers, Window):
                found.add(kind)
    assert found == {type(build()) for build in KINDS.values()}


def test_fixed_maps_have_no_control_and_owe_nothing() -> None:
    mapping = Fixed(rows(), CELLS)
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
    with pytest.raises(Errors, match="parameter hp: its first guess varies in space"):
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
    assert len(set(mapping.places)) == len(mapping.places) == len(mapping.names)
    last = max(place.layer for place in mapping.places)
    rng = np.random.default_rng(3)
    control = mapping.first_guess()
    before = mapping.parameters(control)
    for number, place in enumerate(mapping.places):
        if place.layer == last and place.array == "bias":
            moved = control.copy()
            moved[number] += rng.uniform(0.5, 1.0)
            changed = (mapping.parameters(moved) != before).any(axis=1)
            np.testing.assert_array_equal(np.flatnonzero(changed), [[0, 2, 4][place.unit]])


def test_multilinear_by_hand() -> None:
    mapping = multilinear(used=SOME)
    assert mapping.names == ("cp", "kexc", "hp", "cp[slope]", "kexc[forest]", "kexc[dd]", *HP)
    control = np.array([0.1, 0.2, 0.3, 2.0, -1.0, 0.5, 0.0, 0.0, 1.0])
    theta = mapping.parameters(control)
    slope, forest, dd = DESCRIPTORS
    np.testing.assert_allclose(theta[0], 1e-6 + (1000 - 1e-6) / (1 + np.exp(-0.1 - 2 * slope)), rtol=1e-13)
    np.testing.assert_allclose(theta[2], -50 + 100 / (1 + np.exp(-0.2 + forest - 0.5 * dd)), rtol=1e-12)
    np.testing.assert_allclose(theta[4], 1e-6 + (0.999999 - 1e-6) / (1 + np.exp(-0.3 - dd)), rtol=1e-13)


HP = ("hp[slope]", "hp[forest]", "hp[dd]")


def test_multipower_cuts_descriptors_and_has_a_derivative_at_zero() -> None:
    """D = 0 in the first cell: its power is 0 for every exponent, so neither slope nor exponent moves it."""
    mapping = multipower(used=dict.fromkeys(("cp", "kexc", "hp"), ("slope", "forest")))
    assert mapping.names[3:5] == ("cp[slope]", "cp[forest]")
    assert mapping.names[9:11] == ("cp[slope exponent]", "cp[forest exponent]")
    control = mapping.first_guess()
    control[3:9] = [1.5, 0.7, 0.3, 0.2, 0.1, 0.4]
    control[9:] = [0.5, 2.0, 1.0, 1.3, 1.9, 0.6]
    slope, forest = DESCRIPTORS[0], DESCRIPTORS[1].clip(0, 1)
    x = np.log(200 / 800) + 1.5 * np.sqrt(slope) + 0.7 * forest**2
    np.testing.assert_allclose(mapping.parameters(control)[0], 1000 / (1 + np.exp(-x)), rtol=1e-7)
    only_first = np.zeros((5, N_CELLS))
    only_first[:, 0] = 1.0
    gradient = dict(zip(mapping.names, mapping.transpose(control, only_first), strict=True))
    assert gradient["cp[slope]"] == gradient["cp[slope exponent]"] == 0
    assert gradient["cp"] > 0
    assert gradient["cp[forest exponent]"] < 0
    assert (mapping.lower[9:] == 0.5).all()
    assert (mapping.upper[9:] == 2.0).all()


@pytest.mark.parametrize(("activation", "function"), [("relu", lambda x: np.maximum(x, 0)), ("tanh", np.tanh)])
def test_mlp_by_hand(activation: str, function: Callable) -> None:
    mapping = mlp(hidden=(2,), activation=activation)
    assert len(mapping.names) == 2 * 3 + 2 + 3 * 2 + 3
    assert (mapping.names[0], mapping.names[-1]) == ("phi2[0]", "phi2[16]")
    control = np.linspace(-1.0, 1.5, 17)
    first, second = control[:6].reshape(2, 3), control[8:14].reshape(3, 2)
    x = second @ function(first @ DESCRIPTORS + control[6:8, None]) + control[14:, None]
    np.testing.assert_allclose(mapping.parameters(control)[2], -50 + 100 / (1 + np.exp(-x[1])), rtol=1e-12)
    assert mapping.places[3] == (1, "weight", 1, 0, None)
    assert mapping.places[7] == (1, "bias", 1, None, None)


def test_controls_at_rest_stay_where_they_are() -> None:
    mapping, whole = started(), combined()
    assert mapping.names == whole.names[::2]
    np.testing.assert_array_equal(mapping.filled(mapping.first_guess()), np.linspace(0.1, 0.9, whole.lower.size))
    filled = mapping.filled(np.zeros(mapping.lower.size))
    np.testing.assert_array_equal(filled[1::2], np.linspace(0.1, 0.9, whole.lower.size)[1::2])
    assert not filled[::2].any()


def test_first_weights_follow_their_scheme_and_seed() -> None:
    """He: uniform within sqrt(6 / fan in); Glorot: within sqrt(6 / (fan in + fan out)); windows count as units."""
    for build, fans in ((mlp, [(3, 40), (40, 30)]), (cnn, [(27, 360), (360, 270)])):
        for scheme, limit in (("he", lambda i, _: 6 / i), ("glorot", lambda i, o: 6 / (i + o))):
            size = {"hidden": (40, 30)} if build is mlp else {"channels": (40, 30)}
            control = build(**size, initialisation=scheme).first_guess()
            at = 0
            for (fan_in, fan_out), outputs in zip(fans, (40, 30), strict=True):
                weights = control[at : at + outputs * fan_in]
                bound = np.sqrt(limit(fan_in, fan_out))
                assert 0.9 * bound < np.abs(weights).max() < bound
                assert abs(weights.mean()) < 4 * bound / np.sqrt(3 * weights.size)
                assert not control[at + weights.size : at + weights.size + outputs].any()
                at += weights.size + outputs
            assert not control[at : at + 90].any()  # of the last layer
    guesses = [mlp(seed=seed).first_guess() for seed in (1, 1, 2)]
    np.testing.assert_array_equal(guesses[0], guesses[1])
    assert (guesses[0] != guesses[2]).any()


def test_cnn_agrees_with_convolutions_of_the_raster() -> None:
    """scipy's correlation over the whole raster, zero beyond its edge, with the mask before each convolution."""
    row, column = PLACE
    mask = np.zeros((9, 11))
    mask[row, column] = 1
    mapping = cnn(channels=(2, 2), activation="tanh")
    control = np.random.default_rng(5).normal(size=len(mapping.names))
    planes, at = np.zeros((3, 9, 11)), 0
    planes[:, row, column] = DESCRIPTORS
    for inputs in (3, 2):
        kernels, at = control[at : at + 18 * inputs].reshape(2, inputs, 3, 3), at + 18 * inputs
        biases, at = control[at : at + 2], at + 2
        sums = [sum(correlate(p * mask, k, mode="constant") for p, k in zip(planes, o, strict=True)) for o in kernels]
        planes = np.tanh(np.array(sums) + biases[:, None, None])
    x = control[at : at + 6].reshape(3, 2) @ planes[:, row, column] + control[at + 6 :, None]
    np.testing.assert_allclose(mapping.parameters(control)[2], -50 + 100 / (1 + np.exp(-x[1])), rtol=1e-11)
    assert mapping.places[10] == (1, "weight", 0, 1, 1)
    assert mapping.places[-3] == (3, "bias", 0, None, None)
    assert mapping.places[-9] == (3, "weight", 0, 0, None)


def test_cnn_does_not_care_for_the_order_of_cells_or_for_what_is_far() -> None:
    rng = np.random.default_rng(6)
    control = rng.normal(size=len(cnn().names))
    maps = cnn().parameters(control)
    order = rng.permutation(N_CELLS)
    fields = [replace(r, value=r.value if np.isscalar(r.value) else r.value[order]) for r in uniform_rows()]
    place = PLACE[0][order], PLACE[1][order]
    permuted = Cnn(fields, CELLS[order], DESCRIPTORS[:, order], place, (4, 3))
    np.testing.assert_allclose(permuted.parameters(control), maps[:, order], rtol=1e-13)
    # Two convolutions of width 3 see two cells far: the new cell is three away from all others.
    far = [replace(r, value=r.value if np.isscalar(r.value) else np.append(r.value, 0.5)) for r in uniform_rows()]
    place = np.append(PLACE[0], 9), np.append(PLACE[1], 12)
    more = Cnn(far, np.append(CELLS, True), np.c_[DESCRIPTORS, [5.0, -5.0, 3.0]], place, (4, 3))
    np.testing.assert_allclose(more.parameters(control)[:, :N_CELLS], maps, rtol=1e-13)


def test_descriptors_are_scaled_by_the_range_of_the_basin_wherever_they_are() -> None:
    fields = {"slope": np.array([2.0, 4.0, 6.0]), "dd": np.array([-1.0, 0.0, 1.0]), "flat": np.ones(3)}
    scaling = Scaling.over(("dd", "slope"), fields, np.array([True, True, False]))
    np.testing.assert_array_equal(scaling.scaled(fields), [[0, 0.5, 1], [0, 0.5, 1]])
    np.testing.assert_array_equal(scaling.scaled({"dd": np.array([3.0]), "slope": np.array([0.0])}), [[2.0], [-0.5]])
    elsewhere = {"dd": np.array([3.0, -0.5]), "slope": np.array([0.0, 5.0])}
    np.testing.assert_array_equal(scaling.scaled(elsewhere, hold=True), [[0.5, 0.25], [0.0, 0.5]])
    assert {name: flags.tolist() for name, flags in scaling.unseen(elsewhere).items()} == {
        "dd": [True, False],
        "slope": [True, True],
    }
    every = np.ones(3, bool)
    with pytest.raises(Errors, match="descriptor flat: is the same in all cells"):
        Scaling.over(("flat",), fields, every)
    with pytest.raises(Errors, match=r"basin.descriptors: slope is not there.*\n.*\nbasin.descriptors: dd"):
        Scaling(("slope", "dd"), *np.array([[0, 0], [1, 1]] * 2)).scaled({})
    with pytest.raises(Errors, match="descriptor dd: is missing in 2 of 3 cells") as raised:
        Scaling.over(("slope", "dd"), fields | {"dd": np.array([np.nan, 1.0, np.nan])}, every)
    assert raised.value.exit_status == InputError.exit_status


def test_bounds_are_met_exactly_and_inverted() -> None:
    lower, upper = np.array([1e-6, 1e-3, -50.0, 0.1]), np.array([1000.0, 1.0, 50.0, 0.3])
    assert np.array_equal(bounded(np.zeros(4), lower, upper), lower)
    assert np.array_equal(bounded(np.ones(4), lower, upper), upper)
    z = np.array([0.1, 0.3, 0.7, 0.9])
    np.testing.assert_allclose(normalised(bounded(z, lower, upper), lower, upper), z, rtol=1e-13)
    dot = np.vdot(bounded(z + 1e-30j, lower, upper).imag / 1e-30, z)
    assert np.vdot(np.ones(4), bounded_transpose(z, lower, upper, z)) == pytest.approx(dot, rel=1e-14)


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
    distributed = Distributed(continued(rows(), found), CELLS)
    np.testing.assert_allclose(distributed.parameters(distributed.first_guess()), found, rtol=1e-14)
    back = Uniform(continued(rows(), found), CELLS)
    np.testing.assert_allclose(back.first_guess(), [1.0, 0.0, 0.3], rtol=1e-14)


def test_first_guesses_outside_the_bounds_are_refused_all_at_once() -> None:
    field = FIELD.copy()
    field[3], field[5] = np.nan, 7.0
    broken = [ParameterRow("cp", 1.0, 1000.0, 0.5), ParameterRow("ct", 1.0, 9.0, 9.0), ParameterRow("hp", 0, 1, field)]
    with pytest.raises(Errors) as raised:
        Distributed(broken, CELLS)
    first, second = raised.value.errors
    assert (first.where, first.what) == ("parameter cp", "the value 0.5 is outside the bounds [1, 1000]")
    assert (second.where, second.what) == ("parameter hp", "the value nan in cell 3 is outside the bounds [0, 1]")
    assert raised.value.exit_status == ConfigurationError.exit_status


def test_empty_bounds_and_nothing_calibrated_are_refused() -> None:
    with pytest.raises(Errors, match=r"cp: the bounds \[5, 5\] leave nothing between them"):
        Uniform([ParameterRow("cp", 5.0, 5.0, 5.0)], CELLS)
    with pytest.raises(Errors, match="no parameter is calibrated"):
        Uniform([ParameterRow("cp", 5.0, 5.0, 5.0, calibrated=False)], CELLS)
