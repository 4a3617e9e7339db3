"""The one family of errors that end a command: where, what, what to do.

What a user can cause or correct is raised as one of these and printed without a traceback; all else is a bug.
`exit_status` is what cron and job schedulers see:

| status | class | meaning |
|---|---|---|
| 2 | ConfigurationError | usage or configuration |
| 3 | InputError | input data |
| 4 | NumericalError | numerical failure |
| 5 | PartialError | some basins failed |
| 6 | HeldError | the run folder is held by another process |
| 7 | OutOfMemoryError | memory that cannot be had |
| 75 | Stopped | stopped by a signal, a checkpoint is written: run again to continue |
"""

from __future__ import annotations

from collections.abc import Iterator

EXIT_BUG, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 1, 130, 141
EXIT_CODES = {
    0: "done",
    EXIT_BUG: "a bug in hydrocli",
    2: "usage or configuration",
    3: "input data",
    4: "numerical failure",
    5: "some basins failed",
    6: "run folder held by another process",
    7: "not enough memory",
    75: "stopped by a signal with a checkpoint: run again to continue",
    EXIT_INTERRUPTED: "interrupted (Ctrl-C) without a checkpoint",
    EXIT_BROKEN_PIPE: "the reader of the output has closed it",
}
"""Every code that `hydrocli` ends with, and what it means."""


class HydrocliError(Exception):
    """A message for the user.

    Args:
        where: the key of the configuration (`forcing.precipitation.path`), file, gauge or cell concerned.
        what: what is wrong, with the value found.
        remedy: what to do about it; may be empty where `what` already says it.
    """

    exit_status = 1

    def __init__(self, where: str, what: str, remedy: str = "") -> None:
        super().__init__(where, what, remedy)
        self.where, self.what, self.remedy = where, what, remedy

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"\n  {self.remedy}" if self.remedy else "")


class ConfigurationError(HydrocliError):
    """What was asked cannot be understood or contradicts itself."""

    exit_status = 2


class InputError(HydrocliError):
    """A file or value read is missing, broken or does not fit the others."""

    exit_status = 3


class NumericalError(HydrocliError):
    """A computation left the finite numbers; `where` names the cell, time or iteration at which it did."""

    exit_status = 4


class PartialError(HydrocliError):
    """Some of many basins failed; the others are done."""

    exit_status = 5


class HeldError(HydrocliError):
    """Another process owns the run folder."""

    exit_status = 6


class OutOfMemoryError(HydrocliError):
    """The system, or a limit that somebody has set, refuses memory that the work needs."""

    exit_status = 7


class Stopped(HydrocliError):  # noqa: N818 - an ending, not a fault
    """A signal asked to stop and the state is saved."""

    exit_status = 75


class Errors(HydrocliError):  # noqa: N818 - many of them
    """Several errors found together, shown together; the status is that of the first."""

    def __init__(self, errors: list[HydrocliError]) -> None:
        super().__init__("", "", "")
        self.errors = errors
        self.exit_status = errors[0].exit_status

    def __reduce__(self) -> tuple[type[Errors], tuple[list[HydrocliError]]]:
        """Made again from its errors, on the way from one process to another."""
        return type(self), (self.errors,)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it came from, each once."""
    found, seen = error, set[int]()
    while id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__ or found
