"""The tables of a run folder: columns, types, units, and the meaning of missing values.

Plain descriptions, converted to an Arrow schema only where a file is written, so that commands start without loading
pyarrow. Tables whose columns depend on the experiment (parameters, domain, catchments) are functions of the
names; all others are constants. Every table has `run` as its first column, so that many runs can be read together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import hydrocli
from hydrocli.errors import ConfigurationError
from hydrocli.names import FORCINGS, INTERCEPTION_CAPACITY, Quantity
from hydrocli.run_format import RUN_FORMAT
from hydrocli.structures.structure import output_quantities, parameter_quantities, state_quantities

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["text", "time", "integer", "float", "flag"]


@dataclass(frozen=True)
class Column:
    """One column; `null` is the meaning of a missing value, and empty where none is allowed."""

    name: str
    kind: Kind
    description: str
    unit: str = ""
    null: str = ""


@dataclass(frozen=True)
class Table:
    """One file `<name>.parquet`, written by `command`; with `is_map` it has coordinates x and y."""

    name: str
    description: str
    columns: tuple[Column, ...]
    command: str = "calibrate"
    is_map: bool = False

    @property
    def file(self) -> str:
        """Name of the file in the run folder."""
        return f"{self.name}.parquet"


RUN = Column("run", "text", "name of the run")
GAUGE = Column("gauge", "text", "code of the gauge")
PERIOD = Column("period", "text", "name of the period")
TIME = Column("time", "time", "end of the time step that the values belong to", "UTC")
CELL = Column("cell", "integer", "number of the active cell in this run, from 0")
PLACE = (
    CELL,
    Column("row", "integer", "row of the cell in the grid of the run, from north"),
    Column("column", "integer", "column of the cell in the grid of the run, from west"),
    Column("x", "float", "x of the centre of the cell", "unit of the CRS"),
    Column("y", "float", "y of the centre of the cell", "unit of the CRS"),
)


def of_quantity(quantity: Quantity, null: str = "") -> Column:
    """The column of a quantity of `hydrocli.names`."""
    return Column(quantity.symbol, "float", quantity.long_name, quantity.unit, null)


DISCHARGE = Table(
    "discharge",
    "discharge at the gauges over the whole run, warm-up included",
    (
        RUN,
        GAUGE,
        TIME,
        Column("observed", "float", "observed discharge", "m3/s", "not observed"),
        Column("simulated", "float", "simulated discharge", "m3/s", "not finite"),
    ),
)
INTERVAL_END = Column(
    "interval_end",
    "time",
    "where daily means were observed: end of the interval of several steps that an observation is the mean of; it "
    "stands at each of them, and is compared with the mean of `simulated` over them",
    "UTC",
    "observations are of single steps",
)
SCORES = Table(
    "scores",
    "scores of the simulated discharge",
    (
        RUN,
        GAUGE,
        Column("scenario", "text", "calibration, temporal, spatial or spatio-temporal"),
        PERIOD,
        Column(
            "metric",
            "text",
            "name of the metric; <name>_events: over the steps of observed flood events only; nse_uniform: NSE of the "
            "uniform parameters from which a mapping by descriptors started",
        ),
        Column("value", "float", "value of the metric in its own unit", "", "not defined on these data"),
        Column("n_valid", "integer", "number of pairs of observed and simulated values"),
    ),
    "validate",
)
CONTROL = Table(
    "control",
    "control vector of the optimiser",
    (
        RUN,
        Column("name", "text", "name of the control"),
        Column("value", "float", "final value", "-"),
        Column("lower", "float", "lower bound", "-"),
        Column("upper", "float", "upper bound", "-"),
        Column("gradient", "float", "final derivative of the cost", "-", "the optimiser uses no gradient"),
    ),
)
CONVERGENCE = Table(
    "convergence",
    "progress of the optimiser",
    (
        RUN,
        Column("stage", "text", "name of the stage, with a number where it consists of several descents"),
        Column("iteration", "integer", "iteration of the stage or descent, 0 = its start"),
        Column("evaluations", "integer", "number of evaluations since the start of the calibration"),
        Column("cost", "float", "lowest cost found in the stage or descent", "-"),
        Column("batch_cost", "float", "cost of the mini-batch of this iteration", "-", "no mini-batch"),
        Column(
            "gradient_norm",
            "float",
            "largest component of the projected gradient",
            "-",
            "the optimiser uses no gradient",
        ),
        Column("seconds", "float", "time spent in evaluations since the start of the calibration", "s"),
    ),
)
UNCERTAINTY = Table(
    "uncertainty",
    "standard errors of the parameters or controls; assumptions and effective sample sizes are in the manifest",
    (
        RUN,
        Column("name", "text", "parameter, or control where a control is not a parameter"),
        Column("value", "float", "final value", "see unit"),
        Column("standard_error", "float", "standard error (Gauss-Newton)", "see unit", "see state"),
        Column("lower_95", "float", "lower limit of the 95 % interval, clipped at the bound", "see unit", "see state"),
        Column("upper_95", "float", "upper limit of the 95 % interval, clipped at the bound", "see unit", "see state"),
        Column("unit", "text", "unit of the value"),
        Column(
            "state",
            "text",
            "determined; at a bound (excluded); without effect; not determined (only in combination with others)",
        ),
    ),
)
CORRELATIONS = Table(
    "correlations",
    "correlations of the errors of the controls of uncertainty.parquet that are not at a bound",
    (
        RUN,
        Column("name", "text", "as in uncertainty.parquet"),
        Column("other", "text", "as in uncertainty.parquet"),
        Column("correlation", "float", "correlation of the errors", "-", "one of the two is not determined"),
    ),
)
LCURVE = Table(
    "lcurve",
    "L-curve: calibrations with several weights of the regularisation",
    (
        RUN,
        Column("weight", "float", "weight of the regularisation", "-"),
        Column("misfit", "float", "cost of the discharge", "-"),
        Column(
            "prior", "float", "mean squared distance of the normalised maps to the first guess; 0 without prior", "-"
        ),
        Column("smoothing", "float", "mean squared difference of the normalised maps between cells", "-"),
        Column("penalty", "float", "weighted sum of prior and smoothing, without the weight", "-"),
        Column("corner", "flag", "whether this weight was chosen"),
    ),
)
NETWORK = Table(
    "network_weights",
    "weights of the networks; scale and calibrated range of their inputs",
    (
        RUN,
        Column(
            "network",
            "text",
            "phi1: corrects fluxes from states and net forcing; phi2: gives parameters from descriptors, "
            "(value - lowest) / (highest - lowest); lstm, linear, climatology: baselines",
        ),
        Column(
            "layer",
            "integer",
            "0: the inputs; from 1: layers, the last gives the corrections f1 to f4, or the parameters before the "
            "sigmoid that scales them to their bounds; of a baseline 0: what it takes from the calibration period "
            "beside its weights, 1: its weights",
        ),
        Column(
            "array",
            "text",
            "weight, bias or exponent of a layer; scale (a factor), lowest or highest of an input; of a descriptor "
            "they are those of the basin, lowest_seen and highest_seen those of the calibrated catchments; of "
            "baselines the parts that the page on baselines names",
        ),
        Column("unit", "integer", "unit of the layer, or input, from 0"),
        Column("input", "integer", "unit of the layer before that the weight belongs to, from 0", "", "no matrix"),
        Column(
            "neighbour",
            "integer",
            "cell of the window of a convolution, row by row from the north-west, from 0",
            "",
            "no convolution",
        ),
        Column("name", "text", "name of an input; of local baselines the gauge of the weights", "", "neither"),
        Column("value", "float", "its value", "", "never calibrated"),
    ),
)
RESPONSE_SURFACES = Table(
    "response_surfaces",
    "fluxes with and without the network over a store level and a forcing; at mean parameters and levels, the other "
    "forcing zero",
    (
        RUN,
        Column("flux", "text", "infiltration, evaporation, exchange, outflow ...; infiltration, hp ...: at a level"),
        Column("level", "text", "on one axis: store level hp or ht, or rain_intensity [mm/step]"),
        Column("level_value", "float", "its value", "see level"),
        Column("forcing", "text", "forcing on the other axis: pn or en"),
        Column("forcing_value", "float", "its value", "mm/step"),
        Column("classical", "float", "flux without the network", "mm/step"),
        Column("corrected", "float", "flux with the network", "mm/step"),
        Column("bound", "float", "largest flux that the network can give", "mm/step", "corrections have no bound"),
    ),
)
PRETRAINING = Table(
    "pretraining",
    "pre-training of neural reservoirs on GR: errors of the fluxes over its samples",
    (
        RUN,
        Column("flux", "text", "infiltration, evaporation, percolation, delayed branch, exchange or outflow"),
        Column("relative_error", "float", "sum of the absolute errors over the sum of the fluxes of GR", "-"),
        Column("largest_error", "float", "largest error; of the exchange in shares of its coefficient", "mm/step"),
    ),
)
WATER = {
    "rain": "precipitation",
    "evapotranspiration": "actual evapotranspiration, from interception and soil",
    "soil_evaporation": "actual evapotranspiration from the soil",
    "interception_evaporation": "evaporation from interception",
    "exchange": "exchange as applied, both branches",
    "correction_source": "water added by the correction of the rain",
    "clamped": "water removed or added where a store was clamped to its limits",
    "runoff": "runoff of the cells before routing",
    "routing_floor_volume": "water added by the minimum flow of the routing",
    "storage_change": "change of storage",
    "closure_error": "residual of the balance",
}
"""Terms of the water balance."""


def _water(unit: str, *terms: str) -> tuple[Column, ...]:
    return tuple(Column(term, "float", WATER[term], unit) for term in terms)


DAYS_OF_YEAR = 365.25
ANNUAL_FLUXES = Table(
    "annual_fluxes",
    "mean annual fluxes of the catchments in each period, without warm-up: sums over its days, for 365.25 days",
    (
        RUN,
        GAUGE,
        Column("period", "text", "name of the period; all: the whole run, where it has no period"),
        Column("days", "float", "days of the period", "d"),
        *_water(
            "mm/year",
            "rain",
            "soil_evaporation",
            "interception_evaporation",
            "exchange",
            "correction_source",
            "clamped",
            "runoff",
            "storage_change",
        ),
    ),
)
EVENTS = Table(
    "events",
    "flood events found in the observed discharge",
    (
        RUN,
        GAUGE,
        PERIOD,
        Column("event", "integer", "number of the event at its gauge and period, from 1"),
        Column("start", "time", "start of the event", "UTC"),
        Column("end", "time", "end of the event", "UTC"),
        Column("season", "text", "season of the discharge peak"),
        Column("rain_peak", "time", "time of the largest rain", "UTC", "no rain in the event"),
        Column("discharge_peak", "time", "time of the largest observed discharge", "UTC"),
        Column("observed_peak", "float", "largest observed discharge", "m3/s"),
        Column(
            "simulated_peak",
            "float",
            "largest simulated discharge within the event",
            "m3/s",
            "a local baseline has no discharge at this gauge",
        ),
        Column("rain", "float", "catchment rain of the event", "mm"),
        Column("peaks", "integer", "number of peaks merged into the event"),
        Column("multipeak", "flag", "whether the event has several peaks"),
    ),
    "signatures",
)
SIGNATURES = Table(
    "signatures",
    "signatures of the observed and the simulated discharge",
    (
        RUN,
        GAUGE,
        PERIOD,
        Column("event", "integer", "number of the event", "", "signature of the whole period"),
        Column("signature", "text", "name of the signature"),
        Column("observed", "float", "of the observed discharge", "", "not defined on these data"),
        Column("simulated", "float", "of the simulated discharge", "", "not defined on these data"),
        Column("relative_error", "float", "(simulated - observed) / observed", "-", "not defined on these data"),
    ),
    "signatures",
)


SOLVERS = Table(
    "solvers",
    "comparison of numerical schemes with a reference, for one cell and the whole period",
    (
        RUN,
        CELL,
        Column("scheme", "text", "reference (solve_ivp with tight tolerance), or scheme and substeps"),
        Column("evaluations", "float", "evaluations of the equations per step"),
        Column("microseconds", "float", "wall time per step", "us"),
        Column("hp_error", "float", "largest error of the level of the production store", "-", "not finite"),
        Column("ht_error", "float", "largest error of the level of the routing store", "-", "not finite"),
        Column("runoff_rmse", "float", "root mean square error of the runoff", "mm/step", "not finite"),
        Column("runoff_error", "float", "largest error of the runoff", "mm/step", "not finite"),
        Column("peak_error", "float", "relative error of the largest runoff", "-", "not finite"),
        Column("volume_error", "float", "relative error of the sum of the runoff", "-", "not finite"),
        Column("clamped_steps", "integer", "steps in which a level was clamped to its limits"),
    ),
    "compare-solvers",
)
SOLVER_SERIES = Table(
    "solver_series",
    "store levels and runoff of the cell of solvers.parquet, by scheme",
    (
        RUN,
        Column("scheme", "text", "as in solvers.parquet"),
        TIME,
        *(of_quantity(output_quantities()[symbol], null="not finite") for symbol in ("hp", "ht", "qt")),
    ),
    "compare-solvers",
)

ISSUE = Column("issue", "time", "time at which the forecast is made; later observations are not known to it", "UTC")
LEAD = Column("lead", "float", "lead time: valid time less issue time", "h")
FORECAST_KIND = Column("kind", "text", "open_loop, ar1, analysis or persistence; see the page on forecasting")
FORECAST = Table(
    "forecast",
    "forecasts of discharge at the gauges",
    (
        RUN,
        ISSUE,
        GAUGE,
        FORECAST_KIND,
        LEAD,
        Column("valid", "time", "end of the time step that the values belong to", "UTC"),
        Column("discharge", "float", "forecast discharge", "m3/s", "no observation before the issue"),
        Column("observed", "float", "observed discharge at the valid time", "m3/s", "not observed, or not yet"),
    ),
    "hindcast, forecast",
)
ISSUES = Table(
    "issues",
    "the assimilation of each issue",
    (
        RUN,
        ISSUE,
        Column("observations", "integer", "observed values in the window that were assimilated"),
        Column("cost_before", "float", "cost of the background", "-"),
        Column("cost", "float", "cost of the analysis", "-"),
        Column("refusal", "text", "why the background was kept", "", "it was not"),
        Column("missing", "float", "share of cells and steps of the window without rain, PET or temperature", "-"),
    ),
    "hindcast, forecast",
)
ANALYSIS = Table(
    "analysis",
    "corrections of the assimilation, of the cells whose next gauge downstream is the gauge",
    (
        RUN,
        ISSUE,
        GAUGE,
        Column("control", "text", "level of a store, river (discharge) or rain (of the window)"),
        Column("correction", "float", "added to a level; logarithm of the factor of river and rain", "-"),
        Column("standard_error", "float", "standard error of the correction", "-"),
        Column("background_error", "float", "standard deviation before the assimilation", "-"),
    ),
    "hindcast, forecast",
)
FORECAST_SCORES = Table(
    "forecast_scores",
    "scores of the forecasts by lead time",
    (
        RUN,
        GAUGE,
        FORECAST_KIND,
        LEAD,
        Column(
            "metric",
            "text",
            "rmse [m3/s], nse, kge, persistence_index, peak_error [-]; pod, far and csi at a threshold [m3/s]",
        ),
        Column("value", "float", "value of the metric", "", "not defined on these data"),
        Column("n_valid", "integer", "number of pairs of observed and forecast values"),
    ),
    "hindcast",
)
"""Tables of a folder of forecasts, which is not the run folder of the calibration."""
FORECAST_TABLES = {table.name: table for table in (FORECAST, ISSUES, ANALYSIS, FORECAST_SCORES)}

COMPARISON = Table(
    "comparison",
    "scores of several runs by model and scenario",
    (
        RUN,
        Column(
            "model", "text", "structure and mapping, for example NODE.MLP, and what distinguishes it from other runs"
        ),
        Column("scenario", "text", "calibration, temporal, spatial or spatio-temporal"),
        Column("metric", "text", "name of the metric"),
        Column("number", "integer", "number of values (gauges x periods)"),
        Column("lower_quartile", "float", "first quartile"),
        Column("median", "float", "median"),
        Column("upper_quartile", "float", "third quartile"),
    ),
    "compare",
)
"""Written by `hydrocli compare`, not part of a run folder; its `run` is the name of the output folder."""

CATCHMENTS = Table(
    "catchments",
    "the gauges, their catchments and the next gauge downstream of each",
    (
        RUN,
        GAUGE,
        Column("cell", "integer", "number of the cell of the gauge"),
        Column("x", "float", "x of the centre of this cell", "unit of the CRS"),
        Column("y", "float", "y of the centre of this cell", "unit of the CRS"),
        Column("cells", "integer", "number of cells of the catchment"),
        Column("area", "float", "area of the catchment", "m2"),
        Column("downstream_gauge", "text", "code of the next gauge downstream, on another cell", "", "none"),
    ),
    is_map=True,
)


def states(symbols: Sequence[str]) -> Table:
    """Table of the states of cells.

    Args:
        symbols: states of the structure, and those of the river.
    """
    what = "states of all cells at the end of the run, sufficient to continue it exactly"
    return Table("states", what, (RUN, CELL, *(of_quantity(state_quantities()[symbol]) for symbol in symbols)))


def known_quantities() -> dict[str, Quantity]:
    """Parameters, states and fluxes of all structures by symbol."""
    return parameter_quantities() | state_quantities() | output_quantities()


def balance(details: Sequence[Quantity]) -> Table:
    """Water balance by year.

    Args:
        details: fluxes of the structure that are shown beside the terms of the balance.
    """
    within = tuple(Column(one.symbol, "float", one.long_name, "mm") for one in details)
    terms = (
        RUN,
        GAUGE,
        Column("year", "integer", "calendar year (UTC)"),
        *_water(
            "mm",
            "rain",
            "evapotranspiration",
            "exchange",
            "correction_source",
            "clamped",
            "runoff",
            "routing_floor_volume",
            "storage_change",
            "closure_error",
        ),
        *within,
    )
    return Table("balance", "water balance of the catchments by year", terms)


def parameters(symbols: Sequence[str]) -> Table:
    """Parameter maps: one column per parameter, initial levels among them where they were calibrated."""
    known = parameter_quantities() | state_quantities()
    mapped = tuple(of_quantity(known[symbol]) for symbol in symbols)
    return Table("parameters", "parameters of every cell", (RUN, *PLACE, *mapped), is_map=True)


def domain(descriptors: Sequence[str], units: Mapping[str, str] | None = None) -> Table:
    """The cells: place, network, nearest gauge, `ci` and the descriptors.

    Args:
        descriptors: their names.
        units: of descriptors, where they are known.

    Raises:
        ConfigurationError: a descriptor has the name of another column (upper and lower case are the same to SQL).
    """
    columns = (
        RUN,
        *PLACE,
        Column("area", "float", "area of the cell", "m2"),
        Column("downstream", "integer", "cell that this one drains into, -1 = none in the domain"),
        Column("level", "integer", "topological level in the drainage network; a cell drains into a later level"),
        Column("calibrated", "flag", "whether the cell drains to a calibration gauge"),
        of_quantity(INTERCEPTION_CAPACITY, null="the model has no interception"),
        Column("gauge", "text", "code of the nearest gauge that the cell drains to", "", "no gauge"),
    )
    taken = {column.name.lower() for column in columns}
    for name in descriptors:
        if name.lower() in taken:
            raise ConfigurationError(
                f"basin.descriptors.{name}", f"{name!r} is already a column of domain.parquet", "Rename the descriptor."
            )
        taken.add(name.lower())
    known = {name: unit for name, unit in (units or {}).items() if unit}
    described = (
        Column(name, "float", f"descriptor {name}", known.get(name, "as given"), "no data") for name in descriptors
    )
    return Table("domain", "the active cells and their network", (*columns, *described), is_map=True)


def discharge(*, has_means: bool) -> Table:
    """The table of the discharge, with the ends of intervals where observations are means of several steps."""
    return replace(DISCHARGE, columns=(*DISCHARGE.columns, INTERVAL_END)) if has_means else DISCHARGE


def catchment_timeseries(quantities: Sequence[Quantity]) -> Table:
    """Catchment means in time: rain and potential evapotranspiration, then the requested states and fluxes."""
    means = (*FORCINGS.values(), *quantities)
    columns = tuple(of_quantity(quantity, null="missing in all cells of the catchment") for quantity in means)
    return Table("catchment_timeseries", "catchment-mean time series of each gauge", (RUN, GAUGE, TIME, *columns))


def mean_maps(quantities: Sequence[Quantity]) -> Table:
    """Means in time of states and fluxes, for every cell."""
    columns = tuple(of_quantity(quantity) for quantity in quantities)
    what = "temporal means of states and fluxes in each cell; of factors of corrections, over the calibration period"
    return Table("mean_maps", what, (RUN, *PLACE, *columns), is_map=True)


def cell_timeseries(quantities: Sequence[Quantity]) -> Table:
    """States and fluxes in time at the requested cells."""
    columns = tuple(of_quantity(quantity) for quantity in quantities)
    return Table(
        "cell_timeseries",
        "time series of states and fluxes at selected cells",
        (RUN, CELL, *PLACE[3:], TIME, *columns),
        is_map=True,
    )


def no_correction(quantities: Sequence[Quantity]) -> Table:
    """Catchment means of the same simulation without the network."""
    columns = tuple(of_quantity(quantity) for quantity in quantities)
    simulated = Column("simulated", "float", "discharge simulated without the network", "m3/s", "not finite")
    words = "catchment-mean time series, simulated with the same parameters and without the network"
    return Table("no_correction", words, (RUN, GAUGE, TIME, *columns, simulated))


def no_correction_means(quantities: Sequence[Quantity]) -> Table:
    """Means in time of fluxes of the same simulation without the network, for every cell."""
    columns = tuple(of_quantity(quantity) for quantity in quantities)
    words = "temporal means of fluxes in each cell, by GR with the parameters of neural reservoirs"
    return Table("no_correction_means", words, (RUN, *PLACE, *columns), is_map=True)


UNIFORM = Table(
    "uniform",
    "the same simulation with the uniform parameters from which a mapping by descriptors started, without the network",
    (RUN, GAUGE, TIME, Column("simulated", "float", "discharge simulated with them", "m3/s", "not finite")),
)

TABLES = {
    table.name: table
    for table in (
        DISCHARGE,
        SCORES,
        parameters(()),
        CONTROL,
        CONVERGENCE,
        UNCERTAINTY,
        CORRELATIONS,
        LCURVE,
        NETWORK,
        states(()),
        domain(()),
        CATCHMENTS,
        catchment_timeseries(()),
        mean_maps(()),
        cell_timeseries(()),
        no_correction(()),
        no_correction_means(()),
        UNIFORM,
        RESPONSE_SURFACES,
        PRETRAINING,
        balance(()),
        ANNUAL_FLUXES,
        EVENTS,
        SIGNATURES,
        SOLVERS,
        SOLVER_SERIES,
    )
}
"""Every table of a run folder with the columns that it has in any run."""
READABLE = TABLES | FORECAST_TABLES
"""Those and the tables of a folder of forecasts."""


def arrow_type(kind: Kind) -> pa.DataType:
    """How a kind of column is stored."""
    import pyarrow as pa

    kinds = {"text": pa.string(), "integer": pa.int64(), "float": pa.float64(), "flag": pa.bool_()}
    return kinds.get(kind) or pa.timestamp("us", tz="UTC")


def arrow_schema(table: Table, run: str, crs_wkt: str = "") -> pa.Schema:
    """The Arrow schema of a table of one run.

    Unit, description and the meaning of null are in the metadata of each field. Tools that read only the key-value
    metadata of the file (DuckDB) find the units there too, as JSON under `units`.
    """
    import pyarrow as pa

    if table.is_map and not crs_wkt:
        raise ValueError(f"{table.name} holds coordinates and needs their CRS")
    fields = [
        pa.field(
            column.name,
            arrow_type(column.kind),
            nullable=bool(column.null),
            metadata={"unit": column.unit, "description": column.description, "null": column.null},
        )
        for column in table.columns
    ]
    metadata = {
        "hydrocli": hydrocli.__version__,
        "format": str(RUN_FORMAT),
        "run": run,
        "description": table.description,
        "units": json.dumps({column.name: column.unit for column in table.columns if column.unit}),
        **({"crs": crs_wkt} if table.is_map else {}),
    }
    return pa.schema(fields, metadata=metadata)
