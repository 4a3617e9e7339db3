"""How a command ends: every error becomes lines on standard error and an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

import hydrocli
from hydrocli.errors import Errors, HydrocliError, Stopped

INTERRUPTED = 130
NOBODY_LISTENS = 141
BUG = 1


@contextmanager
def told() -> Iterator[None]:
    """Tell what ends the block, and leave with its status; only a bug shows a traceback."""
    try:
        yield
        sys.stdout.flush()
    except HydrocliError as error:
        for one in error.errors if isinstance(error, Errors) else [error]:
            _tell(one)
        raise typer.Exit(error.exit_status) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Python flushes standard output once more at exit, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(NOBODY_LISTENS) from None
    except typer.Exit:
        raise
    except Exception:
        traceback.print_exc()
        typer.echo(
            f"This is a bug of hydrocli {hydrocli.__version__}: please report it with the lines above.", err=True
        )
        raise typer.Exit(BUG) from None


def _tell(error: HydrocliError) -> None:
    is_fault = not isinstance(error, Stopped)
    typer.secho("error: " if is_fault else "stopped: ", fg="red" if is_fault else "yellow", err=True, nl=False)
    typer.echo(str(error), err=True)
