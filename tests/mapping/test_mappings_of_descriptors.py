"""Mappings by descriptors, one by one: by hand, by the scheme of their first weights, by a raster of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mapping_harness import (
    CELLS,
    DESCRIPTORS,
    N_CELLS,
    PLACE,
    cnn,
    combined,
    mlp,
    multilinear,
    multipower,
    started,
    uniform_rows,
)
from scipy.ndimage import correlate

from hydrocli.errors import Errors, InputError
from hydrocli.mapping.descriptors import Scaling
from hydrocli.mapping.neural import Cnn

SOME = {"cp": ("slope",), "kexc": ("forest", "dd")}


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
    assert mapping.weight_indices[3] == (1, "weight", 1, 0, None)
    assert mapping.weight_indices[7] == (1, "bias", 1, None, None)


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
    assert mapping.weight_indices[10] == (1, "weight", 0, 1, 1)
    assert mapping.weight_indices[-3] == (3, "bias", 0, None, None)
    assert mapping.weight_indices[-9] == (3, "weight", 0, 0, None)


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
    np.testing.assert_array_equal(scaling.scaled(elsewhere, clamp=True), [[0.5, 0.25], [0.0, 0.5]])
    assert {name: flags.tolist() for name, flags in scaling.unseen(elsewhere).items()} == {
        "dd": [True, False],
        "slope": [True, True],
    }
    every = np.ones(3, bool)
    with pytest.raises(Errors, match="descriptor flat: has the same value in all cells"):
        Scaling.over(("flat",), fields, every)
    with pytest.raises(Errors, match=r"basin.descriptors: slope is missing.*\n.*\nbasin.descriptors: dd"):
        Scaling(("slope", "dd"), *np.array([[0, 0], [1, 1]] * 2)).scaled({})
    with pytest.raises(Errors, match="descriptor dd: is missing in 2 of 3 cells") as raised:
        Scaling.over(("slope", "dd"), fields | {"dd": np.array([np.nan, 1.0, np.nan])}, every)
    assert raised.value.exit_status == InputError.exit_status
