"""The structures `gr5` and `gr5nn`: GR4 and its hybrid with the exchange of GR5 (Le Moine 2008).

    F = kexc (ht - aexc)

Everything else is `gr` and `grnn`; in `gr5nn` the network corrects the same fluxes, F = (1 + f4) kexc (ht - aexc).
"""

from __future__ import annotations

from hydrocli.jit import bind, kernel
from hydrocli.names import PARAMETERS, Quantity
from hydrocli.structures import gr, grnn
from hydrocli.structures.explicit import classical, corrected
from hydrocli.structures.structure import CellModel, register
from hydrocli.water.exchange import threshold_exchange, threshold_exchange_adjoint

AEXC = Quantity("aexc", "level at which the exchange changes its sign", "-", 0.1, 1e-6, 0.999999, "Le Moine 2008")
STEP_EXPONENTS = {"ct": -0.25, "ht": 0.25, "aexc": 0.25, "kexc": 0.75}
"""See `gr.STEP_EXPONENTS`; here kexc (ht - aexc) / dt stays the same."""
OWN = {
    "parameters": (*(PARAMETERS[symbol] for symbol in ("cp", "ct", "kexc")), AEXC),
    "step_exponents": STEP_EXPONENTS,
}
SIZES = {"rows": 6, "parameters": 4, "states": 2, "fluxes": 8}


@kernel
def exchanged(coefficients, ht):
    """Exchange F [mm/step]; see `gr.exchanged`."""
    return threshold_exchange(coefficients[0], coefficients[1], ht)


@kernel
def exchanged_adjoint(coefficients, ht, F_bar):
    """Bars of coefficients, ht."""
    kexc_bar, aexc_bar, ht_bar = threshold_exchange_adjoint(coefficients[0], coefficients[1], ht, F_bar)
    return (kexc_bar, aexc_bar), ht_bar


step = bind(gr.step, "gr5", inlined=True, exchanged=exchanged)
step_adjoint = bind(gr.step_adjoint, "gr5", inlined=True, exchanged=exchanged, exchanged_adjoint=exchanged_adjoint)
corrected_step = bind(grnn.step, "gr5nn", inlined=True, exchanged=exchanged)
corrected_step_adjoint = bind(
    grnn.step_adjoint, "gr5nn", inlined=True, exchanged=exchanged, exchanged_adjoint=exchanged_adjoint
)

GR5 = CellModel(
    name="gr5",
    title="GR4 with the threshold exchange of GR5 (Le Moine 2008)",
    **gr.DECLARED | OWN,
    **classical("gr5", step, step_adjoint, **SIZES),
)
GR5NN = CellModel(
    name="gr5nn",
    title="gr5 whose infiltration, evaporation, split and exchange a network corrects",
    **grnn.DECLARED | OWN,
    **corrected("gr5nn", corrected_step, corrected_step_adjoint, **SIZES, corrections=4),
)
register("gr5", lambda options: GR5)
register("gr5nn", lambda options: GR5NN)
