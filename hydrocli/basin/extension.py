"""Stores that grow: one of a longer period begins with the rows of a shorter one, and only later steps are read.

The rows of an array depend on the fields of its steps alone. So they may be taken over where the plan of the archive is
the same up to there: the same fields of the same files, unchanged, for the same steps, and the same cells. What was
filled from later days (gaps of potential evapotranspiration) may be another value in a longer period: such an array is
read anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.basin import store
from hydrocli.basin.network import DrainageNetwork
from hydrocli.basin.source import OF_FORCING, BasinSource, Pass, Plan, options_of, shared
from hydrocli.basin.values import Counts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Base:
    """A store with which a longer one begins.

    Attributes:
        stored: it.
        sections: of the passes whose arrays go on after it.
    """

    stored: store.Stored
    sections: frozenset[str]

    @property
    def steps(self) -> int:
        """That it has."""
        return len(self.stored.basin.precipitation)

    def counts(self, array: str) -> Counts:
        """What was found in an array of it."""
        found: dict[str, Any] = self.stored.meta["reading"]["counts"][array]
        return Counts(**found | {name: tuple(found[name]) for name in ("limits", "near")})

    def unreadable(self, section: str) -> list[str]:
        """Files of it that count as missing."""
        return list(self.stored.meta["reading"]["unreadable"][section])


def reading_of(
    source: BasinSource,
    plan: Plan,
    network: DrainageNetwork,
    counts: Mapping[str, Counts],
    unreadable: Mapping[str, list[str]],
) -> dict[str, Any]:
    """What a longer store needs to know of this one, for its description.

    Args:
        source: of the basin.
        plan: of its archives.
        network: its cells.
        counts: of each array, before gaps are filled.
        unreadable: files that count as missing, by section.
    """
    return {
        "lineage": _lineage(source, network),
        "rows": {one.section: plan.forcing.digest_of_rows(one, len(plan.times)) for one in plan.forcing.passes},
        "counts": {name: asdict(one) for name, one in counts.items()},
        "unreadable": dict(unreadable),
    }


def find_base(source: BasinSource, plan: Plan, network: DrainageNetwork, store_folder: Path) -> Base | None:
    """The store with most rows that a new one may begin with; why others may not is logged."""
    lineages = shared(("lineages", str(store_folder)), lambda: _lineages(store_folder))
    best: Base | None = None
    reasons: list[str] = []
    for steps, name in sorted(lineages.get(_lineage(source, network), []), reverse=True):
        if steps >= len(plan.times) or (stored := store.load(store_folder, name)) is None:
            continue
        why_not = {one.section: _why_not(one, plan, stored) for one in plan.forcing.passes}
        found = Base(stored, frozenset(section for section, reason in why_not.items() if not reason))
        if best is None or steps * len(found.sections) > best.steps * len(best.sections):
            best = found
            reasons = [
                f"{section} is read from its start, not from the end of the store {name[:8]}: {reason}"
                for section, reason in why_not.items()
                if reason
            ]
        if not reasons:
            break
    for text in reasons:
        logger.info(text)
    if best is None or not best.sections:
        return None
    more, sections = len(plan.times) - best.steps, ", ".join(sorted(best.sections))
    name = best.stored.path.name[:8]
    logger.info(f"the store {name} has the first {best.steps} steps: {more} are added ({sections})")
    return best


def _lineages(store_folder: Path) -> dict[str, list[tuple[int, str]]]:
    """Steps and names of all stores in a folder, by lineage."""
    found: dict[str, list[tuple[int, str]]] = {}
    for entry in store.list_stores(store_folder):
        if not entry.is_partial:
            try:
                meta = json.loads((entry.path / store.META).read_text(encoding="utf-8"))
                found.setdefault(meta["reading"]["lineage"], []).append((meta["steps"], entry.path.name))
            except store.DAMAGES:  # whoever needs it builds it anew
                continue
    return found


def _lineage(source: BasinSource, network: DrainageNetwork) -> str:
    """Hash of what stores have in common of which a longer one may begin with a shorter one."""
    options = options_of(source, (*(name for name in OF_FORCING if name != "end"), "crs"))
    hasher = hashlib.sha256(repr([store.FORMAT, *map(str, options), network.grid]).encode())
    for values in (network.row, network.column):
        hasher.update(values.astype(np.int64).tobytes())
    return hasher.hexdigest()[:32]


def _why_not(one: Pass, plan: Plan, stored: store.Stored) -> str:
    """Why the arrays of a pass cannot go on after a store; empty where they can."""
    reading, steps = stored.meta["reading"], stored.meta["steps"]
    if reading["rows"].get(one.section) != plan.forcing.digest_of_rows(one, steps):
        created = np.datetime64(stored.meta["created"].split("+")[0], "ns").astype(np.int64)
        newer = plan.forcing.first_changed_after(one, steps, int(created))
        return f"{newer} has changed since" if newer else "files were added, removed or replaced before its end"
    if "pet" in one.arrays and reading["counts"]["pet"]["missing"]:
        return "gaps were filled there, and later days may fill them otherwise"
    return ""
