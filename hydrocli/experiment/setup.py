"""From what was asked (config) to what is computed: basin, roles of gauges, periods, simulators."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Basin
from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.basin.ingest import Progress, ingest_batch, open_basin
from hydrocli.basin.network import DrainageNetwork
from hydrocli.basin.source import inputs_read_once
from hydrocli.config import Experiment
from hydrocli.config.structure import FluxNetworkOptions
from hydrocli.engine.net_forcing import (
    DAILY_CAPACITY,
    DAY,
    forcings_of,
    interception_capacity,
    meteorological_forcing,
    net_forcing,
    rainfall,
)
from hydrocli.engine.objective import split_maps
from hydrocli.engine.order import WavefrontOrder, wavefront_order
from hydrocli.engine.simulator import Simulator, State
from hydrocli.errors import ConfigurationError, Errors, HydrocliError, InputError
from hydrocli.execution.progress import ProgressTask, track
from hydrocli.experiment.inputs import refuse_implausible, source_of
from hydrocli.experiment.mappings import mapping_of, scaling_of
from hydrocli.experiment.networks import (
    FluxNetwork,
    ParentRunFields,
    RegionalisationModel,
    continued_regionalisation,
    maps_from,
    read_flux_network,
    step_notes,
    step_of,
)
from hydrocli.experiment.roles import Roles, calibration_series, merged, roles_of, stamp
from hydrocli.jit import cache_folder, is_compiled, is_warm, replaced_cache
from hydrocli.mapping.descriptors import Scaling
from hydrocli.mapping.mapping import Mapping
from hydrocli.mapping.parameter_table import ParameterSpec
from hydrocli.names import FORCINGS, INTERCEPTION_CAPACITY
from hydrocli.structures.nr import initial_weights as reservoir_weights
from hydrocli.structures.structure import (
    IMPERVIOUS,
    RAIN_INTENSITY,
    Structure,
    parameter_quantities,
    state_quantities,
)

if TYPE_CHECKING:
    from hydrocli.experiment.pretraining import Pretraining

logger = logging.getLogger(__name__)

Cells = NDArray[np.intp]
BLOCK_VALUES = 1_000_000
"""Cell-steps of forcing that are averaged at once."""


def ingested(experiment: Experiment, stopping: Callable[[], None] = lambda: None) -> Basin:
    """The basin, from its store or read anew with progress; `stopping` may raise between two files.

    Raises:
        HydrocliError: everything wrong with the data, or figures beyond the limits of `plausibility`.
    """
    folder = Path(experiment.forcing.store)
    with reading(stopping) as show:
        basin = open_basin(source_of(experiment), folder, experiment.execution.workers, show)
    refuse_implausible(experiment, folder / basin.fingerprint)
    return basin


def all_ingested(experiments: Sequence[Experiment], stopping: Callable[[], None] = lambda: None) -> list[Basin]:
    """The basins of several experiments; those that share archives are read in one pass over them.

    Raises:
        HydrocliError: all errors, collected.
    """
    with inputs_read_once():
        found = build_stores(experiments, stopping) if len(experiments) > 1 else []
        errors = [error for error in found if error is not None]
        if errors:
            raise errors[0] if len(errors) == 1 else Errors(errors)
        return [ingested(experiment, stopping) for experiment in experiments]


def build_stores(
    experiments: Sequence[Experiment], stopping: Callable[[], None] = lambda: None
) -> list[HydrocliError | None]:
    """Build the stores that are not there yet, in one pass over archives that are shared.

    Returns:
        What is wrong with the data of each experiment, or None.
    """
    failures: list[HydrocliError | None] = [None] * len(experiments)
    for folder in {Path(experiment.forcing.store) for experiment in experiments}:
        here = [number for number, one in enumerate(experiments) if Path(one.forcing.store) == folder]
        sources = [source_of(experiments[number]) for number in here]
        with reading(stopping) as show:
            found = ingest_batch(sources, folder, experiments[here[0]].execution.workers, show)
        for number, result in zip(here, found, strict=True):
            failures[number] = result if isinstance(result, HydrocliError) else None
    return failures


@contextmanager
def reading(stopping: Callable[[], None]) -> Iterator[Progress]:
    """Shows the progress of ingestion; `stopping` is asked at every step, and may raise."""
    with ExitStack() as tasks:
        running: dict[str, ProgressTask] = {}

        def show(name: str, done: int, total: int) -> None:
            stopping()
            if name not in running or done < running[name].done:
                tasks.close()
                running[name] = tasks.enter_context(track(f"reading {name}", total))
            running[name].update(done, total)

        yield show


def announce_compilation(part: str = "") -> None:
    """Say that a first run compiles, so that nobody wonders what takes so long, and where if not where it was asked.

    Args:
        part: of the code, as it is given to `jit.mark_warm` once it is compiled; left out: the gradient.
    """
    if part:
        if not is_warm(part):
            logger.info("compiling the code of the simulation (first run on this machine only, about 20 s) ...")
        return
    if asked := replaced_cache():
        logger.warning(f"compiled code cannot be written to {asked}; using {cache_folder()}")
    if not is_compiled():
        logger.info("compiling the model code (first run on this machine only, about 30 s) ...")


@dataclass(frozen=True, eq=False)
class RegionalScaling:
    """What the basins of a regional calibration have in common: the network at the start, and ranges of descriptors."""

    flux_network: FluxNetwork
    scaling: Scaling | None

    @classmethod
    def of(cls, setups: Sequence[CalibrationSetup]) -> RegionalScaling:
        """Inputs of the network are scaled by the largest of all basins, descriptors by their range over all of them.

        Raises:
            ConfigurationError: a descriptor that the mapping needs is not there in one of them.
            InputError: a descriptor is constant in all, or missing somewhere.
        """
        first = setups[0]
        scale = np.min([setup.initial_network.scale for setup in setups], axis=0)
        known = [name for name in first.basin.descriptors if all(name in setup.basin.descriptors for setup in setups)]
        fields = {name: np.concatenate([setup.basin.descriptors[name] for setup in setups]) for name in known}
        seen = np.concatenate([setup.calibrated_cells for setup in setups])
        union = scaling_of(first.experiment, replace(first.basin, descriptors=fields), seen)
        return cls(
            replace(first.flux_network, scale=scale), first.regionalisation.scaling if first.regionalisation else union
        )


@dataclass(frozen=True, eq=False)
class CalibrationSetup:
    """An experiment with its basin: gauges by role, periods as steps, initial states, simulators.

    Attributes:
        experiment: what was asked.
        basin: what is there.
        run: folder of the run whose maps are simulated, if any; its interception capacity belongs to them.
        trained: folder of the run whose flux network is simulated, if any.
        regional_scaling: what it has in common with other basins that are calibrated together with it, if any.
    """

    experiment: Experiment
    basin: Basin
    run: Path | None = None
    trained: Path | None = None
    regional_scaling: RegionalScaling | None = None

    @cached_property
    def _roles(self) -> Roles:
        asked, gauges = self.experiment.gauges, self.basin.gauges
        unknown = [code for code in asked.validation if code not in gauges.code]
        if unknown:
            raise InputError("gauges.validation", f"{', '.join(unknown)}: not in the table of gauges")
        return roles_of(asked, gauges.code, lambda: self.gauge_tree)

    @property
    def validation(self) -> tuple[str, ...]:
        """Codes of the gauges that validate.

        Raises:
            InputError: a code is not in the table of gauges.
            ConfigurationError: no gauge has the role that is asked for.
        """
        return self._roles[1]

    @property
    def calibration(self) -> tuple[str, ...]:
        """Codes of the gauges that calibrate."""
        return self._roles[0]

    @cached_property
    def series(self) -> dict[str, list[str]]:
        """Series that calibrate, by the code of their first gauge: codes of its gauges; see `calibration_series`."""
        cells = self.basin.gauges.cell[self.gauges(self.calibration)].tolist()
        return calibration_series(self.experiment.gauges, self.calibration, cells)

    @cached_property
    def observed(self) -> Floats:
        """Observed discharge of the series [s, t], to the end of the calibration.

        Raises:
            ConfigurationError: gauges that are to be merged have means of different intervals.
        """
        discharge, until = self.basin.discharge[:, : self.calibration_steps], self.basin.discharge_until
        rows = []
        for codes in self.series.values():
            own = self.gauges(codes)
            if until is not None and not (until[own] == until[own[0]]).all():
                what = f"gauges {', '.join(codes)} are on one cell, but are means of different intervals"
                raise ConfigurationError("gauges.same_cell", what, "Write `share`, or leave one of them out.")
            rows.append(merged(discharge[own]) if len(codes) > 1 else discharge[own[0]])
        return np.stack(rows) if rows else np.empty((0, discharge.shape[1]))

    def gauges(self, codes: Iterable[str]) -> Cells:
        """Index of gauges by code."""
        number = {code: place for place, code in enumerate(self.basin.gauges.code)}
        return np.array([number[code] for code in codes], np.intp)

    def inside(self, window: tuple[object, object]) -> NDArray[np.bool_]:
        """Steps [t] of a period ]from, to]."""
        times = self.basin.times
        return (times > stamp(window[0])) & (times <= stamp(window[1]))

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Steps of the calibration period, of all to its end [t]."""
        window = self.experiment.period.calibration
        assert window is not None
        return self.inside(window)[: self.calibration_steps]

    @property
    def until(self) -> NDArray[np.int32] | None:
        """Intervals of observations int32[s, t] of the series, to the end of the calibration; None for single steps."""
        whole = self.basin.discharge_until
        return None if whole is None else whole[self.gauges(self.series), : self.calibration_steps]

    @property
    def calibration_steps(self) -> int:
        """Steps from the start to the end of the calibration; of the whole period where there is none."""
        window = self.experiment.period.calibration
        return int(np.flatnonzero(self.inside(window))[-1]) + 1 if window else len(self.basin.times)

    @property
    def size(self) -> int:
        """Cell-steps of the calibration; its time is proportional to them."""
        return int(self.calibrated_cells.sum()) * self.calibration_steps

    @cached_property
    def calibrated_cells(self) -> NDArray[np.bool_]:
        """Cells [n] that drain to a gauge of the calibration."""
        return self.gauge_tree.draining_to(self.gauges(self.calibration))

    @cached_property
    def gauge_tree(self) -> GaugeTree:
        """Which cells drain to which gauges."""
        return GaugeTree.of(self.basin.network.downstream, self.basin.gauges.cell)

    @property
    def place_columns(self) -> dict[str, NDArray[np.generic]]:
        """Number and place of every cell, as the tables of cells have them."""
        network = self.basin.network
        columns: dict[str, NDArray[np.generic]] = {
            "row": network.row,
            "column": network.column,
            "x": network.x,
            "y": network.y,
        }
        return {"cell": np.arange(len(network)), **columns}

    @cached_property
    def ci(self) -> Floats:
        """Interception capacity [n]: of the run that is continued, else by flux matching to the end of calibration."""
        structure = self.experiment.structure.declared
        if structure.model.has_interception and (carried := self._carried_capacity()) is not None:
            return carried
        steps, basin = self.calibration_steps, self.basin
        rain = basin.precipitation[:steps]
        if basin.temperature is not None and not structure.model.takes_net:
            rain = rainfall(rain, basin.temperature[:steps])
        return interception_capacity(structure, rain, basin.pet[:steps], basin.times[:steps], basin.step)

    def _carried_capacity(self) -> Floats | None:
        """Interception capacity [n] of the run that is continued; None where there is none."""
        found, initial = None, self.experiment.initial.source
        source = self.run or self.experiment.parameters.source
        # The capacity makes up for the length of the step: at another step it is another one.
        if initial:
            maps = ParentRunFields(initial, "domain", self.basin)
            found = maps.whole("ci") if step_of(initial) == self.basin.step else None
        if (
            found is None
            and source
            and step_of(source) == self.basin.step
            and not (maps := ParentRunFields(source, "domain", self.basin)).lacking
        ):
            found = maps.column("ci")
        is_of_a_store = found is not None and (self.basin.step >= DAY or found.max() > DAILY_CAPACITY)
        return found if is_of_a_store else None  # a structure without such a store has had nothing to carry over

    @cached_property
    def impervious(self) -> Floats:
        """Share of impervious surfaces [n]; zero where the structure asks for none.

        Raises:
            ConfigurationError: the basin has no such descriptor.
            InputError: its values are no shares.
        """
        name, descriptors = self.structure.impervious, self.basin.descriptors
        if not name:
            return np.zeros(len(self.basin.network))
        if name not in descriptors:
            raise ConfigurationError("structure.impervious", f"{name} is not in basin.descriptors", "Add it there.")
        share = descriptors[name]
        wrong = ~((share >= 0.0) & (share <= 1.0))
        if wrong.any():
            known = share[np.isfinite(share)]
            span = f", values from {known.min():g} to {known.max():g}" if known.size else ""
            what = f"{int(wrong.sum())} of {share.size} cells have no share of impervious surfaces{span}"
            raise InputError(f"basin.descriptors.{name}", what, "Give shares between 0 and 1 in all cells.")
        return share

    @cached_property
    def hi(self) -> Floats:
        """Initial level of the interception store [n]."""
        return self._initial("hi")

    @cached_property
    def intensity(self) -> Floats:
        """Running mean of the net rain before the first step [n] [mm/step]: of the run that is continued, or none."""
        source = self.experiment.initial.source
        if source and RAIN_INTENSITY in (maps := ParentRunFields(source, "states", self.basin)).columns:
            return maps.whole(RAIN_INTENSITY)
        return np.zeros(len(self.basin.network))

    @cached_property
    def state(self) -> State:
        """Initial state: as given, or the final one of another run with its river."""
        levels = np.stack([self._initial(symbol) for symbol in self.structure.states])
        if not self.experiment.initial.source:
            return State(levels, *np.zeros((2, len(self.basin.network))))
        maps = ParentRunFields(self.experiment.initial.source, "states", self.basin)
        return State(levels, maps.whole("discharge"), maps.whole("lateral_inflow"))

    @cached_property
    def rows(self) -> list[ParameterSpec]:
        """Rows of the maps: values or first guesses, bounds, what is calibrated."""
        parameters, initial = self.experiment.parameters, self.experiment.initial
        maps = maps_from(Path(parameters.source), self.basin) if parameters.source else {}
        rows = []
        for symbol in self.structure.maps:
            is_level = symbol in self.structure.states
            setting = initial[symbol] if is_level else parameters[symbol]
            if is_level:
                value: float | Floats = self._initial(symbol)
            elif setting.value is None and maps:
                value = maps[symbol]
            else:
                value = setting.value if setting.value is not None else np.nan
            rows.append(ParameterSpec(symbol, *setting.bounds, value, setting.calibrated))
        return rows

    @cached_property
    def regionalisation(self) -> RegionalisationModel | None:
        """The mapping by descriptors that a calibration continues: that of `parameters.from`, if it is the same."""
        source = self.experiment.parameters.source
        return continued_regionalisation(Path(source), self.experiment) if source else None

    @property
    def notes(self) -> list[str]:
        """Sentences on what is taken from runs of another time step."""
        asked = self.experiment
        sources = asked.parameters.source, asked.initial.source, asked.initial_weights.source, self.run, self.trained
        return step_notes(asked, sources)

    @cached_property
    def scaling(self) -> Scaling | None:
        """Of the descriptors that the mapping sees: over this basin, or that with which the mapping was trained."""
        if self.regional_scaling:
            return self.regional_scaling.scaling
        return (
            self.regionalisation.scaling
            if self.regionalisation
            else scaling_of(self.experiment, self.basin, self.calibrated_cells)
        )

    def mapping(self, kind: str, rows: Sequence[ParameterSpec]) -> Mapping:
        """The mapping of some rows, `uniform` or as the configuration has it."""
        return mapping_of(kind, rows, self.calibrated_cells, self.experiment, self.basin, self.scaling)

    @cached_property
    def pretraining(self) -> Pretraining | None:
        """What the network learns of GR before the calibration; None where it does not, or has weights already."""
        if not self.initial_network.is_to_learn:
            return None
        # Scipy's filters and samplers take time to load.
        from hydrocli.experiment.pretraining import GrBasin, pretrained

        cells, steps, period = np.flatnonzero(self.calibrated_cells), self.calibration_steps, self.experiment.period
        simulator, _, _ = self.simulator(cells, self.gauges(self.series), steps, "double")
        maps = np.stack([_with_default(row, len(self.basin.network))[cells] for row in self.rows])
        whole = self.state
        begun = State(whole.levels[:, cells], whole.discharge[cells], whole.lateral_inflow[cells])
        parameters, state = split_maps(self.structure, maps, begun)
        scored = self.inside(period.calibration)[:steps] if period.calibration else np.ones(steps, np.bool_)
        return pretrained(GrBasin(simulator, parameters, state, scored, self.intensity[cells]), self.experiment.seed)

    @cached_property
    def flux_network(self) -> FluxNetwork:
        """The network at the start: of the run that is simulated, of `initial_weights.from`, pre-trained, or fresh."""
        if self.pretraining is None:
            return self.initial_network
        return replace(self.initial_network, weights=self.pretraining.weights, is_to_learn=False)

    @cached_property
    def initial_network(self) -> FluxNetwork:
        """The network before any pre-training, with the scale of its inputs."""
        if self.regional_scaling:
            return self.regional_scaling.flux_network
        asked, source = self.experiment.structure, self.trained or self.experiment.initial_weights.source
        structure = asked.declared
        if asked.network is None:
            return FluxNetwork()
        if source:
            return read_flux_network(Path(source), self.experiment)
        fresh = FluxNetwork.untrained(structure)
        if "start" in structure.model.options:
            weights = reservoir_weights(structure, self.experiment.seed)
            return replace(fresh, weights=weights, is_to_learn=structure.start == "pretrained")
        assert isinstance(asked.network, FluxNetworkOptions)
        if asked.network.input_scaling == "max":
            cells, steps = np.flatnonzero(self.calibrated_cells), self.calibration_steps
            net = net_forcing(
                order_of(self.basin.network, cells, steps), *self._water, self.ci[cells], self.hi[cells], cells
            )[0]
            largest = [float(values.max(initial=0.0)) for values in (net, -net)]
            unscaled = np.ones(len(structure.network_inputs) - len(largest))
            scale = np.concatenate([unscaled, [1.0 / value if value else 1.0 for value in largest]])
            fresh = replace(fresh, scale=scale)
        return replace(fresh, weights=structure.initial_weights(self.experiment.seed, asked.network.initial_std))

    @cached_property
    def structure(self) -> Structure:
        """Equations of the cells, with the scale of the inputs of their network."""
        declared = self.experiment.structure.declared
        return (
            replace(declared, input_scale=tuple(self.initial_network.scale.tolist()))
            if declared.has_network
            else declared
        )

    @property
    def _water(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.basin.precipitation, self.basin.pet

    def simulator(
        self, cells: Cells, gauges: Cells, steps: int, precision: str = ""
    ) -> tuple[Simulator, Floats, NDArray[np.int64]]:
        """A simulator of some cells, which hold all that drains into them, for the first steps; reads some gauges.

        Args:
            cells: index of the cells.
            gauges: index of the gauges.
            steps: number of steps.
            precision: left out: as asked for.

        Returns:
            The simulator, the levels of the interception store at its end [n] (of no length where they are a state of
            the structure), the steps without forcing [n].
        """
        order = order_of(self.basin.network, cells, steps)
        if self.structure.model.takes_net:
            net, hi_end, missing = net_forcing(order, *self._water, self.ci[cells], self.hi[cells], cells)
            forcing = forcings_of(self.structure, order, net, self.intensity[cells], self.basin.step)
            return self._simulator(order, forcing, cells, gauges, precision), hi_end, missing
        assert self.basin.temperature is not None  # the configuration asks for it
        forcing, missing = meteorological_forcing(order, (*self._water, self.basin.temperature), cells)
        return self._simulator(order, forcing, cells, gauges, precision), np.zeros(0), missing

    def part(self, cells: Cells, gauges: Cells, steps: int) -> Simulator:
        """A simulator for fewer steps that may begin anywhere; its forcing is still to be filled in."""
        order = order_of(self.basin.network, cells, steps)
        forcing = tuple(np.zeros(order.forcing_size, np.float32) for _ in self.structure.model.forcings)
        return self._simulator(order, forcing, cells, gauges)

    def _simulator(
        self,
        order: WavefrontOrder,
        forcing: tuple[NDArray[np.float32], ...],
        cells: Cells,
        gauges: Cells,
        precision: str = "",
    ) -> Simulator:
        network, basin, execution = self.basin.network, self.basin, self.experiment.execution
        number = np.full(len(network), -1)
        number[cells] = np.arange(len(cells))
        attributes = {INTERCEPTION_CAPACITY.symbol: self.ci, IMPERVIOUS.symbol: self.impervious}
        return Simulator(
            order,
            forcing,
            network.cell_area[cells],
            network.cell_width[cells],
            number[basin.gauges.cell[gauges]],
            basin.step,
            precision or execution.precision,
            execution.threads,
            execution.memory,
            self.structure,
            np.array([attributes[one.symbol][cells] for one in self.structure.model.attributes]).reshape(
                -1, len(cells)
            ),
        )

    def place(self, cell: int, step: int) -> str:
        """A cell and a step in the user's words."""
        network, times = self.basin.network, self.basin.times
        return (
            f"cell {cell} (row {network.row[cell]}, column {network.column[cell]}, "
            f"x {network.x[cell]:.0f}, y {network.y[cell]:.0f}) at {times[max(0, min(step, len(times) - 1))]}"
        )

    def _initial(self, symbol: str) -> Floats:
        initial = self.experiment.initial
        value = initial[symbol].value
        if value is None and initial.source:
            return ParentRunFields(initial.source, "states", self.basin).whole(symbol)
        return np.full(len(self.basin.network), value, np.float64)


def _with_default(row: ParameterSpec, cells: int) -> Floats:
    """Values [n] of a row; its default where it has none."""
    default = (parameter_quantities() | state_quantities())[row.symbol].default
    assert default is not None
    values = np.broadcast_to(np.asarray(row.value, np.float64), cells)
    return np.where(np.isnan(values), default, values)


def order_of(network: DrainageNetwork, cells: Cells, steps: int) -> WavefrontOrder:
    """Wavefront order of some cells of a network."""
    number = np.full(len(network) + 1, -1)
    number[cells] = np.arange(len(cells))
    level = network.level[cells]
    return wavefront_order(number[network.downstream[cells]], level - level.min(), steps)


def catchment_means(setup: CalibrationSetup) -> dict[str, Floats]:
    """Mean of each forcing over the cells with data of each gauge's catchment [g, t]; NaN where none has any."""
    tree, cells = setup.gauge_tree, len(setup.basin.network)
    block, means = max(1, BLOCK_VALUES // cells), {}
    for name in FORCINGS:
        forcing = getattr(setup.basin, name)
        mean = np.full((len(tree.of_gauge), len(forcing)), np.nan)
        for first in range(0, len(forcing), block):
            values = np.array(forcing[first : first + block], np.float64)
            known = np.isfinite(values)
            total = tree.sums(np.where(known, values, 0.0))
            count = np.broadcast_to(tree.cells, total.shape) if known.all() else tree.sums(known.astype(np.float64))
            mean[:, first : first + block] = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0).T
        means[name] = mean
    return means
