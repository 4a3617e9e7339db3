"""Roles of gauges by their places in the network, on catchments whose nesting is written out."""

from __future__ import annotations

import numpy as np
import pytest

from hydrocli.basin.network import with_role

#  a   b     f          e drains c, d below a and b; f stands alone; g and h share a cell of another river.
#   \ /      |
#    c   d   :   g = h
#     \ /
#      e
NESTING = {"a": "1", "b": "2", "c": "123", "d": "4", "e": "12345", "f": "6", "g": "78", "h": "78"}
CATCHMENTS = np.array([[str(cell) in cells for cell in range(1, 10)] for cells in NESTING.values()])


@pytest.mark.parametrize(
    ("role", "codes"), [("all", "abcdefgh"), ("upstream", "abdfgh"), ("downstream", "efgh"), ("independent", "fgh")]
)
def test_roles(role: str, codes: str) -> None:
    assert "".join(np.array(list(NESTING))[with_role(role, CATCHMENTS)]) == codes


def test_one_gauge_has_every_role() -> None:
    for role in ("all", "upstream", "downstream", "independent"):
        assert with_role(role, np.ones((1, 5), bool)).tolist() == [True]
