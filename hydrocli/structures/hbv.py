"""The structures `hbv` and `hbvnn`: soil moisture, an upper and a lower linear store (Bergstrom 1995; Seibert 2012).

    inf  = min((1 - sm^beta) pn, fc (1 - sm))           rc   = pn - inf         (recharge)
    ea   = min(en min(1, sm / lp), fc sm)               sm  <- sm + (inf - ea) / fc
    U    = suz + rc                                     pc   = min(perc_max dt, U)  (percolation)
    q0   = r0 max(0, U - pc - uzl)                      q1   = r1 (U - pc - q0)
    suz <- U - pc - q0 - q1
    L    = slz + pc                                     q2   = r2 L             slz <- L - q2
    qt   = q0 + q1 + q2                                 r    = 1 - exp(-k dt)

In `hbvnn` a network corrects recharge, evaporation, percolation and the outflow of the upper store, each within what
there is: rc = min((1 + f1) rc, pn), but no less than what overfills the soil; ea = min((1 + f2) ea, en, fc sm);
pc = min((1 + f3) perc_max dt, U); q1 = min((1 + f4) r1, 1) (U - pc - q0). The corrections move water, none adds any.

| symbol | meaning | unit |
|---|---|---|
| sm | soil moisture relative to fc | - |
| suz, slz | water in the upper and the lower store | mm |
| fc, beta, lp | see `water.soil_moisture` | mm, -, - |
| perc_max | largest percolation | mm/d |
| k0, k1, k2 | recession coefficients above uzl, of the upper and of the lower store | 1/d |
| uzl | threshold of the upper store | mm |
"""

from __future__ import annotations

from typing import Any

from hydrocli.jit import kernel
from hydrocli.names import Quantity
from hydrocli.structures.explicit import classical, corrected
from hydrocli.structures.structure import CellModel, Correction, State, Structure, register
from hydrocli.water.flux_correction import corrected_flux, corrected_flux_adjoint
from hydrocli.water.linear_store import release, release_adjoint
from hydrocli.water.soil_moisture import (
    recharge_share,
    recharge_share_adjoint,
    soil_evaporation,
    soil_evaporation_adjoint,
)
from hydrocli.water.vector_math import maximum, minimum, where_positive

SOURCE = "Bergstrom 1995, Seibert 2012"
PARAMETERS = (
    Quantity("fc", "field capacity", "mm", 250.0, 10.0, 1000.0, SOURCE),
    Quantity("beta", "shape of the recharge", "-", 2.0, 0.5, 8.0, SOURCE),
    Quantity("lp", "share of the field capacity above which evaporation is potential", "-", 0.7, 0.1, 1.0, SOURCE),
    Quantity("perc_max", "largest percolation", "mm/d", 2.0, 1e-3, 50.0, SOURCE),
    Quantity("k0", "recession coefficient above the threshold", "1/d", 0.8, 0.05, 20.0, SOURCE),
    Quantity("uzl", "threshold of the upper store", "mm", 20.0, 1e-3, 200.0, SOURCE),
    Quantity("k1", "recession coefficient of the upper store", "1/d", 0.2, 0.01, 5.0, SOURCE),
    Quantity("k2", "recession coefficient of the lower store", "1/d", 0.05, 1e-4, 0.5, SOURCE),
)
STATES = (
    State(Quantity("sm", "soil moisture relative to the field capacity", "-", 0.3, 1e-6, 0.999999, SOURCE), "fc"),
    State(Quantity("suz", "water in the upper store", "mm", 1e-3, 0.0, 1000.0, SOURCE)),
    State(Quantity("slz", "water in the lower store", "mm", 5.0, 0.0, 1000.0, SOURCE)),
)
FLUXES = (
    Quantity("ea", "evaporation from the soil", "mm/step", source=SOURCE),
    Quantity("recharge", "water that the soil passes on", "mm/step", source=SOURCE),
    Quantity("percolation", "water from the upper to the lower store", "mm/step", source=SOURCE),
    Quantity("q0", "runoff of the upper store above its threshold", "mm/step", source=SOURCE),
    Quantity("q1", "runoff of the upper store", "mm/step", source=SOURCE),
    Quantity("q2", "runoff of the lower store", "mm/step", source=SOURCE),
)


