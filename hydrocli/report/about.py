"""Summary of a run from its configuration and scores: model, periods, calibration gauges, scores of gauges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hydrocli.names import BASELINES
from hydrocli.report.tables import Columns, found
from hydrocli.results import Run

MAPPINGS = {"uniform": "U", "distributed": "D", "multilinear": "ML", "multipower": "MP", "mlp": "MLP", "cnn": "CNN"}
"""Second half of a model's name, as the papers have it."""

LOCAL = " local"
"""End of the names of models that have parameters of their own for each gauge."""
SCENARIOS = ("calibration", "temporal", "spatial", "spatio-temporal")
OF_EVENTS = "_events"
"""End of the names of metrics that look at flood events only."""

METRIC_WORDS = {
    "nse": "NSE",
    "nse_uniform": "NSE of uniform",
    "nnse": "NNSE",
    "log_nse": "log-NSE",
    "kge": "KGE",
    "rmse": "RMSE [m3/s]",
    "mae": "MAE [m3/s]",
    "pbias": "PBIAS [%]",
    "peak_ratio": "peak ratio",
    "extrapolated": "extrapolated",
}

Period = tuple[np.datetime64, np.datetime64]


@dataclass(frozen=True, eq=False)
class About:
    """A run in short.

    Attributes:
        name: of the run.
        model: structure and mapping, such as `NODE.MLP`.
        periods: ]from, to] of the calibration and of each validation period, by name.
        calibrated: codes of the calibration gauges; empty if unknown.
        step: seconds of a time step, 0 if unknown.
        nse: lowest NSE of each gauge over all scored periods; empty before `hydrocli validate`.
    """

    name: str
    model: str
    periods: dict[str, Period]
    calibrated: tuple[str, ...]
    step: int
    nse: dict[str, float]


def about(run: Run) -> About:
    """Read what a run is.

    Raises:
        InputError: its configuration or its scores are broken.
    """
    details, scores = run.configuration, found(run, "scores")
    return About(
        name=run.manifest.run,
        model=model_of(details),
        periods=_periods(details.get("period") or {}),
        calibrated=_calibrated(details.get("gauges") or {}, scores),
        step=_seconds((details.get("period") or {}).get("step")),
        nse=worst_scores(scores, "nse") if scores else {},
    )


def model_of(details: dict[str, Any]) -> str:
    """`STRUCTURE.MAPPING` of a configuration; its mapping is that of the last stage. A baseline has no mapping."""
    structure, mapping = ((details.get(key) or {}).get("kind") for key in ("structure", "mapping"))
    structure, mapping = str(structure or "gr"), str(mapping or "uniform")
    if structure in BASELINES:
        return structure.upper() + (LOCAL if details["structure"].get("scope") == "local" else "")
    return f"{structure.upper()}.{MAPPINGS.get(mapping, mapping.upper())}"


def _time(value: Any) -> np.datetime64:
    return np.datetime64(str(value).replace("Z", "").replace("+00:00", ""), "s")


def _periods(details: dict[str, Any]) -> dict[str, Period]:
    requested = {"calibration": details["calibration"]} if details.get("calibration") else {}
    requested |= details.get("validation") or {}
    return {name: (_time(start), _time(end)) for name, (start, end) in requested.items()}


def _calibrated(details: dict[str, Any], scores: Columns | None) -> tuple[str, ...]:
    if isinstance(details.get("calibration"), list):
        return tuple(str(code) for code in details["calibration"])
    if scores is None:
        return ()
    known = np.isin(scores["scenario"].astype(str), ["calibration", "temporal"])
    return tuple(dict.fromkeys(scores["gauge"][known].tolist()))


def _seconds(step: Any) -> int:
    units = {"min": 60, "h": 3600, "d": 86400, "s": 1}
    number = "".join(letter for letter in str(step or "") if letter.isdigit())
    return int(number or 1) * units.get(str(step or "").lstrip("0123456789"), 0)


def worst_scores(scores: Columns, metric: str) -> dict[str, float]:
    """Lowest value of a metric of each gauge over all its periods; NaN where it is nowhere defined."""
    worst: dict[str, float] = {}
    here = scores.where(scores["metric"] == metric)
    for code, value in zip(here["gauge"].tolist(), here["value"].tolist(), strict=True):
        worst[code] = float(np.fmin(worst.get(code, np.nan), value))
    return worst


def metric_words(metric: str) -> str:
    """Name of a metric as figures have it."""
    name = metric.removesuffix(OF_EVENTS)
    return METRIC_WORDS.get(name, name.replace("_", " "))


def score_of(scores: Columns, metric: str, period: str) -> dict[str, float]:
    """Value of a metric of each gauge in a period."""
    here = scores.where((scores["metric"] == metric) & (scores["period"] == period))
    return dict(zip(here["gauge"].tolist(), here["value"].tolist(), strict=True))
