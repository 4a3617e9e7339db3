"""Comparison of runs: models, scores by scenario, errors of floods, local and regional calibration.

A model is named as the papers do, structure and mapping. Runs that calibrate one gauge are local, those of several
regional; where both are compared, names of local ones say so. Two runs of one model that score the same gauge in
the same period would be counted twice: then the run's name is part of the model's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.report.about import LOCAL, MAPPINGS, SCENARIOS, About, about
from hydrocli.report.tables import Array, Columns, found
from hydrocli.results import Run

SIGNATURES = ("Epf", "Erc", "Eff", "Ebf")
"""Signatures of floods whose errors the papers compare."""

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Contender:
    """A run in a comparison: its name there, what it is, its scores and its signatures (None: not computed)."""

    label: str
    about: About
    run: Run
    scores: Columns
    signatures: Columns | None

    @property
    def is_local(self) -> bool:
        """Whether each of its gauges was calibrated alone."""
        return len(self.about.calibrated) == 1 or self.about.model.endswith(LOCAL)

    @property
    def of_both_scopes(self) -> str:
        """Name of the model, local or regional."""
        return self.about.model.removesuffix(LOCAL)


def contenders(runs: Sequence[Run]) -> tuple[list[Contender], list[Run]]:
    """The runs that have scores, in the order of the papers, with their labels; and those that have none."""
    known, without = [], []
    for run in runs:
        scores, details = found(run, "scores"), about(run)
        if scores is None:
            without.append(run)
        else:
            known.append(Contender(details.model, details, run, scores, found(run, "signatures")))
    known.sort(key=lambda one: (_rank(one.about.model), one.about.name))
    return _labelled(known), without


PAPERS = ("GR", "GRNN", "ODE", "NODE")
"""Structures in the order of the papers; others follow by name."""


def _rank(model: str) -> tuple[int, str, int]:
    """Structure by structure, from the simple to the rich mapping."""
    structure, _, mapping = model.partition(".")
    mappings = list(MAPPINGS.values())
    return (
        PAPERS.index(structure) if structure in PAPERS else len(PAPERS),
        structure,
        mappings.index(mapping) if mapping in mappings else len(mappings),
    )


def _labelled(known: Sequence[Contender]) -> list[Contender]:
    mixed = any(one.is_local for one in known) and not all(one.is_local for one in known)
    named = [replace(one, label=one.of_both_scopes + LOCAL) if mixed and one.is_local else one for one in known]
    twice = {
        label
        for (label, *_), number in Counter((one.label, *key) for one in named for key in {*_keys(one.scores)}).items()
        if number > 1
    }
    return [replace(one, label=f"{one.label} ({one.about.name})") if one.label in twice else one for one in named]


def _keys(scores: Columns) -> list[tuple[str, str]]:
    return list(zip(scores["gauge"].tolist(), scores["period"].tolist(), strict=True))


def pooled(known: Sequence[Contender]) -> dict[str, Array]:
    """The defined scores of all contenders in one table: model, gauge, scenario, period, metric, value."""
    names = ("gauge", "scenario", "period", "metric", "value")
    table = {name: np.concatenate([one.scores[name] for one in known]) for name in names}
    table["model"] = np.repeat([one.label for one in known], [len(one.scores) for one in known])
    there = np.isfinite(table["value"])
    return {name: values[there] for name, values in table.items()}


def values_of(scores: Mapping[str, Array], metric: str) -> dict[str, dict[str, Floats]]:
    """Values of a metric by scenario and model, in the order of the scenarios and of the models."""
    here = scores["metric"] == metric
    models = list(dict.fromkeys(scores["model"].tolist()))
    table: dict[str, dict[str, Floats]] = {}
    for scenario in SCENARIOS:
        inside = here & (scores["scenario"] == scenario)
        by_model = {model: scores["value"][inside & (scores["model"] == model)] for model in models}
        if any(values.size for values in by_model.values()):
            table[scenario] = {model: values for model, values in by_model.items() if values.size}
    return table


def summary(scores: Mapping[str, Array]) -> list[Row]:
    """Number, quartiles and median of every metric by model and scenario."""
    rows = []
    for metric in dict.fromkeys(scores["metric"].tolist()):
        for scenario, models in values_of(scores, metric).items():
            for model, values in models.items():
                quartiles = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
                details = {"model": model, "scenario": scenario, "metric": metric, "number": len(values)}
                rows.append(details | dict(zip(("lower_quartile", "median", "upper_quartile"), quartiles, strict=True)))
    return rows


def at_a_glance(rows: Sequence[Row], metric: str) -> list[Row]:
    """One row for each model: median and quartiles of a metric in each scenario, and how many values these are of."""
    table: dict[str, Row] = {}
    for row in rows:
        if row["metric"] == metric:
            line = table.setdefault(row["model"], {"model": row["model"]})
            quartiles = f"{row['median']:.3f} [{row['lower_quartile']:.3f}, {row['upper_quartile']:.3f}]"
            line[row["scenario"]] = f"{quartiles} ({row['number']})"
    return list(table.values())


def models(known: Sequence[Contender]) -> list[Row]:
    """Second paper, Table 1, with controls, cells, gauges and cost of the calibration."""
    rows = []
    for one in known:
        manifest = one.run.manifest
        rows.append(
            {
                "model": one.label,
                "run": one.about.name,
                "calibration gauges": len(one.about.calibrated),
                "controls": _count(manifest.counts, "controls"),
                "cells": _count(manifest.counts, "cells"),
                "evaluations": _count(manifest.counts, "evaluations"),
                **cost(manifest.counts, manifest.timings),
            }
        )
    return rows


def cost(counts: Mapping[str, float], timings: Mapping[str, float]) -> dict[str, float | None]:
    """Seconds of a calibration: of its evaluations, of one of them, of compilation, which is paid once per machine."""
    whole, evaluations = timings.get("calibration"), counts.get("evaluations")
    compilation = timings.get("calibration_compilation")
    net = None if whole is None or compilation is None else max(0.0, whole - compilation)
    return {
        "calibration without compilation [s]": net,
        "per evaluation [s]": net / evaluations if net is not None and evaluations else None,
        "compilation [s]": compilation,
        "calibration [s]": whole,
        "processor, with compilation [s]": timings.get("calibration_cpu"),
    }


def _count(counts: Mapping[str, float], name: str) -> int | None:
    return int(counts[name]) if name in counts else None


@dataclass(frozen=True, eq=False)
class Paired:
    """One metric at the gauges that a model has both local and regional: regional against local, a point each."""

    model: str
    gauges: tuple[str, ...]
    scenarios: tuple[str, ...]
    local: Floats
    regional: Floats


def local_and_regional(known: Sequence[Contender], metric: str) -> list[Paired]:
    """Scores of regional runs at the gauges and periods at which local runs of the same model calibrated that gauge."""
    found_pairs = []
    for model in dict.fromkeys(one.of_both_scopes for one in known):
        of_model = [one for one in known if one.of_both_scopes == model]
        local = {
            key: value
            for one in of_model
            if one.is_local
            for key, (_, value) in _scored(one, metric).items()
            if key[0] in one.about.calibrated
        }
        points = [
            (key[0], scenario, local[key], value)
            for one in of_model
            if not one.is_local
            for key, (scenario, value) in _scored(one, metric).items()
            if key in local
        ]
        if points:
            gauges, scenarios, first, second = zip(*points, strict=True)
            found_pairs.append(Paired(model, gauges, scenarios, np.array(first), np.array(second)))
    return found_pairs


def _scored(one: Contender, metric: str) -> dict[tuple[str, str], tuple[str, float]]:
    """Scenario and value of a metric by gauge and period."""
    here = one.scores.where((one.scores["metric"] == metric) & np.isfinite(one.scores["value"]))
    values = zip(here["scenario"].tolist(), here["value"].tolist(), strict=True)
    return dict(zip(_keys(here), values, strict=True))


def calibration_scores(scores: Mapping[str, Array], metric: str) -> tuple[list[str], dict[str, Floats]]:
    """Gauges, and the value of a metric at each of them in calibration by model; NaN where a model has none."""
    here = (scores["metric"] == metric) & (scores["scenario"] == "calibration")
    gauges = list(dict.fromkeys(scores["gauge"][here].tolist()))
    table: dict[str, Floats] = {}
    for model, gauge, value in zip(*(scores[name][here].tolist() for name in ("model", "gauge", "value")), strict=True):
        table.setdefault(model, np.full(len(gauges), np.nan))[gauges.index(gauge)] = value
    return gauges, table


def event_errors(known: Sequence[Contender], signature: str, *, calibrated: bool) -> dict[str, Floats]:
    """Sizes of the relative errors of a signature of all events of the calibration or of the other periods, sorted."""
    table: dict[str, list[Floats]] = {}
    for one in known:
        if one.signatures is None:
            continue
        rows = (one.signatures["signature"] == signature) & np.isfinite(one.signatures["event"].astype(np.float64))
        rows &= np.isfinite(one.signatures["relative_error"])
        rows &= (one.signatures["period"] == "calibration") == calibrated
        table.setdefault(one.label, []).append(np.abs(one.signatures["relative_error"][rows]))
    joined = {label: np.sort(np.concatenate(parts)) for label, parts in table.items()}
    return {label: values for label, values in joined.items() if values.size}
