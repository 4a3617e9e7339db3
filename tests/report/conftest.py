"""Two made-up runs, and the page of one, for all tests of the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from report_examples import Size, write_run

from hydrocli.report import style
from hydrocli.report.run_page import report
from hydrocli.report.source import Source
from hydrocli.results import read


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run without a network; tests read it only."""
    return write_run(tmp_path_factory.mktemp("runs") / "made-up")


@pytest.fixture(scope="session")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with a network on the same kind of basin; tests read it only."""
    return write_run(tmp_path_factory.mktemp("hybrids") / "hybrid", Size(gauges=2, steps=400), structure="node", seed=2)


@pytest.fixture(scope="session")
def page(folder: Path) -> Path:
    """Path of the page of the first run."""
    return report(folder)


@pytest.fixture
def source(folder: Path) -> Source:
    return Source(read(folder))


@pytest.fixture
def drawn() -> Iterator[None]:
    """The look of the report for what a test draws."""
    with style.drawing():
        yield
