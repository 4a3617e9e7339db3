"""Units of discharge and runoff.

A module without NumPy, so that the configuration can check a unit before the readers of discharge are loaded.
"""

from __future__ import annotations

from hydrocli.errors import InputError

HOUR, DAY = 3600, 86400
VOLUMES = {"m3/s": 1.0, "m3 s-1": 1.0, "m^3/s": 1.0, "m3.s-1": 1.0, "m**3 s**-1": 1.0, "cumecs": 1.0}
VOLUMES |= dict.fromkeys(("l/s", "l s-1"), 1e-3)
VOLUMES |= dict.fromkeys(("cfs", "ft3/s", "ft3 s-1", "ft^3/s"), 0.3048**3)
"""m3/s in a unit of discharge, in small letters."""
DEPTHS = {"mm/step": 0, "mm": 0, "mm/h": HOUR, "mm h-1": HOUR, "mm/hour": HOUR}
DEPTHS |= dict.fromkeys(("mm/d", "mm/day", "mm d-1", "mm day-1"), DAY)
"""Seconds over which a millimetre of runoff is counted; 0 for the interval of a value."""
UNITS = "m3/s, l/s, cfs, mm/step, mm/h or mm/day"


def volume_factor(unit: str, interval: int, area: float, where: str) -> float:
    """m3/s in one unit of discharge or runoff.

    Args:
        unit: see `UNITS`.
        interval: of a value [s].
        area: of the catchment [m2].
        where: gauge or key, for messages.

    Raises:
        InputError: the unit is not understood, or the area is not known where it is needed.
    """
    text = " ".join(unit.strip().lower().split())
    if text in VOLUMES:
        return VOLUMES[text]
    if text not in DEPTHS:
        raise InputError("gauges.discharge.unit", f"{unit!r} is not a unit of discharge", f"Write {UNITS}.")
    if not area > 0:
        what = f"{where} has no area, which discharge in {unit} needs"
        raise InputError("gauges.table", what, "Add the area to the table.")
    return 1e-3 * area / (DEPTHS[text] or interval)
