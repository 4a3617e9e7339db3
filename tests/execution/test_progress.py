"""What is heard: nothing, lines, or bars; and what reaches the log in any case."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from hydrocli.errors import Stopped
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


class Clock:
    """Seconds, as a test sets them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_lines_without_a_terminal(heard: list[dict[str, Any]], clock: Clock) -> None:
    stream = io.StringIO()
    with Console(stream=stream), track("calibrating", 100, "evaluations", limit=True) as task:
        clock.now = 10.0
        task.update(10, cost=0.5)
        clock.now = 31.0
        task.update(25, cost=0.25, nse={"A": 0.9})
        clock.now = 40.0
        task.update(30, cost=0.2, nse={"A": 0.91})
        clock.now = 70.0
    lines = [line.partition("Z ")[2] for line in stream.getvalue().splitlines()]
    assert lines == [
        "calibrating: 25 of 100 evaluations, up to 1 min 45 s left, cost 0.25, NSE A 0.900",
        "calibrating: 30 evaluations, done after 1 min 10 s, cost 0.2, NSE A 0.910",
    ]
    assert [entry["event"] for entry in heard] == ["step", "step", "step", "task"]
    assert heard[1] == {
        "event": "step",
        "level": "info",
        "task": "calibrating",
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
        console.refresh()
    text = stream.getvalue()
    for words in ("reading [A]", "2/3", "cost 0.5", "a note [B]", "done after"):
        assert words in text
    assert "\x1b[" in text
    stream.truncate(0)
    with console:
        logger.info("after")
    assert "\x1b[" not in stream.getvalue()


@pytest.mark.parametrize(
    ("error", "how"),
    [(ValueError("no"), "failed"), (Stopped("run", "stopped"), "stopped"), (KeyboardInterrupt(), "stopped")],
)
def test_a_task_that_is_not_done_does_not_say_so(error: BaseException, how: str, heard: list[dict[str, Any]]) -> None:
    stream = io.StringIO()

    def work() -> None:
        with Console(stream=stream), track("reading", 5) as task:
            task.update(2)
            raise error

    with pytest.raises(type(error)):
        work()
    assert f"reading: 2 of 5, {how} after" in stream.getvalue()
    assert heard[-1]["ending"] == how


def test_work_that_ends_early_without_an_error_is_stopped() -> None:
    stream = io.StringIO()
    with Console(stream=stream), track("calibrating", 9, limit=True) as task:
        task.update(3)
        task.outcome = "stopped"
    assert "calibrating: 3 of 9, stopped after" in stream.getvalue()


NUMBERS = {
    "stage": "1 uniform lbfgsb",
    "iteration": 36,
    "cost": 0.07987,
    "nse": {"A": 0.9, "B": 0.94},
    "gradient_norm": 1e-5,
}


@pytest.mark.parametrize("width", [20, 40, 60, 80, 140])
def test_a_bar_fits_the_terminal_and_keeps_what_matters(width: int, clock: Clock) -> None:
    """The count stays on 20 columns, the time left on 40, the bar and the NSE on 80."""
    with Console(stream=Terminal()) as console, console.track("calibrating", 387, "evaluations", limit=True) as task:
        clock.now = 1.0
        task.update(1)
        clock.now = 13.0
        task.update(129, **NUMBERS)
        first, second = task.lines(width)
    assert max(len(first), len(second)) <= width
    assert "129/387" in first
    assert ("up to 26 s left" in first) == (width >= 40)
    assert ("━━━" in first) == (width >= 60)
    assert "cost 0.07987" in second or width < 40
    assert ("NSE A 0.900 B 0.940" in second) == (width >= 40)
    assert ("gradient norm" in second) == (width >= 140)


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
    assert format_numbers({"nse": scores}) == "NSE median 0.400 (0.100 to 0.700)"
