"""The table of everything the model names: symbol, words, unit, default, bounds, source.

Configuration checks, Parquet columns and their metadata, plots and documentation read it, so a name is spelled once.
P1: Huynh et al. (2025), GRNN. P2: Huynh et al. (2026), neural ODE.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """One named quantity; `default`, `lower` and `upper` are None where the notion does not apply."""

    symbol: str
    words: str
    unit: str
    default: float | None = None
    lower: float | None = None
    upper: float | None = None
    source: str = ""


def _table(*rows: Quantity) -> dict[str, Quantity]:
    return {row.symbol: row for row in rows}


PARAMETERS = _table(
    Quantity("cp", "production capacity", "mm", 200.0, 1e-6, 1000.0, "P1 eq. 4"),
    Quantity("ct", "transfer capacity", "mm", 500.0, 1e-6, 1000.0, "P1 eq. 8"),
    Quantity("kexc", "exchange coefficient", "mm/step", 0.0, -50.0, 50.0, "P1 eq. 7"),
    Quantity("akw", "kinematic wave coefficient", "-", 5.0, 1e-3, 50.0, "P1 eq. 9"),
    Quantity("bkw", "kinematic wave exponent", "-", 0.6, 1e-3, 1.0, "P1 eq. 9"),
)
"""Parameters of the cell model and the routing, in the order in which the engine stores them."""

INTERCEPTION_CAPACITY = Quantity("ci", "interception capacity", "mm", None, 0.1, 2.9, "Ficchi et al. 2019")

STATES = _table(
    Quantity("hi", "relative level of the interception store", "-", 0.01, 1e-6, 0.999999, "P1 2.2.1"),
    Quantity("hp", "relative level of the production store", "-", 0.01, 1e-6, 0.999999, "P1 2.2.1"),
    Quantity("ht", "relative level of the transfer store", "-", 0.01, 1e-6, 0.999999, "P1 2.2.1"),
    Quantity("discharge", "routed discharge", "m3/s", 0.0, 0.0, None, "P1 eq. 9"),
    Quantity("lateral_inflow", "lateral inflow to the routing", "m3/s", 0.0, None, None, "P1 eq. 9"),
)
"""Everything a later run needs to start exactly where an earlier one ended."""

INITIAL_LEVELS = ("hp", "ht")
"""States whose initial values may be calibrated."""

FORCINGS = _table(
    Quantity("precipitation", "precipitation", "mm/step"),
    Quantity("evapotranspiration", "potential evapotranspiration", "mm/step"),
)

NETWORK_INPUTS = ("hp", "ht", "pn", "en")
"""Inputs of phi1, the network that corrects fluxes: levels of the stores, neutralised rain and evapotranspiration."""

EXTRAPOLATED = Quantity(
    "extrapolated", "share of the cells with an input of phi1 outside its range in calibration", "-"
)
