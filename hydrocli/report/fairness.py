"""What makes a comparison with baselines fair: rules, where runs break them, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydrocli.names import BASELINES
from hydrocli.report.about import About
from hydrocli.report.page import Block, Section, Text, format_number, sheet
from hydrocli.report.source import Source
from hydrocli.results import Run

RULES = (
    "Baselines have the forcing, warm-up, periods, calibration gauges and objective of the other models.",
    "They see no discharge, neither of the past nor of other gauges: else they would forecast. They are causal.",
    "They see catchment means; distributed models see where it rains.",
    "Early stopping, if it is on, looks at the last fifth of the calibration period, never at a validation period.",
    "Gauges that did not calibrate are scored with regional weights only.",
)
LOCAL_LSTM = (
    "A local LSTM learns from one gauge alone. On months or a few years of data it is expected to fail in validation "
    "(Gauch et al. 2024, HESS 28, 4187): it shows what the regional one gains, and is no rival to beat."
)
KEYS = (("period", "step"), ("period", "start"), ("period", "calibration"), ("objective",), ("forcing",))


def is_baseline(details: dict[str, Any]) -> bool:
    """Whether the structure of a configuration is a baseline."""
    return (details.get("structure") or {}).get("kind") in BASELINES


def is_local_lstm(details: dict[str, Any], calibrated: Sequence[str]) -> bool:
    """Whether a configuration trains an LSTM on single gauges."""
    structure = details.get("structure") or {}
    return structure.get("kind") == "lstm" and (structure.get("scope") == "local" or len(calibrated) == 1)


def differences(runs: Sequence[tuple[str, About, Run]]) -> list[str]:
    """A sentence for each run whose conditions are not those of the first one; local runs may have fewer gauges.

    Args:
        runs: label, what it is, and the run.
    """
    sentences, (first, *others) = list[str](), runs
    for label, about, run in others:
        keys = [".".join(key) for key in KEYS if _value(run, key) != _value(first[2], key)]
        if set(about.calibrated) != set(first[1].calibrated):
            keys.append("calibration gauges")
        if keys:
            sentences.append(f"{label} differs from {first[0]} in: {', '.join(keys)}.")
    return sentences


def _value(run: Run, key: tuple[str, ...]) -> Any:
    value: Any = run.configuration
    for part in key:
        value = (value or {}).get(part)
    if key == ("forcing",) and isinstance(value, dict):
        return {name: one for name, one in value.items() if name != "store"}
    if key == ("objective",) and isinstance(value, dict):
        return {name: one for name, one in value.items() if name != "regularisation"}
    return value


def sentences_on(runs: Sequence[tuple[str, About, Run]]) -> list[str]:
    """Rules, differences, and what each run cost; empty where none of the runs is a baseline."""
    if not any(is_baseline(run.configuration) for _, _, run in runs):
        return []
    sentences = [*RULES, *differences(runs)]
    if any(is_local_lstm(run.configuration, about.calibrated) for _, about, run in runs):
        sentences.append(LOCAL_LSTM)
    return sentences + [f"{label}: {_cost(run)}." for label, _, run in runs]


def _cost(run: Run) -> str:
    counts, timings = run.manifest.counts, run.manifest.timings
    parts = [f"{int(counts['controls'])} parameters and weights"] if "controls" in counts else []
    if "calibration" in timings:
        seconds = max(0.0, timings["calibration"] - timings.get("calibration_compilation", 0.0))
        parts.append(f"calibration {format_number(seconds)} s without compilation")
        if counts.get("evaluations"):
            parts.append(f"{format_number(seconds / counts['evaluations'])} s per evaluation")
    return ", ".join(parts) or "no calibration"


def fairness_section(source: Source) -> Section:
    """Of the page of a baseline: what it is, its weights and seconds, and the rules."""
    run, about = source.run, source.about
    if not is_baseline(run.configuration):
        return Section("baseline", "Baseline")
    details = run.manifest.structure.get("baseline", {})
    rows = [{"": name.replace("_", " "), "value": value} for name, value in details.items()]
    blocks: list[Block] = [sheet("Baseline", rows)] if rows else []
    sentences = [f"{about.model}: {_cost(run)}.", *RULES]
    if is_local_lstm(run.configuration, about.calibrated):
        sentences.append(LOCAL_LSTM)
    return Section("baseline", "Baseline", (*blocks, Text(tuple(sentences))))
