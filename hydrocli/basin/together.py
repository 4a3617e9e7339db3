"""Many basins read together: catchments that share flow directions and archives are ingested in one pass over them.

Each basin gets the store that it would have got alone, to the bit; a raster of a region is opened once, not once for
each of its hundreds of catchments.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from hydrocli.arrays import Integers
from hydrocli.basin import store
from hydrocli.basin.ingest import OF_DRAINAGE, Draft, Progress, complete, make_draft, make_reader, read_drainage
from hydrocli.basin.network import DrainageNetwork
from hydrocli.basin.rasters import UnreadableError
from hydrocli.basin.source import (
    OF_FORCING,
    BasinSource,
    collecting,
    fingerprint_of,
    inputs_read_once,
    make_plan,
    options_of,
    shared,
)
from hydrocli.errors import Errors, HydrocliError

AT_ONCE = 200
"""Basins whose files are open at a time; more of them are read in several passes."""

Broken = dict[str, HydrocliError]
"""What is wrong with basins, by fingerprint."""


def ingest_together(
    sources: Sequence[BasinSource], store_folder: Path, workers: int = 1, progress: Progress | None = None
) -> list[str | HydrocliError]:
    """Build every store that is not there yet; what is wrong with one basin does not keep the others from theirs.

    Args:
        sources: of the basins.
        store_folder: where stores are kept.
        workers: processes that read rasters.
        progress: told how the reading goes.

    Returns:
        For each basin the fingerprint that names its store, or what is wrong.
    """
    found: list[str | HydrocliError] = []
    groups: dict[tuple[str, ...], dict[str, Draft]] = {}
    broken: Broken = {}
    with inputs_read_once():
        for source in sources:
            group = groups.setdefault(tuple(map(str, options_of(source, (*OF_DRAINAGE, *OF_FORCING)))), {})
            found.append(_drafted(source, store_folder, group))
        for drafts in groups.values():
            waiting = list(drafts.values())
            for first in range(0, len(waiting), AT_ONCE):
                broken |= _build(waiting[first : first + AT_ONCE], store_folder, workers, progress)
    return [broken.get(result, result) if isinstance(result, str) else result for result in found]


def _drafted(source: BasinSource, store_folder: Path, group: dict[str, Draft]) -> str | HydrocliError:
    """The fingerprint of a basin, which is added to its group if it has no store yet."""
    errors: list[HydrocliError] = []
    with collecting(errors):
        plan = make_plan(source)
        fingerprint = fingerprint_of(source, plan)
        if fingerprint not in group and store.load(store_folder, fingerprint) is None:
            group[fingerprint] = make_draft(source, plan, fingerprint)
        return fingerprint
    return errors[0] if len(errors) == 1 else Errors(errors)


def _build(drafts: list[Draft], store_folder: Path, workers: int, progress: Progress | None) -> Broken:
    """Write the stores of basins of one group; a value that one of them cannot have is looked for by halves."""
    try:
        _build_at_once(drafts, store_folder, workers, progress)
    except UnreadableError as error:  # a file that all of them need
        return {draft.fingerprint: error for draft in drafts}
    except HydrocliError as error:
        if len(drafts) == 1:
            return {drafts[0].fingerprint: error}
        half = len(drafts) // 2
        parts = drafts[:half], drafts[half:]
        return {key: one for part in parts for key, one in _build(part, store_folder, workers, progress).items()}
    return {}


def _build_at_once(drafts: list[Draft], store_folder: Path, workers: int, progress: Progress | None) -> None:
    union = _union(drafts)
    reader = make_reader(drafts[0].source, union)
    with ExitStack() as stores:
        folders = [stores.enter_context(store.building(store_folder, draft.fingerprint)) for draft in drafts]
        cells = [_cells_in(union, draft.network) for draft in drafts]
        complete(drafts, folders, cells, reader, workers, progress)


def _union(drafts: list[Draft]) -> DrainageNetwork:
    """All cells of some basins on one raster of flow directions."""
    source = drafts[0].source
    drainage = shared(("drainage", *map(str, options_of(source, OF_DRAINAGE))), lambda: read_drainage(source))
    x, y = (np.concatenate([getattr(draft.gauges, axis) for draft in drafts]) for axis in ("x", "y"))
    row, column = drainage.grid.cells_at(x, y)
    return DrainageNetwork.from_drainage(drainage, zip(row.tolist(), column.tolist(), strict=True))


def _cells_in(union: DrainageNetwork, network: DrainageNetwork) -> Integers:
    """Index in the union of each cell of a basin."""
    place = np.full(union.grid.shape, -1, np.int64)
    place[union.row, union.column] = np.arange(len(union))
    return np.asarray(place[union.grid.cells_at(network.x, network.y)])
