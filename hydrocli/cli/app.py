"""The application, and the one decorator that makes a function a command with the options that all commands share."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import hydrocli
from hydrocli.cli import help as help_text
from hydrocli.cli import options
from hydrocli.cli.errors import PARSER_ERROR, handle_errors, parser_error, show_error
from hydrocli.cli.tables import Row, show_rows
from hydrocli.errors import ConfigurationError, HydrocliError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTIONS: dict[str, list[str]] = {
    "Calibration": [],
    "Forecasts": [],
    "Results": [],
    "Data": [],
    "Campaigns": [],
    "Configuration and help": [],
    "Checks and maintenance": [],
}
"""Names of commands, in the order and under the titles of `hydrocli --help`."""
EXAMPLES = (
    "hydrocli synthetic basin             # data to try it with",
    "hydrocli calibrate basin/config.yaml",
    "hydrocli validate basin/config.yaml",
    "hydrocli report basin/config.yaml",
    "hydrocli docs                        # list of the pages of documentation",
)
USUAL_EXIT_CODES = (0, 2, 3, 6)


@dataclass
class Call:
    """What every command is given: its shared options, and where its results go.

    Attributes:
        sets: `section.key=value` texts of `--set`, that of `--threads` included.
        force: archive what is in the way.
        as_json: results as JSON lines.
    """

    sets: list[str] = field(default_factory=list)
    force: bool = False
    as_json: bool = False

    def show(self, rows: Sequence[Row], title: str = "") -> None:
        """Print results on standard output: a table, or one JSON object on each line."""
        show_rows(rows, as_json=self.as_json, title=title)


def completed_keys(incomplete: str) -> list[str]:
    """Keys of the configuration that continue what has been typed after `--set`."""
    from hydrocli.config.schema import schema

    root = schema()

    def keys(node: dict[str, Any], prefix: str) -> Iterator[str]:
        node = root["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        for part in [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())]:
            yield from keys(part, prefix)
        for name, child in node.get("properties", {}).items():
            yield f"{prefix}{name}="
            if prefix.count(".") < 3:
                yield from keys(child, f"{prefix}{name}.")

    return sorted({key for key in keys(root, "") if key.startswith(incomplete)})


SHARED: dict[str, tuple[Any, Any]] = {
    "sets": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--set",
                metavar="KEY=VALUE",
                help="Override a key of the configuration; repeatable.",
                autocompletion=completed_keys,
            ),
        ],
        None,
    ),
    "threads": (
        Annotated[
            Any, options.value("--threads", metavar="N", help="Threads; overrides execution.threads.", of=options.count)
        ],
        None,
    ),
    "force": (Annotated[bool, typer.Option("--force")], False),
    "json": (Annotated[bool, typer.Option("--json", help="Results as JSON, one object on each line.")], False),
    "quiet": (Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on standard error.")], False),
    "verbose": (Annotated[bool, typer.Option("--verbose", "-v", help="More messages on standard error.")], False),
}
"""Options that commands share: annotation and default."""


class Command(TyperCommand):
    """A command whose help is ours."""

    examples: tuple[str, ...] = ()
    exit_codes: tuple[int, ...] = USUAL_EXIT_CODES

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        formatter.write(help_text.command_help(ctx, self, self.examples, self.exit_codes))


class Group(TyperGroup):
    """`hydrocli` itself: help by sections, errors of the parser in our words."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        formatter.write(help_text.group_help(ctx, self, SECTIONS, EXAMPLES))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.commands, 1)
            hint = f"Did you mean `{near[0]}`? " if near else ""
            raise ConfigurationError(args[0], "is not a command", f"{hint}`hydrocli --help` lists all commands.")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line; all errors are shown in one way."""
        standalone = extra.pop("standalone_mode", True)
        extra["standalone_mode"] = False
        if not standalone:
            return super().main(*args, **extra)
        try:
            code = super().main(*args, **extra)
        except HydrocliError as error:
            code = show_error(error)
        except PARSER_ERROR as error:
            code = show_error(parser_error(error))
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    name="hydrocli",
    cls=Group,
    help="Calibrate spatially distributed, hybrid physics-AI flood models from the command line.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"hydrocli {hydrocli.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def command(
    section: str,
    *,
    shared: Sequence[str] = ("sets", "json", "quiet", "verbose"),
    force: str = "Archive an existing run of another configuration and start over.",
    examples: Sequence[str] = (),
    exit_codes: Sequence[int] = USUAL_EXIT_CODES,
    loads: bool = True,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command; its name, `_` as `-`, is that of the command, its docstring the help.

    The function takes a `Call` first, then its own options. `shared` options become part of the `Call`.

    Args:
        section: title in `hydrocli --help`.
        shared: keys of `SHARED`.
        force: help of `--force`, where it is among them.
        examples: command lines for the help.
        exit_codes: that it can end with; 7 as well, where it loads libraries.
        loads: whether it loads the libraries that compute or read tables, which take memory.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        name = function.__name__.strip("_").replace("_", "-")
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        parameters = [*own, *(_parameter(key, force) for key in shared)]

        @functools.wraps(function)
        def run(**values: Any) -> None:
            given = {key: values.pop(key) for key in shared}
            with _called(given, loads) as call:
                function(call, **values)

        del run.__wrapped__  # the parser must see the signature below
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        codes = sorted({*exit_codes, *((OutOfMemoryError.exit_status,) if loads else ())})
        kind = type("Command", (Command,), {"examples": tuple(examples), "exit_codes": tuple(codes)})
        SECTIONS[section].append(name)
        app.command(name, cls=kind)(run)
        return function

    return decorate


def _parameter(key: str, force: str) -> inspect.Parameter:
    annotation, default = SHARED[key]
    if key == "force":
        annotation = Annotated[bool, typer.Option("--force", help=force)]
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


@contextmanager
def _called(given: dict[str, Any], loads: bool) -> Iterator[Call]:
    """The call of a command; what ends it is shown, and a signal ends it cleanly."""
    if given.get("quiet") and given.get("verbose"):
        raise typer.BadParameter("cannot be combined with --verbose", param_hint="--quiet")
    with handle_errors():
        from hydrocli.execution.progress import Console
        from hydrocli.execution.resources import require_address_space
        from hydrocli.execution.signals import stopped_at_once

        if loads:
            require_address_space()
        sets = list(given.get("sets") or [])
        if threads := given.get("threads"):
            sets.append(f"execution.threads={threads}")
        with stopped_at_once(), Console(quiet=given.get("quiet", False), verbose=given.get("verbose", False)):
            yield Call(sets, given.get("force", False), given.get("json", False))
            sys.stdout.flush()


def main() -> None:
    """Entry point of the command `hydrocli`."""
    app(prog_name="hydrocli")
