"""Run folders for Python users: tables as pandas DataFrames, read on first access.

`run.scores`, `run.discharge` ... are the tables of the contract; `frame.attrs` has the units and the CRS of their
columns. Only JSON and Parquet are read, and nothing in them is executed, so that folders of others are safe to open.
"""

from __future__ import annotations

import glob
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.errors import Errors, HydrocliError, InputError
from hydrocli.files import os_errors_as_input_errors
from hydrocli.results import views
from hydrocli.results.arrow import to_numpy
from hydrocli.results.folder import CONFIG, LOG, MANIFEST, Manifest, read_manifest, status
from hydrocli.results.log import read_log
from hydrocli.results.schemas import FORECAST_TABLES, READABLE, TABLES
from hydrocli.run_format import RESTORE, RUN_FORMAT, missing_files, other_format, require_same

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    import pyarrow as pa
    import xarray as xr
    from matplotlib.axes import Axes


logger = logging.getLogger(__name__)

FORECAST_AGAIN = "Make the forecasts again with `hydrocli hindcast` or `hydrocli forecast`."


class _Lazy:
    """A table of a run as an attribute, read once."""

    def __set_name__(self, owner: type[Run], name: str) -> None:
        self.name = name
        self.__doc__ = TABLES[name].description

    def __get__(self, run: Run | None, owner: type[Run]) -> Any:
        if run is None:
            return self
        try:
            frame = run.table(self.name)
        except InputError as error:
            raise UnreadableTableError(error.where, error.what, error.remedy) from error
        run.__dict__[self.name] = frame
        return frame


class UnreadableTableError(InputError, AttributeError):
    """A table that a run does not have, or that is broken; `hasattr(run, "lcurve")` is then False."""


