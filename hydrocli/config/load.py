"""File and overrides -> `Experiment`, or all that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from hydrocli.config.document import Document, parse
from hydrocli.config.experiment import Experiment
from hydrocli.config.schema import candidates
from hydrocli.config.section import Location, Section
from hydrocli.config.wording import explain
from hydrocli.errors import ConfigurationError, Errors

Checked = TypeVar("Checked", bound=Section)

INIT = "`hydrocli init` writes one to start from"


def load(path: Path | str, overrides: Sequence[str] = (), needs: Iterable[str] = ()) -> Experiment:
    """Read and check a configuration; whether the files it names exist is not asked here.

    Args:
        path: YAML file, or run folder, which stands for the `config.yaml` in it; relative paths in it start from its
            folder.
        overrides: `section.key=value` texts, checked like the file.
        needs: optional keys that a command cannot do without, as `gauges.discharge`.

    Raises:
        Errors: everything that is wrong, each with line and key.
    """
    document = read_document(path, overrides)
    experiment = validated(document, Experiment)
    if experiment:
        _ask_for(needs, experiment, document)
    if experiment is None or document.problems:
        raise Errors(document.in_order())
    return experiment


def read_document(path: Path | str, overrides: Sequence[str] = (), inside: str = "config.yaml") -> Document:
    """The values of a YAML file, or of the file `inside` a folder, with overrides, not checked yet.

    Raises:
        Errors: there is no such file, or it holds something else than keys and values.
    """
    path = Path(path)
    path = path / inside if path.is_dir() else path
    document = parse(_text(path), str(path))
    if document.values is None:
        raise Errors([ConfigurationError(str(path), "is empty", INIT)])
    if not isinstance(document.values, dict):
        raise Errors([ConfigurationError(str(path), "is not made of `key: value` lines", INIT)])
    for override in sorted(overrides, key=lambda text: ".from=" not in text):  # a value given beside it counts
        document.override(override)
    return document


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise Errors([ConfigurationError(str(path), "there is no such file", INIT)]) from None
    except OSError as error:
        raise Errors([ConfigurationError(str(path), f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise Errors([ConfigurationError(str(path), "is no text in UTF-8")]) from None


def validated(document: Document, model: type[Checked]) -> Checked | None:
    """The values of a document as a configuration; None where something is wrong, which the document then holds."""
    try:
        folder = Path(document.source).absolute().parent
        return model.model_validate(document.values, context={"folder": folder})
    except ValidationError as error:
        for entry in error.errors(include_url=False):
            document.refuse(*explain(entry, document.values, model))
        return None


def _ask_for(needs: Iterable[str], experiment: Experiment, document: Document) -> None:
    for key in needs:
        location: Location = tuple(key.split("."))
        if attrgetter(key)(experiment) is None:
            told = candidates(location, document.values)
            document.refuse(location, "is required by this command", told[0].get("description", ""))
