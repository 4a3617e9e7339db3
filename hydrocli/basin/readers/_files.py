"""What formats whose files say when their fields are valid have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hydrocli.basin.basin import day_of_step
from hydrocli.basin.file_names import shown_names
from hydrocli.basin.patterns import Pattern
from hydrocli.basin.readers import Archive, ForcingSource, Layer, UnreadableError, find_files, refuse_duplicates
from hydrocli.errors import InputError


def files_of(source: ForcingSource, suffixes: tuple[str, ...], where: str) -> list[str]:
    """Paths of the files of a source that have one of the suffixes and fit its patterns, if it has any.

    Raises:
        InputError: there is none; `where` is the key that names it.
    """
    paths = find_files(source.path, suffixes, where)
    if not paths:
        raise InputError(where, f"{source.path} has no file that ends with {', '.join(suffixes)}")
    return fitting(paths, source, where)


def fitting(paths: list[str], source: ForcingSource, where: str) -> list[str]:
    """Those of some paths that fit the patterns of a source; all of them where it has none.

    Raises:
        InputError: there is none.
    """
    kept = list(iter_fitting(paths, source))
    if not kept:
        what = f"{source.path} has no file that fits {' or '.join(source.pattern)}"
        raise InputError(where, what, f"It has files such as {shown_names(paths)}.")
    return kept


def iter_fitting(paths: list[str], source: ForcingSource) -> Iterator[str]:
    """Those of some paths that fit the patterns of a source, one after the other; all where it has none."""
    rules = [Pattern(text) for text in source.pattern]
    for path in paths:
        relative = os.path.relpath(path, source.path).replace(os.sep, "/") if rules else ""
        if not rules or any(rule.match(relative) is not None for rule in rules):
            yield path


def archive_of(
    named: list[tuple[np.datetime64, Layer]],
    where: str,
    *,
    has_bounds: bool,
    notes: tuple[str, ...] = (),
    timezone: str = "UTC",
) -> Archive:
    """The fields of an archive in the order of their times.

    On a local clock two fields may have one time, where summer time ends; they stay in the order of the files. Whether
    it is such an hour is seen when the times are brought to UTC.

    Raises:
        InputError: two of them have the same time; `where` is the key that names the archive.
    """
    named.sort()
    if timezone.upper() == "UTC":
        refuse_duplicates(named, where)
    times = np.array([time for time, _ in named], "datetime64[s]")
    return Archive(times, tuple(layer for _, layer in named), has_bounds, notes)


def days_of_archive(archive: Archive, where: str) -> dict[str, Layer]:
    """The field of each day of the year, by 'mmdd'; the year of the times does not count.

    Raises:
        InputError: a day has two.
    """
    days = day_of_step(archive.times) if archive.has_bounds else archive.times.astype("datetime64[D]")
    named = [(str(day)[5:7] + str(day)[8:10], layer) for day, layer in zip(days, archive.layers, strict=True)]
    refuse_duplicates(named, where)
    return dict(named)


@contextmanager
def reading(path: str, name: str) -> Iterator[None]:
    """Raise what goes wrong inside as `UnreadableError` of that path; `name` is that of the format."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableError(path, "does not exist, or not any more") from error
    except PermissionError as error:
        raise UnreadableError(path, "cannot be opened", "Change its permissions.") from error
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, IndexError, OverflowError, EOFError) as error:
        text = " ".join(str(error).split())
        remedy = "Replace it by a sound copy, or remove it."
        raise UnreadableError(path, f"cannot be read as {name} ({text[:200]})", remedy) from error


def needs(name: str, extra: str, error: ImportError) -> InputError:
    """The error of a format whose library is not installed."""
    what = f"needs the library {error.name}, which is not installed"
    return InputError(f"format: {name}", what, f"Install it with: pip install 'hydrocli[{extra}]'")
