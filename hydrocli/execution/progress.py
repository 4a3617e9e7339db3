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

from hydrocli.execution import log

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Number = int | float
SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_LINES_VERBOSE = 2.0
GAUGES_ONE_BY_ONE = 4


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
        self._bars: Progress | None = None
        self._running = 0
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
    def track(self, name: str, total: Number | None = None) -> Iterator[Task]:
        """See the function `track`."""
        task = _Bar(self, name, total) if self.is_terminal else Task(self, name, total)
        self._running += 1
        try:
            yield task
        except BaseException:
            task.end("stopped")
            raise
        else:
            task.end("done")
        finally:
            self._running -= 1
            if self._bars and not self._running:
                self._bars.stop()
                self._bars = None

    def bars(self) -> Progress:
        """The bars on the terminal; those of several tasks stand below one another."""
        if self._bars is None:
            from rich.console import Console as Terminal
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
            from rich.progress import TimeRemainingColumn as TimeLeft
            from rich.table import Column

            left = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), MofNCompleteColumn())
            one_line = Column(no_wrap=True, overflow="ellipsis")
            numbers = TextColumn("{task.fields[numbers]}", markup=False, table_column=one_line)
            right = (TimeElapsedColumn(), TimeLeft(), numbers)
            self._bars = Progress(*left, *right, console=Terminal(file=self._stream))
            self._bars.start()
        return self._bars

    def say(self, text: str) -> None:
        """Show a sentence, above the bars if there are any."""
        if self.quiet:
            return
        if self._bars:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
            return
        self._stream.write(text + "\n" if self.is_terminal else f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")
        self._stream.flush()


class Task:
    """Something that goes on; without a terminal it says a line at long intervals and at its end."""

    def __init__(self, console: Console, name: str, total: Number | None) -> None:
        self.console, self.name, self.total = console, name, total
        self.done: Number = 0
        self._numbers = ""
        self._start = self._last_line = time.monotonic()

    def update(self, done: Number, total: Number | None = None, **numbers: Any) -> None:
        """Tell how much is done, and numbers as `cost=0.1` or, for several gauges, `nse={"A": 0.9}`."""
        self.done = done
        self.total = self.total if total is None else total
        if numbers:
            self._numbers = format_numbers(numbers)
            text = f"{self._so_far()}, {self._numbers}"
            log.event("step", text, task=self.name, done=done, total=self.total, **numbers)
        self.show()

    def show(self) -> None:
        """Say a line, if the last one is long enough ago."""
        pause = SECONDS_BETWEEN_LINES_VERBOSE if self.console.verbose else SECONDS_BETWEEN_LINES
        now = time.monotonic()
        if now - self._last_line >= pause:
            self._last_line = now
            self.console.say(", ".join(part for part in (self._so_far(), self._time_left(), self._numbers) if part))

    def end(self, how: str) -> None:
        """Say how it ended."""
        seconds = time.monotonic() - self._start
        ending = f"{self._so_far()}, {how} after {duration(seconds)}"
        self.console.say(", ".join(part for part in (ending, self._numbers) if part))
        log.event("task", ending, task=self.name, done=self.done, ending=how, seconds=seconds)

    def _so_far(self) -> str:
        return f"{self.name}: {self.done:g}" + (f" of {self.total:g}" if self.total else "")

    def _time_left(self) -> str:
        if not self.done or not self.total:
            return ""
        seconds = (time.monotonic() - self._start) * (self.total - self.done) / self.done
        return f"at most {duration(seconds)} left"


class _Bar(Task):
    """On a terminal."""

    def __init__(self, console: Console, name: str, total: Number | None) -> None:
        super().__init__(console, name, total)
        self._bar: TaskID = console.bars().add_task(name, total=total, numbers="")

    def show(self) -> None:
        self.console.bars().update(self._bar, completed=self.done, total=self.total, numbers=self._numbers)

    def end(self, how: str) -> None:
        self.console.bars().remove_task(self._bar)
        super().end(how)


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


def track(name: str, total: Number | None = None) -> AbstractContextManager[Task]:
    """Show how far something is, for as long as the context lasts; `total` is left out where nobody knows it."""
    return current().track(name, total)


def format_numbers(numbers: Mapping[str, Any]) -> str:
    """Numbers in a line: `cost 0.0312, gradient norm 0.0021, nse A 0.961 B 0.957`."""
    return ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in numbers.items())


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
