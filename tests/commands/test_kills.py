"""A few random kills, as a start; `tests/kills.py --kills 200` is the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from kills import CASES, random_kills


@pytest.mark.parametrize(("case", "kills"), [("lbfgsb", 3), ("validate", 2)])
def test_commands_that_are_killed_go_on_to_the_same_end(case: str, kills: int, tmp_path: Path) -> None:
    tally = random_kills(kills, 5, tmp_path, (case,), lambda text: None)
    assert sum(tally.kills.values()) == kills
    assert tally.faults == []


def test_every_command_that_writes_a_run_is_among_the_cases() -> None:
    commands = {line[0] for case in CASES.values() for line in case.lines}
    assert commands >= {"calibrate", "batch", "ingest", "validate", "signatures", "report", "export", "simulate"}
