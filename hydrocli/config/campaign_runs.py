"""The runs of a campaign: the base, overridden by the sections of a model and by the values of a catchment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hydrocli.config.base import Location
from hydrocli.config.campaign import Campaign
from hydrocli.config.document import Document, Dumper, dotted, escaped, parse
from hydrocli.config.experiment import Experiment
from hydrocli.config.load import read_document, validated
from hydrocli.errors import ConfigurationError, Errors, HydrocliError

CODE = re.compile(r"\w[\w.\-]*", re.ASCII)
FILE = "campaign.yaml"
TOP_LEVEL_KEYS = ("seed",)
"""Keys without a section that a column of the table may set."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RunSpec:
    """One run of a campaign; `attributes` are the columns of the table that are no keys."""

    model: str
    code: str
    experiment: Experiment
    attributes: Row

    @property
    def key(self) -> str:
        """Name of the run and of its folder in that of the campaign."""
        return f"{self.model}/{self.code}"


@dataclass(frozen=True)
class CampaignFile:
    """A campaign, and what it was read from."""

    campaign: Campaign
    document: Document
    base: Document


def is_campaign(target: Path) -> bool:
    """Whether a YAML file or a folder is that of a campaign; False if it cannot be read."""
    try:
        if target.is_dir():
            return (target / FILE).exists()
        return "models" in read_document(target).values
    except HydrocliError:
        return False


def load_campaign(path: Path, overrides: Sequence[str] = ()) -> CampaignFile:
    """Read and check a campaign and the text of its base, not yet its runs.

    Args:
        path: YAML file, or folder of a campaign.
        overrides: `section.key=value` texts.

    Raises:
        Errors: everything that is wrong.
    """
    document = read_document(path, overrides, FILE)
    campaign = validated(document, Campaign)
    if campaign is None or document.problems:
        raise Errors(document.in_order())
    return CampaignFile(campaign, document, read_document(campaign.base))


def catchment_table(file: CampaignFile) -> Path:
    """The table of the catchments: that of the campaign, else that of the gauges of the base.

    Raises:
        Errors: there is neither.
    """
    if file.campaign.catchments.table:
        return Path(file.campaign.catchments.table)
    gauges = _gauges_of_base(file)
    if not isinstance(gauges.get("table"), str):
        what = "is missing, and the base has no gauges.table"
        raise Errors([ConfigurationError(file.document.where(("catchments", "table")), what, "Give one of them.")])
    return (Path(file.base.source).absolute().parent / gauges["table"]).resolve()


def code_column(file: CampaignFile) -> str:
    """The column of the table of catchments that has the codes; that of the gauges of the base may name another."""
    columns = {} if file.campaign.catchments.table else _gauges_of_base(file).get("columns")
    name = columns.get("code") if isinstance(columns, dict) else None
    return name if isinstance(name, str) else "code"


def _gauges_of_base(file: CampaignFile) -> dict[str, Any]:
    gauges = file.base.values.get("gauges")
    return gauges if isinstance(gauges, dict) else {}


def run_specs(file: CampaignFile, table: Path, rows: Sequence[Row]) -> list[RunSpec]:
    """Every run of a campaign, models in the order of the file, catchments in that of the table.

    Args:
        file: of the campaign.
        table: where the rows are from, for messages.
        rows: of the catchments, by name of the column.

    Raises:
        Errors: everything that is wrong with any of them; an error of many runs is reported once.
    """
    problems = [*file.base.in_order(), *_odd_codes(table, rows)]
    chosen = _chosen(file, table, rows, problems)
    items: list[RunSpec] = []
    refused: dict[tuple[str, ...], list[HydrocliError]] = {}
    for model in file.campaign.models:
        modelled = _modelled(file, model)
        for number, row in chosen:
            document = _copy(modelled)
            attributes = _lay_row(document, row, f"{table}:{number}")
            code, name = str(row["code"]), f"{model}-{row['code']}"
            _lay_identity(document, file, name, code, model)
            experiment = validated(document, Experiment)
            problem_list = document.in_order() + _needed(document, experiment)
            if experiment is not None and not problem_list:
                items.append(RunSpec(model, code, experiment, attributes))
            for location, error in [*document.problems.items()] or [((), error) for error in problem_list]:
                refused.setdefault((dotted(location), error.what, error.remedy), []).append(error)
    problems += [_once(errors) for errors in refused.values()]
    if problems:
        raise Errors(list({str(problem): problem for problem in problems}.values()))
    return items


def experiment_from_dict(values: Any) -> Experiment:
    """The experiment of plain values that `hydrocli.config.to_dict` has made.

    Raises:
        ConfigurationError: they are not.
    """
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError("configuration", f"of the run cannot be read: {error}") from None


