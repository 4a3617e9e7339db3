"""The architecture is a test: layers, no circle, who may know which library, no long lists of arguments."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hydrocli"
PARTS = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
NOT_PARTS = {"__init__", "__main__"}
KNOWN_BY = {
    "rasterio": {"basin", "results", "synthetic"},
    "pydantic": {"config"},
    "pyarrow": {"results", "basin"},
    "matplotlib": {"report"},
    "typer": {"cli"},
}
"""Packages that may import a library; every other one is named in a contract of pyproject.toml."""
MOST_ARGUMENTS = 12
MANY_ARGUMENTS = {
    "cli/commands.py: synthetic": "options of the command",
    "water/state_space.py: coupling_adjoint": "the arguments of the kernel and a bar for each of its outputs",
}


def contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return found


def test_contracts_of_imports_are_kept() -> None:
    pytest.importorskip("importlinter")
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    lint = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    ended = subprocess.run(
        [sys.executable, "-c", lint], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(("library", "allowed"), KNOWN_BY.items())
def test_contracts_name_all_packages(library: str, allowed: set[str]) -> None:
    """A new package must not escape a contract."""
    (contract,) = [found for found in contracts() if library in found.get("forbidden_modules", ())]
    named = {module.removeprefix("hydrocli.") for module in contract["source_modules"]}
    assert named == PARTS - NOT_PARTS - allowed


def test_functions_take_few_arguments() -> None:
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if len(arguments) > MOST_ARGUMENTS:
                    found.add(f"{file.relative_to(PACKAGE).as_posix()}: {node.name}")
    assert found == set(MANY_ARGUMENTS)
