"""What a structure declares, and the structures by name.

A cell model is one file of this folder. It holds its kernels (the step and its adjoint) and a `CellModel` that says
which parameters, states, forcings, fluxes and corrections it has. The engine, the configuration, the tables, the pages
and the tests read the declaration; none of them knows a structure by its name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.names import (
    CORRECTIONS,
    FACTORS,
    FLUXES,
    FORCINGS,
    NEWTON_ITERATIONS,
    PARAMETERS,
    STATES,
    Quantity,
)
from hydrocli.structures.routings.routing import Routing, routings

HYDROLOGICAL_FORCINGS = ("net",)
"""Net rain less net evapotranspiration: what interception leaves, computed once before all simulations."""
RAIN_INTENSITY = "rain_intensity"
"""Running mean of the net rain: a forcing that follows the net one, for structures with that option."""
METEOROLOGICAL_FORCINGS = ("precipitation", "pet", "temperature")
"""For structures that begin above interception, because a parameter changes what reaches it (snow)."""
IMPERVIOUS = Quantity("impervious", "share of impervious surfaces", "-", 0.0, 0.0, 1.0)
"""An attribute of cells, see `impervious`."""
OF_NO_STORE = (RAIN_INTENSITY, "discharge", "lateral_inflow")
"""What a later run needs besides the levels of the stores, see `names.STATES`."""
TOLERANCE = 1e-6
BALANCE_TERMS = ("evapotranspiration", "exchange", "correction_source", "clamped")
"""Terms of the water balance that fluxes of a structure may stand for."""


@dataclass(frozen=True)
class State:
    """A state of a cell.

    Attributes:
        quantity: its symbol, meaning, unit, default at the start and limits.
        capacity: the parameter that turns a relative level into mm; "" where the state is in mm.
        calibrated: whether its initial value may be calibrated.
    """

    quantity: Quantity
    capacity: str = ""
    calibrated: bool = True


@dataclass(frozen=True)
class Correction:
    """What an output of the network does.

    Attributes:
        flux: what it corrects, in words.
        factor: on that flux: "1 + f" or "1 - f^2" of an output f; "g": the output is itself the factor, on the bound of
            the flux.
    """

    flux: str
    factor: str = "1 + f"


def bound_of(flux: str) -> str:
    """Name of the row of diagnostics that holds the bound of a flux."""
    return f"bound of {flux}"


@dataclass(frozen=True, eq=False)
class CellModel:
    """Declaration of a structure. Rows are arrays [cells]; `n` below is their length, `real` float32 or float64.

    Attributes:
        name: of its compiled code.
        title: what it is, in a few words, with its source.
        parameters: of a cell, in the order of the rows of parameters; those of the routing come after them.
        states: in the order of the rows of states.
        fluxes: what the step gives beside states and runoff [mm/step], in its order.
        balance: the fluxes whose sum is each of `BALANCE_TERMS`.
        details: fluxes that the table of the balance shows too; they are inside its other terms.
        corrections: what f1, f2 ... (of gates g1, g2 ...) do, in this order; empty without a network.
        inputs: of the network after the states.
        diagnostics: rows that `diagnose` fills after the corrections and that are no results: inputs of the network
            that are neither states nor forcings, bounds of fluxes (`bound_of`).
        without_network: kind of the structure that this one is without its network, where weights of 0 do not make it.
        prepare: rows by name that the kernels get, from rows of parameters by symbol and the step [s]: computed once
            for a simulation.
        constants: numbers that the kernels get after these rows, from the structure and the step [s].
        advance: compiled; see `explicit.advance`.
        advance_adjoint, advance_adjoint_to_forcing: compiled; see `explicit.advance_adjoint`. The second one also gives
            the bar of the forcing.
        diagnose: compiled; fills the rows of fluxes, then those of corrections, see `explicit.diagnose`.
        workspace: what these get last, from the structure, its weights and `real`; for one thread.
        forcings: `HYDROLOGICAL_FORCINGS`, the same and `RAIN_INTENSITY`, or `METEOROLOGICAL_FORCINGS`.
        has_interception: whether leaves hold water before the cell; otherwise rain meets evapotranspiration within the
            step.
        attributes: rows that the kernels get before the others and that no calibration changes.
        options: names of the options of `Structure` that matter to it; "network", "reservoir_network": those of the
            network.
        surfaces: response surfaces by name: flux, state that varies, and sign of pn - en that varies with it.
        step_exponents: of parameters and states that depend on the length of the step otherwise than their unit says:
            at a step that is r times as long they are multiplied by r to this power.
        seconds: of a gradient and of a simulation per cell and step, one thread of a current server, double precision,
            a network of 16 units: for estimates only.
        strip: cells that the compiled functions take at once.
        iterates: whether a step is solved by iteration, whose counts are results.
        corrects_new_levels: whether the network sees the levels after the step.
    """

    name: str
    title: str
    parameters: tuple[Quantity, ...]
    states: tuple[State, ...]
    fluxes: tuple[Quantity, ...]
    balance: dict[str, tuple[str, ...]]
    prepare: Callable[[dict[str, Any], int], dict[str, Any]]
    constants: Callable[[Structure, int], tuple[float, ...]]
    advance: Any
    advance_adjoint: Any
    advance_adjoint_to_forcing: Any
    diagnose: Any
    workspace: Callable[[Structure, NDArray[np.floating], type], Any]
    details: tuple[str, ...] = ()
    corrections: tuple[Correction, ...] = ()
    inputs: tuple[str, ...] = ("pn", "en")
    diagnostics: tuple[str, ...] = ()
    without_network: str = ""
    forcings: tuple[str, ...] = HYDROLOGICAL_FORCINGS
    has_interception: bool = True
    attributes: tuple[Quantity, ...] = ()
    options: tuple[str, ...] = ()
    surfaces: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    step_exponents: dict[str, float] = field(default_factory=dict)
    seconds: tuple[float, float] = (60e-9, 20e-9)
    strip: int = 128
    iterates: bool = False
    corrects_new_levels: bool = False

    @property
    def takes_net(self) -> bool:
        """Whether it begins below interception: its first forcing is the net one."""
        return self.forcings[0] == HYDROLOGICAL_FORCINGS[0]

    @cached_property
    def outputs_of_network(self) -> tuple[str, ...]:
        """Symbols of the outputs of the network: corrections f1, f2 ... or gates g1, g2 ..."""
        return tuple(f"{'g' if one.factor == 'g' else 'f'}{k}" for k, one in enumerate(self.corrections, start=1))

    @cached_property
    def row_names(self) -> tuple[str, ...]:
        """Names of the rows that the kernels get."""
        rows = self.prepare({one.symbol: np.ones(1) for one in self.parameters}, 3600)
        return (*(one.symbol for one in self.attributes), *rows)


@dataclass(frozen=True)
class Structure:
    """A structure with its options.

    Attributes:
        kind: one of `kinds()`.
        snow: "none", or "degree_day": a snow store in front of it.
        impervious: the descriptor with the share of impervious surfaces, which stand in front of it; "": there are
            none.
        routing: one of `routings()`: how its runoff flows from cell to cell.
        hidden: units of the hidden layers of the network, one or two of them.
        activation: of the hidden layers: silu or leaky_relu.
        input_scale: factor of each input of the network (states, then pn and en); empty: 1.
        flux_limits: conservative, or as_published (see `grnn` and `implicit_euler`).
        network_coupling: implicit or lagged, for `node`.
        scheme: of `ode` in time: implicit, or explicit in so many substeps, to compare with.
        tolerance: relative step at which Newton's method has converged.
        start: of `nr`: pretrained, or exact (see `nr`).
        rain_intensity: time constant of the running mean of the net rain that the network of `nr` sees [s]; 0: it does
            not see any.
    """

    kind: str = "gr"
    snow: str = "none"
    impervious: str = ""
    routing: str = "kinematic_wave"
    hidden: tuple[int, ...] = (16,)
    activation: str = "silu"
    input_scale: tuple[float, ...] = ()
    flux_limits: str = "conservative"
    network_coupling: str = "implicit"
    scheme: str = "implicit"
    substeps: int = 1
    tolerance: float = TOLERANCE
    start: str = "pretrained"
    rain_intensity: int = 0

    @cached_property
    def core(self) -> CellModel:
        """What it declares without what stands in front of it."""
        return kinds()[self.kind](self)

    @cached_property
    def model(self) -> CellModel:
        """What it declares."""
        kinds()  # imports what stands in front, too
        front = "impervious" if self.impervious else self.snow
        return _FRONTS[front](self.core) if front != "none" else self.core

    @property
    def river(self) -> Routing:
        """What its routing declares."""
        return routings()[self.routing]

    @property
    def has_network(self) -> bool:
        """Whether a network corrects the fluxes."""
        return bool(self.model.corrections)

    @cached_property
    def without_network(self) -> Structure:
        """The structure of the same parameters and states that this one is without its network.

        Itself, where weights of 0 make it so, or where it has no network.
        """
        kind = self.core.without_network
        return replace(self, kind=kind, rain_intensity=0) if kind else self

    @property
    def sees_intensity(self) -> bool:
        """Whether its network sees the intensity of the rain."""
        return RAIN_INTENSITY in self.model.forcings

    def carried_by(self, symbol: str, ratio: float) -> float:
        """What a value of a quantity is multiplied with when it is carried to a step that is `ratio` times as long."""
        known = parameter_quantities() | state_quantities() | FLUXES
        is_per_step = symbol in known and known[symbol].is_per_step
        exponent = self.model.step_exponents.get(symbol, 1.0 if is_per_step else 0.0)
        return ratio**exponent if exponent else 1.0

    @property
    def parameters(self) -> tuple[str, ...]:
        """Symbols of the parameters of a cell."""
        return tuple(one.symbol for one in self.model.parameters)

    @property
    def states(self) -> tuple[str, ...]:
        """Symbols of the states of a cell."""
        return tuple(one.quantity.symbol for one in self.model.states)

    @property
    def calibrated_states(self) -> tuple[str, ...]:
        """Symbols of the states whose initial values may be calibrated."""
        return tuple(one.quantity.symbol for one in self.model.states if one.calibrated)

    @property
    def all_parameters(self) -> tuple[str, ...]:
        """Symbols of the rows of parameters: those of a cell, then those of the routing."""
        return (*self.parameters, *(one.symbol for one in self.river.parameters))

    @property
    def maps(self) -> tuple[str, ...]:
        """Symbols of the rows of maps that a mapping gives: parameters, then initial states that may be calibrated."""
        return (*self.all_parameters, *self.calibrated_states)

    @property
    def quantities(self) -> tuple[str, ...]:
        """Rows that observers see: fluxes, corrections, new states, qt, aet, storage, its change, and pn, en if net."""
        net = ("pn", "en") if self.model.takes_net else ()
        return (*self.fluxes, *self.states, "qt", "aet", "storage", "storage_change", *net)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What of a simulation may be written."""
        iterations = (NEWTON_ITERATIONS.symbol,) if self.model.iterates else ()
        known = dict.fromkeys((*self.quantities, *self.factors, *iterations))
        return tuple(one for one in known if one in output_quantities())

    @property
    def factors(self) -> tuple[str, ...]:
        """Symbols of the factors of the corrections on their fluxes."""
        return tuple(f"g{k}" for k in range(1, len(self.model.corrections) + 1))

    @property
    def usual_outputs(self) -> tuple[str, ...]:
        """What is written where nothing is asked for."""
        wanted = (*self.states, *self.model.details, "aet", "exchange", "qt", "storage", *self.model.outputs_of_network)
        return tuple(dict.fromkeys((*(one for one in wanted if one in self.quantities), *self.factors)))

    @property
    def fluxes(self) -> tuple[str, ...]:
        """Names of the rows that `diagnose` fills: fluxes, corrections, diagnostics."""
        model = self.model
        return (*(one.symbol for one in model.fluxes), *model.outputs_of_network, *model.diagnostics)

    @property
    def network_inputs(self) -> tuple[str, ...]:
        """Inputs of the network: states of the structure without snow, then what it declares (pn, en)."""
        return (*(one.quantity.symbol for one in self.core.states), *self.core.inputs)

    @cached_property
    def widths(self) -> NDArray[np.int64]:
        """Units of the network from the inputs over the hidden layers to the corrections."""
        return np.array([len(self.network_inputs), *self.hidden, len(self.model.corrections)], np.int64)

    @property
    def weights(self) -> int:
        """Number of weights and biases of the network; 0 without."""
        return int(np.sum(self.widths[1:] * (self.widths[:-1] + 1))) if self.has_network else 0

    def scaled(self, weights: Floats) -> Floats:
        """Weights with the scale of the inputs in those of the first layer; linear, so its own transpose."""
        first = self.widths[1] * self.widths[0]
        scale = np.ones(len(weights))
        if self.input_scale:
            scale[:first] = np.tile(self.input_scale, self.widths[1])
        return weights * scale

    def initial_weights(self, seed: int, initial_std: float = 0.01) -> Floats:
        """Weights near zero, so that the hybrid starts as the classical structure; biases are zero."""
        random, parts = np.random.default_rng(seed), []
        for inputs, outputs in zip(self.widths[:-1], self.widths[1:], strict=True):
            parts += [random.normal(0.0, initial_std, inputs * outputs), np.zeros(outputs)]
        return np.concatenate(parts)


