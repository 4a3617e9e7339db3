"""The structure `gr` (GR4): production, percolation, exchange, transfer, direct runoff (P1 eqs 4-8, f1..f4 = 0).

One step of one cell and its transpose: states hp, ht; parameters cp, ct, kexc; runoff qt = qr + qd [mm/step].
"""

from __future__ import annotations

from typing import Any

from hydrocli.jit import kernel
from hydrocli.names import FLUXES, PARAMETERS, STATES
from hydrocli.structures.explicit import classical
from hydrocli.structures.structure import CellModel, State, register
from hydrocli.water.exchange import exchange, exchange_adjoint
from hydrocli.water.production import percolation, percolation_adjoint, production, production_adjoint
from hydrocli.water.transfer import (
    LOWEST_LEVEL,
    direct_runoff,
    direct_runoff_adjoint,
    transfer,
    transfer_adjoint,
)
from hydrocli.water.vector_math import maximum


@kernel
def exchanged(coefficients, ht):
    """Exchange F [mm/step] of GR4; a structure with another law binds its own."""
    return exchange(coefficients[0], ht)


@kernel
def exchanged_adjoint(coefficients, ht, F_bar):
    """Bars of coefficients, ht."""
    kexc_bar, ht_bar = exchange_adjoint(coefficients[0], ht, F_bar)
    return (kexc_bar,), ht_bar


@kernel
def step(forcing, parameters, states):
    """New levels (hp, ht), runoff qt [mm/step] and fluxes (see `FLUX_NAMES`) [mm/step].

    parameters: cp, 1/cp, ct, 1/ct, coefficients of the exchange, 1/beta.
    """
    pn, en = forcing
    cp, inverse_cp, ct, inverse_ct = parameters[:4]
    coefficients, inverse_beta = parameters[4:-1], parameters[-1]
    hp, ht = states
    ps, es = production(pn, en, cp, inverse_cp, hp)
    hp, perc = percolation(cp, hp + (ps - es) * inverse_cp, inverse_beta)
    F = exchanged(coefficients, ht)
    effective = pn - ps + perc
    prr, prd = 0.9 * effective + F, 0.1 * effective
    clamped = ct * maximum(LOWEST_LEVEL - (ht + prr * inverse_ct), 0.0)
    ht, qr = transfer(prr, ct, inverse_ct, ht)
    qd = direct_runoff(prd, F)
    return (hp, ht), qr + qd, (ps, es, pn - ps, perc, F + qd - prd, qr, qd, clamped)


@kernel
def step_adjoint(forcing, parameters, states, states_bar, qt_bar):
    """Bars of forcing, parameters (cp, ct, coefficients of the exchange) and states."""
    pn, en = forcing
    cp, inverse_cp, ct, inverse_ct = parameters[:4]
    coefficients, inverse_beta = parameters[4:-1], parameters[-1]
    hp, ht = states
    hp_bar, ht_bar = states_bar
    ps, es = production(pn, en, cp, inverse_cp, hp)
    filled = hp + (ps - es) * inverse_cp
    _, perc = percolation(cp, filled, inverse_beta)
    F = exchanged(coefficients, ht)
    effective = pn - ps + perc
    # qt = qr + qd,  qd = direct_runoff(0.1 effective, F)
    prd_bar, F_bar = direct_runoff_adjoint(0.1 * effective, F, qt_bar)
    # ht, qr = transfer(0.9 effective + F)
    prr_bar, ct_bar, inverse_ct_bar, ht_bar = transfer_adjoint(0.9 * effective + F, ct, inverse_ct, ht, ht_bar, qt_bar)
    F_bar = F_bar + prr_bar
    # effective = pn - ps + perc
    effective_bar = 0.1 * prd_bar + 0.9 * prr_bar
    # F = exchanged(ht)
    coefficients_bar, ht_exchange_bar = exchanged_adjoint(coefficients, ht, F_bar)
    # hp, perc = percolation(filled)
    cp_bar, filled_bar, _ = percolation_adjoint(cp, filled, inverse_beta, hp_bar, effective_bar)
    # filled = hp + (ps - es) / cp
    moved_bar = filled_bar * inverse_cp
    inverse_cp_bar = filled_bar * (ps - es)
    # ps, es = production(pn, en, cp, hp)
    pn_bar, en_bar, cp_more, inverse_cp_more, hp_more = production_adjoint(
        pn, en, cp, inverse_cp, hp, moved_bar - effective_bar, -moved_bar
    )
    cp_bar = cp_bar + cp_more - (inverse_cp_bar + inverse_cp_more) * inverse_cp * inverse_cp
    ct_bar = ct_bar - inverse_ct_bar * inverse_ct * inverse_ct
    return (
        (pn_bar + effective_bar, en_bar),
        (cp_bar, ct_bar) + coefficients_bar,  # noqa: RUF005
        (filled_bar + hp_more, ht_bar + ht_exchange_bar),
    )


FLUX_NAMES = ("ps", "es", "pr", "perc", "exchange", "qr", "qd", "clamped")
LEVELS = (State(STATES["hp"], "cp"), State(STATES["ht"], "ct"))


def prepare(p: dict[str, Any], step: int) -> dict[str, Any]:
    """Rows of the stores and the exchange, as every structure of this family has them."""
    stores = {"cp": p["cp"], "1/cp": 1.0 / p["cp"], "ct": p["ct"], "1/ct": 1.0 / p["ct"]}
    return stores | {symbol: values for symbol, values in p.items() if symbol not in stores}


STEP_EXPONENTS = {"ct": -0.25, "ht": 0.25, "kexc": 0.125}
"""The store drains by R^5 / (4 ct^4) in a step, R = ct ht, and the exchange is kexc ht^(7/2) in a step: at another step
dt both are the same in a day where ct^4 dt and kexc ht^(7/2) / dt are (Ficchi et al. 2016)."""


def inverse_beta(step: int) -> float:
    """1/beta of the percolation, beta = 9/4 (86400/dt)^(1/4)."""
    return 4.0 / 9.0 * (step / 86400.0) ** 0.25


DECLARED: dict[str, Any] = {
    "states": LEVELS,
    "fluxes": tuple(FLUXES[symbol] for symbol in FLUX_NAMES),
    "balance": {"evapotranspiration": ("es",), "exchange": ("exchange",), "clamped": ("clamped",)},
    "prepare": prepare,
    "constants": lambda structure, step: (inverse_beta(step),),
    "surfaces": {
        "infiltration": ("ps", "hp", 1.0),
        "evaporation": ("es", "hp", -1.0),
        "exchange": ("exchange", "ht", 1.0),
        "outflow": ("qr", "ht", 1.0),
    },
    "step_exponents": STEP_EXPONENTS,
    "seconds": (30e-9, 10e-9),
}
"""What all classical structures of this family declare alike."""

GR = CellModel(
    name="gr",
    title="GR4: algebraic production and transfer stores (Perrin et al. 2003; P1 eqs 4-8)",
    parameters=tuple(PARAMETERS[symbol] for symbol in ("cp", "ct", "kexc")),
    **DECLARED,
    **classical("gr", step, step_adjoint, rows=5, parameters=3, states=2, fluxes=8),
)
register("gr", lambda options: GR)
