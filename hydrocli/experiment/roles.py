"""What an experiment says about its gauges, times and flood events: `check`, `validate` and `signatures` need no more.

Nothing here loads the model, so that these commands start quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.config import Experiment
from hydrocli.config.gauges import Gauges
from hydrocli.errors import ConfigurationError
from hydrocli.score.events import Segmentation

Roles = tuple[tuple[str, ...], tuple[str, ...]]


def roles_of(asked: Gauges, codes: Sequence[str], tree: Callable[[], GaugeTree]) -> Roles:
    """Codes of the gauges that calibrate, and of those that validate.

    Where a word says which calibrate, the others validate, unless some are named.

    Args:
        asked: section of the configuration.
        codes: of all g gauges.
        tree: gives that of the gauges, where it is needed.

    Raises:
        ConfigurationError: no gauge has the role.
    """
    if isinstance(asked.calibration, tuple):
        return asked.calibration, asked.validation
    if asked.calibration is None:
        return tuple(code for code in codes if code not in asked.validation), asked.validation
    has_role = tree().with_role(asked.calibration)
    chosen = tuple(code for code, has in zip(codes, has_role, strict=True) if has and code not in asked.validation)
    if not chosen:
        what = f"no gauge is {asked.calibration}"
        if asked.validation:
            what += " but those of gauges.validation"
        raise ConfigurationError("gauges.calibration", what, "Use another keyword, or list the gauges.")
    return chosen, asked.validation or tuple(code for code in codes if code not in chosen)


def calibration_series(asked: Gauges, codes: Sequence[str], cells: Sequence[int]) -> dict[str, list[str]]:
    """Series that calibrate, by the code of their first gauge: codes of the gauges that each is made of.

    With `same_cell: merge` the gauges of one cell are one series, else every gauge is its own.

    Args:
        asked: section of the configuration.
        codes: of the gauges that calibrate.
        cells: of these gauges.
    """
    if asked.same_cell != "merge":
        return {code: [code] for code in codes}
    groups: dict[int, list[str]] = {}
    for code, cell in zip(codes, cells, strict=True):
        groups.setdefault(cell, []).append(code)
    return {own[0]: own for own in groups.values()}


def merged(discharge: Floats) -> Floats:
    """One series [t] of those of gauges on one cell [k, t]: in each step the mean of the values that are there."""
    known = np.isfinite(discharge)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, discharge, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def merging_note(codes: Sequence[str], discharge: Floats) -> str:
    """What is merged, and how the gauges differ where all have a value, in a sentence; discharge is [k, t]."""
    known = np.isfinite(discharge)
    both, some = known.all(axis=0), known.any(axis=0)
    means = discharge[:, both].mean(axis=1) if both.any() else np.zeros(len(codes))
    differ = f", where their means are {', '.join(f'{mean:.4g}' for mean in means)} m3/s" if both.any() else ""
    return (
        f"gauges {', '.join(codes)} are on one cell and calibrate as one series of {np.count_nonzero(some)} steps; "
        f"all have a value in {np.count_nonzero(both)}{differ}"
    )


def segmentation(experiment: Experiment, code: str) -> Segmentation:
    """Options of the search for flood events at a gauge; its threshold, if it has one, stands for the quantile."""
    options = experiment.flood_events.model_dump()
    threshold = options.pop("thresholds").get(code)
    return Segmentation(
        **options if threshold is None else options | {"peak_quantile": 0.0, "peak_discharge": threshold}
    )


def stamp(time: object) -> np.datetime64:
    """A time of the configuration (UTC) as numpy has it."""
    return np.datetime64(time, "s")  # type: ignore[call-overload]
