"""Compiles a simulation in both precisions and prints, as JSON, what each row loop became; run in a process of its own.

With HYDROCLI_ISA it reads the code for another instruction set than that of the machine.
Code that comes from the cache has no assembly to look at, so the cache folder must be empty.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from types import FunctionType
from typing import Any

from model_harness import case_of, squares
from structure_cases import SIMPLE, weights_of

import hydrocli.engine
import hydrocli.structures
from hydrocli.engine import routing, simulator, tiles
from hydrocli.jit import Compiled, bind, cpu
from hydrocli.structures import network
from hydrocli.structures.routings.routing import routings
from hydrocli.structures.structure import Structure, kinds, variants

ARITHMETIC = r"\bv?(?:mul|div|fn?m(?:add|sub)(?:132|213|231))"
LIBRARY_CALL = r"\b(?:exp|expm1|exp2|log|log1p|log2|tanh|pow|sqrt|cbrt)f?\b"


ROWS = {
    "structures.network": (
        "_weighted_sum",
        "_activate",
        "_activate_with_slopes",
        "_correct",
        "_correct_with_slopes",
        "_through_slope",
        "_back_one",
        "_back_four",
        "_scale",
    ),
    "structures.implicit_euler": (
        "corrected_terms",
        "corrected_terms_adjoint",
        "_start",
        "_improve",
        "runoff_of",
        "lagged_adjoint",
    ),
    "structures.ode": ("_substep", "_substep_adjoint"),
    "structures.node_newton": ("jacobian", "_newton"),
    "structures.node": ("implicit_adjoint",),
    "structures.snow": ("run_front", "run_front_adjoint"),
    "structures.nr": ("open_gates", "open_gates_with_slopes"),
}
"""Loops over the cells of a row or a strip, beside those that `explicit` binds to a kernel."""
ROUTINGS = ("kinematic_wave", "linear_reservoir")
"""The others have nothing to compute."""
STRUCTURES = (
    *(Structure(kind, hidden=(6,)) for kind in kinds() if kind not in SIMPLE),
    *(Structure(routing=routing) for routing in ROUTINGS),
    Structure("ode", scheme="explicit", substeps=2),
    Structure("node", network_coupling="lagged"),
    Structure("gr", snow="degree_day"),
    Structure("nr", start="exact", hidden=(6,)),
    Structure("nr", rain_intensity=3600, hidden=(6,)),
)


def is_bound_to_a_step(loop: Any) -> bool:
    """Whether a loop is that of `explicit` with the kernel of a structure."""
    scope = loop.py_func.__globals__
    return isinstance(scope.get("step"), Compiled) or isinstance(scope.get("step_adjoint"), Compiled)


def is_part(loop: Any, name: str) -> bool:
    """Whether a template left a place for a compiled function of this name, and `bind` has filled it."""
    if not isinstance(loop, Compiled) or not isinstance(loop.py_func.__globals__.get(name), Compiled):
        return False
    return getattr(importlib.import_module(loop.py_func.__module__), name) is None


@cache
def rows() -> dict[str, Compiled]:
    """Every compiled loop over the cells of a row; those of structures by the name of the structure."""
    found = {
        f"{module}.{name}": getattr(importlib.import_module(f"hydrocli.{module}"), name)
        for module, names in ROWS.items()
        for name in names
    }
    for name in ROUTINGS:
        route, route_adjoint = routing.routes_of(routings()[name])
        found[f"{name}.route_row"] = route.py_func.__globals__["route_row"]
        found[f"{name}.route_row_adjoint"] = route_adjoint.py_func.__globals__["route_row_adjoint"]
    for model in variants():
        if model.name.split("_")[0] in SIMPLE:
            continue
        loops = {"advance": model.advance, "advance_adjoint": model.advance_adjoint}
        for fill, caller in (("fill_inputs", model.advance), ("fill_inputs_adjoint", model.advance_adjoint)):
            if is_part(caller, fill):
                found[f"{model.name}.{fill}"] = caller.py_func.__globals__[fill]
        found |= {f"{model.name}.{name}": loop for name, loop in loops.items() if is_bound_to_a_step(loop)}
    return found


WIDEST = "zmm" if "+avx512f" in (cpu()[1] or "") else "ymm"
"""Registers of the full width, on a machine that has AVX2 at least."""
SELF_CONFLICT = r"= or i1 %[\w.]+, %bound\d+"
"""A row that is compared with itself: LLVM took two reads of it for two rows, and the packed loop never runs."""


def report(assembly: str, optimised: str) -> dict[str, object]:
    """Counts in the code of a loop, without its door to Python, which takes every number for a double."""
    bodies = re.split(r"^(?=[_a-zA-Z][\w.$]*:$)", assembly, flags=re.M)
    assembly = "".join(body for body in bodies if not body.startswith(("_ZN7cpython", "cfunc.")))
    return {
        "packed": len(re.findall(ARITHMETIC + rf"p[sd]\b.*%{WIDEST}\d", assembly)),
        "scalar": len(re.findall(ARITHMETIC + r"s[sd]\b", assembly)),
        "double": len(re.findall(ARITHMETIC + r"[ps]d\b|\bv?cvt[ps]s2[ps]d\b", assembly)),
        "checks": len(re.findall(r"%(?:bound0\d*|diff\.check\d*) =", optimised)),
        "never": len(re.findall(SELF_CONFLICT, optimised)),
        "masked": len(re.findall(r"\bvp?maskmov", assembly)),
        "calls": sorted(set(re.findall(LIBRARY_CALL, assembly))),
    }


def interpret_all_but(kept: Iterable[Compiled]) -> None:
    """What calls the rows stays Python: it would take minutes to compile, and nothing is read there.

    But for the network, which compiled rows call.
    """
    rows_ = [*kept, *(value for value in vars(network).values() if isinstance(value, Compiled))]

    def plain(value: Any) -> Any:
        is_loop = isinstance(value, Compiled) and not value.flags.get("forceinline")
        return value.py_func if is_loop and value not in rows_ else value

    packages = (hydrocli.engine, hydrocli.structures)
    for info in (i for p in packages for i in pkgutil.walk_packages(p.__path__, p.__name__ + ".")):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            setattr(module, name, plain(value))

    def bind_plain(template: Callable[..., Any], name: str, **parts: Any) -> Any:
        return bind(template, name, **{part: plain(value) for part, value in parts.items()}).py_func

    tiles.bind = bind_plain
    simulator.compiled_for = lambda function, *_: function
    routes_of = routing.routes_of

    def plain_routes(which: Any) -> Any:
        loops = (loop.py_func for loop in routes_of(which))
        scopes = ({name: plain(value) for name, value in loop.__globals__.items()} for loop in loops)
        codes = (loop.py_func.__code__ for loop in routes_of(which))
        return routing.Routes(*(FunctionType(code, scope) for code, scope in zip(codes, scopes, strict=True)))

    routing.routes_of = plain_routes


def compiled(row: Compiled) -> dict[Any, Any]:
    """Dispatchers by the signatures that they have compiled, called from Python or from compiled code."""
    return {signature: one for one in (row.callee, row.dispatcher) for signature in one.signatures}


def main(asked: list[str]) -> None:
    """Of the structures asked for, of all where none is."""
    interpret_all_but(rows().values())
    found: dict[str, dict[str, object]] = {}
    for precision in ("double", "single"):
        known = {name: compiled(row) for name, row in rows().items()}
        for structure in [one for one in STRUCTURES if not asked or one.kind in asked]:
            small = case_of(structure, 40, 20)
            run = small.simulator(precision=precision)
            run.gradient(small.parameters, small.state, squares, weights_of(structure, 0.01))
        for name, row in rows().items():
            for signature, dispatcher in compiled(row).items() - known[name].items():
                found[f"{name} {precision}"] = report(
                    dispatcher.inspect_asm(signature), dispatcher.inspect_llvm(signature)
                )
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