_KINDS: dict[str, Callable[[Structure], CellModel]] = {}
_FRONTS: dict[str, Callable[[CellModel], CellModel]] = {}


def register(kind: str, declaration: Callable[[Structure], CellModel]) -> None:
    """Make a structure known under a name of the configuration; each file of this folder ends with this.

    Args:
        kind: the name.
        declaration: gives the declaration for options, where these choose between several.
    """
    assert kind not in _KINDS, kind
    _KINDS[kind] = declaration


def register_front(name: str, compose: Callable[[CellModel], CellModel]) -> None:
    """Make something known that stands in front of any structure, such as snow.

    Args:
        name: value of the option `snow`, or "impervious".
        compose: gives the declaration of the whole, from that of what is behind it.
    """
    assert name not in _FRONTS, name
    _FRONTS[name] = compose


@cache
def kinds() -> dict[str, Callable[[Structure], CellModel]]:
    """All structures by name, in the order of the names: those of every file of this folder."""
    import hydrocli.structures as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_KINDS.items()))


GR = Structure()
"""The classical structure."""


@cache
def variants() -> tuple[CellModel, ...]:
    """Every declaration, alone and with what may stand in front of it."""
    choices = product(kinds(), ("implicit", "lagged"), ("implicit", "explicit"), ("pretrained", "exact"), (0, 3600))
    options = [
        Structure(kind, network_coupling=coupling, scheme=scheme, start=start, rain_intensity=seconds)
        for kind, coupling, scheme, start, seconds in choices
    ]
    cores = dict.fromkeys(one.core for one in options)
    behind = [core for core in cores if core.forcings == HYDROLOGICAL_FORCINGS]
    return (*cores, *(front(core) for front in _FRONTS.values() for core in behind))


@cache
def parameter_quantities() -> dict[str, Quantity]:
    """Parameters of all structures by symbol, those of the routing last."""
    declared = {one.symbol: one for model in variants() for one in model.parameters}
    known = {symbol: declared.pop(symbol) for symbol in PARAMETERS}
    return known | declared | {one.symbol: one for routing in routings().values() for one in routing.parameters}


@cache
def state_quantities() -> dict[str, Quantity]:
    """States of all structures by symbol, then the running mean of the rain, and those of the river."""
    declared = {state.quantity.symbol: state.quantity for model in variants() for state in model.states}
    known = {symbol: STATES[symbol] for symbol in ("hi", "hp", "ht")}
    return known | declared | {symbol: STATES[symbol] for symbol in OF_NO_STORE}


@cache
def output_quantities() -> dict[str, Quantity]:
    """States, fluxes and corrections of all structures by symbol: what a run can write."""
    states = {symbol: one for symbol, one in state_quantities().items() if symbol not in OF_NO_STORE}
    fluxes = {one.symbol: one for model in variants() for one in model.fluxes if one.symbol not in FORCINGS}
    return states | FLUXES | fluxes | CORRECTIONS | FACTORS | {NEWTON_ITERATIONS.symbol: NEWTON_ITERATIONS}
