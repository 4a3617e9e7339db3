"""The structures `gr6` and `gr6nn`: GR6 with its exponential store (Pushpalatha et al. 2011).

    F    = kexc (ht - aexc)
    prr  = 0.6 0.9 (pr + perc) + F         to the transfer store of `gr`
    pre  = 0.4 0.9 (pr + perc) + F         to the exponential store
    prd  = 0.1 (pr + perc)                 to direct runoff, qd = max(0, prd + F)
    qt   = qr + qe + qd

Production is that of `gr`. In `gr6nn` a network corrects infiltration and evaporation as in `grnn`, the delayed share,
0.9 (1 - f3^2), of this the share of the exponential store, 0.4 (1 + f4), and the exchange, (1 + f5) F.

| symbol | meaning | unit |
|---|---|---|
| kexc, aexc | see `gr5` | mm/step, - |
| be | depletion coefficient of the exponential store | mm |
| he | level of the exponential store | mm |

The same steps serve `grc`, with another slow store, another law of exchange and no percolation.
"""

from __future__ import annotations

from typing import Any

from hydrocli.jit import bind, kernel
from hydrocli.names import FLUXES, PARAMETERS, Quantity
from hydrocli.structures import gr, gr5, grnn
from hydrocli.structures.explicit import classical, classical_step, classical_step_adjoint, corrected
from hydrocli.structures.gr5 import exchanged, exchanged_adjoint
from hydrocli.structures.structure import CellModel, Correction, State, register
from hydrocli.water.corrected_production import corrected_production, corrected_production_adjoint
from hydrocli.water.exponential_store import exponential_store, exponential_store_adjoint
from hydrocli.water.production import percolation, percolation_adjoint
from hydrocli.water.transfer import LOWEST_LEVEL, direct_runoff, direct_runoff_adjoint, transfer, transfer_adjoint
from hydrocli.water.vector_math import maximum

SOURCE = "Pushpalatha et al. 2011"
BE = Quantity("be", "depletion coefficient of the exponential store", "mm", 10.0, 1e-3, 20.0, SOURCE)
HE = Quantity("he", "level of the exponential store", "mm", -100.0, -1000.0, 0.0, SOURCE)
QE = Quantity("qe", "runoff of the exponential store", "mm/step", source=SOURCE)

# Parts of the steps, for which `grc` has others.
percolated, percolated_adjoint = percolation, percolation_adjoint
slow_store, slow_store_adjoint = exponential_store, exponential_store_adjoint
SLOW_EXCHANGE = 1.0
"""Share of the exchange that the slow store has, too."""
LOWEST_SLOW = -1e30
"""Level at which the slow store is held."""


@kernel
def corrected_step(forcing, parameters, states, corrections):
    """New (hp, ht, level of the slow store), runoff qt [mm/step] and fluxes [mm/step].

    parameters: cp, 1/cp, ct, 1/ct, capacity of the slow store and its inverse, coefficients of the exchange, 1/beta,
    flux_floor.
    """
    pn, en = forcing
    cp, inverse_cp, ct, inverse_ct, cs, inverse_cs = parameters[:6]
    coefficients, inverse_beta, flux_floor = parameters[6:-2], parameters[-2], parameters[-1]
    hp, ht, hs = states
    f1, f2, f3, f4, f5 = corrections
    filled, ps, es = corrected_production(pn, en, cp, inverse_cp, flux_floor, hp, f1, f2)
    hp, perc = percolated(cp, filled, inverse_beta)
    F = (1.0 + f5) * exchanged(coefficients, ht)
    effective = pn - ps + perc
    delayed, slow = 0.9 * (1.0 - f3 * f3), 0.4 * (1.0 + f4)
    prr, prd = (1.0 - slow) * delayed * effective + F, (1.0 - delayed) * effective
    prs = slow * delayed * effective + SLOW_EXCHANGE * F
    clamped = ct * maximum(LOWEST_LEVEL - (ht + prr * inverse_ct), 0.0)
    clamped = clamped + cs * maximum(LOWEST_SLOW - (hs + prs * inverse_cs), 0.0)
    ht, qr = transfer(prr, ct, inverse_ct, ht)
    hs, qs = slow_store(prs, cs, inverse_cs, hs)
    qd = direct_runoff(prd, F)
    exchange = F + SLOW_EXCHANGE * F + qd - prd
    return (hp, ht, hs), qr + qs + qd, (ps, es, pn - ps, perc, exchange, qr, qs, qd, clamped)


