"""`hydrocli init --from FOLDER`: a configuration for the data of a folder, its assumptions as comments."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydrocli.basin.formats import DERIVED
from hydrocli.basin.survey import Input, Key, Survey, survey
from hydrocli.config.writing import COMMENT_COLUMN, yaml_value

MOST_LEFT_OUT = 20
STUBS: dict[str, dict[str, str]] = {
    "precipitation": {"path": "rain", "format": "geotiff"},
    "pet": {"kind": "raster", "path": "pet", "format": "geotiff"},
    "flow_directions": {"path": "flwdir.tif", "encoding": "esri"},
}
"""What is to be filled in where nothing was found."""


def init_from(folder: Path, home: Path, name: str = "") -> tuple[str, list[str]]:
    """Text of a configuration, and sentences for the screen.

    Args:
        folder: of the data.
        home: folder of the YAML file, from which its paths start.
        name: of the run; empty: that of the folder.

    Raises:
        InputError: the folder cannot be listed.
    """
    found = survey(folder.resolve())
    name = name or re.sub(r"[^\w.\-]+", "-", found.folder.name).strip("-.") or "basin"
    return "\n".join(_yaml(found, home.resolve(), name)) + "\n", list(_report(found))


def _yaml(found: Survey, home: Path, name: str) -> Iterable[str]:
    yield f"# Written by `hydrocli init --from {relative(found.folder, home)}`. Next: `hydrocli check`."
    yield "# #? marks an answer to a question that the files leave open: choose one, and remove its mark."
    yield "# # marks an alternative to what is assumed. `hydrocli init` without --from shows all keys."
    yield ""
    yield f"name: {yaml_value(name)}"
    yield f"folder: runs/{yaml_value(name)}"
    yield ""
    yield "period:"
    yield from key_lines(found.period, "  ")
    yield ""
    yield "basin:"
    yield from _one(found, "flow_directions", home, "  ")
    if not found.of("flow_directions") and (elevations := found.of("dem")):
        yield from _one(found, "dem", home, "  ")
        if len(elevations) == 1 and not found.of("descriptor"):
            derived = {name: {"derived": name} for name in DERIVED}
            yield key_line("  ", Key("descriptors", derived, "from the elevation, for mappings", is_default=True))
    yield from _descriptors(found, home)
    yield ""
    yield from _gauges(found, home)
    yield ""
    yield "forcing:"
    for role in ("precipitation", "temperature"):
        yield from _one(found, role, home, "  ")
    if not found.of("pet") and found.of("temperature"):
        yield key_line("  ", Key("pet", {"kind": "oudin"}, "from the temperature, since no PET was found"))
    yield from _one(found, "pet", home, "  ")
    yield ""
    yield "structure: {kind: gr}"
    yield "mapping: {kind: uniform}"
    yield "objective: {metric: nse}"


def _one(found: Survey, role: str, home: Path, indent: str) -> Iterable[str]:
    """The section of a role; where there are several inputs, all of them as a question."""
    inputs = found.of(role)
    if not inputs and role in STUBS and any(question.startswith(f"{role}: nothing") for question in found.questions):
        yield key_line(indent, Key(role, STUBS[role], "nothing was found", is_open=True))
    mark = "#? " if len(inputs) > 1 else ""
    for one in inputs:
        yield f"{indent}{mark}{role}:{'  # which one?' if mark else ''}"
        yield from (f"{indent}{mark}{line.removeprefix(indent)}" for line in _body(one, home, f"{indent}  "))


def _body(one: Input, home: Path, indent: str) -> Iterable[str]:
    kinds = [key for key in one.keys if key.name == "kind"]
    path = Key("path", relative(one.path, home), one.words)
    return key_lines([*kinds, path, *(key for key in one.keys if key.name not in ("kind", "path"))], indent)


def _gauges(found: Survey, home: Path) -> Iterable[str]:
    inputs = found.of("gauges")
    mark = "#? " if len(inputs) > 1 else ""
    yield "gauges:"
    if not inputs:
        yield key_line("  ", Key("table", "gauges.csv", "nothing was found: code, x, y, area", is_open=True))
    for one in inputs:
        lines = key_lines([Key("table", relative(one.path, home), one.words), *one.keys], "  ")
        yield from (f"  {mark}{line.removeprefix('  ')}" for line in lines)
    yield from _one(found, "discharge", home, "  ")
    observed = found.of("discharge")
    if len(inputs) == 1 and len(observed) == 1 and observed[0].codes:
        known, codes = inputs[0].codes, observed[0].codes
        if len(codes) < len(known):
            without = len(known) - len(codes)
            yield key_line("  ", Key("calibration", list(codes), f"{without} gauges of the table have no discharge"))
        else:
            yield key_line("  ", Key("calibration", "upstream", "default: all gauges", is_default=True))


def _descriptors(found: Survey, home: Path) -> Iterable[str]:
    rasters = found.of("descriptor")
    if rasters:
        yield "  descriptors:"
        titles: dict[str, int] = {}
        for one in rasters:
            titles[one.title] = titles.get(one.title, 0) + 1
            title = one.title if titles[one.title] == 1 else f"{one.title}_{titles[one.title]}"
            yield key_line("    ", Key(title, relative(one.path, home), one.words))


def key_lines(keys: Sequence[Key], indent: str) -> list[str]:
    """Lines of the keys of a section."""
    return [key_line(indent, key) for key in keys]


def key_line(indent: str, key: Key) -> str:
    """The line of a key; a comment where it is a question or an alternative."""
    mark = "#? " if key.is_open else "# " if key.is_default else ""
    text = f"{indent}{mark}{yaml_value(key.name)}: {yaml_value(key.value)}"
    return f"{text:<{COMMENT_COLUMN}}  # {key.comment}" if key.comment else text


def relative(path: Path, home: Path) -> str:
    """A path from the folder of the YAML file."""
    return os.path.relpath(path, home)


def _report(found: Survey) -> Iterable[str]:
    """What was found, assumed, left out and is to be answered."""
    for one in found.inputs:
        yield f"found: {one.role}: {os.path.relpath(one.path, found.folder)} ({one.words})"
    assumed: dict[str, list[str]] = {}
    for one in (*found.inputs, Input("period", found.folder, found.period)):
        for key in one.keys:
            if key.is_assumed:
                assumed.setdefault(f"{key.comment} (`{key.name}`)", []).append(one.role)
    yield from (f"assumed: {', '.join(dict.fromkeys(roles))}: {text}" for text, roles in assumed.items())
    shown = found.left_out[:MOST_LEFT_OUT]
    yield from (f"left out: {' '.join(sentence.split())}" for sentence in shown)
    if len(found.left_out) > len(shown):
        yield f"left out: {len(found.left_out) - len(shown)} more"
    yield from (f"to answer: {question}" for question in found.questions)
