"""Which configurations are the same calibration: a hash of all keys that change its results."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hydrocli.config.base import Location
from hydrocli.config.document import dotted
from hydrocli.config.experiment import Experiment
from hydrocli.config.regional import OWN, regional_members
from hydrocli.config.writing import to_dict

OTHER_KEYS: tuple[Location, ...] = (
    ("name",),
    ("folder",),
    ("ensemble",),
    ("period", "end"),
    ("period", "validation"),
    ("gauges", "validation"),
    ("forcing", "store"),
    ("flood_events",),
    ("outputs",),
    ("forecast",),
    ("plausibility",),
    ("regional", "basins"),
    ("execution", "threads"),
    ("execution", "workers"),
    ("execution", "cluster"),
    ("execution", "memory"),
)
"""Keys that do not change the results of a calibration."""


def numbers_hash(experiment: Experiment) -> str:
    """SHA-256 (hexadecimal) of all keys and values that change the results of a calibration."""
    keys = sorted((dotted(location), value) for location, value in _numbers(experiment).items())
    return hashlib.sha256(json.dumps(keys).encode()).hexdigest()


def differing_keys(one: Experiment, other: Experiment) -> list[str]:
    """Keys for which `numbers_hash` differs, as `section.key`, in the order of the file."""
    first, second = _numbers(one), _numbers(other)
    return [dotted(key) for key in first | second if first.get(key) != second.get(key)]


def _numbers(experiment: Experiment) -> dict[Location, Any]:
    ignored = set(OTHER_KEYS)
    if not isinstance(experiment.gauges.calibration, tuple):  # then none of `validation` calibrates
        ignored.remove(("gauges", "validation"))
    if any(term.signature for term in experiment.objective.all_terms):  # then events are found before the calibration
        ignored.remove(("flood_events",))
    leaves = _leaves(to_dict(experiment), ())
    numbers = {key: value for key, value in leaves.items() if not any(key[: len(start)] == start for start in ignored)}
    for member in regional_members(experiment)[1:]:
        own = {key: value for key, value in _numbers(member).items() if key[0] in OWN}
        numbers |= {("regional", member.name, *key): value for key, value in own.items()}
    return numbers


def _leaves(values: Any, location: Location) -> dict[Location, Any]:
    if isinstance(values, dict):
        entries = list(values.items())
    elif isinstance(values, list) and values and isinstance(values[0], dict):
        entries = list(enumerate(values))
    else:
        return {location: values}
    return {key: leaf for name, value in entries for key, leaf in _leaves(value, (*location, name)).items()}
