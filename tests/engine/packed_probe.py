"""Compiles the sweep in both precisions and prints, as JSON, what each row loop became; run in a process of its own.

Code that comes from the cache has no assembly to look at, so the cache folder must be empty.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterable

import numpy as np
from model_harness import case, squares

import hydrocli.engine
import hydrocli.structures
from hydrocli.jit import Compiled
from hydrocli.structures import structure as structures
from hydrocli.structures.structure import Structure

ARITHMETIC = r"\bv?(?:mul|div|fn?m(?:add|sub)(?:132|213|231))"
LIBRARY_CALL = r"\b(?:exp|expm1|exp2|log|log1p|log2|tanh|pow|sqrt|cbrt)f?\b"


ROWS = {
    "structures.gr": ("_row", "_row_adjoint"),
    "engine.routing": ("_route_row", "_route_row_adjoint"),
    "structures.grnn": ("_row", "_row_adjoint"),
    "structures.network": ("_weighted_sum", "_activate", "_correct", "_through_slope", "_back_one", "_back_four"),
    "structures.implicit_euler": (
        "corrected_terms",
        "corrected_terms_adjoint",
        "_start",
        "_improve",
        "runoff",
        "lagged_adjoint",
    ),
    "structures.ode_explicit": ("_substep", "_substep_adjoint"),
    "structures.node_newton": ("jacobian", "_newton"),
    "structures.node_implicit": ("_row_adjoint",),
}
"""Loops over the cells of a row or a strip."""
STRUCTURES = (
    Structure(),
    Structure("grnn"),
    Structure("ode"),
    Structure("ode", scheme="explicit", substeps=2),
    Structure("node", network_coupling="lagged"),
    Structure("node", (6,)),
)


def rows() -> dict[str, Compiled]:
    """Every compiled loop over the cells of a row."""
    return {
        f"{module}.{name}": getattr(importlib.import_module(f"hydrocli.{module}"), name)
        for module, names in ROWS.items()
        for name in names
    }


def report(assembly: str) -> dict[str, object]:
    """Counts in the code of a loop, without its door to Python, which takes every number for a double."""
    bodies = re.split(r"^(?=[_a-zA-Z][\w.$]*:$)", assembly, flags=re.M)
    assembly = "".join(body for body in bodies if not body.startswith(("_ZN7cpython", "cfunc.")))
    return {
        "packed": len(re.findall(ARITHMETIC + r"p[sd]\b", assembly)),
        "scalar": len(re.findall(ARITHMETIC + r"s[sd]\b", assembly)),
        "double": len(re.findall(ARITHMETIC + r"[ps]d\b|\bv?cvt[ps]s2[ps]d\b", assembly)),
        "wide": len(re.findall(r"[yz]mm\d", assembly)),
        "calls": sorted(set(re.findall(LIBRARY_CALL, assembly))),
    }


def interpret_all_but(kept: Iterable[Compiled]) -> None:
    """What calls the rows stays Python: it would take a minute to compile, and nothing is read there."""
    dispatchers = list(kept)
    packages = (hydrocli.engine, hydrocli.structures)
    for info in (i for p in packages for i in pkgutil.walk_packages(p.__path__, p.__name__ + ".")):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if isinstance(value, Compiled) and not value.flags.get("forceinline") and value not in dispatchers:
                setattr(module, name, value.py_func)
    for name, loops in structures.LOOPS.items():
        structures.LOOPS[name] = tuple(getattr(loop, "py_func", loop) for loop in loops)


def main() -> None:
    interpret_all_but(rows().values())
    found: dict[str, dict[str, object]] = {}
    for precision in ("double", "single"):
        small = case(40, 20)
        known = {name: set(row.dispatcher.signatures) for name, row in rows().items()}
        for structure in STRUCTURES:
            weights = np.full(structure.weights, 0.01)
            simulator = small.simulator(precision=precision, structure=structure)
            simulator.gradient(small.parameters, small.state, squares, weights)
        for name, row in rows().items():
            for signature in set(row.dispatcher.signatures) - known[name]:
                found[f"{name} {precision}"] = report(row.dispatcher.inspect_asm(signature))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
