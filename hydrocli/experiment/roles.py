"""What an experiment says about its gauges, times and flood events: `check`, `validate` and `signatures` need no more.

Nothing here loads the model, so that these commands start quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

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
