"""A signal is answered at once, even while the main thread is in compiled code."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from threading import Thread
from typing import Any

from hydrocli.execution.log import recorded
from hydrocli.execution.signals import stop_flag


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
