"""Writes the generated parts of the pages and the README: `make docs`, or `python tests/docs/generate.py`.

A part lies between `<!-- generated: NAME -->` and `<!-- end -->`. It is made from what the program itself declares,
and a test compares it, so a page cannot say anything else than the code.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import click
import typer
from pydantic.fields import FieldInfo

import hydrocli
from hydrocli import errors
from hydrocli.cli import app
from hydrocli.config.campaign import Campaign
from hydrocli.config.experiment import Experiment
from hydrocli.results import schemas

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "hydrocli" / "docs"
README = ROOT / "README.md"
PART = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


# --- configuration -------------------------------------------------------------------------------------------------


def configuration() -> str:
    """Every key of an experiment, section by section."""
    return "\n".join(_sections(Experiment))


def campaign_configuration() -> str:
    """Every key of a campaign."""
    return "\n".join(_sections(Campaign))


def _sections(model: type[Any]) -> Iterator[str]:
    plain = [(name, field) for name, field in _fields(model) if not _models(field.annotation)]
    yield "### Keys without a section\n"
    yield _keys(model, plain)
    for name, field in _fields(model):
        if not (models := _models(field.annotation)):
            continue
        yield f"### `{name}`\n"
        required = " Required." if field.is_required() else ""
        yield f"{_sentence(field.description)}{required}\n"
        yield from _tables(name, models)


def _tables(prefix: str, models: list[type[Any]]) -> Iterator[str]:
    """One table for a section; for several kinds of a section, one for each."""
    for model in models:
        kind = _kind(model)
        if kind:
            yield f"`{prefix}: {{kind: {kind}}}` - {model.model_fields['kind'].description.partition(': ')[2] or model.model_fields['kind'].description}\n"
        keys = [(name, field) for name, field in _fields(model) if name != "kind"]
        if keys:
            yield _keys(model, keys)
        for name, field in keys:
            if nested := [inner for inner in _models(field.annotation) if not _is_setting(inner)]:
                yield from _tables(f"{prefix}.{name}", nested)


def _keys(model: type[Any], fields: list[tuple[str, FieldInfo]]) -> str:
    schema = model.model_json_schema()
    rows = []
    for name, field in fields:
        node = schema["properties"].get(name, {})
        rows.append((f"`{name}`", _type(node, schema), _default(field), field.description or ""))
    return table(("key", "value", "default", "meaning"), rows)


def _fields(model: type[Any]) -> list[tuple[str, FieldInfo]]:
    return [(field.alias or name, field) for name, field in model.model_fields.items()]


def _models(annotation: Any) -> list[type[Any]]:
    """Sections that a key may hold."""
    if isinstance(annotation, type):
        return [annotation] if hasattr(annotation, "model_fields") else []
    return [model for part in get_args(annotation) for model in _models(part)]


def _kind(model: type[Any]) -> str:
    kind = model.model_fields.get("kind")
    return str(get_args(kind.annotation)[0]) if kind is not None else ""


def _is_setting(model: type[Any]) -> bool:
    """Whether a section is that of one parameter or state: value, bounds, calibrated."""
    return "value" in model.model_fields


def _type(node: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a key takes, in a few words."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        if set(node.get("properties", ())) & {"value", "bounds"}:
            return "`" + ", ".join(f"{key}: ..." for key in node["properties"]) + "`"
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    variants = [part for part in (*node.get("anyOf", ()), *node.get("oneOf", ())) if part.get("type") != "null"]
    if variants:
        return " or ".join(dict.fromkeys(_type(part, schema) for part in variants))
    if node.get("type") == "array":
        parts = node.get("prefixItems") or [node.get("items", {})]
        return "list of " + " and ".join(dict.fromkeys(_type(part, schema) for part in parts))
    kind = node.get("type", "section")
    kind = next((part for part in kind if part != "null"), "") if isinstance(kind, list) else kind
    words = {"string": "text", "number": "number", "integer": "integer", "boolean": "`true`, `false`"}
    if kind == "string" and node.get("format"):
        return {"path": "path", "date-time": "time"}.get(node["format"], "text")
    return words.get(kind, "section") + _range(node)


def _range(node: dict[str, Any]) -> str:
    lower = next((f"{mark} {node[key]:g}" for key, mark in _LOWER.items() if key in node), "")
    upper = next((f"{mark} {node[key]:g}" for key, mark in _UPPER.items() if key in node), "")
    return " " + ", ".join(filter(None, (lower, upper))) if lower or upper else ""


_LOWER = {"minimum": ">=", "exclusiveMinimum": ">"}
_UPPER = {"maximum": "<=", "exclusiveMaximum": "<"}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required" if not _models(field.annotation) or not all(map(_is_setting, _models(field.annotation))) else ""
    value = field.get_default(call_default_factory=True)
    if value is None or hasattr(value, "model_fields") or (value and hasattr(value[0] if isinstance(value, tuple) else 0, "model_fields")):
        return ""
    return f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def _sentence(text: str | None) -> str:
    text = (text or "").strip()
    return f"{text[:1].upper()}{text[1:]}."


# --- run folder ----------------------------------------------------------------------------------------------------


def run_folder() -> str:
    """All tables of a run folder, then the columns of each."""
    files = [(f"`{t.file}`", f"`{t.command}`", t.words) for t in schemas.TABLES.values()]
    parts = [table(("file", "written by", "holds"), files)]
    for entry in schemas.TABLES.values():
        rows = [(f"`{c.name}`", c.kind, c.unit, c.words, c.null) for c in entry.columns]
        parts += [f"### `{entry.file}`\n", table(("column", "type", "unit", "meaning", "a missing value means"), rows)]
    return "\n".join(parts)


# --- commands ------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command with its arguments and options."""
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group)
    parts = []
    for name, command in sorted(group.commands.items()):
        arguments = [part for part in command.params if part.param_type_name == "argument"]
        options = [part for part in command.params if part.param_type_name == "option" and part.name != "help"]
        call = " ".join(["hydrocli", name, *(_argument(part) for part in arguments)])
        parts += [f"### `{call}`\n", f"{(command.help or '').strip()}\n"]
        rows = [(f"`{', '.join(part.opts)}`", getattr(part, "help", "") or "") for part in options]
        if rows:
            parts.append(table(("option", "meaning"), rows))
        for example in getattr(command, "examples", ()):
            parts.append(f"    {example}\n")
    return "\n".join(parts)


