"""The table of everything the model names: symbol, long name, unit, default, bounds, source.

Configuration checks, Parquet columns and their metadata, plots and documentation read it, so a name is spelled once.
P1: Huynh et al. (2025), GRNN. P2: Huynh et al. (2026), neural ODE. P3: slides of 2026 on neural reservoirs, see
`structures.nr`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """One named quantity; `default`, `lower` and `upper` are None where the notion does not apply."""

    symbol: str
    long_name: str
    unit: str
    default: float | None = None
    lower: float | None = None
    upper: float | None = None
    source: str = ""

    @property
    def is_per_step(self) -> bool:
        """Whether its values belong to the length of the time step, and change with it."""
        return "step" in self.unit.split("/")[1:]


def _table(*rows: Quantity) -> dict[str, Quantity]:
    return {row.symbol: row for row in rows}


PARAMETERS = _table(
    Quantity("cp", "production capacity", "mm", 200.0, 1e-6, 1000.0, "P1 eq. 4"),
    Quantity("ct", "transfer capacity", "mm", 500.0, 1e-6, 1000.0, "P1 eq. 8"),
    Quantity("kexc", "exchange coefficient", "mm/step", 0.0, -50.0, 50.0, "P1 eq. 7"),
)
"""Parameters that several structures share; each structure declares those that it has."""

ROUTING_PARAMETERS = _table(
    Quantity("akw", "kinematic wave coefficient", "-", 5.0, 1e-3, 50.0, "P1 eq. 9"),
    Quantity("bkw", "kinematic wave exponent", "-", 0.6, 1e-3, 1.0, "P1 eq. 9"),
)
"""Parameters of the kinematic wave: the last rows of the parameters of every structure."""

INTERCEPTION_CAPACITY = Quantity("ci", "interception capacity", "mm", None, 0.1, 2.9, "Ficchi et al. 2019")

STATES = _table(
    Quantity("hi", "relative level of the interception store", "-", 0.01, 1e-6, 0.999999, "P1 2.2.1"),
    Quantity("hp", "relative level of the production store", "-", 0.01, 1e-6, 0.999999, "P1 2.2.1"),
    Quantity("ht", "relative level of the transfer store", "-", 0.01, 1e-6, 0.999999, "P1 2.2.1"),
    Quantity("rain_intensity", "running mean of the net rain", "mm/step", 0.0, 0.0, None, "P3"),
    Quantity("discharge", "routed discharge", "m3/s", 0.0, 0.0, None, "P1 eq. 9"),
    Quantity("lateral_inflow", "lateral inflow to the routing", "m3/s", 0.0, None, None, "P1 eq. 9"),
)
"""Everything a later run needs to start exactly where an earlier one ended."""

FLUXES = _table(
    Quantity("pn", "rain that interception leaves", "mm/step", source="P1 2.2.1"),
    Quantity("en", "potential evapotranspiration that interception leaves", "mm/step", source="P1 2.2.1"),
    Quantity("ps", "infiltration into the production store", "mm/step", source="P1 eq. 4, P2 eq. 5"),
    Quantity("es", "evaporation from the production store", "mm/step", source="P1 eq. 5, P2 eq. 5"),
    Quantity("pr", "rain that passes the production store", "mm/step", source="P1 eq. 6, P2 eqs 5-6"),
    Quantity("perc", "percolation from the production store", "mm/step", source="Perrin et al. 2003"),
    Quantity("exchange", "exchange as applied, both branches", "mm/step", source="P1 eq. 7, P2 eqs 5-6"),
    Quantity("qr", "runoff of the transfer store", "mm/step", source="P1 eq. 8, P2 eq. 6"),
    Quantity("qd", "runoff of the direct branch, exchange included", "mm/step", source="P1 2.2.1, P2 eq. 6"),
    Quantity("source", "rain that the corrections add", "mm/step", source="P2 eqs 5-6"),
    Quantity("clamped", "water that holding a level inside its limits adds", "mm/step"),
    Quantity("qt", "runoff of the cell before routing", "mm/step", source="P1 2.2.1, P2 eq. 6"),
    Quantity("aet", "actual evapotranspiration, from interception and soil", "mm/step", source="P1 2.2.1"),
    Quantity("storage", "water in the stores of interception, production and transfer", "mm", source="P1 2.2.1"),
)
"""What moves in a cell, and what its stores hold."""

CORRECTIONS = _table(
    *(Quantity(f"f{k}", f"correction f{k} by the network", "-", 0.0, -1.0, 1.0, "P1 2.2.3") for k in range(1, 6))
)
FACTORS = _table(
    *(
        Quantity(f"g{k}", f"factor of the correction f{k} on its flux, or gate of `nr`", "-", 1.0, 0.0, 2.0, "P1 4.2.1")
        for k in range(1, 6)
    ),
    Quantity("g6", "gate of `nr`: share of the bound of its flux", "-", 1.0, 0.0, 1.0, "P3"),
)
"""g(f) = 1 + f or 1 - f^2, or a gate, as a structure declares; averages of corrections are means of these."""
NEWTON_ITERATIONS = Quantity("newton_iterations", "iterations of Newton's method", "-")

FORCINGS = _table(
    Quantity("precipitation", "precipitation", "mm/step"),
    Quantity("pet", "potential evapotranspiration", "mm/step"),
)

BASELINES = ("lstm", "linear", "climatology")
"""Kinds of models of discharge from catchment means, without cells; see `hydrocli.baselines`."""

EXTRAPOLATED = Quantity(
    "extrapolated", "share of the cells with an input of the flux network outside its range in calibration", "-"
)
