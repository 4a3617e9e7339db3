"""YAML text -> plain values, and the line of every key.

The safe core of YAML 1.2 is read: no tags, no anchors; `yes` and `12:30` are strings, `1e-6` is a number, `007` is a
string. `${NAME}` is replaced by the environment variable after parsing, so its value cannot add keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from hydrocli.config.base import Location
from hydrocli.errors import ConfigurationError, HydrocliError

# Placeholders of the braces during parsing: in {path: ${DATA}/rain} a brace would end the mapping.
OPEN, CLOSE, LITERAL = "\ue000", "\ue001", "\ue002"
VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
STAND_IN = re.compile(f"{OPEN}(.*?){CLOSE}|{LITERAL}")

CORE_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?", list("-+0123456789.")),
)
CONSTRUCT: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": int,
    "float": float,
}

TAGS = "tags, anchors and aliases (!, &, *) are not supported; quote a string that starts with one of them"
COMPOSED_KEY = "a key must be a single string"
OWN_PROBLEMS = (TAGS, COMPOSED_KEY)
SYNTAX = {
    "another document": "a second document begins here",
    "or ']'": "a bracket or brace is not closed",
    "or '}'": "a bracket or brace is not closed",
    "<stream end>": "the file ends inside a value",
    "expected <block end>": "the indentation does not match the lines above",
    "mapping values are not allowed": "a colon is not expected here",
    "could not find expected ':'": "a colon is missing",
    "quoted scalar": "a quote is not closed",
    "cannot start any token": "a value must not start with this character; put it in quotes",
    "escape": "a backslash in double quotes is not a valid escape; use single quotes",
}
"""Parts of the messages of PyYAML, and what they mean to the author of a configuration."""


class _Loader(yaml.SafeLoader):
    """Reads the subset of YAML that the module describes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None or getattr(event, "tag", None) not in (None, "!"):
            raise yaml.MarkedYAMLError(problem=TAGS, problem_mark=event.start_mark)
        return super().compose_node(parent, index)


class Dumper(yaml.SafeDumper):
    """Quotes every string that YAML 1.1 or 1.2 would read as another type."""


_Loader.yaml_implicit_resolvers = {}  # none of version 1.1
for _name, _pattern, _first in CORE_SCALARS:
    _arguments = (f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), _first)
    _Loader.add_implicit_resolver(*_arguments)
    Dumper.add_implicit_resolver(*_arguments)


def escaped(text: str) -> str:
    """Text in which `${` is not read as an environment variable."""
    return text.replace("${", "$${")


def dotted(location: Location) -> str:
    """`section.key` as users write it."""
    return ".".join(str(part) for part in location)


@dataclass
class Document:
    """Values of a file, the lines of its keys, and the errors found so far.

    A line is a number in the file, None for an override, or a text that names another source of the value.
    """

    source: str
    values: Any = None
    lines: dict[Location, int | str | None] = field(default_factory=dict)
    problems: dict[Location, HydrocliError] = field(default_factory=dict)

    def where(self, location: Location) -> str:
        """`config.yaml:12: section.key`; where the key itself is not there, the line of the section that lacks it."""
        line = self._line(location)
        if line is None:
            return f"--set {dotted(location)}"
        if isinstance(line, str):
            return f"{line}: {dotted(location)}"
        return f"{self.source}:{line}: {dotted(location)}" if line else f"{self.source}: {dotted(location)}"

    def _line(self, location: Location) -> int | str | None:
        above = (location[:length] for length in range(len(location), 0, -1))
        return next((self.lines[key] for key in above if key in self.lines), 0)

    def in_order(self) -> list[HydrocliError]:
        """All problems, in the order of the file, then of the overrides."""
        lines = {key: self._line(key) for key in self.problems}
        order = {key: line if isinstance(line, int) else 0 for key, line in lines.items()}
        return [self.problems[key] for key in sorted(self.problems, key=lambda key: order[key])]

    def add_problem(self, location: Location, what: str, remedy: str = "") -> None:
        """Note a problem of a key."""
        self.problems.setdefault(location, ConfigurationError(self.where(location), what, remedy))

    def override(self, assignment: str) -> None:
        """Apply `section.key=value`; the value is read as YAML."""
        name, separator, text = assignment.partition("=")
        parts = name.strip().split(".")
        if not separator or "" in parts:
            what = "is not of the form section.key=value"
            self.problems["--set", assignment] = ConfigurationError(f"--set {assignment}", what)
            return
        given = parse(text, f"--set {name}")
        self.problems |= {("--set", name, *key): problem for key, problem in given.problems.items()}
        if len(parts) == 2 and parts[1] == "from":
            self._leave_values_to_run(parts[0])
        self._put(parts, given.values)

    def overlay(self, location: Location, value: Any, where: str) -> None:
        """Override a value of the file by one from another source."""
        self._put([str(part) for part in location], value, where)

    def _leave_values_to_run(self, section: str) -> None:
        """Values in a resolved configuration must not hide those of the parent run."""
        settings = self.values.get(section) if isinstance(self.values, dict) else None
        for setting in settings.values() if isinstance(settings, dict) else ():
            if isinstance(setting, dict):
                setting.pop("value", None)

    def _put(self, parts: list[str], value: Any, where: str | None = None) -> None:
        node: Any = {"": self.values}
        key: Any = ""
        location: Location = ()
        for part in parts:
            if isinstance(node, dict) and node[key] is None:
                node[key] = {}
            node = node[key]
            key = int(part) if isinstance(node, list) and part.isdecimal() else part
            if isinstance(node, dict):
                node.setdefault(key)
            elif not isinstance(node, list) or key not in range(len(node)):
                found = (
                    f"a list of {len(node)} entries, numbered from 0" if isinstance(node, list) else "a single value"
                )
                place = f"{where or '--set'} {'.'.join(parts)}"
                self.problems["--set", *parts] = ConfigurationError(place, f"{dotted(location)} is {found}")
                return
            location = (*location, key)
            self.lines.setdefault(location, where)
        node[key] = value
        self.lines = {key: line for key, line in self.lines.items() if key[: len(location)] != location}
        self.lines[location] = where


