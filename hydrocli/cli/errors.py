"""How a command ends: every error becomes lines on standard error and an exit code.

Errors of the parser (an unknown option, a missing argument) and errors of the tool look alike:

    error: --cells: 'many' is not a whole number
      `hydrocli synthetic --help` lists all options.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import typer

import hydrocli
from hydrocli.errors import (
    EXIT_BROKEN_PIPE,
    EXIT_BUG,
    EXIT_INTERRUPTED,
    Errors,
    HydrocliError,
    OutOfMemoryError,
    Stopped,
)

PARSER_ERROR: Any = typer.BadParameter.__mro__[2]
"""What the parser raises (`ClickException`); Typer 0.15 takes it from Click, later versions carry their own copy."""
RED, YELLOW = "\033[31m", "\033[33m"


@contextmanager
def handle_errors() -> Iterator[None]:
    """Print what ends the block, and leave with its exit code; only a bug shows a traceback."""
    try:
        yield
        sys.stdout.flush()
    except HydrocliError as error:
        raise typer.Exit(show_error(_memory_error(error) or error)) from None
    except KeyboardInterrupt:
        _write("stopped: ", YELLOW, "interrupted")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # Python flushes standard output once more at exit, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_BROKEN_PIPE) from None
    except (typer.Exit, PARSER_ERROR):
        raise
    except Exception as error:
        if known := _memory_error(error) or _system_error(error):
            raise typer.Exit(show_error(known)) from None
        traceback.print_exc()
        _write("", "", f"This is a bug of hydrocli {hydrocli.__version__}: please report it with the lines above.")
        raise typer.Exit(EXIT_BUG) from None


def _memory_error(error: Exception) -> HydrocliError | None:
    """The error of a shortage of memory, where that is the cause."""
    try:
        from hydrocli.execution.resources import memory_error

        return memory_error(error)
    except (MemoryError, ImportError, OSError):
        return OutOfMemoryError("memory", "not enough memory", "Raise the limit (`ulimit -v`), or free memory.")


def _system_error(error: Exception) -> HydrocliError | None:
    """What the operating system has refused, where nobody nearer to it has said so: a full disk, a removed folder."""
    from hydrocli.files import os_error_as_input_error

    if not isinstance(error, OSError) or not error.errno:
        return None
    return os_error_as_input_error(error, error.filename or "file system", "cannot be read or written")


def show_error(error: HydrocliError) -> int:
    """Print an error, or several of them; returns the exit code."""
    for one in error.errors if isinstance(error, Errors) else [error]:
        label, colour = ("stopped: ", YELLOW) if isinstance(one, Stopped) else ("error: ", RED)
        _write(label, colour, str(one))
    return error.exit_status


def _write(label: str, colour: str, text: str) -> None:
    if colour and _coloured():
        label = f"{colour}{label}\033[0m"
    sys.stderr.write(f"{label}{text}\n")
    sys.stderr.flush()


def _coloured() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def parser_error(error: Any) -> HydrocliError:
    """An error of the parser in the words of this tool."""
    from hydrocli.errors import ConfigurationError

    context = getattr(error, "ctx", None)
    command = context.command_path if context else "hydrocli"
    remedy = f"`{command} --help` lists all options."
    if option := getattr(error, "option_name", ""):
        if type(error).__name__ == "NoSuchOption":
            known = [name for parameter in context.command.params for name in parameter.opts] if context else []
            near = get_close_matches(option, known, 1)
            remedy = f"Did you mean {near[0]}? {remedy}" if near else remedy
            return ConfigurationError(option, f"is not an option of `{command}`", remedy)
        what = "needs a value" if "argument" in error.message else "takes no value"
        return ConfigurationError(option, what, remedy)
    if (hint := getattr(error, "param_hint", None)) or getattr(error, "param", None):
        where = hint if isinstance(hint, str) else label_of(error.param)
        what = "is missing" if type(error).__name__ == "MissingParameter" else error.message
        return ConfigurationError(where, what, remedy)
    if "unexpected extra argument" in error.format_message():
        extra = error.format_message().rpartition("(")[2].rstrip(")")
        return ConfigurationError(command, f"too many arguments: {extra}", f"`{command} --help` shows its arguments.")
    return ConfigurationError(command, error.format_message(), remedy)


def label_of(parameter: Any) -> str:
    """Name of an option or argument as a user writes it: `--set`, `TARGET`."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper()).strip("[]")
    return str(max(parameter.opts, key=len))
