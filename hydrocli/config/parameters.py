"""Sections `parameters` and `initial`: values, bounds, what is calibrated, and what comes from a parent run.

Symbols, defaults and bounds are those of `hydrocli.names`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from hydrocli.config.base import InputPath, Location, Number, Section, Switch, raise_validation_errors
from hydrocli.names import INITIAL_LEVELS, PARAMETERS, STATES, Quantity

Problem = tuple[Location, str, str]

LEVELS = {symbol: STATES[symbol] for symbol in ("hi", *INITIAL_LEVELS)}


class _Filled(Section):
    """A section whose keys are all filled in from the table of names, though they have no default of their own."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))


class Level(_Filled):
    """A number that is never calibrated."""

    value: Number | None = Field(None, description="value in all cells; default with `from`: the values of that run")


class Setting(Level):
    """A number that may be calibrated."""

    bounds: tuple[Number, Number] = Field(description="lower and upper bound of the calibration")
    calibrated: Switch = Field(description="whether a calibration changes it")


def _described(quantity: Quantity) -> Any:
    bounds = f"{quantity.lower:g} to {quantity.upper:g}"
    return Field(description=f"{quantity.long_name} [{quantity.unit}]; default {quantity.default:g}, bounds {bounds}")


def _filled(data: Any, quantities: dict[str, Quantity], *, calibrated: bool) -> Any:
    """Data with the settings that were left out; a value only where no other run gives it."""
    if data is not None and not isinstance(data, dict):
        return data
    filled = dict(data or {})
    for symbol, quantity in quantities.items():
        defaults: dict[str, Any] = {} if filled.get("from") is not None else {"value": quantity.default}
        if symbol != "hi":
            defaults |= {"bounds": (quantity.lower, quantity.upper), "calibrated": calibrated}
        given = {} if filled.get(symbol) is None else filled[symbol]
        if isinstance(given, dict):
            given = given | {key: default for key, default in defaults.items() if given.get(key) is None}
        filled[symbol] = given
    return filled


def _possible(value: float, quantity: Quantity) -> bool:
    """Levels stay within their table; capacities and the kinematic wave above 0; the exchange may have any sign."""
    if quantity.symbol in LEVELS:
        return (quantity.lower or 0) <= value <= (quantity.upper or 1)
    return value > 0 or (quantity.lower or 0) < 0


def _problems(setting: Level, quantity: Quantity) -> list[Problem]:
    symbol = quantity.symbol
    bounds = setting.bounds if isinstance(setting, Setting) else ()
    problems: list[Problem] = [
        (
            (symbol, key),
            f"{value:g} is not possible",
            f"{quantity.long_name} [{quantity.unit}] must be {_range(quantity)}",
        )
        for key, values in (("value", (setting.value,)), ("bounds", bounds))
        for value in values
        if value is not None and not _possible(value, quantity)
    ]
    if problems or not isinstance(setting, Setting):
        return problems
    lower, upper = setting.bounds
    if not lower < upper:
        return [((symbol, "bounds"), f"{lower:g} is not below {upper:g}", "")]
    if setting.calibrated and setting.value is not None and not lower <= setting.value <= upper:
        what = f"{setting.value:g} is outside its bounds, {lower:g} to {upper:g}"
        return [((symbol, "value"), what, f"set {symbol}.bounds too")]
    return []


def _range(quantity: Quantity) -> str:
    return f"from {quantity.lower:g} to {quantity.upper:g}" if quantity.symbol in LEVELS else "above 0"


class Parameters(_Filled):
    """Parameters of the cell model and the routing."""

    source: InputPath | None = Field(
        None,
        alias="from",
        description="parent run folder; its maps are the first guess, and the values of parameters that are "
        "not calibrated",
        examples=["runs/other"],
    )
    cp: Setting = _described(PARAMETERS["cp"])
    ct: Setting = _described(PARAMETERS["ct"])
    kexc: Setting = _described(PARAMETERS["kexc"])
    akw: Setting = _described(PARAMETERS["akw"])
    bkw: Setting = _described(PARAMETERS["bkw"])

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, data: Any) -> Any:
        return _filled(data, PARAMETERS, calibrated=True)

    @model_validator(mode="after")
    def _check_values(self) -> Parameters:
        raise_validation_errors(
            [problem for symbol, table in PARAMETERS.items() for problem in _problems(self[symbol], table)]
        )
        return self

    def __getitem__(self, symbol: str) -> Setting:
        return getattr(self, symbol)


class Initial(_Filled):
    """Relative levels of the stores at the start of the period."""

    source: InputPath | None = Field(
        None,
        alias="from",
        description="parent run folder; its final states are the initial states, routed discharge included",
        examples=["runs/other"],
    )
    hi: Level = Field(description=f"{LEVELS['hi'].long_name} [-]; default {LEVELS['hi'].default:g}")
    hp: Setting = _described(LEVELS["hp"])
    ht: Setting = _described(LEVELS["ht"])

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, data: Any) -> Any:
        return _filled(data, LEVELS, calibrated=False)

    @model_validator(mode="after")
    def _check_values(self) -> Initial:
        raise_validation_errors(
            [problem for symbol, table in LEVELS.items() for problem in _problems(self[symbol], table)]
        )
        return self

    def __getitem__(self, symbol: str) -> Setting:
        return getattr(self, symbol)
