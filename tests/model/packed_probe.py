"""Compiles the sweep in both precisions and prints, as JSON, what each row loop became; run in a process of its own.

Code that comes from the cache has no assembly to look at, so the cache folder must be empty.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re

from model_harness import case, squares
from numba.core.registry import CPUDispatcher

import hydrocli.model

ARITHMETIC = r"\bv?(?:mul|div|fn?m(?:add|sub)(?:132|213|231))"
LIBRARY_CALL = r"\b(?:exp|expm1|exp2|log|log1p|log2|tanh|pow|sqrt|cbrt)f?\b"


def rows() -> dict[str, CPUDispatcher]:
    """Every compiled loop over the cells of a row, by the convention of its name."""
    found = {}
    for info in pkgutil.walk_packages(hydrocli.model.__path__, "hydrocli.model."):
        for name, value in vars(importlib.import_module(info.name)).items():
            if (
                isinstance(value, CPUDispatcher)
                and value.__module__ == info.name
                and re.search(r"_row(_adjoint)?$", name)
            ):
                found[f"{info.name.rsplit('.', 1)[-1]}.{name}"] = value
    return found


def report(assembly: str) -> dict[str, object]:
    return {
        "packed": len(re.findall(ARITHMETIC + r"p[sd]\b", assembly)),
        "scalar": len(re.findall(ARITHMETIC + r"s[sd]\b", assembly)),
        "double": len(re.findall(ARITHMETIC + r"[ps]d\b|\bv?cvt[ps]s2[ps]d\b", assembly)),
        "wide": len(re.findall(r"[yz]mm\d", assembly)),
        "calls": sorted(set(re.findall(LIBRARY_CALL, assembly))),
    }


def main() -> None:
    found: dict[str, dict[str, object]] = {}
    for precision in ("double", "single"):
        small = case(40, 20)
        known = {name: set(row.signatures) for name, row in rows().items()}
        small.sweep(precision=precision).gradient(small.parameters, small.state, squares)
        for name, row in rows().items():
            for signature in set(row.signatures) - known[name]:
                found[f"{name} {precision}"] = report(row.inspect_asm(signature))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
