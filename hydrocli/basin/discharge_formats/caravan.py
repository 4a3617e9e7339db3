"""`caravan`: a folder of Caravan (Kratzert et al. 2023), one CSV per basin with the columns date and streamflow.

Discharge is in mm per day, a mean of the day in local time; the day of a basin counts as the one in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence

from hydrocli.basin.discharge_formats import (
    WHERE,
    DischargeSource,
    Found,
    Period,
    read_each,
    require_folder,
)
from hydrocli.basin.discharge_formats.camels import read_daily
from hydrocli.basin.tables import files_by_code

UNITS = {"streamflow": "mm/day"}


class CaravanFormat:
    """See the module."""

    def find(self, source: DischargeSource, codes: Sequence[str]) -> tuple[str, ...]:
        """See `DischargeFormat`; codes are those of Caravan (camels_01022500), or their last part."""
        require_folder(source, "a folder of one CSV per basin")
        return files_by_code(source.path, codes, (".csv",), WHERE)

    def read(
        self, paths: Sequence[str], source: DischargeSource, codes: Sequence[str], period: Period, notes: list[str]
    ) -> Found:
        """See `DischargeFormat`."""
        return read_each(paths, codes, lambda path, code: read_daily(path, source, UNITS))


FORMAT = CaravanFormat()
