"""`caravan`: forcing of Caravan (Kratzert et al. 2023), in the same tables as the discharge: one CSV for each basin.

Columns are means of the basin by day. Those that end in `_sum`, such as `total_precipitation_sum` and the kinds of
`potential_evaporation_sum`, are in mm/day, temperatures such as `temperature_2m_mean` in degrees C. A date is the day
in local time; it counts as the day in UTC, as it does for the discharge.
"""

from __future__ import annotations

from hydrocli.basin.readers.table import TableReader


def unit_of(column: str) -> str:
    """Unit of a column, from its name."""
    if "_sum" in column:
        return "mm/day"
    return "degC" if column.startswith("temperature") else ""


READER = TableReader("a date of Caravan is the day that its values are of", unit_of, has_days=True)
