"""The structures `grc` and `grcnn`: GR4 with two transfer stores in parallel and without percolation (smash 1.3).

    F    = kexc ht^(7/2)
    prr  = 0.6 0.9 pr + F      to the transfer store of `gr`
    prl  = 0.4 0.9 pr          to a second one of its kind, without exchange: hl, ql, of the capacity cl
    prd  = 0.1 pr              to direct runoff, qd = max(0, prd + F)
    qt   = qr + ql + qd

Production is that of `gr`, but nothing percolates. In `grcnn` a network corrects the same five fluxes as in `gr6nn`.

| symbol | meaning | unit |
|---|---|---|
| kexc | see `gr` | mm/step |
| cl | capacity of the second transfer store | mm |
| hl | its relative level | - |
"""

from __future__ import annotations

from typing import Any

from hydrocli.jit import bind
from hydrocli.names import PARAMETERS, Quantity
from hydrocli.structures import gr, gr6, grnn
from hydrocli.structures.explicit import classical, classical_step, classical_step_adjoint, corrected
from hydrocli.structures.gr import exchanged, exchanged_adjoint
from hydrocli.structures.structure import CellModel, State, register
from hydrocli.water.production import no_percolation, no_percolation_adjoint
from hydrocli.water.transfer import LOWEST_LEVEL, transfer, transfer_adjoint

SOURCE = "smash 1.3"
CL = Quantity("cl", "capacity of the slow transfer store", "mm", 500.0, 1e-6, 1000.0, SOURCE)
HL = Quantity("hl", "relative level of the slow transfer store", "-", 0.01, 1e-6, 0.999999, SOURCE)
QL = Quantity("ql", "runoff of the slow transfer store", "mm/step", source=SOURCE)

PARTS: dict[str, Any] = {"percolated": no_percolation, "exchanged": exchanged, "SLOW_EXCHANGE": 0.0}
corrected_step = bind(gr6.corrected_step, "grcnn", inlined=True, **PARTS, slow_store=transfer, LOWEST_SLOW=LOWEST_LEVEL)
corrected_step_adjoint = bind(
    gr6.corrected_step_adjoint, "grcnn", inlined=True, **PARTS, percolated_adjoint=no_percolation_adjoint,
    exchanged_adjoint=exchanged_adjoint, slow_store_adjoint=transfer_adjoint,
)  # fmt: skip
step = bind(classical_step, "grc", inlined=True, corrected_step=corrected_step, CORRECTIONS=(0.0,) * 5)
step_adjoint = bind(
    classical_step_adjoint, "grc", inlined=True, corrected_step_adjoint=corrected_step_adjoint, CORRECTIONS=(0.0,) * 5
)

SIZES = {"rows": 7, "parameters": 4, "states": 3, "fluxes": 9}
OWN = {
    "parameters": (PARAMETERS["cp"], PARAMETERS["ct"], CL, PARAMETERS["kexc"]),
    "states": (*gr.LEVELS, State(HL, "cl")),
    "prepare": gr6.prepare,
    "step_exponents": gr.STEP_EXPONENTS | {"cl": -0.25, "hl": 0.25},
} | gr6.fluxes(QL)

GRC = CellModel(
    name="grc",
    title="GR4 with two transfer stores in parallel and without percolation (smash 1.3)",
    **gr.DECLARED | OWN | {"seconds": (40e-9, 13e-9)},
    **classical("grc", step, step_adjoint, **SIZES),
)
GRCNN = CellModel(
    name="grcnn",
    title="grc whose infiltration, evaporation, splits and exchange a network corrects",
    **grnn.DECLARED | OWN | gr6.CORRECTIONS | {"seconds": (165e-9, 53e-9)},
    **corrected("grcnn", corrected_step, corrected_step_adjoint, **SIZES, corrections=5),
)
register("grc", lambda options: GRC)
register("grcnn", lambda options: GRCNN)
