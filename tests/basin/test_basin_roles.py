"""The tree of gauges and their roles: on a small tree whose nesting is written out, and on random networks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrocli.basin.gauge_tree import GaugeTree

#  a   b     f          e drains c, d below a and b; f stands alone; g and h share a cell of another river.
#   \ /      |
#    c   d   :   g = h
#     \ /
#      e
CODES = "abcdefgh"
CELLS = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 8, "h": 8}
DOWNSTREAM = np.array([3, 3, 3, 5, 5, -1, -1, 8, -1])
CATCHMENTS = {"a": "1", "b": "2", "c": "0123", "d": "4", "e": "012345", "f": "6", "g": "78", "h": "78"}
TREE = GaugeTree.of(DOWNSTREAM, np.array(list(CELLS.values())))


@pytest.mark.parametrize(
    ("role", "codes"), [("all", "abcdefgh"), ("upstream", "abdfgh"), ("downstream", "efgh"), ("independent", "fgh")]
)
def test_roles(role: str, codes: str) -> None:
    assert "".join(np.array(list(CODES))[TREE.with_role(role)]) == codes


def test_one_gauge_has_every_role() -> None:
    tree = GaugeTree.of(np.array([1, -1]), np.array([1]))
    for role in ("all", "upstream", "downstream", "independent"):
        assert tree.with_role(role).tolist() == [True]


def test_catchments_that_are_written_out() -> None:
    for number, cells in enumerate(CATCHMENTS.values()):
        assert "".join(map(str, np.flatnonzero(TREE.catchment(number)))) == cells
    assert TREE.cells.tolist() == [len(cells) for cells in CATCHMENTS.values()]
    assert np.flatnonzero(TREE.draining_to([0, 5])).tolist() == [1, 6]


def _walks(downstream: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Which cells drain through which, bool[g, n], one step after the other."""
    through = np.zeros((len(cells), len(downstream)), bool)
    for start in range(len(downstream)):
        at = start
        while at >= 0:
            through[cells == at, start] = True
            at = downstream[at]
    return through


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_sums_are_those_over_each_catchment(data: st.DataObject) -> None:
    """Cells in any order, gauges anywhere, also several on one cell, cells that drain to none."""
    size = data.draw(st.integers(1, 40))
    order = np.array(data.draw(st.permutations(range(size))))
    downstream = np.full(size, -1)
    for place in range(1, size):
        downstream[order[place]] = data.draw(st.sampled_from([-1, *order[max(0, place - 3) : place].tolist()]))
    cells = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=12)))
    tree, through = GaugeTree.of(downstream, cells), _walks(downstream, cells)
    values = np.arange(3.0 * size).reshape(3, size) + 1
    np.testing.assert_array_equal(tree.sums(values), values @ through.T)
    np.testing.assert_array_equal(tree.cells, through.sum(axis=1))
    for gauge in range(len(cells)):
        np.testing.assert_array_equal(tree.catchment(gauge), through[gauge])
    chosen = data.draw(st.lists(st.integers(0, len(cells) - 1), unique=True))
    np.testing.assert_array_equal(tree.draining_to(chosen), through[chosen].any(axis=0))
    upstream = through[:, cells] & (cells[:, np.newaxis] != cells)  # [i, j]: gauge j lies upstream of gauge i
    head, mouth = ~upstream.any(axis=1), ~upstream.any(axis=0)
    for role, has in {"upstream": head, "downstream": mouth, "independent": head & mouth}.items():
        np.testing.assert_array_equal(tree.with_role(role), has)


def test_memory_does_not_grow_with_gauges_times_cells() -> None:
    """A row of flags for each gauge would be 60 MB, and one of sums by cell 480 MB."""
    cells, gauges = 30_000, 2_000
    random = np.random.default_rng(1)
    downstream = np.maximum(np.arange(cells) - random.integers(1, 50, cells), -1)
    places = random.choice(cells, gauges, replace=False)
    tracemalloc.start()
    tree = GaugeTree.of(downstream, places)
    area = tree.sums(np.ones(cells))
    tree.with_role("upstream")
    inside = tree.draining_to(np.arange(gauges))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert inside.sum() == area[tree.with_role("downstream")].sum()
    assert peak < 5e6
