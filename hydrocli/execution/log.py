"""Where the records of the logger `hydrocli` go: to a person (see `progress`), and to the log of a run folder.

Every module speaks through `logging.getLogger(__name__)`: `info` is a note for everybody, `debug` a detail for those
who ask with -v, `warning` what does not end the command but should be looked at. `event` records what is no sentence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Write = Callable[[dict[str, Any]], None]

ROOT = logging.getLogger("hydrocli")


def event(name: str, text: str, **fields: Any) -> None:
    """Record an event with its fields; a terminal shows it by other means than the text, if at all."""
    ROOT.info(text, extra={"event": name, "fields": fields})


def is_event(record: logging.LogRecord) -> bool:
    """Whether a record comes from `event`."""
    return hasattr(record, "event")


class _Fields(logging.Handler):
    """Hands on each record as fields; what `write` raises ends whoever has logged."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        kind = "warning" if record.levelno >= logging.WARNING else "note"
        fields = record.__dict__["fields"] if is_event(record) else {"text": record.getMessage()}
        self._write({"event": getattr(record, "event", kind), "level": record.levelname.lower(), **fields})


@contextmanager
def attached(handler: logging.Handler) -> Iterator[None]:
    """Give a handler all records of the block, of every level."""
    before = ROOT.level
    ROOT.setLevel(logging.DEBUG)
    ROOT.addHandler(handler)
    try:
        yield
    finally:
        ROOT.removeHandler(handler)
        ROOT.setLevel(before)


@contextmanager
def recorded(write: Write) -> Iterator[None]:
    """Hand every record of the block to `write`, as `{"event": ..., "level": ..., ...}`: the log of a run folder."""
    with attached(_Fields(write)):
        yield
