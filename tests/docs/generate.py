"""Writes the generated parts of the pages and the README: `make docs`, or `python tests/docs/generate.py`.

A part lies between `<!-- generated: NAME -->` and `<!-- end -->`. It is made from what the program itself declares,
and a test compares it, so a page cannot say anything else than the code.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

import hydrocli
from hydrocli import errors, names
from hydrocli.basin import plausibility
from hydrocli.cli import app
from hydrocli.cli.app import SECTIONS
from hydrocli.config.campaign import Campaign
from hydrocli.config.experiment import Experiment
from hydrocli.results import schemas
from hydrocli.structures.routings.routing import routings
from hydrocli.structures.structure import Structure, kinds, output_quantities

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


def _sections(model: type[BaseModel]) -> Iterator[str]:
    single = [(name, field) for name, field in _fields(model) if not _models(field.annotation)]
    yield "### Keys without a section\n"
    yield table(COLUMNS, [row for name, field in single for row in _rows(model, name, field)])
    for name, field in _fields(model):
        if models := _models(field.annotation):
            yield f"### `{name}`\n"
            yield _sentence(field.description) + (" This section is required." if field.is_required() else "") + "\n"
            yield from _tables(name, models)


def _tables(prefix: str, models: list[type[BaseModel]]) -> Iterator[str]:
    """The table of a section, or one for each kind of it; then those of sections in it that have kinds."""
    for model in models:
        fields = [(name, field) for name, field in _fields(model) if name != "kind"]
        if kind := _kind(model):
            words = str(model.model_fields["kind"].description)
            yield f"`{prefix}.kind: {kind}`: {words.removeprefix(f'{kind}: ')}\n"
        if fields:
            yield table(COLUMNS, [row for name, field in fields for row in _rows(model, name, field)])
        for name, field in fields:
            if len(nested := _models(field.annotation)) > 1:
                yield from _tables(f"{prefix}.{name}", nested)


def _rows(model: type[BaseModel], name: str, field: FieldInfo) -> Iterator[tuple[str, ...]]:
    """The row of a key, then those of the section that it holds, if there is one."""
    schema = model.model_json_schema()
    node = schema["properties"].get(name.rpartition(".")[2], {})
    nested = _models(field.annotation)
    setting = bool(nested) and "value" in nested[0].model_fields
    values = f"`{{{', '.join(nested[0].model_fields)}}}`" if setting else _type(node, schema)
    yield f"`{name}`", values, "" if setting else _default(field), field.description or ""
    if len(nested) == 1 and not setting:
        prefix = f"{name}.NAME" if get_origin(field.annotation) is dict else name
        for inner, inner_field in _fields(nested[0]):
            for key, *rest in _rows(nested[0], inner, inner_field):
                yield f"`{prefix}.{key.strip('`')}`", *rest


COLUMNS = ("key", "value", "default", "meaning")


def _fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    return [(field.alias or name, field) for name, field in model.model_fields.items()]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Sections that a key may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _kind(model: type[BaseModel]) -> str:
    kind = model.model_fields.get("kind")
    return str(get_args(kind.annotation)[0]) if kind is not None else ""


def _type(node: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a key takes, in a few words."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    variants = [part for part in (*node.get("anyOf", ()), *node.get("oneOf", ())) if part.get("type") != "null"]
    if [part.get("type") for part in variants] == ["string", "integer"]:
        return {900: "time step", 16_000_000: "memory", 0: "duration"}[variants[1]["minimum"]]
    if variants:
        return " or ".join(dict.fromkeys(_type(part, schema) for part in variants))
    kind = node.get("type", "object")
    kind = next(part for part in kind if part != "null") if isinstance(kind, list) else kind
    if kind == "array":
        parts = node.get("prefixItems") or [node.get("items", {})]
        return "list of " + " and ".join(dict.fromkeys(_type(part, schema) for part in parts))
    if kind == "string":
        return {"path": "path", "date-time": "time"}.get(node.get("format", ""), "text")
    return {"boolean": "`true`, `false`", "object": "section"}.get(kind, kind) + _range(node)


LIMITS = (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))


def _range(node: dict[str, Any]) -> str:
    found = [f"{mark} {node[key]:g}" for key, mark in LIMITS if key in node and node[key] < 2**62]
    return " " + ", ".join(found) if found else ""


def _default(field: FieldInfo) -> str:
    """The default as the YAML writes it; none where the description says what is done without the key."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or _models(field.annotation):
        return ""
    kept = TypeAdapter(Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation)
    return f"`{_yaml(kept.dump_python(value, mode='json'))}`"


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def _sentence(text: str | None) -> str:
    text = (text or "").strip()
    return f"{text[:1].upper()}{text[1:]}."


# --- run folder ----------------------------------------------------------------------------------------------------


def run_folder() -> str:
    """All tables of a run folder, then the columns of each."""
    return described(schemas.TABLES.values())


def forecast_folder() -> str:
    """All tables of a folder of forecasts, then the columns of each."""
    return described(schemas.FORECAST_TABLES.values())


def described(tables: Iterable[schemas.Table]) -> str:
    """Tables, then the columns of each."""
    entries = list(tables)
    files = [(f"`{t.file}`", f"`{t.command}`", t.description) for t in entries]
    parts = [table(("file", "written by", "holds"), files)]
    for entry in entries:
        rows = [(f"`{c.name}`", c.kind, c.unit, c.description, c.null) for c in entry.columns]
        parts += [f"### `{entry.file}`\n", table(("column", "type", "unit", "meaning", "a missing value means"), rows)]
    return "\n".join(parts)


