"""What is heard: nothing, lines, or bars; and what reaches the log in any case."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from hydrocli.execution import progress
from hydrocli.execution.log import recorded
from hydrocli.execution.progress import Console, duration, format_numbers, track

logger = logging.getLogger("hydrocli.a_test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []
    with recorded(records.append):
        yield records


def test_lines_without_a_terminal(heard: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    clock = iter([0.0, 10.0, 31.0, 31.0, 40.0, 70.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Console(stream=stream), track("calibration", total=100) as task:
        task.update(10, cost=0.5)
        task.update(25, cost=0.25, nse={"A": 0.9})
        task.update(30, cost=0.2, nse={"A": 0.91})
    lines = [line.partition("Z ")[2] for line in stream.getvalue().splitlines()]
    assert lines == [
        "calibration: 25 of 100, at most 1 min 33 s left, cost 0.25, nse A 0.900",
        "calibration: 30 of 100, done after 1 min 10 s, cost 0.2, nse A 0.910",
    ]
    assert [entry["event"] for entry in heard] == ["step", "step", "step", "task"]
    assert heard[1] == {
        "event": "step",
        "level": "info",
        "task": "calibration",
        "done": 25,
        "total": 100,
        "cost": 0.25,
        "nse": {"A": 0.9},
    }


def test_quiet_says_nothing_and_logs_everything(heard: list[dict[str, Any]]) -> None:
    stream = Terminal()
    with Console(stream=stream, quiet=True):
        logger.info("read")
        logger.warning("careful")
        with track("reading", total=2) as task:
            task.update(1)
    assert stream.getvalue() == ""
    assert [(entry["event"], entry["level"]) for entry in heard] == [
        ("note", "info"),
        ("warning", "warning"),
        ("task", "info"),
    ]
    assert heard[0] == {"event": "note", "level": "info", "text": "read"}


def test_details_are_for_those_who_ask() -> None:
    shy, talkative = io.StringIO(), io.StringIO()
    with Console(stream=shy):
        logger.debug("a detail")
    with Console(stream=talkative, verbose=True):
        logger.debug("a detail")
    assert (shy.getvalue(), "a detail" in talkative.getvalue()) == ("", True)


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Console(stream=stream) as console, track("reading [A]", total=3) as outer, track("inner") as inner:
        outer.update(2, cost=0.5)
        inner.update(1, total=2)
        logger.info("a note [B]")
        console.bars().refresh()
    text = stream.getvalue()
    for words in ("reading [A]", "2/3", "cost 0.5", "a note [B]", "done after"):
        assert words in text
    assert "\x1b[" in text
    stream.truncate(0)
    with console:
        logger.info("after")
    assert "\x1b[" not in stream.getvalue()


def test_a_task_that_fails_ends_its_bar(heard: list[dict[str, Any]]) -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="no"), Console(stream=stream), track("reading"):
        raise ValueError("no")
    assert "reading: 0, stopped after" in stream.getvalue()
    assert heard[-1]["ending"] == "stopped"


def test_what_other_rooms_log_is_shown_once() -> None:
    """And not once more for every command before."""
    stream = io.StringIO()
    for _ in range(2):
        with Console(stream=stream):
            logging.getLogger("hydrocli.basin.ingest").warning("%s is missing", "a file")
    assert stream.getvalue().count("warning: a file is missing") == 2


def test_an_inner_console_hides_the_outer_one(heard: list[dict[str, Any]]) -> None:
    outer, inner = io.StringIO(), io.StringIO()
    with Console(stream=outer):
        with Console(stream=inner):
            logger.info("inside")
        logger.info("outside")
    assert [stream.getvalue().split("Z ")[-1] for stream in (outer, inner)] == ["outside\n", "inside\n"]
    assert [entry["text"] for entry in heard] == ["inside", "outside"]


def test_what_the_log_cannot_keep_ends_the_run() -> None:
    """A full disk, say: a run without its log must not go on as if nothing had happened."""

    def full(fields: dict[str, Any]) -> None:
        raise OSError("full")

    with recorded(full), pytest.raises(OSError, match="full"):
        logger.info("read")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (59.4, "59 s"), (59.7, "60 s"), (61, "1 min 1 s"), (3599.9, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_many_gauges_are_summed_up() -> None:
    assert format_numbers({"gradient_norm": 1.23456e-5}) == "gradient norm 1.235e-05"
    scores = {f"G{n}": n / 10 for n in range(1, 8)}
    assert format_numbers({"nse": scores}) == "nse median 0.400 (0.100 to 0.700)"
