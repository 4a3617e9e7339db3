"""File and overrides -> `Experiment`, or everything that is wrong with them, in words: which key, what, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from hydrocli.config.base import Location, Section, quoted
from hydrocli.config.document import Document, dotted, parse
from hydrocli.config.experiment import Experiment
from hydrocli.config.schema import candidates, known_keys
from hydrocli.errors import ConfigurationError, Errors
from hydrocli.run_format import CONFIG as RUN_CONFIG
from hydrocli.run_format import MANIFEST, require_run_format, require_whole_configuration

Checked = TypeVar("Checked", bound=Section)

INIT = "`hydrocli init` writes a template"
HELD_BY = {RUN_CONFIG: MANIFEST, "campaign.yaml": "campaign.parquet"}
"""Configurations that a run or a campaign keeps in its folder, and the file beside them that shows it."""

RENAMED = {
    "network": "initial_weights",
    "signatures": "flood_events",
    "flood_events.longest": "max_duration",
    "then": "after_calibration",
    "structure.limits": "flux_limits",
    "structure.network_state": "network_coupling",
    "structure.network.inputs": "input_scaling",
    "structure.network.deviation": "initial_std",
    "mapping.uniform": "uniform_parameters",
    "mapping.descriptors_of": "descriptors_by_parameter",
    "mapping.beyond": "extrapolation",
    "objective.penalty": "regularisation",
    "objective.regularisation.between": "smoothing_pairs",
    "optimiser.rate": "learning_rate",
    "optimiser.warm_up": "rate_warmup",
    "optimiser.final_share": "final_rate_fraction",
    "optimiser.gradient_limit": "max_gradient_norm",
    "optimiser.corrections": "history_size",
    "optimiser.free": "train",
    "optimiser.pace": "step",
    "optimiser.smallest_pace": "min_step",
    "optimiser.spread": "sigma0",
    "optimiser.batches.lead": "spin_up",
    "optimiser.batches.refresh": "full_evaluation_every",
    "outputs.limit": "max_memory",
    "forcing.evapotranspiration": "pet",
    "forcing.precipitation.factor": "scale_factor",
    "forcing.pet.factor": "scale_factor",
    "forcing.temperature.factor": "scale_factor",
}
"""Keys of early versions, and the last part of their names today."""


def load(path: Path | str, overrides: Sequence[str] = (), needs: Iterable[str] = ()) -> Experiment:
    """Read and check a configuration; it does not check whether the files it names exist.

    Args:
        path: YAML file, or run folder, which means the `config.yaml` in it; relative paths refer to its folder.
        overrides: `section.key=value` texts, checked like the file.
        needs: optional keys that the command requires, for example `gauges.discharge`.

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


