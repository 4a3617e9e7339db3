"""Overlays of YAML (hypothesis): `--set` and the sections of a model over a base, for trees of any keys and values."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import yaml
from hypothesis import given

from hydrocli.config.document import Dumper
from hydrocli.config.load import read_document

KEYS = st.sampled_from(["a", "b", "c", "long_name"])
# No `$`, which starts a variable of the environment; no characters that a text file cannot hold.
TEXTS = st.text(st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="$"), max_size=12)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3)
LEAVES = st.dictionaries(KEYS, VALUES, max_size=3)
TREES = st.dictionaries(KEYS, VALUES | LEAVES | st.dictionaries(KEYS, VALUES | LEAVES, max_size=2), min_size=1)
PATHS = st.lists(KEYS, min_size=1, max_size=3)


def written(values: Any) -> str:
    return yaml.dump(values, Dumper=Dumper, default_flow_style=True, allow_unicode=True, width=1_000_000)


def read(values: Any, *overrides: str) -> Any:
    """What is read of a file of these values."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(written(values), encoding="utf-8")
        document = read_document(file, overrides)
        assert not document.problems
        return document.values


def assignment(path: list[str], value: Any) -> str:
    return f"{'.'.join(path)}={written(value).removesuffix('...' + chr(10)).strip()}"


def replaced(tree: Any, path: list[str], value: Any) -> Any:
    """The tree with a value at a path; sections on the way are made, a single value on the way is in the way."""
    tree = deepcopy(tree) if isinstance(tree, dict) else {}
    tree[path[0]] = value if len(path) == 1 else replaced(tree.get(path[0]), path[1:], value)
    return tree


def is_open(tree: Any, path: list[str]) -> bool:
    """Whether no single value or list stands on the way to a key."""
    for key in path[:-1]:
        if not isinstance(tree, dict):
            return False
        if key not in tree:
            return True
        tree = tree[key]
    return isinstance(tree, dict)


@given(TREES)
def test_values_come_back_as_they_were_written(tree: dict[str, Any]) -> None:
    assert read(tree) == tree


@given(TREES, PATHS, VALUES)
def test_an_override_changes_its_key_and_nothing_else(tree: dict[str, Any], path: list[str], value: Any) -> None:
    if is_open(tree, path):
        expected = replaced(tree, path, value)
        once = read(tree, assignment(path, value))
        assert once == expected
        assert read(tree, assignment(path, value), assignment(path, value)) == once


@given(TREES, PATHS, VALUES, VALUES)
def test_the_last_override_of_a_key_counts(tree: dict[str, Any], path: list[str], first: Any, second: Any) -> None:
    if is_open(tree, path):
        assert read(tree, assignment(path, first), assignment(path, second)) == replaced(tree, path, second)


@given(TREES, st.lists(st.tuples(KEYS, KEYS, SCALARS), min_size=2, max_size=4, unique_by=lambda item: item[:2]))
def test_overrides_of_different_keys_commute(tree: dict[str, Any], items: list[tuple[str, str, Any]]) -> None:
    tree = {key: value for key, value in tree.items() if isinstance(value, dict)} or {"a": {}}
    items = [item for item in items if item[0] in tree]
    texts = [assignment([section, key], value) for section, key, value in items]
    assert read(tree, *texts) == read(tree, *reversed(texts))