def _argument(part: click.Parameter) -> str:
    name = (part.metavar or part.name or "").strip("[]")
    return name if part.required else f"[{name}]"


# --- errors, packages ----------------------------------------------------------------------------------------------


def exit_codes() -> str:
    """Exit codes of the command, from the classes of errors."""
    found = [(0, "done, or nothing left to do")]
    for error in _subclasses(errors.HydrocliError):
        if "exit_status" in vars(error):
            found.append((error.exit_status, (error.__doc__ or "").strip().splitlines()[0].rstrip(".")))
    found.append((1, "a bug of hydrocli: please report the traceback"))
    return table(("exit code", "meaning"), [(f"{code}", _lower(words)) for code, words in sorted(found)])


def _subclasses(root: type[Any]) -> Iterator[type[Any]]:
    for child in root.__subclasses__():
        yield child
        yield from _subclasses(child)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def packages() -> str:
    """The packages and modules at the top of hydrocli, and what each is for."""
    rows = []
    for info in sorted(pkgutil.iter_modules(hydrocli.__path__), key=lambda info: (not info.ispkg, info.name)):
        if info.name.startswith("_"):
            continue
        doc = (importlib.import_module(f"hydrocli.{info.name}").__doc__ or "").strip().split("\n\n")[0]
        rows.append((f"`{info.name}{'/' if info.ispkg else '.py'}`", " ".join(doc.split())))
    return table(("package", "holds"), rows)


GENERATORS: dict[str, Callable[[], str]] = {
    "configuration": configuration,
    "campaign-configuration": campaign_configuration,
    "commands": commands,
    "exit-codes": exit_codes,
    "packages": packages,
    "run-folder": run_folder,
}


def generated(text: str) -> str:
    """A page with its generated parts made anew."""
    return PART.sub(lambda part: f"{part[1]}{GENERATORS[part[2]]().strip()}\n{part[3]}", text)


def main() -> None:
    """Write all pages."""
    for page in (README, *sorted(PAGES.glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        page.write_text(generated(text), encoding="utf-8")


if __name__ == "__main__":
    main()
