"""What a person or a log hears while a command runs: bars on a terminal, a plain line now and then without one.

Everything goes to standard error, so that standard output holds only results. A command enters a `Console`; from then
on the records of the logger `hydrocli` are shown there, and so is what the functions below it `track`. A step that
reports numbers (an iteration) is also logged each time, see `log`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from statistics import median
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from hydrocli.errors import Stopped
from hydrocli.execution import log

if TYPE_CHECKING:
    from rich.live import Live

Number = int | float
SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_LINES_VERBOSE = 2.0
GAUGES_ONE_BY_ONE = 4
NARROWEST_BAR, WIDEST_BAR = 8, 40
TITLES = {"nse": "NSE"}
DROPPED_FIRST = ("gradient_norm", "iteration", "stage", "nse", "cost")
"""Numbers that a narrow terminal does not show, the least important first."""


class Console:
    """Where a command shows what it says.

    Use it as a context: within it, records of the logger `hydrocli` and all that is tracked are shown here. Consoles
    may be nested; the inner one hides the outer one.

    Args:
        quiet: show nothing; errors are not its business.
        verbose: show details and more lines.
        stream: standard error, unless a test listens.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, stream: TextIO | None = None) -> None:
        self.quiet, self.verbose = quiet, verbose
        self._stream = stream or sys.stderr
        self._live: Live | None = None
        self._shown: list[_Bar] = []
        self._entered = ExitStack()

    def __enter__(self) -> Console:
        _consoles.append(self)
        self._entered.callback(_consoles.remove, self)
        self._entered.enter_context(log.attached(_Sentences(self)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._entered.close()

    @property
    def is_terminal(self) -> bool:
        """Whether bars can be drawn."""
        return not self.quiet and self._stream.isatty()

    @contextmanager
    def track(
        self, name: str, total: Number | None = None, unit: str = "", limit: bool = False
    ) -> Iterator[ProgressTask]:
        """See the function `track`."""
        task = (_Bar if self.is_terminal else ProgressTask)(self, name, total, unit, limit)
        try:
            yield task
        except BaseException as error:
            # An interrupt, or `Stopped`, is no failure; Ctrl-C and signals are no `Exception`.
            task.end("failed" if isinstance(error, Exception) and not isinstance(error, Stopped) else "stopped")
            raise
        else:
            task.end(task.outcome)

    def show_bar(self, bar: _Bar) -> None:
        """Show a bar, below those of other tasks."""
        self._shown.append(bar)
        if self._live is None:
            from rich.console import Console as Terminal
            from rich.live import Live
            from rich.text import Text

            terminal = Terminal(file=self._stream, highlight=False)

            def drawn() -> Text:
                lines = [line for bar in self._shown for line in bar.lines(terminal.width)]
                return Text("\n".join(lines), no_wrap=True, overflow="crop")

            self._live = Live(get_renderable=drawn, console=terminal, refresh_per_second=4, transient=True)
            self._live.start()

    def hide_bar(self, bar: _Bar) -> None:
        """Take a bar away."""
        self._shown.remove(bar)
        if self._live and not self._shown:
            self._live.stop()
            self._live = None

    def refresh(self) -> None:
        """Draw the bars now; by themselves they do four times a second."""
        if self._live:
            self._live.refresh()

    def say(self, text: str) -> None:
        """Show a sentence, above the bars if there are any."""
        if self.quiet:
            return
        if self._live:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
            return
        self._stream.write(text + "\n" if self.is_terminal else f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")
        self._stream.flush()


class ProgressTask:
    """Something that goes on; without a terminal it says a line at long intervals and at its end.

    Attributes:
        outcome: how it will have ended if nothing is raised; `stopped` where the work ends early without an error.
    """

    def __init__(self, console: Console, name: str, total: Number | None, unit: str = "", limit: bool = False) -> None:
        self.console, self.name, self.total, self.unit, self.limit = console, name, total, unit, limit
        self.done: Number = 0
        self.outcome = "done"
        self._numbers: dict[str, Any] = {}
        self._start = self._last_line = time.monotonic()
        self._first: tuple[float, Number] | None = None

    def update(self, done: Number, total: Number | None = None, **numbers: Any) -> None:
        """Tell how much is done, and numbers as `cost=0.1` or, for several gauges, `nse={"A": 0.9}`."""
        self.done = done
        self.total = self.total if total is None else total
        if self._first is None:
            # What was done before, as by an earlier process, says nothing about the speed.
            self._first = (self._start, 0) if done <= 1 else (time.monotonic(), done)
        if numbers:
            self._numbers = numbers
            log.event(
                "step",
                f"{self._so_far()}, {format_numbers(numbers)}",
                task=self.name,
                done=done,
                total=self.total,
                **numbers,
            )
        self.show()

    def show(self) -> None:
        """Say a line, if the last one is long enough ago."""
        pause = SECONDS_BETWEEN_LINES_VERBOSE if self.console.verbose else SECONDS_BETWEEN_LINES
        now = time.monotonic()
        if now - self._last_line >= pause:
            self._last_line = now
            parts = (self._so_far(), self._time_left(now), format_numbers(self._numbers))
            self.console.say(", ".join(part for part in parts if part))

    def end(self, how: str) -> None:
        """Say how it ended."""
        seconds = time.monotonic() - self._start
        ending = f"{self._so_far(how)}, {how} after {duration(seconds)}"
        self.console.say(", ".join(part for part in (ending, format_numbers(self._numbers)) if part))
        log.event("task", ending, task=self.name, done=self.done, ending=how, seconds=seconds)

    def _so_far(self, how: str = "") -> str:
        if not self.done and not self.total:
            return self.name
        # A limit that was not needed is no share of what is done.
        of = f" of {self.total:g}" if self.total and not (how == "done" and self.limit) else ""
        return f"{self.name}: {self.done:g}{of}{self.unit and ' ' + self.unit}"

    def _time_left(self, now: float) -> str:
        if not self.total or self._first is None or self.done <= self._first[1]:
            return ""
        began, before = self._first
        seconds = (now - began) * max(0, self.total - self.done) / (self.done - before)
        return f"{'up to' if self.limit else 'about'} {duration(seconds)} left"


class _Bar(ProgressTask):
    """On a terminal: a line of name, bar, count and time left, and one of numbers."""

    def __init__(self, console: Console, name: str, total: Number | None, unit: str = "", limit: bool = False) -> None:
        super().__init__(console, name, total, unit, limit)
        console.show_bar(self)

    def show(self) -> None:
        """Nothing to do: the terminal looks at the bar by itself."""

    def end(self, how: str) -> None:
        self.console.hide_bar(self)
        super().end(how)

    def lines(self, width: int) -> list[str]:
        """One or two lines that fit; what is least important is left out first."""
        now = time.monotonic()
        count = f"{self.done:g}/{self.total:g}" if self.total else f"{self.done:g}" if self.done else ""
        left = self._time_left(now) or duration(now - self._start)
        # The time left matters more than the bar, and the bar more than the unit.
        bar_and_blank = NARROWEST_BAR + 1
        for parts, least in (
            ([count, self.unit, left], bar_and_blank),
            ([count, left], bar_and_blank),
            ([count, left], 0),
            ([count], 0),
            ([], 0),
        ):
            tail = " ".join(part for part in parts if part)
            room = width - len(self.name) - len(tail) - 2
            if room >= least:
                break
        share = min(1.0, self.done / self.total) if self.total else 0.0
        size = min(WIDEST_BAR, room - 1)
        filled = round(share * size)
        bar = f" {'━' * filled}{'─' * (size - filled)}" if size >= NARROWEST_BAR and self.total else ""
        first = f"{self.name[:width]}{bar} {tail}".rstrip()
        numbers = fitted(self._numbers, width - 2)
        return [first, f"  {numbers}"] if numbers else [first]


class _Sentences(logging.Handler):
    """Shows records on a console, while no other one hides it."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.DEBUG if console.verbose else logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if current() is self._console and not log.is_event(record):
            warning = "warning: " if record.levelno >= logging.WARNING else ""
            self._console.say(warning + record.getMessage())


_consoles = [Console(quiet=True)]
"""Those that were entered, the one that shows last; outside of commands nothing is shown."""


def current() -> Console:
    """The console that shows what is said and tracked now."""
    return _consoles[-1]


def track(
    name: str, total: Number | None = None, unit: str = "", limit: bool = False
) -> AbstractContextManager[ProgressTask]:
    """Show how far something is, for as long as the context lasts.

    Args:
        name: what is done.
        total: how much there is to do; left out where nobody knows it.
        unit: what is counted, as `evaluations`.
        limit: the total is an upper limit, and less may be enough.
    """
    return current().track(name, total, unit, limit)


def fitted(numbers: Mapping[str, Any], width: int) -> str:
    """As many of the numbers as a line of `width` characters holds, the important ones."""
    kept = dict(numbers)
    for name in [*DROPPED_FIRST[:-1], *(name for name in reversed(list(numbers)) if name not in DROPPED_FIRST)]:
        if len(format_numbers(kept)) <= width:
            break
        kept.pop(name, None)
    text = format_numbers(kept)
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def format_numbers(numbers: Mapping[str, Any]) -> str:
    """Numbers in a line: `cost 0.0312, gradient norm 0.0021, nse A 0.961 B 0.957`."""
    return ", ".join(f"{TITLES.get(name, name.replace('_', ' '))} {_number(value)}" for name, value in numbers.items())


def _number(value: Any) -> str:
    if isinstance(value, Mapping) and len(value) > GAUGES_ONE_BY_ONE:
        values = list(value.values())
        return f"median {median(values):.3f} ({min(values):.3f} to {max(values):.3f})"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {number:.3f}" for name, number in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
