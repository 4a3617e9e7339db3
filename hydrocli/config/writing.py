"""`Experiment` -> YAML, and the commented template of `hydrocli init`."""

from __future__ import annotations

from typing import Any, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from hydrocli.config.base import Section
from hydrocli.config.document import Dumper, escaped
from hydrocli.config.experiment import Experiment
from hydrocli.config.parameters import Level

HEADER = """\
# Configuration of hydrocli. `hydrocli check` compares it with the data, `hydrocli calibrate` starts the calibration.
# Paths are relative to this file; ${NAME} is replaced by an environment variable; times without zone are UTC.
# A commented line shows the default of its key, or an example where there is no default.
"""

SHOWN = {
    "folder",
    "seed",
    "period.calibration",
    "period.validation",
    "basin.flow_directions",
    "basin.descriptors",
    "gauges.discharge",
    "gauges.calibration",
    "gauges.validation",
    "forcing.precipitation.scale_factor",
    "structure.kind",
    "mapping.kind",
    "objective.metric",
}
"""Optional keys that `initial_yaml` does not comment out."""

COMMENT_COLUMN = 44


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """All keys as plain values (strings, numbers, lists); without keys that have neither value nor default."""
    return experiment.model_dump(mode="json", by_alias=True, exclude_none=True)


def resolved(experiment: Experiment) -> str:
    """YAML of all keys, defaults included; `load` returns an equal experiment from it, in any folder."""
    return escaped(_yaml(to_dict(experiment), flow=None))


def initial_yaml() -> str:
    """A commented YAML template with every key."""
    return HEADER + "\n".join(_lines(Experiment, "", {})) + "\n"


def yaml_value(value: Any) -> str:
    """A value as YAML on one line; the configuration reads the same value from it."""
    return escaped(_yaml(value, flow=True).strip())


def _yaml(values: Any, *, flow: bool | None) -> str:
    text = yaml.dump(
        values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1_000_000, default_flow_style=flow
    )
    return text.removesuffix("...\n")


def _lines(model: type[Section], prefix: str, defaults: dict[str, Any]) -> list[str]:
    """Lines of a section, not indented; `defaults` holds the defaults of its keys where all have one."""
    lines: list[str] = []
    for name, field in sorted(model.model_fields.items(), key=lambda item: item[0] != "kind"):
        key = field.alias or name
        sections = _sections(field.annotation)
        if not sections or issubclass(sections[0], Level):
            lines.append(_leaf(f"{prefix}{key}", field, defaults))
            lines += _named_sections(field.annotation, f"{prefix}{key}.NAME.")
            continue
        hidden = not (field.is_required() or field.default is not None or f"{prefix}{key}" in SHOWN)
        block = ["", f"# {field.description}", f"{key}:"] if not prefix else [f"{key}:  # {field.description}"]
        values = field.get_default(call_default_factory=True)
        values = values.model_dump(mode="json", by_alias=True) if isinstance(values, Section) else {}
        for index, section in enumerate(sections):
            body = _lines(section, f"{prefix}{key}.", values if not index else {})
            if index:
                body = ["# or:"] + [line if line.startswith("# ") else f"# {line}" for line in body]
            block += [f"  {line}" for line in body]
        lines += [f"# {line}" for line in block] if hidden else block
    return lines


def _named_sections(annotation: Any, prefix: str) -> list[str]:
    """Commented lines of the sections under keys of the user's choice, which short values may replace."""
    if get_origin(annotation) is not dict:
        return []
    lines: list[str] = []
    for section in _sections(get_args(annotation)[1]):
        body = [line if line.startswith("# ") else f"# {line}" for line in _lines(section, prefix, {})]
        lines += ["# or, in place of a path:", "#   NAME:", *(f"#     {line}" for line in body)]
    return lines


def _leaf(path: str, field: FieldInfo, defaults: dict[str, Any]) -> str:
    key = path.rpartition(".")[2]
    value = field.examples[0] if field.examples else defaults.get(key, field.default)
    chosen = field.is_required() and key == "kind"
    if chosen:
        value = get_args(field.annotation)[0]
    shown = chosen or path in SHOWN or (field.is_required() and key not in defaults)
    line = f"{key}: {_yaml(value, flow=True).strip()}"
    return f"{line if shown else f'# {line}':<{COMMENT_COLUMN}}  # {field.description}"


def _sections(annotation: Any) -> list[type[Section]]:
    """Sections that a key may have, in the order of its annotation; none where users choose its keys."""
    if get_origin(annotation) is dict:
        return []
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]