@kernel
def corrected_step(forcing, parameters, states, corrections):
    """New (sm, suz, slz), runoff qt [mm/step] and fluxes (see `FLUXES`) [mm/step].

    parameters: fc, 1/fc, beta, 1/lp, perc_max dt, r0, uzl, r1, r2, dt.
    """
    pn, en = forcing
    fc, inverse_fc, beta, inverse_lp, largest, r0, uzl, r1, r2, _ = parameters
    sm, suz, slz = states
    f1, f2, f3, f4 = corrections
    asked = corrected_flux(pn * recharge_share(sm, beta), f1, pn, pn)
    recharge = maximum(asked, pn - fc * (1.0 - sm))
    ea = corrected_flux(soil_evaporation(en, inverse_lp, sm), f2, en, fc * sm)
    sm = sm + (pn - recharge - ea) * inverse_fc
    upper = suz + recharge
    percolation = minimum((1.0 + f3) * largest, upper)
    wet = upper - percolation
    q0 = r0 * maximum(wet - uzl, 0.0)
    q1 = minimum((1.0 + f4) * r1, 1.0) * (wet - q0)
    lower = slz + percolation
    q2 = r2 * lower
    return (sm, wet - q0 - q1, lower - q2), q0 + q1 + q2, (ea, recharge, percolation, q0, q1, q2)


@kernel
def corrected_step_adjoint(forcing, parameters, states, corrections, states_bar, qt_bar):
    """Bars of forcing, parameters (as declared), states and corrections."""
    pn, en = forcing
    fc, inverse_fc, beta, inverse_lp, largest, r0, uzl, r1, r2, days = parameters
    sm, suz, slz = states
    f1, f2, f3, f4 = corrections
    new_sm_bar, new_suz_bar, new_slz_bar = states_bar
    share = recharge_share(sm, beta)
    asked = corrected_flux(pn * share, f1, pn, pn)
    overfull = pn - fc * (1.0 - sm)
    recharge = maximum(asked, overfull)
    potential = soil_evaporation(en, inverse_lp, sm)
    ea = corrected_flux(potential, f2, en, fc * sm)
    upper = suz + recharge
    percolation = minimum((1.0 + f3) * largest, upper)
    wet = upper - percolation
    q0 = r0 * maximum(wet - uzl, 0.0)
    q1_share = (1.0 + f4) * r1
    lower = slz + percolation
    # slz = lower - q2,  q2 = r2 lower
    q2_bar = qt_bar - new_slz_bar
    lower_bar = new_slz_bar + q2_bar * r2
    r2_bar = q2_bar * lower
    # suz = wet - q0 - q1,  q1 = min((1 + f4) r1, 1) (wet - q0)
    q1_bar = qt_bar - new_suz_bar
    left_bar = q1_bar * minimum(q1_share, 1.0)
    q1_share_bar = where_positive(1.0 - q1_share, q1_bar * (wet - q0), 0.0)
    f4_bar, r1_bar = q1_share_bar * r1, q1_share_bar * (1.0 + f4)
    # q0 = r0 max(wet - uzl, 0)
    q0_bar = qt_bar - new_suz_bar - left_bar
    above_bar = where_positive(wet - uzl, q0_bar * r0, 0.0)
    r0_bar = q0_bar * maximum(wet - uzl, 0.0)
    wet_bar = new_suz_bar + left_bar + above_bar
    # wet = upper - percolation,  lower = slz + percolation,  percolation = min((1 + f3) perc_max dt, upper)
    percolation_bar = lower_bar - wet_bar
    limit_bar = where_positive(upper - (1.0 + f3) * largest, percolation_bar, 0.0)
    f3_bar, largest_bar = limit_bar * largest, limit_bar * (1.0 + f3)
    upper_bar = wet_bar + percolation_bar - limit_bar
    # upper = suz + recharge,  sm = sm + (pn - recharge - ea) / fc
    moved_bar = new_sm_bar * inverse_fc
    inverse_fc_bar = new_sm_bar * (pn - recharge - ea)
    recharge_bar = upper_bar - moved_bar
    # ea = corrected_flux(potential, f2, en, fc sm)
    potential_bar, f2_bar, en_bar, stored_bar = corrected_flux_adjoint(potential, f2, en, fc * sm, -moved_bar)
    en_more, inverse_lp_bar, sm_bar = soil_evaporation_adjoint(en, inverse_lp, sm, potential_bar)
    # recharge = max(asked, pn - fc (1 - sm))
    overfull_bar = where_positive(overfull - asked, recharge_bar, 0.0)
    # asked = corrected_flux(pn sm^beta, f1, pn, pn)
    flux_bar, f1_bar, supply_bar, room_bar = corrected_flux_adjoint(pn * share, f1, pn, pn, recharge_bar - overfull_bar)
    sm_more, beta_bar = recharge_share_adjoint(sm, beta, flux_bar * pn)
    fc_bar = stored_bar * sm - overfull_bar * (1.0 - sm) - inverse_fc_bar * inverse_fc * inverse_fc
    return (
        (moved_bar + overfull_bar + flux_bar * share + supply_bar + room_bar, en_bar + en_more),
        (
            fc_bar,
            beta_bar,
            -inverse_lp_bar * inverse_lp * inverse_lp,
            largest_bar * days,
            release_adjoint(r0, days, r0_bar),
            -above_bar,
            release_adjoint(r1, days, r1_bar),
            release_adjoint(r2, days, r2_bar),
        ),
        (new_sm_bar + sm_bar + sm_more + fc * (stored_bar + overfull_bar), upper_bar, lower_bar),
        (f1_bar, f2_bar, f3_bar, f4_bar),
    )


