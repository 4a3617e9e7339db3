"""An ensemble of seeds: calibrations that differ in their random numbers alone, the papers' question of equifinality.

The first member is the run itself, with `seed`. The others, with the seeds that follow, are runs in its folder,
`members/002` and so on: each is whole, stopped and continued like any run, and read by all commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.config import Experiment
from hydrocli.results.folder import MANIFEST, MEMBERS, read_manifest

Row = dict[str, Any]


def members(experiment: Experiment) -> list[Experiment]:
    """The further members of an experiment; none of a single one."""
    return [_member(experiment, number) for number in range(2, experiment.ensemble + 1)]


def finished_members(experiment: Experiment) -> list[Experiment]:
    """The further members that have a finished run, with all else as the experiment says now."""
    folders = (file.parent for file in (Path(experiment.folder) / MEMBERS).glob(f"*/{MANIFEST}"))
    numbers = sorted(int(folder.name) for folder in folders if read_manifest(folder).state == "finished")
    return [_member(experiment, number) for number in numbers]


def _member(experiment: Experiment, number: int) -> Experiment:
    own = {
        "name": f"{experiment.name}-{number}",
        "folder": Path(experiment.folder) / MEMBERS / f"{number:03d}",
        "seed": experiment.seed + number - 1,
        "ensemble": 1,
    }
    return experiment.model_copy(update=own)


def spread(rows: Sequence[Sequence[Row]], labels: Sequence[str], extremes: Sequence[str]) -> list[Row]:
    """Rows of the first member with the median of every number over all members, of some with the extremes.

    Args:
        rows: of each member, those of the first one first.
        labels: keys that say which row of another member is the same.
        extremes: keys that are followed by `<key>_lowest` and `<key>_highest`.
    """
    if len(rows) == 1:
        return list(rows[0])
    by_key = [{tuple(row.get(label) for label in labels): row for row in one} for one in rows]
    together = []
    for row in rows[0]:
        key, joined = tuple(row.get(label) for label in labels), Row()
        same = [one[key] for one in by_key if key in one]
        for name, value in row.items():
            if name in labels or not isinstance(value, float):
                joined[name] = value
                continue
            values = np.array([other[name] for other in same if other.get(name) is not None], np.float64)
            known = values[np.isfinite(values)]
            median, low, high = (
                (float(np.median(known)), float(known.min()), float(known.max())) if known.size else (np.nan,) * 3
            )
            joined[name] = median
            if name in extremes:
                joined |= {f"{name}_lowest": low, f"{name}_highest": high}
        together.append(joined | {"members": len(same)})
    return together
