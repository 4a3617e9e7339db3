"""The structures `grd` and `grdnn`: a production and a transfer store, nothing else (Jay-Allemand et al. 2020).

    hp <- hp + (ps - es) / cp              pr = pn - ps
    ht, qt = transfer store of `gr` with the inflow pr

Infiltration ps and evaporation es are those of `gr`; nothing percolates, and nothing is exchanged. There is no
interception store: rain meets evapotranspiration within the step. In `grdnn` a network corrects ps and es.
"""

from __future__ import annotations

from typing import Any

from hydrocli.jit import bind, kernel
from hydrocli.names import FLUXES, PARAMETERS
from hydrocli.structures import gr, grnn
from hydrocli.structures.explicit import classical, classical_step, classical_step_adjoint, corrected
from hydrocli.structures.structure import CellModel, register
from hydrocli.water.corrected_production import corrected_production, corrected_production_adjoint
from hydrocli.water.transfer import LOWEST_LEVEL, transfer, transfer_adjoint
from hydrocli.water.vector_math import maximum


@kernel
def corrected_step(forcing, parameters, states, corrections):
    """New levels (hp, ht), runoff qt [mm/step] and fluxes [mm/step]; parameters: cp, 1/cp, ct, 1/ct, flux_floor."""
    pn, en = forcing
    cp, inverse_cp, ct, inverse_ct, flux_floor = parameters
    hp, ht = states
    f1, f2 = corrections
    hp, ps, es = corrected_production(pn, en, cp, inverse_cp, flux_floor, hp, f1, f2)
    pr = pn - ps
    clamped = ct * maximum(LOWEST_LEVEL - (ht + pr * inverse_ct), 0.0)
    ht, qr = transfer(pr, ct, inverse_ct, ht)
    return (hp, ht), qr, (ps, es, pr, qr, clamped)


@kernel
def corrected_step_adjoint(forcing, parameters, states, corrections, states_bar, qt_bar):
    """Bars of forcing, parameters (cp, ct), states and corrections."""
    pn, en = forcing
    cp, inverse_cp, ct, inverse_ct, flux_floor = parameters
    hp, ht = states
    f1, f2 = corrections
    hp_bar, ht_bar = states_bar
    _, ps, _ = corrected_production(pn, en, cp, inverse_cp, flux_floor, hp, f1, f2)
    # ht, qt = transfer(pn - ps)
    pr_bar, ct_bar, inverse_ct_bar, ht_bar = transfer_adjoint(pn - ps, ct, inverse_ct, ht, ht_bar, qt_bar)
    # hp, ps, es = corrected_production(hp)
    pn_bar, en_bar, cp_bar, inverse_cp_bar, _, hp_bar, f1_bar, f2_bar = corrected_production_adjoint(
        pn, en, cp, inverse_cp, flux_floor, hp, f1, f2, hp_bar, -pr_bar, 0.0
    )
    return (
        (pn_bar + pr_bar, en_bar),
        (cp_bar - inverse_cp_bar * inverse_cp * inverse_cp, ct_bar - inverse_ct_bar * inverse_ct * inverse_ct),
        (hp_bar, ht_bar),
        (f1_bar, f2_bar),
    )


step = bind(classical_step, "grd", inlined=True, corrected_step=corrected_step, CORRECTIONS=(0.0, 0.0))
step_adjoint = bind(
    classical_step_adjoint, "grd", inlined=True, corrected_step_adjoint=corrected_step_adjoint, CORRECTIONS=(0.0, 0.0)
)

SIZES = {"rows": 4, "parameters": 2, "states": 2, "fluxes": 5}
OWN: dict[str, Any] = {
    "parameters": (PARAMETERS["cp"], PARAMETERS["ct"]),
    "fluxes": tuple(FLUXES[symbol] for symbol in ("ps", "es", "pr", "qr", "clamped")),
    "balance": {"evapotranspiration": ("es",), "clamped": ("clamped",)},
    "has_interception": False,
    "step_exponents": {symbol: gr.STEP_EXPONENTS[symbol] for symbol in ("ct", "ht")},
    "surfaces": {name: one for name, one in gr.DECLARED["surfaces"].items() if name != "exchange"},
}

GRD = CellModel(
    name="grd",
    title="a production and a transfer store (Jay-Allemand et al. 2020)",
    **gr.DECLARED | OWN | {"constants": lambda structure, step: (), "seconds": (25e-9, 8e-9)},
    **classical("grd", step, step_adjoint, **SIZES),
)
GRDNN = CellModel(
    name="grdnn",
    title="grd whose infiltration and evaporation a network corrects",
    **grnn.DECLARED
    | OWN
    | {
        "constants": lambda structure, step: (grnn.flux_floor(structure),),
        "corrections": grnn.DECLARED["corrections"][:2],
        "seconds": (140e-9, 45e-9),
    },
    **corrected("grdnn", corrected_step, corrected_step_adjoint, **SIZES, corrections=2),
)
register("grd", lambda options: GRD)
register("grdnn", lambda options: GRDNN)
