"""A signal is answered at once, even while the main thread is in compiled code."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from threading import Thread
from typing import Any

import pytest

from hydrocli.errors import Stopped
from hydrocli.execution.log import recorded
from hydrocli.execution.signals import stop_flag, stopped_at_once


def test_a_signal_is_announced_while_the_main_thread_is_busy() -> None:
    """One call into C that Python cannot interrupt: the sentence is there before it returns."""
    heard: list[tuple[float, str]] = []

    def hear(fields: dict[str, Any]) -> None:
        heard.append((time.perf_counter(), fields["text"]))

    def send() -> None:
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    with recorded(hear), stop_flag() as stop:
        sender = Thread(target=send)
        sender.start()
        hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 1_500_000)  # without the interpreter lock, as compiled loops
        returned = time.perf_counter()
        assert stop()
        sender.join()
    assert [text.partition(":")[0] for _, text in heard] == ["SIGTERM received"]
    assert heard[0][0] < returned


def test_nothing_is_announced_without_a_signal() -> None:
    heard: list[dict[str, Any]] = []
    before = signal.getsignal(signal.SIGTERM)
    with recorded(heard.append), stop_flag() as stop:
        assert not stop()
    assert heard == []
    assert signal.getsignal(signal.SIGTERM) is before


class Describes:
    """Python raises a RuntimeError from whatever is raised in here, in 3.11 at least."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __set_name__(self, owner: type, name: str) -> None:
        os.kill(os.getpid(), self.number)
        time.sleep(1)


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGTERM, Stopped), (signal.SIGUSR1, Stopped), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_while_a_class_is_made_is_no_bug(number: signal.Signals, expected: type[BaseException]) -> None:
    def load() -> None:
        with stopped_at_once():
            type("Loaded", (), {"field": Describes(number)})

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which processes in the background do not have
    try:
        with pytest.raises(expected):
            load()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGTERM, Stopped), (signal.SIGINT, KeyboardInterrupt), (signal.SIGUSR1, Stopped)]
)
def test_a_library_that_hides_the_signal_in_an_error_of_its_own(
    number: signal.Signals, expected: type[BaseException]
) -> None:
    """As pydantic does, whose compiled part keeps the words of the first error alone."""

    def load() -> None:
        with stopped_at_once():
            try:
                os.kill(os.getpid(), number)
                time.sleep(5)
            except BaseException as error:
                words = f"SchemaError: {type(error).__name__}"
            raise RuntimeError(words)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(expected):
            load()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, Stopped), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_in_a_finaliser_is_not_lost(
    number: signal.Signals, expected: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    """Python ignores what is raised there, and prints it."""

    class Closing:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)
            time.sleep(0.5)

    def load() -> None:
        with stopped_at_once():
            closing = Closing()
            del closing
            time.sleep(5)

    before, hook = signal.signal(signal.SIGINT, signal.default_int_handler), sys.unraisablehook
    try:
        began = time.monotonic()
        with pytest.raises(expected):
            load()
        assert time.monotonic() - began < 2
        assert sys.unraisablehook is hook
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Traceback" not in capsys.readouterr().err


def test_a_process_that_ignores_interrupts_still_does() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopped_at_once():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_errors_pass_unchanged() -> None:
    def fail() -> None:
        with stopped_at_once():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
