"""The structures `loieau` and `loieaunn`: GR with a cubic transfer store and a gain (Folton and Arnaud 2020).

    prr = 0.9 (pr + perc)          to the cubic transfer store: hc, qr
    prd = 0.1 (pr + perc)          to direct runoff
    qt  = kb (qr + prd)

Production is that of `gr`, with the capacity ca and the level ha. There is neither exchange nor an interception store:
rain meets evapotranspiration within the step. The gain kb makes or takes water; the balance has it as exchange. In
`loieaunn` a network corrects infiltration and evaporation as in `grnn`, and the delayed share, 0.9 (1 - f3^2).

| symbol | meaning | unit |
|---|---|---|
| ca, cc | capacities of the production and of the transfer store | mm |
| kb | gain of the runoff | - |
| ha, hc | relative levels of these stores | - |
"""

from __future__ import annotations

from typing import Any

from hydrocli.jit import bind, kernel
from hydrocli.names import FLUXES, Quantity
from hydrocli.structures import gr, grnn
from hydrocli.structures.explicit import classical, classical_step, classical_step_adjoint, corrected
from hydrocli.structures.gr6 import both
from hydrocli.structures.structure import CellModel, State, register
from hydrocli.water.corrected_production import corrected_production, corrected_production_adjoint
from hydrocli.water.cubic_transfer import cubic_transfer, cubic_transfer_adjoint
from hydrocli.water.production import percolation, percolation_adjoint
from hydrocli.water.transfer import LOWEST_LEVEL
from hydrocli.water.vector_math import maximum

SOURCE = "Folton and Arnaud 2020"
PARAMETERS = (
    Quantity("ca", "capacity of the production store of LoiEau", "mm", 200.0, 1e-6, 1000.0, SOURCE),
    Quantity("cc", "capacity of the transfer store of LoiEau", "mm", 500.0, 1e-6, 1000.0, SOURCE),
    Quantity("kb", "gain of the runoff", "-", 1.0, 1e-6, 4.0, SOURCE),
)
STATES = (
    State(Quantity("ha", "relative level of the production store of LoiEau", "-", 0.01, 1e-6, 0.999999, SOURCE), "ca"),
    State(Quantity("hc", "relative level of the transfer store of LoiEau", "-", 0.01, 1e-6, 0.999999, SOURCE), "cc"),
)


@kernel
def corrected_step(forcing, parameters, states, corrections):
    """New levels (ha, hc), runoff qt [mm/step] and fluxes [mm/step].

    parameters: ca, 1/ca, cc, 1/cc, kb, 1/beta, flux_floor.
    """
    pn, en = forcing
    ca, inverse_ca, cc, inverse_cc, kb, inverse_beta, flux_floor = parameters
    ha, hc = states
    f1, f2, f3 = corrections
    filled, ps, es = corrected_production(pn, en, ca, inverse_ca, flux_floor, ha, f1, f2)
    ha, perc = percolation(ca, filled, inverse_beta)
    effective = pn - ps + perc
    delayed = 0.9 * (1.0 - f3 * f3)
    prr, qd = delayed * effective, (1.0 - delayed) * effective
    clamped = cc * maximum(LOWEST_LEVEL - (hc + prr * inverse_cc), 0.0)
    hc, qr = cubic_transfer(prr, cc, inverse_cc, hc)
    qt = kb * (qr + qd)
    return (ha, hc), qt, (ps, es, pn - ps, perc, qt - qr - qd, qr, qd, clamped)


