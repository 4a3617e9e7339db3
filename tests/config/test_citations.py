"""Equations of the papers that declarations cite hold what they are cited for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hydrocli import names
from hydrocli.names import Quantity
from hydrocli.structures.structure import Structure, kinds, output_quantities, parameter_quantities, state_quantities

EQUATIONS = {
    "P1": {
        4: {"ps", "cp", "pn", "hp", "f1"},
        5: {"es", "cp", "en", "hp", "f2"},
        6: {"pr", "f3"},
        7: {"exchange", "kexc", "ht", "ct", "f4"},
        8: {"qr", "ht", "ct"},
        9: {"akw", "bkw", "discharge", "lateral_inflow"},
        10: {"f1", "f2", "f3", "f4"},
    },
    "P2": {
        5: {"hp", "ht", "ps", "es", "pr", "exchange", "qr", "source", "cp", "ct", "kexc"},
        6: {"qt", "qd", "qr", "pr", "exchange", "source"},
        7: {"akw", "bkw", "discharge", "lateral_inflow"},
    },
}
"""What stands in the numbered equations of Huynh et al. (2025), P1, and (2026), P2, by our symbols.

P1 has no equation of percolation, and gives Qrd and Qlat in the text of its section 2.2.1.
"""
TITLES = {
    "gr": {"P1": set(range(4, 9))},
    "grnn": {"P1": set(range(4, 9))},
    "ode": {"P2": {5, 6, *range(8, 14)}},
    "node": {"P2": {4, 5, 6, 14}},
}
"""Equations of the structures of the papers: the system, its closure, implicit Euler, the Jacobian."""


def cited(text: str) -> Iterator[tuple[str, int]]:
    """Paper and number of each equation that a text cites, such as `P1 eq. 4, P2 eqs 5-6, 8`."""
    for paper, numbers in re.findall(r"(P[12]) eqs?\.? ((?:\d+(?:-\d+)?(?:, )?)+)", text):
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", numbers):
            yield from ((paper, number) for number in range(int(first), int(last or first) + 1))


def every_quantity() -> list[Quantity]:
    tables = (parameter_quantities(), state_quantities(), output_quantities(), names.FLUXES, names.STATES)
    return list({(one.symbol, one.source): one for table in tables for one in table.values()}.values())


def test_citations_are_parsed() -> None:
    assert list(cited("P1 eq. 4, P2 eqs 5-6, 8; P1 2.2.1")) == [("P1", 4), ("P2", 5), ("P2", 6), ("P2", 8)]


@pytest.mark.parametrize("quantity", every_quantity(), ids=lambda one: one.symbol)
def test_an_equation_that_is_cited_holds_the_quantity(quantity: Quantity) -> None:
    for paper, number in cited(quantity.source):
        assert quantity.symbol in EQUATIONS[paper].get(number, set()), f"{paper} eq. {number}"


def test_titles_cite_the_equations_of_their_structure() -> None:
    for kind in kinds():
        found: dict[str, set[int]] = {}
        for paper, number in cited(Structure(kind).model.title):
            found.setdefault(paper, set()).add(number)
        assert found == TITLES.get(kind, {}), kind
