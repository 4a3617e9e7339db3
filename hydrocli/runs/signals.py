"""Signals ask a run to stop: the handler sets a flag, the run looks at it between two evaluations and saves itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ASKING = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGXCPU")
"""SIGUSR1 is what job schedulers are usually told to send some minutes before the end (sbatch --signal=B:USR1@300)."""


class StopFlag:
    """Whether a signal has come; `name` is that of the first."""

    name = ""

    def __call__(self) -> bool:
        """Whether to stop."""
        return bool(self.name)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        # A second Ctrl-C is a person who means it.
        if self.name and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.name = self.name or signal.Signals(number).name


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """A flag that signals raise while the block runs; the handlers of before come back after it."""
    flag = StopFlag()
    numbers = [getattr(signal, name) for name in ASKING if hasattr(signal, name)]
    before = {number: signal.signal(number, flag._handle) for number in numbers}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