def quantities() -> str:
    """States and fluxes that `outputs` may name, and the structures that have them."""
    have = {kind: Structure(kind).outputs for kind in kinds()}
    with_snow = {kind: Structure(kind, snow="degree_day").outputs for kind in kinds()}
    rows = []
    for symbol, quantity in output_quantities().items():
        where = [kind for kind, outputs in have.items() if symbol in outputs]
        if where or any(symbol in outputs for outputs in with_snow.values()):
            words = ("all" if len(where) == len(have) else _code(where)) or "all, with snow"
            rows.append((f"`{symbol}`", quantity.long_name, quantity.unit, words))
    return table(("symbol", "meaning", "unit", "structures"), rows)


# --- structures ---


def structures() -> str:
    """What every structure declares."""
    parts = []
    for kind in kinds():
        structure = Structure(kind)
        model = structure.core
        parts += [f"### `{kind}`\n", f"{_sentence(model.title.rstrip('.'))}\n"]
        rows = [("parameter", quantity, True) for quantity in model.parameters]
        rows += [("initial state", state.quantity, state.calibrated) for state in model.states]
        parts.append(table(QUANTITY, [_quantity(*row) for row in rows]))
        parts.append(f"Fluxes: {_code(flux.symbol for flux in model.fluxes)}.\n")
        if structure.has_network:
            named = (f"`f{number}` {one.flux} ({one.factor})" for number, one in enumerate(model.corrections, start=1))
            parts.append(
                f"Inputs of the flux network: {_code(structure.network_inputs)}. Corrections: {', '.join(named)}.\n"
            )
    parts += ["### Snow, in front of any structure\n"]
    snow, core = Structure(snow="degree_day").model, Structure().core
    rows = [("parameter", one, True) for one in snow.parameters if one not in core.parameters]
    rows += [("initial state", one.quantity, one.calibrated) for one in snow.states if one not in core.states]
    parts.append(table(QUANTITY, [_quantity(*row) for row in rows]))
    parts += ["### Routings, for all structures\n"]
    rows_of = {
        name: [_quantity("parameter", one, True) for one in each.parameters] for name, each in routings().items()
    }
    for name, routing in routings().items():
        parts.append(f"`{name}`: {routing.title.rstrip('.')}.\n")
        parts += [table(QUANTITY, rows_of[name])] if rows_of[name] else []
    return "\n".join(parts)


QUANTITY = ("symbol", "kind", "meaning", "unit", "default", "bounds", "may be calibrated", "source")


def _quantity(kind: str, one: names.Quantity, calibrated: bool) -> tuple[str, ...]:
    bounds = f"{_number(one.lower)} to {_number(one.upper)}"
    return f"`{one.symbol}`", kind, one.long_name, one.unit, _number(one.default), bounds, _yes(calibrated), one.source


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


# --- commands ------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command with its arguments and options, in the order of `hydrocli --help`."""
    group: Any = typer.main.get_command(app)
    parts = []
    for title, commands_of_section in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in commands_of_section:
            command = group.commands[name]
            arguments = [part for part in command.params if part.param_type_name == "argument"]
            options = [part for part in command.params if part.param_type_name == "option" and not part.hidden]
            parts += [
                f"### `{' '.join(['hydrocli', name, *map(_argument, arguments)])}`\n",
                f"{command.help.strip()}\n",
            ]
            if options:
                rows = [(f"`{', '.join(part.opts)}`", part.help or "") for part in options]
                parts.append(table(("option", "meaning"), rows))
            if command.examples:
                parts.append("".join(f"    {example}\n" for example in command.examples))
    return "\n".join(parts)


def _argument(part: Any) -> str:
    name = (part.metavar or part.name or "").strip("[]")
    return name if part.required else f"[{name}]"


# --- plausibility --------------------------------------------------------------------------------------------------


def plausibility_tables() -> str:
    """The tables beside a store."""
    parts = []
    for one in plausibility.TABLES:
        parts.append(f"`{one.file}`: {one.description}\n")
        rows = [
            (f"`{column.name}`", column.kind, column.unit, column.description, column.null) for column in one.columns
        ]
        parts.append(table(("column", "type", "unit", "meaning", "missing means"), rows))
    return "\n".join(parts)


# --- errors, packages ----------------------------------------------------------------------------------------------


def exit_codes() -> str:
    """Exit codes of the command."""
    return table(("exit code", "meaning"), [(f"{code}", words) for code, words in errors.EXIT_CODES.items()])


def layers() -> str:
    """The layers of the import contract, the highest first; packages of one line do not import each other."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (found,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return "\n".join("    " + "".join(f"{name:<16}" for name in layer.split(" | ")).rstrip() for layer in found)


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
    "forecast-folder": forecast_folder,
    "layers": layers,
    "packages": packages,
    "plausibility": plausibility_tables,
    "quantities": quantities,
    "run-folder": run_folder,
    "structures": structures,
}


def generated(text: str) -> str:
    """A page with its generated parts made anew."""
    return PART.sub(lambda part: f"{part[1]}{GENERATORS[part[2]]().strip(chr(10))}\n{part[3]}", text)


def main() -> None:
    """Write all pages."""
    for page in (README, *sorted(PAGES.glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        page.write_text(generated(text), encoding="utf-8")


if __name__ == "__main__":
    main()