class Run:
    """A run folder to read from.

    Attributes:
        folder: its path.
        manifest: how the run was made and how it ended.
        discharge, scores, parameters, control, convergence, lcurve, uncertainty, correlations, network_weights, states,
            domain, catchments, catchment_timeseries, mean_maps, cell_timeseries, no_correction,
            no_correction_means, uniform, pretraining,
            response_surfaces, balance, annual_fluxes, events, signatures, solvers, solver_series: the tables, as
            DataFrames; an
            AttributeError where there is none.
    """

    discharge = _Lazy()
    scores = _Lazy()
    parameters = _Lazy()
    control = _Lazy()
    convergence = _Lazy()
    uncertainty = _Lazy()
    correlations = _Lazy()
    lcurve = _Lazy()
    network_weights = _Lazy()
    states = _Lazy()
    domain = _Lazy()
    catchments = _Lazy()
    catchment_timeseries = _Lazy()
    mean_maps = _Lazy()
    cell_timeseries = _Lazy()
    no_correction = _Lazy()
    no_correction_means = _Lazy()
    pretraining = _Lazy()
    uniform = _Lazy()
    response_surfaces = _Lazy()
    balance = _Lazy()
    annual_fluxes = _Lazy()
    events = _Lazy()
    signatures = _Lazy()
    solvers = _Lazy()
    solver_series = _Lazy()

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    def __repr__(self) -> str:
        return f"Run({self.manifest.run!r}, {self.manifest.state}, {str(self.folder)!r})"

    def __dir__(self) -> list[str]:
        return sorted(name for name in super().__dir__() if name not in TABLES or self.has(name))

    def _repr_html_(self) -> str:
        return views.html(self)

    @property
    def gauges(self) -> gpd.GeoDataFrame:
        """Points at the gauges: code, area of the catchment [km2], scores as columns `<metric>_<period>`."""
        return views.gauges(self)

    @property
    def rivers(self) -> gpd.GeoDataFrame:
        """Lines from each cell to the one downstream, with the area that drains through it [km2]."""
        return views.rivers(self)

    @property
    def rasters(self) -> list[str]:
        """Names that `raster` and `plot` know: parameters, states, descriptors and what else the cells have."""
        return list(views.rasters(self))

    def raster(self, name: str) -> NDArray[Any]:
        """A parameter, state or descriptor as float64[rows, columns], north first; NaN outside the active cells.

        Rows and columns go as far as there are active cells; `dataset` has their coordinates.

        Raises:
            ConfigurationError: the run has no such raster.
        """
        return views.raster(self, name)

    def catchment(self, gauge: str) -> NDArray[np.bool_]:
        """Which cells drain to a gauge: bool[n], in the order of `domain`.

        Raises:
            ConfigurationError: there is no such gauge.
        """
        return views.catchment(self, gauge)

    def series(self, gauge: str) -> pd.DataFrame:
        """Observed and simulated discharge [m3/s] and mean forcing [mm/step] of a gauge, indexed by time (UTC).

        Raises:
            ConfigurationError: there is no such gauge.
        """
        return views.series(self, gauge)

    def dataset(self) -> xr.Dataset:
        """Discharge [gauge, time] and all rasters [y, x] as an xarray data set; needs `hydrocli[netcdf]`.

        Raises:
            ConfigurationError: xarray is not installed.
        """
        return views.dataset(self)

    def plot(self, what: str, ax: Axes | None = None) -> Axes:
        """Draw the hydrograph of a gauge, or a raster, with matplotlib; returns the axes.

        Args:
            what: code of a gauge as `S0001`, or name of a raster as `cp`.
            ax: where to draw; left out: axes of a new figure.

        Raises:
            ConfigurationError: it is neither a gauge nor a raster of the run.
        """
        return views.plot(self, what, ax)

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of `log.jsonl`."""
        return read_log(self.folder / LOG)

    @property
    def configuration(self) -> dict[str, Any]:
        """`config.yaml` as plain values, everything resolved; empty where there is none.

        Raises:
            InputError: it cannot be read, or is not valid YAML.
        """
        import yaml

        try:
            found = yaml.safe_load(self.text(CONFIG))
        except yaml.YAMLError as error:
            raise InputError(str(self.folder / CONFIG), "is not valid YAML", "Restore the file.") from error
        return found if isinstance(found, dict) else {}

    def text(self, file: str) -> str:
        """A text file of the run, such as `config.yaml`; empty where there is none.

        Raises:
            InputError: it cannot be read, is not UTF-8, or is not what the run has written.
        """
        path = self.folder / file
        if not self._exists(file, RESTORE):
            return ""
        with os_errors_as_input_errors(path, "cannot be read"):
            content = path.read_bytes()
        require_same(path, content, self._listed(file))
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise InputError(str(path), "is not valid UTF-8", "Restore the file.") from error

    def has(self, table: str) -> bool:
        """Whether the run has written this table.

        Raises:
            InputError: it has, and the file is missing.
        """
        return self._exists(READABLE[table].file, self._again(table))

    def require_whole(self, *, later: bool = True) -> Run:
        """Name all that the finished run has written and that is missing or has another size; the run comes back.

        Args:
            later: whether tables of commands after the calibration (scores, signatures) must be whole too; of others,
                and of files that no command reads, a warning says it.

        Raises:
            Errors: the configuration or such tables.
        """
        wanted = {CONFIG, *(table.file for table in TABLES.values() if later or table.command == "calibrate")}
        fatal, rest = list[HydrocliError](), list[InputError]()
        for error in self.damages():
            name = Path(error.where).relative_to(self.folder).as_posix()
            (fatal if name in wanted or name.endswith(MANIFEST) else rest).append(error)
        for error in rest:
            logger.warning(f"{error.where} {error.what}")
        if fatal:
            raise Errors(fatal)
        return self

    def damages(self) -> list[InputError]:
        """Files that the finished run has written, and that are missing or have another size.

        Their content is compared when they are read.
        """
        files = self.manifest.files if self.manifest.state == "finished" else {}
        remedies = {table.file: self._again(table.name) for table in TABLES.values()}
        found = missing_files(self.folder, files)
        return [InputError(str(self.folder / name), what, remedies.get(name, RESTORE)) for name, what in found.items()]

    def _listed(self, file: str) -> Mapping[str, Any] | None:
        """Size and checksum of a file of a finished run, where the manifest has them."""
        return self.manifest.files.get(file) if self.manifest.state == "finished" else None

    def _exists(self, file: str, remedy: str) -> bool:
        path = self.folder / file
        if not path.exists() and self._listed(file):
            raise InputError(str(path), "is missing; the run has written it", remedy)
        return path.exists()

    def _again(self, table: str) -> str:
        """How a table is made again."""
        if table in FORECAST_TABLES:
            return FORECAST_AGAIN
        command = TABLES[table].command
        return RESTORE if command == "calibrate" else f"Run `hydrocli {command} {self.folder}`."

    def table(self, name: str) -> pd.DataFrame:
        """A table as a DataFrame, read again on every call; missing numbers are NaN.

        Raises:
            InputError: the table is missing, not readable, or lacks columns.
        """
        return _frame(self.arrow(name))

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The columns of a table as numpy arrays, such as the states and parameters that another run starts from.

        Times are datetime64[us] in UTC; missing numbers are NaN.

        Raises:
            InputError: as `table`.
        """
        arrow = self.arrow(name)
        return {field: to_numpy(arrow[field]) for field in arrow.column_names}

    def arrow(self, name: str) -> pa.Table:
        """A table as Arrow has it.

        Raises:
            InputError: as `table`.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = READABLE[name]
        path = self.folder / table.file
        command = f"Run `hydrocli {table.command} {self.folder}`." if name in TABLES else FORECAST_AGAIN
        if not self.has(name):
            raise InputError(str(path), "does not exist", command)
        with os_errors_as_input_errors(path, "cannot be read"):
            content = path.read_bytes()
        require_same(path, content, self._listed(table.file), self._again(name))
        try:
            # In this thread: one of Arrow's may free the buffer while Python ends, which aborts the process.
            arrow = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)  # read_table would load pandas
            arrow.validate(full=True)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(str(path), "is not a readable Parquet file", command) from error
        found = (arrow.schema.metadata or {}).get(b"format", b"").decode()
        if found.isdecimal() and found != str(RUN_FORMAT):
            raise other_format(path, found)
        missing = {column.name for column in table.columns} - set(arrow.column_names)
        if missing or any(b"unit" not in (field.metadata or {}) for field in arrow.schema):
            what = (
                f"lacks {', '.join(sorted(missing)) or 'the units of its columns'}: it was not written by this version"
            )
            raise InputError(str(path), what, command)
        return arrow


def read(folder: str | Path, *, unfinished: bool = False) -> Run:
    """Open a run folder for reading; nothing is locked or changed.

    Args:
        folder: path of the run folder.
        unfinished: also accept a run that is going on, was stopped or failed.

    Raises:
        InputError: no run folder, a broken manifest, or a run that is not finished.
    """
    folder = Path(folder)
    found = status(folder)
    if found.state != "finished" and not unfinished:
        by = f" by {found.holder}" if found.holder else ""
        ending = f": {found.ending}" if found.ending else ""
        raise InputError(
            str(folder),
            f"is not finished (state: {found.state}{by}{ending})",
            "Run `hydrocli calibrate` to continue it.",
        )
    return Run(folder, read_manifest(folder))


def read_many(pattern: str, table: str) -> pd.DataFrame:
    """One table of all finished runs that match a pattern such as `runs/*`, distinguished by the column `run`.

    Runs that are not finished or lack the table are left out with a warning that names them. Columns that only some
    runs have (parameters, descriptors) are missing in the others.

    Raises:
        InputError: no folder matches, or none can be read.
    """
    import pyarrow as pa

    tables, problems = [], []
    for folder in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - the pattern may be absolute
        try:
            tables.append(read(folder).arrow(table))
        except InputError as error:
            problems.append(f"{error.where} {error.what}")
    if not tables:
        raise InputError(pattern, "matches no run with this table: " + ("; ".join(problems) or "no folder matches"))
    if problems:
        warnings.warn(f"left out: {'; '.join(problems)}", stacklevel=2)
    together = _frame(pa.concat_tables(tables, promote_options="default"))
    if len({found.schema.metadata.get(b"crs") for found in tables}) > 1:
        together.attrs.pop("crs", None)
    return together


def _frame(arrow: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = arrow.to_pandas()
    frame.attrs["units"] = {field.name: field.metadata[b"unit"].decode() for field in arrow.schema}
    if crs := arrow.schema.metadata.get(b"crs"):
        frame.attrs["crs"] = crs.decode()
    return frame
