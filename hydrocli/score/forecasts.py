"""Scores of forecasts of many issues at one lead time.

persistence index = 1 - sum (q - o)^2 / sum (o_T - o)^2            Kitanidis & Bras 1980; o_T: the last observation
peak error        = (max q - max o) / max o                        over all issues
POD = hits / (hits + misses)    FAR = false / (hits + false)    CSI = hits / (hits + misses + false)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.score.metrics import kge, nse, rmse


def scores_at_lead(observed: Floats, forecast: Floats, last: Floats, thresholds: tuple[float, ...]) -> dict[str, float]:
    """Value of each score by name; NaN where it is not defined.

    Args:
        observed, forecast: at the valid times of the issues [i] [m3/s]; NaN where there is none.
        last: last observation at the issue times [i] [m3/s].
        thresholds: discharges [m3/s] for POD, FAR, CSI; their names are `pod@<threshold>`.
    """
    both = np.isfinite(observed) & np.isfinite(forecast)
    o, q, before = observed[both], forecast[both], last[both]
    if not o.size:
        return dict.fromkeys(("rmse", "nse", "kge", "persistence_index", "peak_error"), np.nan) | {
            f"{name}@{threshold:g}": np.nan for threshold in thresholds for name in ("pod", "far", "csi")
        }
    kept = np.isfinite(before)
    found = {
        "rmse": rmse(o, q),
        "nse": nse(o, q),
        "kge": kge(o, q),
        "persistence_index": 1.0 - _ratio(np.sum((q - o)[kept] ** 2), np.sum((before - o)[kept] ** 2)),
        "peak_error": _ratio(q.max() - o.max(), o.max()),
    }
    for threshold in thresholds:
        hits, misses = np.sum((o >= threshold) & (q >= threshold)), np.sum((o >= threshold) & (q < threshold))
        false = np.sum((o < threshold) & (q >= threshold))
        for name, part, of in (
            ("pod", hits, hits + misses),
            ("far", false, hits + false),
            ("csi", hits, hits + misses + false),
        ):
            found[f"{name}@{threshold:g}"] = _ratio(part, of)
    return found


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole > 0 else np.nan