@kernel
def step(forcing, parameters, states):
    """`corrected_step` without corrections."""
    return corrected_step(forcing, parameters, states, (0.0, 0.0, 0.0, 0.0))


@kernel
def step_adjoint(forcing, parameters, states, states_bar, qt_bar):
    """Bars of forcing, parameters (as declared) and states."""
    forcing_bar, parameters_bar, old_bar, _ = corrected_step_adjoint(
        forcing, parameters, states, (0.0, 0.0, 0.0, 0.0), states_bar, qt_bar
    )
    return forcing_bar, parameters_bar, old_bar


def prepare(p: dict[str, Any], step: int) -> dict[str, Any]:
    """Rows that the kernels get; recession coefficients become releases of a step."""
    days = step / 86400.0
    return {
        "fc": p["fc"],
        "1/fc": 1.0 / p["fc"],
        "beta": p["beta"],
        "1/lp": 1.0 / p["lp"],
        "perc_max dt": p["perc_max"] * days,
        "r0": release(p["k0"], days),
        "uzl": p["uzl"],
        "r1": release(p["k1"], days),
        "r2": release(p["k2"], days),
    }


def _days(structure: Structure, step: int) -> tuple[float, ...]:
    return (step / 86400.0,)


DECLARED: dict[str, Any] = {
    "parameters": PARAMETERS,
    "states": STATES,
    "fluxes": FLUXES,
    "balance": {"evapotranspiration": ("ea",)},
    "details": ("recharge", "percolation"),
    "prepare": prepare,
    "constants": _days,
    "surfaces": {
        "recharge": ("recharge", "sm", 1.0),
        "evaporation": ("ea", "sm", -1.0),
    },
}
SIZES = {"rows": 9, "parameters": 8, "states": 3, "fluxes": 6}

HBV = CellModel(
    name="hbv",
    title="HBV: soil moisture, upper and lower linear store (Bergstrom 1995; Seibert 2012)",
    seconds=(60e-9, 25e-9),
    **DECLARED,
    **classical("hbv", step, step_adjoint, **SIZES),
)
HBVNN = CellModel(
    name="hbvnn",
    title="hbv whose recharge, evaporation, percolation and upper outflow a network corrects",
    corrections=tuple(map(Correction, ("recharge", "evaporation", "percolation", "outflow of the upper store"))),
    options=("network",),
    seconds=(170e-9, 60e-9),
    **DECLARED,
    **corrected("hbvnn", corrected_step, corrected_step_adjoint, **SIZES, corrections=4),
)
register("hbv", lambda options: HBV)
register("hbvnn", lambda options: HBVNN)
