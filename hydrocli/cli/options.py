"""Arguments and options that several commands have, and parsers of values that answer in the words of this tool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

CONFIG = Path("config.yaml")
CAMPAIGN = Path("campaign.yaml")

Target = Annotated[Path, typer.Argument(metavar="TARGET", help="YAML file, or run folder.", show_default=True)]
RunOrCampaign = Annotated[
    Path, typer.Argument(metavar="TARGET", help="YAML file, run folder, or campaign.", show_default=True)
]
Campaign = Annotated[Path, typer.Argument(metavar="CAMPAIGN", help="YAML file or folder of a campaign.")]


def among(choices: Sequence[str] | Callable[[], Sequence[str]]) -> Callable[[str], list[str]]:
    """Completion of a word: those of the choices that begin with what has been typed."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in (choices() if callable(choices) else choices) if word.startswith(incomplete)]

    return complete


def value(*names: str, metavar: str, help: str, of: Callable[[str], Any], choices: Sequence[str] = ()) -> Any:  # noqa: A002
    """An option with a value that `of` parses; a ValueError of it is shown with its own words."""

    def parse(text: Any) -> Any:
        try:
            return of(text) if isinstance(text, str) else text
        except ValueError as error:
            # An error of the configuration carries what to write in its place.
            expected = (getattr(error, "context", None) or {}).get("remedy", "")
            raise typer.BadParameter(f"{error}; {expected}" if expected else str(error)) from None

    complete = among(choices) if choices else None
    return typer.Option(*names, metavar=metavar, help=help, parser=parse, autocompletion=complete)


def choice(*names: str, help: str, of: Sequence[str], metavar: str = "") -> Any:  # noqa: A002
    """An option whose value is one of a few words."""

    def parse(text: str) -> str:
        if text not in of:
            raise ValueError(f"{text!r} is not one of: {', '.join(of)}")
        return text

    return value(*names, metavar=metavar or "|".join(of), help=help, of=parse, choices=of)


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def count(text: str) -> int:
    """A whole number of at least 1."""
    number = whole(text)
    if number < 1:
        raise ValueError(f"{text} is less than 1")
    return number


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def step(text: str) -> int:
    """A time step in seconds."""
    from hydrocli.config import step_seconds

    return step_seconds(text)


def time(text: str) -> datetime:
    """A time, UTC."""
    from hydrocli.config import utc

    return utc(text)


def duration(text: str) -> int:
    """A duration in seconds."""
    from hydrocli.config import duration_seconds

    return duration_seconds(text)
