"""What pydantic found wrong, in words for people: which key, what, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from hydrocli.config.experiment import Experiment
from hydrocli.config.schema import candidates, known_keys
from hydrocli.config.section import Location, Section, shown

EXPECTED = {
    "int_type": "a whole number is expected",
    "int_from_float": "a whole number is expected",
    "float_type": "a number is expected",
    "finite_number": "a finite number is expected",
    "bool_type": "true or false is expected",
    "string_type": "a text is expected",
    "tuple_type": "a list is expected",
    "dict_type": "a section of `name: value` lines is expected",
    "model_type": "a section of `key: value` lines is expected",
    "model_attributes_type": "a section of `key: value` lines is expected",
    "string_pattern_mismatch": "letters, digits, _, - and . are expected, the first not a dot or dash",
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
        return location, "is not a known key", _nearest(str(location[-1]), known_keys(location[:-1], values, model))
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = (context.get("expected") or context["expected_tags"]).replace("'", "").replace(" or ", ", ")
        given = context.get("tag", found)
        location = (*location, "kind") if "tag" in context else location
        return location, f"{shown(given)} is not possible", _nearest(str(given), allowed.split(", "))
    if kind == "union_tag_not_found":
        nodes = candidates(location, values, model)
        choices = [node["properties"]["kind"]["const"] for node in nodes if "properties" in node]
        return (*location, "kind"), "is required", f"one of: {', '.join(choices)}"
    if kind == "too_long":
        return location, f"has {context['actual_length']} entries, {context['max_length']} expected", ""
    if kind in LIMITS:
        return location, f"must be {LIMITS[kind].format(**context)}, found {shown(found)}", ""
    return location, f"{EXPECTED.get(kind, error['msg'])}, found {shown(found)}", ""


def _in_the_file(location: Location, values: Any, *, last_too: bool) -> Location:
    """Without what pydantic adds: names of variants, and the index of a stage that stands alone, not in a list."""
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
    told = [node.get("description", "") for node in candidates(location, None, model)]
    return location, "is required", told[0] if told else ""


def _nearest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else f"one of: {', '.join(known)}"
