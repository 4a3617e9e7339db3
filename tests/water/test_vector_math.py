"""Accuracy of the kernels' own exp, log and roots over their whole range, against a wider NumPy type."""

from __future__ import annotations

import numpy as np
import pytest
from water_harness import over_arrays

from hydrocli.jit import kernel
from hydrocli.water import vector_math

DOUBLE, SINGLE = np.float64, np.float32
WIDER = {DOUBLE: np.longdouble, SINGLE: np.float64}
COUNT = 200_001

TRUTH = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "sqrt": np.sqrt,
    "inverse_fourth_root": lambda x: 1 / np.sqrt(np.sqrt(x)),
}
# Units in the last place: half of one rounds the result, the rest comes from the last operations of the polynomial.
# expm1 and log subtract close to where they cross zero. A wrong coefficient or a lost low part costs hundreds.
ULP = {"exp": 1.5, "expm1": 2.5, "log": 3.0, "sqrt": 0.5, "inverse_fourth_root": 1.5}
LIMITS = {("exp", DOUBLE): (-700.0, 700.0), ("exp", SINGLE): (-87.0, 87.0), "expm1": (-37.0, 40.0)}

compiled = {name: over_arrays(getattr(vector_math, name)) for name in TRUTH}


def domain(name: str, real: type) -> np.ndarray:
    """Numbers over the whole range of a function, dense where it crosses zero."""
    kind = np.finfo(real)
    if name == "exp":
        x = np.linspace(*LIMITS[name, real], COUNT)
    elif name == "expm1":
        small = np.geomspace(kind.tiny, 1.0, COUNT)
        x = np.concatenate([np.linspace(*LIMITS[name], COUNT), small, -small])
    else:
        exponents = np.linspace(np.log2(float(kind.tiny)), np.log2(float(kind.max)) - 1e-6, COUNT)
        near_one = 1.0 + np.linspace(-0.5, 1.0, COUNT)
        x = np.concatenate(
            [np.exp2(exponents), near_one, 1.0 + np.geomspace(1e-15, 1e-2, COUNT), [kind.tiny, kind.max]]
        )
    return x.astype(real)


@pytest.mark.parametrize("real", [DOUBLE, SINGLE])
@pytest.mark.parametrize("name", TRUTH)
def test_a_few_units_in_the_last_place(name, real):
    if np.finfo(WIDER[real]).nmant <= np.finfo(real).nmant:
        pytest.skip("no wider type than double here")
    x = domain(name, real)
    truth = TRUTH[name](x.astype(WIDER[real]))
    found = compiled[name](x)
    assert found.dtype == real
    unit = np.spacing(np.abs(truth).astype(real)).astype(WIDER[real])
    error = np.abs(found.astype(WIDER[real]) - truth) / unit
    worst = int(np.argmax(error))
    assert error[worst] <= ULP[name], f"{error[worst]:.2f} ulp at {x[worst]!r}"


@pytest.mark.parametrize("real", [DOUBLE, SINGLE])
@pytest.mark.parametrize("name", ["exp", "expm1"])
def test_held_at_the_limits_beyond(name, real):
    low, high = np.array(LIMITS.get((name, real), LIMITS.get(name)), real)
    beyond = np.array([low * 2, -np.finfo(real).max, -np.inf, high * 2, np.finfo(real).max, np.inf], real)
    expected = compiled[name](np.array([low, low, low, high, high, high], real))
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(compiled[name](beyond), expected)


def test_expm1_at_its_limits_is_as_good_as_infinity():
    for real in (DOUBLE, SINGLE):
        low, high = compiled["expm1"](np.array(LIMITS["expm1"], real))
        assert low == pytest.approx(-1.0, abs=float(np.finfo(real).eps))
        assert high / (high + 2) == 1.0  # tanh(20), all that production asks


@pytest.mark.parametrize("real", [DOUBLE, SINGLE])
@pytest.mark.parametrize("name", sorted(TRUTH.keys() - {"log"}))  # its reduction reads bits; see the kernels' exam
def test_not_a_number_stays_not_a_number(name, real):
    assert np.isnan(compiled[name](np.array([np.nan], real)))


@pytest.mark.parametrize("real", [DOUBLE, SINGLE])
def test_exact_values(real):
    assert compiled["exp"](np.zeros(1, real)) == 1.0
    assert compiled["expm1"](np.zeros(1, real)) == 0.0
    assert compiled["log"](np.ones(1, real)) == 0.0
    x = np.exp2(np.arange(-100, 101, 4)).astype(real)
    np.testing.assert_array_equal(compiled["sqrt"](x) ** 2, x)
    np.testing.assert_array_equal(compiled["inverse_fourth_root"](x) ** 4 * x, np.ones_like(x))


def test_selects_compiled_as_interpreted():
    numbers = [-2.0, -0.0, 0.0, 1e-300, 3.0, np.inf, -np.inf]

    @kernel
    def largest(x, y):
        return vector_math.maximum(x, y)

    @kernel
    def smallest(x, y):
        return vector_math.minimum(x, y)

    @kernel
    def either(x, y):
        return vector_math.where_positive(x, y, -y)

    pairs = [(x, y) for x in numbers for y in numbers]
    assert [largest(x, y) for x, y in pairs] == [max(x, y) for x, y in pairs]
    assert [smallest(x, y) for x, y in pairs] == [min(x, y) for x, y in pairs]
    assert [either(x, y) for x, y in pairs] == [y if x > 0 else -y for x, y in pairs]
    assert np.isnan(largest(np.nan, 1.0))
    assert np.isnan(smallest(np.nan, 1.0))
    assert either(np.nan, 1.0) == -1.0


def test_interpreted_functions_take_complex_numbers():
    """The exams differentiate by complex step: the imaginary part must be derivative times step."""
    x, step = 0.7, 1e-30
    slopes = {
        "exp": np.exp(x),
        "expm1": np.exp(x),
        "log": 1 / x,
        "sqrt": 0.5 * x**-0.5,
        "inverse_fourth_root": -0.25 * x**-1.25,
    }
    for name, slope in slopes.items():
        value = getattr(vector_math, name)(x + 1j * step)
        assert value.real == pytest.approx(TRUTH[name](x), rel=1e-15)
        assert value.imag / step == pytest.approx(slope, rel=1e-14)
    assert vector_math.maximum(2 + 1j, 1 - 3j) == 2 + 1j
    assert vector_math.minimum(2 + 1j, 1 - 3j) == 1 - 3j
    assert vector_math.where_positive(1e-9 - 5j, 1, 2) == 1