def parse(text: str, source: str) -> Document:
    """Parse the text of one YAML document.

    Raises:
        ConfigurationError: it is not YAML, or uses unsupported features.
    """
    document = Document(source)
    try:
        loader = _Loader(VARIABLE.sub(_stand_in, text))
        node = loader.get_single_node()
        if node is not None:
            document.values = _Builder(document, loader).value(node, ())
    except RecursionError:
        raise ConfigurationError(source, "is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(source, error) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigurationError(f"{source}:{line}", "contains a control character") from None
    return document


def _stand_in(match: re.Match[str]) -> str:
    return f"{OPEN}{match[1]}{CLOSE}" if match[1] else LITERAL


def _syntax(source: str, error: yaml.MarkedYAMLError) -> ConfigurationError:
    mark = error.problem_mark or error.context_mark
    where = f"{source}:{mark.line + 1}" if mark else source
    found = error.problem or error.context or ""
    if "'\\t'" in found:
        return ConfigurationError(where, "is indented with a tab", "indent with spaces")
    what = found if found in OWN_PROBLEMS else next((text for part, text in SYNTAX.items() if part in found), "")
    what = f"invalid YAML: {what}" if what else "invalid YAML"
    return ConfigurationError(where, what, "check indentation, colons, brackets and quotes near this line")


@dataclass
class _Builder:
    document: Document
    loader: _Loader

    def value(self, node: yaml.Node, location: Location) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self._kept(item, item, (*location, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, location)

    def _kept(self, key: yaml.Node, node: yaml.Node, location: Location) -> Any:
        self.document.lines[location] = key.start_mark.line + 1
        return self.value(node, location)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, content in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem=COMPOSED_KEY, problem_mark=key.start_mark)
            name = STAND_IN.sub(lambda match: f"${{{match[1]}}}" if match[1] else "${", key.value)
            if name not in values:
                values[name] = self._kept(key, content, (*location, name))
                continue
            first, line = self.document.lines[*location, name], key.start_mark.line + 1
            what = f"duplicate key (first on line {first}, again on line {line})"
            self.document.add_problem((*location, name), what, "keep one of them")
        return values

    def _scalar(self, node: Any, location: Location) -> Any:
        text = STAND_IN.sub(lambda match: self._variable(match, location), node.value)
        tag = node.tag
        if text != node.value and not node.style:
            tag = self.loader.resolve(yaml.ScalarNode, text, (True, False))
        if "${" in STAND_IN.sub("", node.value):
            remedy = "a variable name has letters, digits and _; write $${ for the literal characters"
            self.document.add_problem(location, f"'{text}' contains ${{ without the name of a variable", remedy)
        return CONSTRUCT.get(tag.rpartition(":")[2], str)(text)

    def _variable(self, match: re.Match[str], location: Location) -> str:
        name = match[1]
        if name is None:
            return "${"
        if name not in os.environ:
            self.document.add_problem(location, f"the environment variable {name} is not set", f"export {name}=...")
        return os.environ.get(name, "")
