"""One made-up run, and its page, for all tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_examples import write_run

from hydrocli.report.run_page import report
from hydrocli.report.source import Source
from hydrocli.results import read


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests read it only."""
    return write_run(tmp_path_factory.mktemp("runs") / "made-up")


@pytest.fixture
def source(folder: Path) -> Source:
    return Source(read(folder))


@pytest.fixture(scope="session")
def page(folder: Path) -> Path:
    """Path of the page of the run."""
    return report(folder)
