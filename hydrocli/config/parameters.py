"""Sections `parameters` and `initial`: values, bounds, what is calibrated, and what comes from a parent run.

Symbols, defaults and bounds are those that the structures declare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ConfigDict, Field, create_model, model_validator

from hydrocli.config.base import InputPath, Location, Number, Section, Switch, raise_validation_errors
from hydrocli.names import Quantity
from hydrocli.structures.structure import OF_NO_STORE, Structure, parameter_quantities, state_quantities, variants

Problem = tuple[Location, str, str]

LEVELS = {symbol: one for symbol, one in state_quantities().items() if symbol not in OF_NO_STORE}
CALIBRATED_LEVELS = {state.quantity.symbol for model in variants() for state in model.states if state.calibrated}


class Level(Section):
    """A number that is never calibrated."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))

    value: Number | None = Field(None, description="value in all cells; default with `from`: the values of that run")


class Setting(Level):
    """A number that may be calibrated."""

    bounds: tuple[Number, Number] = Field(description="lower and upper bound of the calibration")
    calibrated: Switch = Field(description="whether a calibration changes it")


def _keys(quantities: dict[str, Quantity], plain: set[str]) -> dict[str, Any]:
    """Keys of a section, one per quantity; `plain` are those that are never calibrated."""
    keys: dict[str, Any] = {}
    for symbol, one in quantities.items():
        words = f"{one.long_name} [{one.unit}]; default {one.default:g}"
        if symbol in plain:
            keys[symbol] = (Level | None, Field(None, description=words, examples=[{"value": one.default}]))
            continue
        words += f", bounds {one.lower:g} to {one.upper:g}"
        example = {"value": one.default, "bounds": [one.lower, one.upper], "calibrated": symbol not in LEVELS}
        keys[symbol] = (Setting | None, Field(None, description=words, examples=[example]))
    return keys


def filled(data: Any, symbols: Sequence[str]) -> Any:
    """Raw data of a section with the settings that were left out; a value only where no other run gives it.

    Args:
        data: of `parameters` or `initial`.
        symbols: of the structure.
    """
    if data is not None and not isinstance(data, dict):
        return data
    complete, quantities = dict(data or {}), LEVELS | parameter_quantities()
    # Those of other structures too, so that all that is said of them is that the structure does not have them.
    foreign = [key for key in complete if key in quantities and key not in symbols]
    for symbol in (*symbols, *foreign):
        quantity = quantities[symbol]
        defaults: dict[str, Any] = {} if complete.get("from") is not None else {"value": quantity.default}
        if symbol not in LEVELS or symbol in CALIBRATED_LEVELS:
            defaults |= {"bounds": (quantity.lower, quantity.upper), "calibrated": symbol not in LEVELS}
        given = {} if complete.get(symbol) is None else complete[symbol]
        if isinstance(given, dict):
            given = given | {key: default for key, default in defaults.items() if given.get(key) is None}
        complete[symbol] = given
    return complete


def _possible(value: float, quantity: Quantity) -> bool:
    """States stay within their limits; parameters above 0, but for those whose bounds reach below it."""
    if quantity.symbol in LEVELS:
        return (quantity.lower or 0) <= value <= (np.inf if quantity.upper is None else quantity.upper)
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


class _Settings(Section):
    """Settings by symbol; those of other structures are None."""

    def __getitem__(self, symbol: str) -> Setting:
        setting: Setting = getattr(self, symbol)
        return setting

    def given(self) -> dict[str, Level]:
        """Settings that are there, by symbol."""
        return {name: value for name, value in self if isinstance(value, Level)}

    @model_validator(mode="after")
    def _check_values(self) -> _Settings:
        quantities = LEVELS | parameter_quantities()
        found = [problem for symbol, one in self.given().items() for problem in _problems(one, quantities[symbol])]
        raise_validation_errors(found)
        return self

    def unknown_to(self, kind: str, symbols: Sequence[str]) -> list[Problem]:
        """Settings that a structure does not have, as problems.

        Args:
            kind: its name.
            symbols: what it has.
        """
        what = f"the structure {kind} has no such quantity"
        remedy = f"it has {', '.join(symbols)}" if symbols else "remove the key"
        return [((symbol,), what, remedy) for symbol in self.given() if symbol not in symbols]


class _OfParameters(_Settings):
    source: InputPath | None = Field(
        None,
        alias="from",
        description="parent run folder; its maps are the first guess, and the values of parameters that are "
        "not calibrated",
        examples=["runs/other"],
    )


class _OfStates(_Settings):
    source: InputPath | None = Field(
        None,
        alias="from",
        description="parent run folder; its final states are the initial states, routed discharge included",
        examples=["runs/other"],
    )


if TYPE_CHECKING:

    class Parameters(_OfParameters):
        """See below."""

    class Initial(_OfStates):
        """See below."""
else:
    Parameters = create_model(
        "Parameters",
        __base__=_OfParameters,
        __doc__="Parameters of the cells and of the routing; which ones depends on the structure.",
        **_keys(parameter_quantities(), set()),
    )
    Initial = create_model(
        "Initial",
        __base__=_OfStates,
        __doc__="States at the start of the period; which ones depends on the structure.",
        **_keys(LEVELS, set(LEVELS) - CALIBRATED_LEVELS),
    )


def levels_of(structure: Structure) -> tuple[str, ...]:
    """Symbols of the section `initial`: the interception store, and the states of a structure; none without states."""
    return tuple(dict.fromkeys(("hi", *structure.states))) if structure.states else ()
