"""Units of forcing: what they are worth, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.units import Conversion, conversion_of
from hydrocli.errors import InputError

HOUR, DAY = 3600, 86400


def worth(found: str, interval: int = HOUR, *, is_temperature: bool = False, **options: object) -> Conversion:
    source = ForcingSource(Path("x"), **options)  # type: ignore[arg-type]
    return conversion_of(source, found, interval, "forcing.x", is_temperature=is_temperature)[0]


@pytest.mark.parametrize(
    ("unit", "of_an_hour", "of_a_day"),
    [
        ("mm", 1, 1),
        ("mm/h", 1, 24),
        ("mm h-1", 1, 24),
        ("mm hour^-1", 1, 24),
        ("mm/day", 1 / 24, 1),
        ("mm d-1", 1 / 24, 1),
        ("kg m-2", 1, 1),
        ("kg m-2 s-1", 3600, 86400),
        ("kg m**-2 s**-1", 3600, 86400),
        ("m", 1000, 1000),
        ("m s-1", 3.6e6, 8.64e7),
        ("[cm]", 10, 10),
    ],
)
def test_depths_and_rates(unit: str, of_an_hour: float, of_a_day: float) -> None:
    assert worth(unit).factor == pytest.approx(of_an_hour, rel=1e-15)
    assert worth("", DAY, unit=unit).factor == pytest.approx(of_a_day, rel=1e-15)


@pytest.mark.parametrize("unit", ["inch", "mm/month", "mm/1h", "K", "%", "mm mm", "mm-1", "1"])
def test_what_is_no_depth_is_refused(unit: str) -> None:
    with pytest.raises(InputError, match="which is not understood here"):
        worth(unit)
    with pytest.raises(InputError, match="is not a unit that is understood here"):
        worth("", unit=unit)


def test_temperatures() -> None:
    for unit in ("K", "kelvin"):
        assert worth(unit, is_temperature=True).apply(np.array([[283.15]]), [""])[0, 0] == pytest.approx(
            10.0, abs=1e-12
        )
    for unit in ("degC", "°C", "degrees Celsius", "celsius"):
        assert worth(unit, is_temperature=True) == Conversion(1.0, 0.0, True)
    with pytest.raises(InputError, match="'degF', which is not understood"):
        worth("degF", is_temperature=True)


def test_scale_and_offset_come_before_the_unit() -> None:
    tenths = worth("", scale_factor=0.1, unit="mm/day")
    assert tenths.apply(np.array([[240.0]]), [""])[0, 0] == pytest.approx(1.0, rel=1e-15)
    packed = worth("", is_temperature=True, scale_factor=0.01, add_offset=273.15, unit="K")
    assert packed.apply(np.array([[-200.0]]), [""])[0, 0] == pytest.approx(-2.0, abs=1e-12)


def test_the_unit_of_files_counts_for_their_own_values_only() -> None:
    """Values that the configuration rescales are in its unit, mm where it names none."""
    assert worth("furlong", scale_factor=0.1) == Conversion(0.1)
    assert worth("mm", unit="kg m-2") == Conversion()
    with pytest.raises(InputError, match="is 'mm', but the files state 'm'"):
        worth("m", unit="mm")


@pytest.mark.parametrize(
    ("value", "is_temperature", "words"),
    [
        (2000.1, False, "more than was ever measured in a day"),
        (283.15, True, "unit: K"),
        (-9999.0, True, "Write `nodata: -9999` if this value"),
    ],
)
def test_values_out_of_all_sense_are_refused(value: float, is_temperature: bool, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Conversion(is_temperature=is_temperature).apply(np.array([[1.0, np.nan, value]]), ["a.tif"])
    Conversion(is_temperature=is_temperature).apply(np.array([[1.0, np.nan]]), ["a.tif"])
