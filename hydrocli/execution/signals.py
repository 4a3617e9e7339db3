"""Signals ask a run to stop.

A calibration looks at a flag between two evaluations and saves itself; what is done sooner than that ends at once, and
cleans up behind itself.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread, Timer
from types import FrameType

from hydrocli.errors import Stopped
from hydrocli.processes import STOP_SIGNALS

logger = logging.getLogger(__name__)

AGAIN = 0.02
"""Seconds after which a signal is sent again that came where no exception can end anything."""


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


class Terminated(BaseException):
    """A signal has come, its name is the argument; no `except Exception` on its way may take it for a fault."""


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """A flag that signals raise while the block runs; the handlers of before come back after it."""
    flag = StopFlag()
    with _handled(STOP_SIGNALS, flag._handle), _announced():
        yield flag


@contextmanager
def _announced() -> Iterator[None]:
    """Say at once that a signal has come.

    Python runs its handlers between two instructions of the main thread, which may be seconds away in compiled code or
    in the compiler; the number of the signal is written to a file descriptor at once, and another thread reads it.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = Thread(target=_announce_first, args=(reader,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()


def _announce_first(reader: socket.socket) -> None:
    announced = False
    while received := reader.recv(64):
        names = [signal.Signals(number).name for number in received]
        asking = next((name for name in names if signal.Signals[name] in STOP_SIGNALS), "")
        if asking and not announced:
            announced = True
            again = " Ctrl-C again stops at once." if asking == "SIGINT" else ""
            logger.info(f"{asking} received: stopping after the current evaluation; what is done is saved.{again}")


@contextmanager
def stopped_at_once() -> Iterator[None]:
    """End the block where it is when a signal comes. Ctrl-C raises KeyboardInterrupt, where Python would raise it.

    Raises:
        Stopped: it was ended by another signal.
    """
    received, again = list[signal.Signals](), list[Timer]()

    def terminate(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_IGN)  # a second one must not end the cleaning
        raise Terminated(received[-1].name)

    def send_again(unraisable: sys.UnraisableHookArgs) -> None:
        """An exception in a finaliser or callback ends nothing: Python would print it, and the signal would be lost."""
        if not (received and issubclass(unraisable.exc_type, Terminated | KeyboardInterrupt)):
            hook(unraisable)
            return
        number = received.pop()
        signal.signal(number, terminate)
        again.append(Timer(AGAIN, os.kill, (os.getpid(), number)))
        again[-1].start()

    hook = sys.unraisablehook
    # A process in the background, or a worker, does not take Ctrl-C.
    takes_interrupt = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with _handled([one for one in STOP_SIGNALS if takes_interrupt or one != signal.SIGINT], terminate):
        sys.unraisablehook = send_again
        try:
            yield
        except BaseException:
            # Python, and libraries, may raise another error from the one that a signal raises in the middle of them,
            # and some of them keep nothing of the first but its words.
            if not received:
                raise
            if received[0] == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise Stopped("hydrocli", f"stopped by {received[0].name}", "All files are complete; run again.") from None
        finally:
            sys.unraisablehook = hook
            for timer in again:
                timer.cancel()


@contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
