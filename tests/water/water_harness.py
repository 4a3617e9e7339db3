"""Kernels as the exams see them: compiled, interpreted (complex numbers pass), with bounds of their rounding."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numba import njit

import hydrocli.engine
import hydrocli.structures
import hydrocli.water
from hydrocli.jit import FLAGS, Compiled, kernel
from hydrocli.water import vector_math

SELECTS = ("maximum", "minimum", "where_positive")


def all_kernels() -> dict[str, Any]:
    """Every function under `@kernel` in water, structures and engine, `module.name`: those that are always inlined."""
    kernels = {}
    for room in (hydrocli.water, hydrocli.structures, hydrocli.engine):
        for info in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                inlined = isinstance(value, Compiled) and value.flags.get("forceinline")
                if inlined and value.py_func.__module__ == info.name:
                    kernels[f"{info.name.rsplit('.', 1)[-1]}.{name}"] = value
    return kernels


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


def results(function: Any, arguments: Any) -> np.ndarray:
    """Outputs of a kernel as one vector."""
    return np.atleast_1d(np.array(function(*arguments)))


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


def jacobian(function: Any, arguments: np.ndarray) -> np.ndarray:
    """d outputs / d arguments of a kernel by complex step on its interpreted twin: exact to rounding."""
    twin, tiny = interpreted(function), 1e-40
    columns = [results(twin, arguments + 1j * tiny * unit).imag / tiny for unit in np.eye(len(arguments))]
    return np.stack(columns, axis=1)


def over_arrays(function: Callable[[Any], Any]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of one number, compiled into a loop over an array."""

    @kernel
    def one(x):
        return function(x)

    @njit(**FLAGS)
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
    "inverse_sqrt": _bounded(lambda x: x**-0.5, lambda x: 0.5 * x**-1.5),
    "inverse_fourth_root": _bounded(lambda x: x**-0.25, lambda x: 0.25 * x**-1.25),
    "maximum": _select(lambda x, y: x >= y),
    "minimum": _select(lambda x, y: x <= y),
    "where_positive": lambda x, yes, no: Bounded.of(yes if Bounded.of(x).value > 0 else no),
}


def rounding(function: Any, arguments: Any) -> np.ndarray:
    """Bounds of the rounding errors of a kernel's outputs, arguments exact, in units of rounding of the arithmetic."""
    outputs = interpreted(function, BOUNDED)(*(Bounded(x) for x in arguments))
    return np.array([o.error for o in (outputs if isinstance(outputs, tuple) else (outputs,))])
