"""Snapshots: texts of the command line as files under tests/snapshots.

`HYDROCLI_UPDATE_SNAPSHOTS=1 pytest tests/cli` writes them anew; look at the difference before you commit it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "snapshots"
UPDATE = "HYDROCLI_UPDATE_SNAPSHOTS"


@pytest.fixture
def snapshot() -> Callable[[str, str], None]:
    """Compare a text with the file of that name, or write it where an update is asked for."""

    def compare(name: str, text: str) -> None:
        path = FOLDER / name
        if os.environ.get(UPDATE):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"there is no {path.name}: run the test once with {UPDATE}=1"
        assert text == path.read_text(encoding="utf-8"), f"{name} has changed; {UPDATE}=1 writes it anew"

    return compare


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