@kernel
def corrected_step_adjoint(forcing, parameters, states, corrections, states_bar, qt_bar):
    """Bars of forcing, parameters (ca, cc, kb), states and corrections."""
    pn, en = forcing
    ca, inverse_ca, cc, inverse_cc, kb, inverse_beta, flux_floor = parameters
    ha, hc = states
    f1, f2, f3 = corrections
    ha_bar, hc_bar = states_bar
    filled, ps, _ = corrected_production(pn, en, ca, inverse_ca, flux_floor, ha, f1, f2)
    _, perc = percolation(ca, filled, inverse_beta)
    effective = pn - ps + perc
    delayed = 0.9 * (1.0 - f3 * f3)
    prr, qd = delayed * effective, (1.0 - delayed) * effective
    _, qr = cubic_transfer(prr, cc, inverse_cc, hc)
    # qt = kb (qr + qd)
    kb_bar = qt_bar * (qr + qd)
    q_bar = qt_bar * kb
    # hc, qr = cubic_transfer(delayed effective),  qd = (1 - delayed) effective
    prr_bar, cc_bar, inverse_cc_bar, hc_bar = cubic_transfer_adjoint(prr, cc, inverse_cc, hc, hc_bar, q_bar)
    # delayed = 0.9 (1 - f3^2),  effective = pn - ps + perc
    f3_bar = -1.8 * f3 * effective * (prr_bar - q_bar)
    effective_bar = q_bar + delayed * (prr_bar - q_bar)
    # ha, perc = percolation(filled)
    ca_bar, filled_bar, _ = percolation_adjoint(ca, filled, inverse_beta, ha_bar, effective_bar)
    # filled, ps, es = corrected_production(ha)
    pn_bar, en_bar, ca_more, inverse_ca_bar, _, ha_bar, f1_bar, f2_bar = corrected_production_adjoint(
        pn, en, ca, inverse_ca, flux_floor, ha, f1, f2, filled_bar, -effective_bar, 0.0
    )
    ca_bar = ca_bar + ca_more - inverse_ca_bar * inverse_ca * inverse_ca
    return (
        (pn_bar + effective_bar, en_bar),
        (ca_bar, cc_bar - inverse_cc_bar * inverse_cc * inverse_cc, kb_bar),
        (ha_bar, hc_bar),
        (f1_bar, f2_bar, f3_bar),
    )


step = bind(classical_step, "loieau", inlined=True, corrected_step=corrected_step, CORRECTIONS=(0.0,) * 3)
step_adjoint = bind(
    classical_step_adjoint, "loieau", inlined=True, corrected_step_adjoint=corrected_step_adjoint,
    CORRECTIONS=(0.0,) * 3,
)  # fmt: skip


def prepare(p: dict[str, Any], step: int) -> dict[str, Any]:
    """Rows of the stores and the gain."""
    return both("ca", p["ca"]) | both("cc", p["cc"]) | {"kb": p["kb"]}


SIZES = {"rows": 5, "parameters": 3, "states": 2, "fluxes": 8}
OWN: dict[str, Any] = {
    "parameters": PARAMETERS,
    "states": STATES,
    "fluxes": tuple(FLUXES[symbol] for symbol in gr.FLUX_NAMES),
    "prepare": prepare,
    "has_interception": False,
    "step_exponents": {"cc": -1.0 / 3.0, "hc": 1.0 / 3.0},
    "surfaces": {
        "infiltration": ("ps", "ha", 1.0),
        "evaporation": ("es", "ha", -1.0),
        "outflow": ("qr", "hc", 1.0),
    },
}

LOIEAU = CellModel(
    name="loieau",
    title="LoiEau: GR with a cubic transfer store and a gain (Folton and Arnaud 2020)",
    **gr.DECLARED | OWN | {"seconds": (35e-9, 12e-9)},
    **classical("loieau", step, step_adjoint, **SIZES),
)
LOIEAUNN = CellModel(
    name="loieaunn",
    title="loieau whose infiltration, evaporation and split a network corrects",
    **grnn.DECLARED | OWN | {"corrections": grnn.DECLARED["corrections"][:3], "seconds": (150e-9, 50e-9)},
    **corrected("loieaunn", corrected_step, corrected_step_adjoint, **SIZES, corrections=3),
)
register("loieau", lambda options: LOIEAU)
register("loieaunn", lambda options: LOIEAUNN)
