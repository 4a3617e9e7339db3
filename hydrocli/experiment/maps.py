"""Tables of cells of another run on the cells of a basin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydrocli.basin.basin import Basin
from hydrocli.errors import InputError
from hydrocli.results import read

Floats = NDArray[np.float64]


class Maps:
    """A table of cells of another run, laid on the cells of this basin by their coordinates.

    Attributes:
        inside: which of the n cells of this basin the run has.
        lacking: a sentence about those that it does not have; empty where it has all.
    """

    def __init__(self, folder: str | Path, table: str, basin: Basin) -> None:
        run, network = read(folder), basin.network
        domain = run.arrays("domain")
        there = {place: number for number, place in enumerate(zip(*_places(domain["x"], domain["y"]), strict=True))}
        places = zip(*_places(network.x, network.y), strict=True)
        self._folder, self._cells = str(folder), np.array([there.get(place, -1) for place in places])
        self._columns, self.inside, self.lacking = run.arrays(table), self._cells >= 0, ""
        if not self.inside.all():
            first, number = int(np.argmin(self.inside)), int((~self.inside).sum())
            self.lacking = (
                f"{number} of {self._cells.size} cells are not in this run, first x {network.x[first]:.0f}, "
                f"y {network.y[first]:.0f}"
            )

    def column(self, name: str) -> Floats:
        """Values [n] of a column at the cells of this basin; NaN where the run has none."""
        return np.where(self.inside, np.asarray(self._columns[name], np.float64)[self._cells], np.nan)

    def whole(self, name: str) -> Floats:
        """The same.

        Raises:
            InputError: the run lacks some cells of this basin.
        """
        if self.lacking:
            raise InputError(self._folder, self.lacking, "Name a run whose basin holds this one.")
        return self.column(name)


def _places(x: Floats, y: Floats) -> tuple[list[float], list[float]]:
    """Coordinates to compare; a thousandth of a metre, or a tenth of a millionth of a degree, is rounding."""
    digits = 3 if np.abs(x).max(initial=0.0) > 360 else 7
    return np.round(x, digits).tolist(), np.round(y, digits).tolist()