def resolved_campaign(campaign: Campaign) -> str:
    """YAML of a campaign with absolute paths, valid in any folder."""
    values = campaign.model_dump(mode="json", by_alias=True, exclude_none=True)
    return escaped(yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1_000_000))


def _odd_codes(table: Path, rows: Sequence[Row]) -> list[HydrocliError]:
    """A code names a folder, and one run of each model."""
    where, odd = str(table), [str(row["code"]) for row in rows if not CODE.fullmatch(str(row["code"]))]
    problems: list[HydrocliError] = []
    if odd:
        what = f"has codes that cannot be folder names: {', '.join(map(repr, odd[:5]))}"
        problems.append(ConfigurationError(where, what, "Use letters, digits, _, - and . only."))
    twice = [code for code, times in Counter(str(row["code"]) for row in rows).items() if times > 1]
    if twice:
        problems.append(
            ConfigurationError(
                where, f"lists more than once: {', '.join(twice[:5])}", "Keep one row for each catchment."
            )
        )
    return problems


def _chosen(
    file: CampaignFile, table: Path, rows: Sequence[Row], problems: list[HydrocliError]
) -> list[tuple[int, Row]]:
    """The rows wanted with their number, the header being 1."""
    wanted, there = file.campaign.catchments.codes, {str(row["code"]) for row in rows}
    missing = [code for code in wanted or () if code not in there]
    if missing:
        where = file.document.where(("catchments", "codes"))
        problems.append(ConfigurationError(where, f"{', '.join(missing)}: not in {table}"))
    numbered = enumerate(rows, start=2)
    return [(number, row) for number, row in numbered if wanted is None or str(row["code"]) in wanted]


def _modelled(file: CampaignFile, model: str) -> Document:
    """The base with the sections of a model over it."""
    document = _copy(file.base)
    document.problems.clear()  # those of the base are reported once
    for location, value in _leaves(file.campaign.models[model] or {}, ()):
        place: Location = ("models", model, *location)
        line = file.document.where(place).removesuffix(dotted(place)).rstrip(": ")
        document.overlay(location, value, f"{line}: models.{model}")
    return document


def _leaves(values: Mapping[str, Any], above: Location) -> Iterator[tuple[Location, Any]]:
    for key, value in values.items():
        location = (*above, *key.split("."))
        if isinstance(value, dict) and value and "kind" not in value:
            yield from _leaves(value, location)
        else:
            yield location, value


def _copy(document: Document) -> Document:
    return Document(document.source, deepcopy(document.values), dict(document.lines), dict(document.problems))


def _lay_row(document: Document, row: Row, where: str) -> Row:
    """Lay the columns that are keys over a document; the others come back."""
    attributes = {}
    for column, value in row.items():
        if "." not in column and column not in TOP_LEVEL_KEYS:
            if column != "code":
                attributes[column] = value
        elif value is not None and value != "":
            location = tuple(column.split("."))
            given = _cell(value) if isinstance(value, str) else Document(where, _as_yaml(value))
            document.overlay(location, deepcopy(given.values), where)
            for problem in given.problems.values():
                document.add_problem(location, problem.what, problem.remedy)
    return attributes


@lru_cache(4096)
def _cell(text: str) -> Document:
    """A text of a table, read as YAML like an override."""
    return parse(text, "table")


def _as_yaml(value: Any) -> Any:
    """A value of a table as the YAML would hold it."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():  # a column of whole numbers of which some are missing
        return int(value)
    return [_as_yaml(part) for part in value] if isinstance(value, list | tuple) else value


def _lay_identity(document: Document, file: CampaignFile, name: str, code: str, model: str) -> None:
    """What makes the run that of one catchment and one model: its name, its folder, its gauge."""
    given = {location for location, line in document.lines.items() if isinstance(line, str)}
    where = file.document.source
    document.overlay(("name",), name, where)
    document.overlay(("folder",), str(Path(file.campaign.folder) / model / code), where)
    for key, value in (("calibration", [code]), ("validation", []), ("weights", None)):
        if ("gauges", key) not in given:
            document.overlay(("gauges", key), value, where)


def _needed(document: Document, experiment: Experiment | None) -> list[HydrocliError]:
    """What a calibration cannot do without."""
    if experiment is None:
        return []
    needs = {
        ("gauges", "discharge"): experiment.gauges.discharge,
        ("period", "calibration"): experiment.period.calibration,
    }
    return [
        ConfigurationError(document.where(key), "is required for a calibration")
        for key, value in needs.items()
        if value is None
    ]


def _once(errors: list[HydrocliError]) -> HydrocliError:
    """One error in place of equal ones in several places."""
    places = list(dict.fromkeys(error.where for error in errors))
    first = errors[0]
    more = f" (and in {len(places) - 1} other places)" if len(places) > 1 else ""
    return ConfigurationError(first.where, first.what + more, first.remedy)