def read_document(path: Path | str, overrides: Sequence[str] = (), inside: str = RUN_CONFIG) -> Document:
    """The values of a YAML file, or of the file `inside` a folder, with overrides; not checked yet.

    Raises:
        Errors: does not exist, or it has no keys and values.
        InputError: it belongs to a run folder of another format.
    """
    path = Path(path)
    folder = path if path.is_dir() else None
    path = path / inside if folder else path
    if path.name == RUN_CONFIG:
        require_run_format(path.parent)
        require_whole_configuration(path.parent)
    document = parse(_text(path), str(path))
    if document.values is None:
        raise Errors([ConfigurationError(str(path), "is empty", INIT)])
    if not isinstance(document.values, dict):
        raise Errors([ConfigurationError(str(path), "has no `key: value` lines", INIT)])
    beside = HELD_BY.get(path.name)
    if folder or (beside and (path.parent / beside).exists()):
        # A run or a campaign may have been copied or moved since: its folder is the one that holds the file.
        document.overlay(("folder",), str(path.absolute().parent), str(path))
    for override in sorted(overrides, key=lambda text: ".from=" not in text):  # explicit values take precedence
        document.override(override)
    return document


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise Errors([ConfigurationError(str(path), "does not exist", INIT)]) from None
    except OSError as error:
        raise Errors([ConfigurationError(str(path), f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise Errors([ConfigurationError(str(path), "is not valid UTF-8", "save the file as UTF-8")]) from None


def validated(document: Document, model: type[Checked]) -> Checked | None:
    """The values of a document as a configuration; None in case of errors, which are added to the document."""
    try:
        folder = Path(document.source).absolute().parent
        return model.model_validate(document.values, context={"folder": folder})
    except ValidationError as error:
        for entry in error.errors(include_url=False):
            document.add_problem(*explain(entry, document.values, model))
        return None


def _ask_for(needs: Iterable[str], experiment: Experiment, document: Document) -> None:
    for key in needs:
        location: Location = tuple(key.split("."))
        if attrgetter(key)(experiment) is None:
            details = candidates(location, document.values)
            document.add_problem(location, "is required by this command", details[0].get("description", ""))


EXPECTED = {
    "int_type": "a whole number is expected",
    "int_from_float": "a whole number is expected",
    "float_type": "a number is expected",
    "finite_number": "a finite number is expected",
    "bool_type": "true or false is expected",
    "string_type": "a string is expected",
    "tuple_type": "a list is expected",
    "dict_type": "a section of `name: value` lines is expected",
    "model_type": "a section of `key: value` lines is expected",
    "model_attributes_type": "a section of `key: value` lines is expected",
    "string_pattern_mismatch": "only letters, digits, _, - and . are allowed, and no dot or dash at the start",
}
LIMITS = {"greater_than": "above {gt:g}", "greater_than_equal": "at least {ge:g}", "less_than": "below {lt:g}"} | {
    "less_than_equal": "at most {le:g}"
}


def explain(error: Any, values: Any, model: type[Section] = Experiment) -> tuple[Location, str, str]:
    """Key, sentence and remedy of one entry of `ValidationError.errors()`; `values` were validated as a `model`."""
    kind, context, found = error["type"], error.get("ctx", {}), error["input"]
    location = _in_the_file(error["loc"], values, last_too=kind in ("missing", "refused"))
    if kind == "refused":
        return location, context["what"], context["remedy"]
    if kind == "missing":
        return _missing(location, model)
    if kind == "extra_forbidden":
        new = RENAMED.get(dotted(tuple(part for part in location if isinstance(part, str))))
        known = known_keys(location[:-1], values, model)
        return (
            location,
            "is not a known key",
            _did_you_mean(new) if new in known else _nearest(str(location[-1]), known),
        )
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = (context.get("expected") or context["expected_tags"]).replace("'", "").replace(" or ", ", ")
        given = context.get("tag", found)
        location = (*location, "kind") if "tag" in context else location
        return location, f"{quoted(given)} is not possible", _nearest(str(given), allowed.split(", "))
    if kind == "union_tag_not_found":
        nodes = candidates(location, values, model)
        choices = [node["properties"]["kind"]["const"] for node in nodes if "properties" in node]
        return (*location, "kind"), "is required", f"one of: {', '.join(choices)}"
    if kind == "too_long":
        return location, f"has {context['actual_length']} entries, {context['max_length']} expected", ""
    if kind in LIMITS:
        return location, f"must be {LIMITS[kind].format(**context)}, found {quoted(found)}", ""
    return location, f"{EXPECTED.get(kind, error['msg'])}, found {quoted(found)}", ""


def _in_the_file(location: Location, values: Any, *, last_too: bool) -> Location:
    """Without the parts that pydantic adds: names of variants, and the index of a single stage outside a list."""
    kept: list[str | int] = []
    for position, part in enumerate(location):
        there = part in values if isinstance(values, dict) else isinstance(values, list) and part in range(len(values))
        if there:
            values = values[part]
        if there or (last_too and position == len(location) - 1):
            kept.append(part)
    return tuple(kept)


def _missing(location: Location, model: type[Section]) -> tuple[Location, str, str]:
    if isinstance(location[-1], int):
        return location[:-1], "a pair [a, b] is expected", ""
    details = [node.get("description", "") for node in candidates(location, None, model)]
    return location, "is required", details[0] if details else ""


def _did_you_mean(word: Any) -> str:
    return f"did you mean `{word}`?"


def _nearest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return _did_you_mean(close[0]) if close else f"one of: {', '.join(known)}"
