"""Units of forcing: what is understood, and what turns the values of files into mm per step, mm per day or degrees C.

Amounts are depths (mm, m, kg m-2) of the interval of a field, or rates (mm/h, kg m-2 s-1 ...), which are multiplied by
the length of that interval. Units may be written as UDUNITS or people do: `mm h-1`, `mm/h`, `mm h**-1`, `mm hour-1`.
What is not understood is refused, not guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hydrocli.arrays import Floats
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.values import extremes
from hydrocli.errors import InputError

WETTEST = 2000.0
"""mm: above it a value is no rain, nor evapotranspiration (the record of a day is 1825 mm, La Reunion 1966)."""
COLDEST, HOTTEST = -90.0, 60.0
"""degrees C: a value outside is none of the air (records: -89.2, Vostok 1983, and 56.7, Death Valley 1913)."""

DEPTHS = {"mm": 1.0, "kg m-2": 1.0, "kg/m2": 1.0, "kg/m^2": 1.0, "cm": 10.0, "m": 1000.0}
"""mm in a unit of depth; a kilogram of water on a square metre is a millimetre."""
SECONDS = dict.fromkeys(("s", "sec", "second"), 1) | dict.fromkeys(("min", "minute"), 60)
SECONDS |= dict.fromkeys(("h", "hr", "hour"), 3600) | dict.fromkeys(("d", "day"), 86400)
TEMPERATURES = dict.fromkeys(
    ("degc", "c", "°c", "celsius", "degree_celsius", "degrees_celsius", "deg_c", "degreesc"), 0.0
)
TEMPERATURES |= dict.fromkeys(("k", "kelvin", "degk", "degree_kelvin", "degrees_kelvin"), -273.15)
"""What makes degrees C of a unit of temperature."""
EXAMPLES = {True: "degC or K", False: "mm, mm/h, mm/day, kg m-2 s-1 or m"}


class ImpossibleValueError(InputError):
    """A value that was never measured on earth."""


@dataclass(frozen=True)
class Conversion:
    """From the values of files to mm of an interval, or degrees C: factor * value + offset, with limits of sense.

    Attributes:
        factor: see above.
        offset: see above.
        is_temperature: which limits hold.
    """

    factor: float = 1.0
    offset: float = 0.0
    is_temperature: bool = False

    def apply(self, values: Floats, paths: Sequence[str]) -> Floats:
        """Converted values [rows, n], in an array of their own.

        Args:
            values: of the files.
            paths: name the file of each row.

        Raises:
            ImpossibleValueError: a value is no rain, evapotranspiration or air temperature.
        """
        found, values = values, self.factor * values
        values += self.offset
        coldest, hottest = (COLDEST, HOTTEST) if self.is_temperature else (-math.inf, WETTEST)
        least, most = extremes(values)
        if most > hottest or least < coldest:
            first = int(((values > hottest) | (values < coldest)).argmax())
            raw, value, path = found.ravel()[first], values.ravel()[first], paths[first // values.shape[1]]
            nodata = f"Write `nodata: {raw:.10g}` if this value of the file means missing"
            if not self.is_temperature:
                what = f"has {value:.6g} mm in a step, more than was ever measured in a day"
                raise ImpossibleValueError(path, what, f"Correct `scale_factor` or `unit`. {nodata}.")
            what = f"has a temperature of {value:.6g}, degrees C are expected"
            if value > hottest:
                nodata = "Write `unit: K` if these are kelvin, or `scale_factor: 0.1` for tenths of degrees"
            raise ImpossibleValueError(path, what, f"{nodata}.")
        return values


def conversion_of(
    source: ForcingSource, found: str, interval: int, where: str, *, is_temperature: bool, is_packed: bool = False
) -> tuple[Conversion, str]:
    """What turns the values of a source into mm of an interval or degrees C, and a phrase that says from what.

    Args:
        source: with scale_factor, add_offset, packing and unit.
        found: unit that the files state, empty for none.
        interval: length of the interval of a field [s].
        where: key of the section, such as forcing.pet.
        is_temperature: or an amount of water.
        is_packed: whether the files declare a scale or an offset themselves.

    Raises:
        InputError: a unit is not understood, or that of the files differs from the one stated; or both the files and
            the source have a scale, and nothing says which counts.
    """
    is_scaled = (abs(source.scale_factor), source.add_offset) != (1.0, 0.0)
    if is_packed and is_scaled and source.packing is None:
        what = "the files declare a scale or an offset themselves, and the configuration gives one as well"
        remedy = (
            f"Remove `scale_factor` and `add_offset`, or state `{where}.packing`: apply (both) or ignore (the file's)."
        )
        raise InputError(f"{where}.scale_factor", what, remedy)
    if source.unit is not None:
        unit, phrase = _stated_unit(source.unit, found if not is_scaled else "", interval, where, is_temperature)
    elif found and not is_scaled:
        known = _understood(found, interval, is_temperature=is_temperature)
        if known is None:
            what = f"the files state the unit {found!r}, which is not understood here"
            raise InputError(f"{where}.path", what, f"State it with `{where}.unit`: {EXAMPLES[is_temperature]}.")
        unit, phrase = known, f"{found} (stated by the files)"
    else:
        native = "degC" if is_temperature else f"mm per {_words(interval)}"
        unit, phrase = (1.0, 0.0), f"{native} ({'after scale_factor' if is_scaled else 'assumed'})"
    if is_packed:
        ignored = "ignored" if source.packing == "ignore" else "applied"
        phrase += f", the scale and offset of the files {ignored}"
    if source.scale_factor == -1:
        phrase += ", the sign turned"
    factor, offset = unit
    return Conversion(factor * source.scale_factor, factor * source.add_offset + offset, is_temperature), phrase


def _stated_unit(
    stated: str, found: str, interval: int, where: str, is_temperature: bool
) -> tuple[tuple[float, float], str]:
    """Factor and offset of the unit that the configuration states, and a phrase; refuses another one of the files."""
    unit = _understood(stated, interval, is_temperature=is_temperature)
    if unit is None:
        what = f"{stated!r} is not a unit that is understood here"
        raise InputError(f"{where}.unit", what, f"Write {EXAMPLES[is_temperature]}.")
    theirs = _understood(found, interval, is_temperature=is_temperature) if found else None
    if theirs is not None and theirs != unit:
        what = f"is {stated!r}, but the files state {found!r}"
        raise InputError(f"{where}.unit", what, "Correct the key, or give `scale_factor` if the files are wrong.")
    return unit, f"{stated} (stated by `unit`)"


def _words(seconds: int) -> str:
    return {86400: "day", 3600: "hour"}.get(seconds, f"{seconds // 60} minutes")


def _understood(text: str, interval: int, *, is_temperature: bool) -> tuple[float, float] | None:
    """Factor and offset of a unit, None where it is not understood."""
    text = re.sub(r"\s+", " ", text.strip().strip("[]()").replace("**", "").replace("^", "")).strip()
    if is_temperature:
        offset = TEMPERATURES.get(text.lower().replace(" ", "_"))
        return None if offset is None else (1.0, offset)
    if text in DEPTHS:
        return DEPTHS[text], 0.0
    match = re.fullmatch(r"(.+?) ?(?:/ ?|per )([a-z]+)|(.+) ([a-z]+)-1", text)
    if match is None:
        return None
    depth = DEPTHS.get((match[1] or match[3]).strip())
    length = match[2] or match[4]
    seconds = interval if length in ("step", "timestep") else SECONDS.get(length, SECONDS.get(length.rstrip("s")))
    return None if depth is None or seconds is None else (depth * interval / seconds, 0.0)
