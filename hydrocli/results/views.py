"""What a run shows beside its tables: rasters, points and lines, an xarray data set, figures, an HTML summary."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.errors import ConfigurationError
from hydrocli.results.folder import Manifest
from hydrocli.score.intervals import mean_over, until_of

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    import pyarrow as pa
    import xarray as xr
    from matplotlib.axes import Axes


class Tables(Protocol):
    """The part of `Run` that the views need."""

    folder: Path
    manifest: Manifest

    def has(self, table: str) -> bool:
        """Whether there is a table."""
        ...

    def table(self, name: str) -> pd.DataFrame:
        """A table as a DataFrame."""
        ...

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The columns of a table."""
        ...

    def arrow(self, name: str) -> pa.Table:
        """A table as Arrow has it."""
        ...


MAPS = ("parameters", "states", "domain", "mean_maps")
"""Tables of one row for each cell, in the order in which a raster is looked for."""
NOT_RASTERS = ("run", "cell", "row", "column", "x", "y")


def rasters(run: Tables) -> dict[str, str]:
    """Names of everything that can be a raster, and the table that it is in."""
    found: dict[str, str] = {}
    for table in MAPS:
        if run.has(table):
            schema = run.arrow(table).schema
            names = [field.name for field in schema if field.name not in NOT_RASTERS and str(field.type) != "string"]
            found |= {name: table for name in names if name not in found}
    return found


def raster(run: Tables, name: str) -> NDArray[np.float64]:
    """A quantity of the cells as float64[rows, columns], NaN outside the active cells.

    Raises:
        ConfigurationError: no table of the run has it.
        InputError: the table cannot be read.
    """
    known = rasters(run)
    if name not in known:
        raise ConfigurationError(name, f"is not a raster of {run.folder}", f"Rasters: {', '.join(known)}.")
    domain, values = run.arrays("domain"), run.arrays(known[name])
    image = np.full((int(domain["row"].max()) + 1, int(domain["column"].max()) + 1), np.nan)
    image[domain["row"], domain["column"]] = values[name][np.argsort(values["cell"], kind="stable")].astype(np.float64)
    return image


def coordinates(run: Tables) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x [columns] and y [rows] of the centres of the rows and columns of a raster, in the CRS of the run."""
    domain = run.arrays("domain")
    axes = []
    for place, coordinate in (("column", "x"), ("row", "y")):
        number, first = np.unique(domain[place], return_index=True)
        known = domain[coordinate][first].astype(np.float64)
        size = int(number[-1]) + 1
        if number.size == 1:
            side = float(np.sqrt(domain["area"][0])) * (1.0 if coordinate == "x" else -1.0)
            axes.append(known[0] + side * (np.arange(size) - number[0]))
        else:
            # Rows without an active cell lie on the line through the others.
            side = (known[-1] - known[0]) / (number[-1] - number[0])
            axes.append(known[0] + side * (np.arange(size) - number[0]))
    return axes[0], axes[1]


def series(run: Tables, gauge: str) -> pd.DataFrame:
    """Observed and simulated discharge [m3/s] and mean forcing [mm/step] of a gauge, by time (UTC).

    Where observations are daily means, `interval_end` says of which steps.

    Raises:
        ConfigurationError: there is no such gauge.
    """
    discharge = run.table("discharge")
    _require_gauge(run, gauge, discharge["gauge"].unique().tolist())
    names = [name for name in ("observed", "simulated", "interval_end") if name in discharge]
    frame = discharge[discharge["gauge"] == gauge].set_index("time")[names]
    if run.has("catchment_timeseries"):
        forcing = run.table("catchment_timeseries")
        here = forcing[forcing["gauge"] == gauge].set_index("time")
        frame = frame.join(here[[name for name in ("precipitation", "pet") if name in here]])
    frame.attrs = dict(discharge.attrs)
    return frame


def means_over(
    times: NDArray[np.datetime64], ends: NDArray[np.datetime64], series: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A series [t] of a gauge as it is compared with means over several steps.

    Args:
        times: stamps of the steps.
        ends: column `interval_end` of discharge.parquet.
        series: at these steps.
    """
    return mean_over(series, until_of(times.astype("datetime64[s]"), ends.astype("datetime64[s]")))


def _require_gauge(run: Tables, gauge: str, codes: list[str]) -> None:
    if gauge not in codes:
        raise ConfigurationError("gauge", f"{gauge!r} is not a gauge of {run.folder}", f"Gauges: {', '.join(codes)}.")


def rows_by_gauge(codes: NDArray[Any]) -> dict[str, slice]:
    """Rows of each gauge, in the order of the table, where those of one gauge follow each other."""
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if codes.size else np.zeros(0, np.intp)
    ends = np.r_[starts[1:], codes.size]
    return {str(codes[a]): slice(a, b) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)}


def gauge_tree(run: Tables) -> GaugeTree:
    """Which cells of a run drain to which of its gauges, in the order of the table `catchments`."""
    return GaugeTree.of(run.arrays("domain")["downstream"], run.arrays("catchments")["cell"])


def catchment(run: Tables, gauge: str) -> NDArray[np.bool_]:
    """Which cells drain to a gauge, bool[n].

    Raises:
        ConfigurationError: there is no such gauge.
    """
    codes = run.arrays("catchments")["gauge"].tolist()
    _require_gauge(run, gauge, codes)
    return gauge_tree(run).catchment(codes.index(gauge))


