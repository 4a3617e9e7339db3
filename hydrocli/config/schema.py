"""JSON Schema of the configuration, for editors and for the known keys of a section."""

from __future__ import annotations

from functools import cache
from typing import Any

from hydrocli.config.base import Location, Section
from hydrocli.config.experiment import Experiment

Node = dict[str, Any]


@cache
def schema(model: type[Section] = Experiment) -> Node:
    """JSON Schema (2020-12) of a configuration, descriptions included."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema()


def candidates(location: Location, values: Any, model: type[Section] = Experiment) -> list[Node]:
    """Parts of the schema that describe a key; of the variants of a section, those that fit its `kind`, if any does."""
    root = schema(model)
    nodes = _variants(root, values, root)
    for key in location:
        values = _child(values, key)
        nodes = [variant for node in nodes for part in _parts(node, key) for variant in _variants(part, values, root)]
    return nodes


def known_keys(location: Location, values: Any, model: type[Section] = Experiment) -> list[str]:
    """Keys that a section may hold."""
    return list(
        dict.fromkeys(key for node in candidates(location, values, model) for key in node.get("properties", {}))
    )


def _child(values: Any, key: str | int) -> Any:
    if isinstance(values, dict):
        return values.get(key)
    return values[key] if isinstance(values, list) and isinstance(key, int) and key < len(values) else None


def _parts(node: Node, key: str | int) -> list[Node]:
    found = node.get("items") if isinstance(key, int) else node.get("properties", {}).get(key)
    found = found or node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), None)
    return [found] if isinstance(found, dict) else []


def _variants(node: Node, values: Any, root: Node) -> list[Node]:
    if "$ref" in node:
        target = root["$defs"][node["$ref"].rpartition("/")[2]]
        return _variants(target | {key: text for key, text in node.items() if key != "$ref"}, values, root)
    nested = node.get("oneOf") or node.get("anyOf")
    if not nested:
        return [node]
    details = {"description": node["description"]} if "description" in node else {}
    variants = [variant | details for part in nested for variant in _variants(part, values, root)]
    kind = values.get("kind") if isinstance(values, dict) else None
    fitting = [part for part in variants if kind and part.get("properties", {}).get("kind", {}).get("const") == kind]
    return fitting or variants
