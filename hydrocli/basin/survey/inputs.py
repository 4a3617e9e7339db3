"""What a survey says of an input: its role, its path, the keys of its section, and the times that it covers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

OR = "or"
"""Comment of further answers to a question."""


class Key(NamedTuple):
    """A key of the configuration.

    Attributes:
        name: of the key.
        value: of it.
        comment: why; for a question, what is asked.
        is_assumed: whether the user is told on the screen: the files do not state it.
        is_open: whether the user must decide; the key is written as a comment then.
        is_default: whether the value is an alternative to what holds without the key, and is written as a comment.
    """

    name: str
    value: Any
    comment: str = ""
    is_assumed: bool = False
    is_open: bool = False
    is_default: bool = False

    @property
    def is_written(self) -> bool:
        """Whether the key counts, and is no comment."""
        return not (self.is_open or self.is_default)


def alternatives(name: str, values: Iterable[Any], question: str) -> list[Key]:
    """Values of a key of which the user must choose one."""
    return [Key(name, value, OR if k else question, is_open=True) for k, value in enumerate(values)]


class Span(NamedTuple):
    """Times of a series, as the readers give them.

    Attributes:
        first, last: of the fields or values.
        spacing: between them [s].
    """

    first: np.datetime64
    last: np.datetime64
    spacing: int

    @property
    def start(self) -> np.datetime64:
        """Start of the first interval, where times are ends."""
        return self.first - np.timedelta64(self.spacing, "s")


@dataclass(frozen=True)
class Input:
    """An input that was recognised.

    Attributes:
        role: precipitation, temperature, pet, flow_directions, dem, descriptor, gauges or discharge.
        path: of the file or folder.
        keys: of its section, without `path`.
        words: what it is, for the screen.
        span: of its times, where they are known.
        title: of a descriptor.
        codes: of gauges.
    """

    role: str
    path: Path
    keys: tuple[Key, ...] = ()
    words: str = ""
    span: Span | None = None
    title: str = ""
    codes: tuple[str, ...] = field(default=())

    def relative_to(self, folder: Path) -> str:
        """The path, short."""
        return os.path.relpath(self.path, folder)

    def value(self, name: str, default: Any = None) -> Any:
        """Of a key that counts."""
        return next((key.value for key in self.keys if key.name == name and key.is_written), default)