@kernel
def corrected_step_adjoint(forcing, parameters, states, corrections, states_bar, qt_bar):
    """Bars of forcing, parameters (cp, ct, capacity of the slow store, coefficients), states and corrections."""
    pn, en = forcing
    cp, inverse_cp, ct, inverse_ct, cs, inverse_cs = parameters[:6]
    coefficients, inverse_beta, flux_floor = parameters[6:-2], parameters[-2], parameters[-1]
    hp, ht, hs = states
    f1, f2, f3, f4, f5 = corrections
    hp_bar, ht_bar, hs_bar = states_bar
    filled, ps, _ = corrected_production(pn, en, cp, inverse_cp, flux_floor, hp, f1, f2)
    _, perc = percolated(cp, filled, inverse_beta)
    F0 = exchanged(coefficients, ht)
    F = (1.0 + f5) * F0
    effective = pn - ps + perc
    delayed, slow = 0.9 * (1.0 - f3 * f3), 0.4 * (1.0 + f4)
    slowly = slow * delayed
    # qt = qr + qs + qd,  qd = direct_runoff((1 - delayed) effective, F)
    prd_bar, F_bar = direct_runoff_adjoint((1.0 - delayed) * effective, F, qt_bar)
    # hs, qs = slow_store(slow delayed effective + SLOW_EXCHANGE F)
    prs = slowly * effective + SLOW_EXCHANGE * F
    prs_bar, cs_bar, inverse_cs_bar, hs_bar = slow_store_adjoint(prs, cs, inverse_cs, hs, hs_bar, qt_bar)
    # ht, qr = transfer((1 - slow) delayed effective + F)
    prr = (1.0 - slow) * delayed * effective + F
    prr_bar, ct_bar, inverse_ct_bar, ht_bar = transfer_adjoint(prr, ct, inverse_ct, ht, ht_bar, qt_bar)
    F_bar = F_bar + prr_bar + SLOW_EXCHANGE * prs_bar
    # delayed = 0.9 (1 - f3^2),  slow = 0.4 (1 + f4)
    mean_bar = prr_bar + slow * (prs_bar - prr_bar)
    f3_bar = -1.8 * f3 * effective * (mean_bar - prd_bar)
    f4_bar = 0.4 * delayed * effective * (prs_bar - prr_bar)
    # effective = pn - ps + perc
    effective_bar = prd_bar + delayed * (mean_bar - prd_bar)
    # F = (1 + f5) exchanged(ht)
    f5_bar = F_bar * F0
    coefficients_bar, ht_exchange_bar = exchanged_adjoint(coefficients, ht, (1.0 + f5) * F_bar)
    # hp, perc = percolated(filled)
    cp_bar, filled_bar, _ = percolated_adjoint(cp, filled, inverse_beta, hp_bar, effective_bar)
    # filled, ps, es = corrected_production(hp)
    pn_bar, en_bar, cp_more, inverse_cp_bar, _, hp_bar, f1_bar, f2_bar = corrected_production_adjoint(
        pn, en, cp, inverse_cp, flux_floor, hp, f1, f2, filled_bar, -effective_bar, 0.0
    )
    cp_bar = cp_bar + cp_more - inverse_cp_bar * inverse_cp * inverse_cp
    ct_bar = ct_bar - inverse_ct_bar * inverse_ct * inverse_ct
    cs_bar = cs_bar - inverse_cs_bar * inverse_cs * inverse_cs
    return (
        (pn_bar + effective_bar, en_bar),
        (cp_bar, ct_bar, cs_bar) + coefficients_bar,  # noqa: RUF005
        (hp_bar, ht_bar + ht_exchange_bar, hs_bar),
        (f1_bar, f2_bar, f3_bar, f4_bar, f5_bar),
    )


step = bind(classical_step, "gr6", inlined=True, corrected_step=corrected_step, CORRECTIONS=(0.0,) * 5)
step_adjoint = bind(
    classical_step_adjoint, "gr6", inlined=True, corrected_step_adjoint=corrected_step_adjoint, CORRECTIONS=(0.0,) * 5
)


def prepare(p: dict[str, Any], step: int) -> dict[str, Any]:
    """Rows of the stores and the exchange."""
    slow = "be" if "be" in p else "cl"
    stores = {row: values for symbol in ("cp", "ct", slow) for row, values in both(symbol, p[symbol]).items()}
    return stores | {symbol: values for symbol, values in p.items() if symbol not in stores}


def both(symbol: str, capacity: Any) -> dict[str, Any]:
    """A capacity and its inverse."""
    return {symbol: capacity, f"1/{symbol}": 1.0 / capacity}


def fluxes(slow: Quantity) -> dict[str, Any]:
    """Fluxes with the runoff of a slow store."""
    known = [FLUXES[symbol] for symbol in ("ps", "es", "pr", "perc", "exchange", "qr", "qd", "clamped")]
    return {"fluxes": (*known[:-2], slow, *known[-2:])}


CORRECTIONS = {
    "corrections": (
        Correction("infiltration"),
        Correction("evaporation"),
        Correction("delayed branches", "1 - f^2"),
        Correction("share of the slow store"),
        Correction("exchange"),
    )
}
SIZES = {"rows": 8, "parameters": 5, "states": 3, "fluxes": 9}
OWN = {
    "parameters": (PARAMETERS["cp"], PARAMETERS["ct"], BE, PARAMETERS["kexc"], gr5.AEXC),
    "states": (*gr.LEVELS, State(HE)),
    "prepare": prepare,
    "step_exponents": gr5.STEP_EXPONENTS,
} | fluxes(QE)

GR6 = CellModel(
    name="gr6",
    title="GR6: GR5 with an exponential store beside the transfer store (Pushpalatha et al. 2011)",
    **gr.DECLARED | OWN | {"seconds": (45e-9, 15e-9)},
    **classical("gr6", step, step_adjoint, **SIZES),
)
GR6NN = CellModel(
    name="gr6nn",
    title="gr6 whose infiltration, evaporation, splits and exchange a network corrects",
    **grnn.DECLARED | OWN | CORRECTIONS | {"seconds": (170e-9, 55e-9)},
    **corrected("gr6nn", corrected_step, corrected_step_adjoint, **SIZES, corrections=5),
)
register("gr6", lambda options: GR6)
register("gr6nn", lambda options: GR6NN)