def dataset(run: Tables) -> xr.Dataset:
    """Discharge by gauge and time, and all rasters by y and x, as an xarray data set.

    Raises:
        ConfigurationError: xarray is not installed.
    """
    try:
        import xarray as xr
    except ImportError:
        raise ConfigurationError("xarray", "is not installed", "pip install 'hydrocli[netcdf]'") from None
    discharge = run.arrays("discharge")
    rows = rows_by_gauge(discharge["gauge"])
    codes = list(rows)
    times = discharge["time"][rows[codes[0]]]
    variables: dict[str, Any] = {
        kind: (
            ("gauge", "time"),
            np.stack([discharge[kind][here] for here in rows.values()]),
            {"units": "m3 s-1", "long_name": f"{kind} discharge"},
        )
        for kind in ("observed", "simulated")
    }
    for name, table in rasters(run).items():
        field = run.arrow(table).schema.field(name)
        units = field.metadata[b"unit"].decode()
        variables[name] = (("y", "x"), raster(run, name), {"units": "1" if units == "-" else units})
    x, y = coordinates(run)
    return xr.Dataset(
        variables,
        coords={"gauge": codes, "time": times, "x": x, "y": y},
        attrs={"run": run.manifest.run, "crs_wkt": crs_of(run)},
    )


def gauges(run: Tables) -> gpd.GeoDataFrame:
    """Points at the gauges' cells: code, area of the catchment [km2], scores by metric and period."""
    import geopandas as gpd

    catchments = run.arrays("catchments")
    codes = catchments["gauge"].tolist()
    columns: dict[str, Any] = {"gauge": codes, "area_km2": catchments["area"] / 1e6}
    if run.has("scores"):
        scores = run.table("scores").set_index(["gauge", "metric", "period"])["value"]
        wide = scores.unstack(["metric", "period"])
        values = wide.reindex(codes).to_numpy()
        columns |= {"_".join(key): values[:, place] for place, key in enumerate(wide.columns.to_list())}
    points = gpd.points_from_xy(catchments["x"], catchments["y"])
    return gpd.GeoDataFrame(columns, geometry=points, crs=crs_of(run))


def rivers(run: Tables) -> gpd.GeoDataFrame:
    """Lines from each cell to the next: cell, downstream cell, area that drains through it [km2]."""
    import geopandas as gpd
    import shapely

    domain = run.arrays("domain")
    downstream = domain["downstream"]
    start = np.flatnonzero(downstream >= 0)
    end = downstream[start]
    ends = [np.stack([domain["x"][cells], domain["y"][cells]], axis=1) for cells in (start, end)]
    lines = shapely.linestrings(np.stack(ends, axis=1))
    columns = {"cell": start, "downstream": end, "upstream_km2": _upstream_area(domain)[start] / 1e6}
    return gpd.GeoDataFrame(columns, geometry=lines, crs=crs_of(run))


def _upstream_area(domain: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Area that drains through each cell; a cell drains into a later level."""
    total, downstream = domain["area"].astype(np.float64), domain["downstream"]
    for level in np.unique(domain["level"]):
        here = np.flatnonzero((domain["level"] == level) & (downstream >= 0))
        np.add.at(total, downstream[here], total[here])
    return total


def crs_of(run: Tables) -> str:
    """CRS of the cells as WKT."""
    return run.arrow("domain").schema.metadata[b"crs"].decode()


def plot(run: Tables, what: str, ax: Axes | None = None) -> Axes:
    """Draw the hydrograph of a gauge, or a raster.

    Args:
        run: the run.
        what: code of a gauge, or name of a raster.
        ax: where to draw; left out: axes of a new figure.

    Raises:
        ConfigurationError: it is neither a gauge nor a raster.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        ax = plt.subplots(layout="constrained")[1]
    if what in run.table("discharge")["gauge"].unique():
        frame = series(run, what)
        if "interval_end" in frame:
            times, ends = (column.to_numpy("datetime64[s]") for column in (frame.index, frame["interval_end"]))
            frame["simulated"] = means_over(times, ends, frame["simulated"].to_numpy())
        ax.plot(frame.index, frame["observed"], color="black", linewidth=1.2, label="observed")
        ax.plot(frame.index, frame["simulated"], color="tab:red", linewidth=1.0, label="simulated")
        ax.set(title=f"{run.manifest.run}: {what}", ylabel="discharge [m3/s]", xlabel="time (UTC)")
        ax.legend(frameon=False)
        return ax
    known = rasters(run)
    if what not in known:
        choices = [*run.table("discharge")["gauge"].unique(), *known]
        raise ConfigurationError(what, "is neither a gauge nor a raster of this run", f"One of: {', '.join(choices)}.")
    x, y = coordinates(run)
    image = ax.pcolormesh(x, y, raster(run, what), shading="nearest")
    unit = run.arrow(known[what]).schema.field(what).metadata[b"unit"].decode()
    ax.figure.colorbar(image, ax=ax, label=f"{what} [{unit}]")
    ax.set(title=f"{run.manifest.run}: {what}", aspect="equal")
    return ax


def html(run: Tables) -> str:
    """The run in a cell of a notebook: state, ending, scores."""
    manifest = run.manifest
    rows = {"state": manifest.state, "folder": run.folder, "ending": manifest.ending}
    lines = [f"<tr><th style='text-align:left'>{k}</th><td>{escape(str(v))}</td></tr>" for k, v in rows.items() if v]
    parts = [f"<b>Run {escape(manifest.run)}</b>", f"<table>{''.join(lines)}</table>"]
    if run.has("scores"):
        scores = run.table("scores")
        scores = scores[scores["metric"].isin(["nse", "kge"])]
        wide = scores.pivot(index=["gauge", "scenario", "period"], columns="metric", values="value")
        parts.append(wide.reset_index().to_html(index=False, float_format=lambda value: f"{value:.3f}", border=0))
    return "\n".join(parts)
