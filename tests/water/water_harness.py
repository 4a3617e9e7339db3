"""Kernels as the exams see them: compiled, interpreted (complex numbers pass), with bounds of their rounding."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

import hydrocli.engine
import hydrocli.structures
import hydrocli.water
from hydrocli.jit import Compiled, kernel, reduction
from hydrocli.structures.structure import CellModel, variants
from hydrocli.water import vector_math

SELECTS = ("maximum", "minimum", "where_positive")


def all_kernels() -> dict[str, Any]:
    """Every kernel of water, structures and engine by `module.name`: functions that are always inlined.

    The copies that a structure binds are kernels of their own, named by the module of their template.
    """
    kernels = {}
    for package in (hydrocli.water, hydrocli.structures, hydrocli.engine):
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            for value in vars(importlib.import_module(info.name)).values():
                if isinstance(value, Compiled) and value.flags.get("forceinline"):
                    kernels[f"{value.py_func.__module__.rsplit('.', 1)[-1]}.{value.py_func.__name__}"] = value
    return kernels


def steps_of() -> dict[str, CellModel]:
    """The declarations of structures whose step is one kernel, by the name of that kernel."""
    names = {id(value): name for name, value in all_kernels().items()}
    declared = {}
    for model in variants():
        step = getattr(model.advance, "py_func", model.advance).__globals__.get("step")
        if isinstance(step, Compiled):
            declared[names[id(step)]] = model
    return declared


def flatten(value: Any) -> Iterator[Any]:
    """Numbers of nested tuples, one after the other."""
    if isinstance(value, tuple):
        for part in value:
            yield from flatten(part)
    else:
        yield value


def nested(template: Any, numbers: Any) -> Any:
    """The numbers in the nesting of a template."""
    rest = iter(numbers)

    def fill(part: Any) -> Any:
        return tuple(fill(one) for one in part) if isinstance(part, tuple) else next(rest)

    return fill(template)


def interpreted(function: Any, swaps: dict[str, Any] | None = None) -> Any:
    """The Python source of a compiled function, with all it calls interpreted too; `swaps` replaces globals by name."""
    swaps = swaps or {}
    done: dict[FunctionType, FunctionType] = {}

    def twin(value: Any, name: str) -> Any:
        if name in swaps:
            return swaps[name]
        python = getattr(value, "py_func", None)
        if python is None:
            return value
        if python not in done:
            scope = dict(python.__globals__)
            done[python] = FunctionType(python.__code__, scope, python.__name__)
            for called in python.__code__.co_names:
                if called in scope:
                    scope[called] = twin(scope[called], called)
        return done[python]

    return twin(function, "")


class Interpreted:
    """A kernel that is called as the Python code that it is."""

    def __init__(self, compiled: Any) -> None:
        self.py_func, self._function = compiled.py_func, interpreted(compiled)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


def results(function: Any, arguments: Any) -> np.ndarray:
    """Outputs of a kernel, nested or not, as one vector."""
    return np.array(list(flatten(function(*arguments))))


def kinks(function: Any, arguments: Any) -> list[bool]:
    """Which way every select of a kernel went, in the order of execution."""
    ways: list[bool] = []

    def watched(name: str) -> Callable[..., Any]:
        original = getattr(vector_math, name)

        def select(x: Any, y: Any, *rest: Any) -> Any:
            margin = np.real(x) if name == "where_positive" else np.real(x) - np.real(y)
            ways.append(bool(margin > 0.0))
            return original(x, y, *rest)

        return select

    interpreted(function, {name: watched(name) for name in SELECTS})(*arguments)
    return ways


def jacobian(function: Any, at: np.ndarray) -> np.ndarray:
    """d outputs / d inputs of an interpreted function of numbers, by complex step: exact to rounding."""
    tiny = 1e-40
    columns = [results(function, at + 1j * tiny * unit).imag / tiny for unit in np.eye(len(at))]
    return np.stack(columns, axis=1)


def over_arrays(function: Callable[[Any], Any]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of one number, compiled into a loop over an array."""

    @kernel
    def one(x):
        return function(x)

    @reduction
    def fill(x, out):
        for i in range(x.size):
            out[i] = one(x[i])

    def apply(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        fill(x, out)
        return out

    return apply


class Bounded:
    """A number and a bound of its error in units of rounding, to first order (running error analysis, Higham 2002).

    Every operation adds its own rounding to what its operands carry; a plain number is a literal, rounded once.
    """

    def __init__(self, value: float, error: float = 0.0) -> None:
        self.value, self.error = float(value), float(error)

    @classmethod
    def of(cls, number: Bounded | float) -> Bounded:
        return number if isinstance(number, Bounded) else cls(number, abs(number))

    def __add__(self, other):
        other, value = self.of(other), self.value + self.of(other).value
        return Bounded(value, self.error + other.error + abs(value))

    def __mul__(self, other):
        other, value = self.of(other), self.value * self.of(other).value
        return Bounded(value, abs(self.value) * other.error + abs(other.value) * self.error + abs(value))

    def __truediv__(self, other):
        other, value = self.of(other), self.value / self.of(other).value
        return Bounded(value, (self.error + abs(value) * other.error) / abs(other.value) + abs(value))

    def __neg__(self):
        return Bounded(-self.value, self.error)

    def __sub__(self, other):
        return self + -self.of(other)

    def __rsub__(self, other):
        return self.of(other) + -self

    def __rtruediv__(self, other):
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__


def _bounded(function: Callable[[float], float], slope: Callable[[float], float]) -> Callable[[Any], Bounded]:
    def apply(x: Any) -> Bounded:
        x, value = Bounded.of(x), function(Bounded.of(x).value)
        return Bounded(value, abs(slope(x.value)) * x.error + 4 * abs(value))

    return apply


def _select(pick: Callable[[float, float], bool]) -> Callable[..., Bounded]:
    return lambda x, y: Bounded.of(x) if pick(Bounded.of(x).value, Bounded.of(y).value) else Bounded.of(y)


BOUNDED = {
    "exp": _bounded(np.exp, np.exp),
    "expm1": _bounded(lambda x: np.expm1(min(x, 40.0)), lambda x: np.exp(min(x, 40.0))),
    "log": _bounded(np.log, lambda x: 1 / x),
    "sqrt": _bounded(lambda x: x**0.5, lambda x: 0.5 * x**-0.5),
    "inverse_fourth_root": _bounded(lambda x: x**-0.25, lambda x: 0.25 * x**-1.25),
    "maximum": _select(lambda x, y: x >= y),
    "minimum": _select(lambda x, y: x <= y),
    "where_positive": lambda x, yes, no: Bounded.of(yes if Bounded.of(x).value > 0 else no),
}


def rounding(function: Any, arguments: Any) -> np.ndarray:
    """Bounds of the rounding errors of a kernel's outputs, arguments exact, in units of rounding of the arithmetic."""
    bounded = nested(tuple(arguments), (Bounded(x) for x in flatten(tuple(arguments))))
    return np.array([Bounded.of(one).error for one in flatten(interpreted(function, BOUNDED)(*bounded))])
