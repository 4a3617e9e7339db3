"""What a calibration has found, in two small tables read from its run folder: scores of gauges, and parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.config import load
from hydrocli.experiment.roles import roles_of, stamp
from hydrocli.results import read
from hydrocli.results.folder import CONFIG
from hydrocli.results.views import gauge_tree, rows_by_gauge
from hydrocli.score.metrics import kge, nse
from hydrocli.structures.structure import parameter_quantities, state_quantities

Row = dict[str, Any]
NEAR_BOUND = 1e-3
"""A parameter is at a bound within this fraction of the distance between its bounds."""


def calibration_scores(folder: Path) -> list[Row]:
    """NSE and KGE of each calibration gauge over the calibration period.

    Raises:
        InputError: the run is missing, or a table of it is.
    """
    run, experiment = read(folder), load(folder / CONFIG)
    discharge = run.arrays("discharge")
    places = rows_by_gauge(discharge["gauge"])
    calibrated, _ = roles_of(experiment.gauges, list(places), lambda: gauge_tree(run))
    period = experiment.period.calibration
    assert period is not None
    inside = (discharge["time"] > stamp(period[0])) & (discharge["time"] <= stamp(period[1]))
    rows = []
    for code in calibrated:
        here, scored = places[code], inside[places[code]]
        pair = discharge["observed"][here][scored], discharge["simulated"][here][scored]
        rows.append({"gauge": code, "nse": nse(*pair), "kge": kge(*pair)})
    return rows


def calibrated_parameters(folder: Path) -> list[Row]:
    """Mean and range of each calibrated parameter over the calibrated cells, its bounds, and how many cells are at one.

    A baseline has none.

    Raises:
        InputError: the run is missing, or a table of it is.
    """
    run, experiment = read(folder), load(folder / CONFIG)
    if experiment.baseline is not None:
        return []
    table, inside = run.arrays("parameters"), run.arrays("domain")["calibrated"].astype(bool)
    rows = []
    known = parameter_quantities() | state_quantities()
    for symbol in experiment.structure.declared.maps:
        quantity = known[symbol]
        asked = experiment.initial[symbol] if symbol in state_quantities() else experiment.parameters[symbol]
        if symbol not in table or not getattr(asked, "calibrated", False):
            continue
        values, (lower, upper) = table[symbol][inside], asked.bounds
        near = NEAR_BOUND * (upper - lower)
        rows.append(
            {
                "parameter": f"{symbol} [{quantity.unit}]",
                "mean": float(values.mean()),
                "minimum": float(values.min()),
                "maximum": float(values.max()),
                "lower_bound": lower,
                "upper_bound": upper,
                "cells_at_bound": int(np.sum((values <= lower + near) | (values >= upper - near))),
            }
        )
    return rows
