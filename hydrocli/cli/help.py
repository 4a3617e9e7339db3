"""The text of `--help`: plain, 80 columns, the same with every version of the parser, without loading `rich`."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydrocli.cli.errors import label_of
from hydrocli.errors import EXIT_CODES

WIDTH = 80
LEFT = 24
"""Columns of the names of arguments and options; longer names stand alone on their line."""


def command_help(context: Any, command: Any, examples: Sequence[str], exit_codes: Sequence[int]) -> str:
    """Help of one command.

    Args:
        context: of the parser.
        command: of the parser.
        examples: command lines, shown as they are.
        exit_codes: that it can end with.
    """
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    pieces = ["[OPTIONS]", *(_piece(argument) for argument in arguments)]
    parts = [f"Usage: {context.command_path} {' '.join(pieces)}\n", _text(command.help)]
    if arguments:
        parts.append(_section("Arguments", [(label_of(a), _sentence(a)) for a in arguments]))
    help_row = ("-h, --help", "Show this help.")
    parts.append(_section("Options", [*((_names(option), _sentence(option)) for option in options), help_row]))
    if examples:
        parts.append("Examples:\n" + "".join(f"  {line}\n" for line in examples))
    parts.append(_wrapped("Exit codes: " + ", ".join(f"{code} {EXIT_CODES[code]}" for code in exit_codes) + "."))
    return "\n".join(part for part in parts if part)


def group_help(context: Any, group: Any, sections: Mapping[str, Sequence[str]], examples: Sequence[str]) -> str:
    """Help of `hydrocli` itself: its commands by section, all exit codes."""
    parts = [f"Usage: {context.command_path} COMMAND [OPTIONS] [ARGUMENTS]\n", _text(group.help)]
    for title, names in sections.items():
        rows = [(name, first_line(group.commands[name].help)) for name in names]
        parts.append(_section(title, rows, left=19))
    options = [p for p in group.params if p.param_type_name == "option"]
    rows = [*((_names(option), _sentence(option)) for option in options), ("-h, --help", "Show this help.")]
    parts.append(_section("Options", rows))
    parts.append("Examples:\n" + "".join(f"  {line}\n" for line in examples))
    parts.append(_section("Exit codes", [(f"{code}", words) for code, words in EXIT_CODES.items()], left=8))
    return "\n".join(parts)


def first_line(text: str | None) -> str:
    """First sentence of a help text."""
    return inspect.cleandoc(text or "").partition("\n\n")[0].replace("\n", " ").rstrip(".")


def _piece(argument: Any) -> str:
    name = label_of(argument) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _names(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    return names if option.is_flag else f"{names} {option.metavar or option.name.upper()}"


def _sentence(parameter: Any) -> str:
    words = str(parameter.help or "")
    shown = getattr(parameter, "show_default", None)
    default = shown if isinstance(shown, str) else parameter.default
    if default in (None, False, (), []) or callable(default) or shown is False:
        return words
    default = ", ".join(map(str, default)) if isinstance(default, list | tuple) else default
    return f"{words} [default: {default}]"


def _text(text: str | None) -> str:
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n".join(_wrapped(paragraph.replace("\n", " "), "  ") for paragraph in paragraphs if paragraph)


def _section(title: str, rows: Iterable[tuple[str, str]], left: int = LEFT) -> str:
    lines = [f"{title}:"]
    for name, words in rows:
        head = f"  {name}"
        if len(head) > left - 2:
            lines.append(head)
            head = ""
        lines.append(_wrapped(words, " " * left, f"{head:<{left}}").rstrip("\n"))
    return "\n".join(lines) + "\n"


def _wrapped(text: str, indent: str = "", first: str | None = None) -> str:
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return (
        textwrap.fill(
            text, width, initial_indent=indent if first is None else first, subsequent_indent=indent, **options
        )
        + "\n"
    )
