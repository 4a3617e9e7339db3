"""`log.jsonl`: one JSON object per line, readable during the run and after any kind of end.

Every line is one `write` to a file opened for appending: lines of several threads never mix, and a kill truncates at
most the last one. Readers skip an incomplete line.
"""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from hydrocli.files import os_errors_as_input_errors
from hydrocli.formatting import to_jsonable

Level = Literal["debug", "info", "warning", "error"]


def append(path: Path, event: str, level: Level = "info", **fields: Any) -> None:
    """Add a line: UTC time, level, event and the fields given.

    Raises:
        InputError: the file cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps(to_jsonable({"time": now, "level": level, "event": event, **fields}), ensure_ascii=False)
    encoded = line.encode() + b"\n"
    with os_errors_as_input_errors(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if os.write(handle, encoded) < len(encoded):
                raise OSError(errno.ENOSPC, "the line was cut")
        finally:
            os.close(handle)


def repair_last_line(path: Path) -> None:
    """Terminate an incomplete last line, so that the next entry starts on a new line."""
    with os_errors_as_input_errors(path):
        if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a log, without incomplete lines; empty when there is no log."""
    if not path.exists():
        return []
    lines = []
    with os_errors_as_input_errors(path, "cannot be read"):
        for line in path.read_bytes().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
    return lines
