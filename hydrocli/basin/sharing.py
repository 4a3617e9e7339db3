"""What several basins share is listed and read once: archives of forcing, flow directions, large tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

T = TypeVar("T")
_kept: ContextVar[dict[tuple[str, ...], Any] | None] = ContextVar("_kept", default=None)


@contextmanager
def inputs_read_once() -> Iterator[None]:
    """Within the block what `shared` makes is kept."""
    if _kept.get() is not None:  # inside another such block
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def shared(key: tuple[str, ...], make: Callable[[], T]) -> T:
    """What `make` gives; within `inputs_read_once`, what it has given for this key before."""
    kept = _kept.get()
    if kept is None:
        return make()
    if key not in kept:
        kept[key] = make()
    return cast(T, kept[key])
