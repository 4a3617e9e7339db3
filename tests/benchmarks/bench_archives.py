"""Large archives: 20,000 GeoTIFFs for 25 catchments in one pass, nine years of hourly NetCDF, and opening a store.

Archives are synthetic: rain of a tenth of the cells on a grid of 100 x 100 km, catchments of 20 x 20 cells. The wheel
of smash reads the same files with one mesh of all catchments; xarray reads the same window of the same NetCDF files.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_worker import AbsentError, Answer, Contestant
from rich.console import Console
from rich.table import Table

SIDE, BLOCK = 100, 20
"""Cells of the grid, and of a catchment, along an edge."""
CRS, LEFT, TOP = "EPSG:2154", 800_000.0, 6_500_000.0
START = np.datetime64("2010-01-01T00:00", "s")
HOUR = np.timedelta64(1, "h")
DISTINCT = 50
"""Fields that differ; the archive repeats them."""
BAR = 4.0


def archives(console: Console, files: int = 20_000, years: int = 9, catchments: int = 25) -> dict[str, object]:
    """Print the table; returns its figures. `catchments` are at most 25."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _write_domain(folder, catchments)
        rows = {"GeoTIFF": _geotiff(folder, files, catchments), "NetCDF": _netcdf(folder, years, catchments)}
    table = Table(
        "archive", "fields", "reader", "wall s", "CPU s", "fields/s", "peak MB", "times hydrocli's CPU", "open s",
        title="large archives, cold store, files in the page cache", title_justify="left",
    )  # fmt: skip
    for archive, row in rows.items():
        ours = next(iter(row.values()))
        for name, answer in row.items():
            ratio = answer["cpu"] / ours["cpu"]
            verdict = f"{ratio:.2f}"
            if name == "smash":
                verdict += f" (>= {BAR:g} {'[green]yes[/]' if ratio >= BAR else '[red]no[/]'})"
            seconds = f"{answer['open']:.3f}" if "open" in answer else ""
            table.add_row(
                archive, str(answer["fields"]), name, f"{answer['wall']:.2f}", f"{answer['cpu']:.2f}",
                f"{answer['fields'] / answer['wall']:.0f}", f"{answer['peak'] / 1e6:.0f}", verdict, seconds,
            )  # fmt: skip
    console.print(table)
    return rows


def _geotiff(folder: Path, files: int, catchments: int) -> dict[str, Answer]:
    _write_rasters(folder / "rain", files)
    rows = _ours(folder, "geotiff", files, catchments)
    try:
        peer = Contestant("smash archive", folder=str(folder), files=files, catchments=catchments)
    except AbsentError:
        return rows
    with peer:
        rows["smash"] = peer.ask("read") | {"fields": files}
    shutil.rmtree(folder / "rain")
    return rows


def _netcdf(folder: Path, years: int, catchments: int) -> dict[str, Answer]:
    fields = _write_netcdf(folder / "rain", years)
    rows = _ours(folder, "netcdf", fields, catchments)
    with Contestant("xarray archive", folder=str(folder)) as peer:
        rows["xarray"] = peer.ask("read") | {"fields": fields}
    return rows


def _ours(folder: Path, format_: str, fields: int, catchments: int) -> dict[str, Answer]:
    options = {"folder": str(folder), "format": format_, "fields": fields, "catchments": catchments}
    rows = {}
    for workers in (1, 2):
        with Contestant("hydrocli archive", **options) as ours:
            rows[f"hydrocli, {workers} workers" if workers > 1 else "hydrocli"] = ours.ask("read", workers=workers)
    return rows


def _write_domain(folder: Path, catchments: int) -> None:
    """Blocks that drain east, then south to their corners; gauges there, and one field of evapotranspiration a day."""
    block = np.full((BLOCK, BLOCK), 3, np.uint8)
    block[:, -1], block[-1, -1] = 5, 0
    _write(folder / "flow.tif", np.tile(block, (SIDE // BLOCK, SIDE // BLOCK)))
    lines = ["code,x,y,area"]
    for code, x, y in gauges(catchments):
        lines.append(f"{code},{x},{y},{BLOCK**2}")
    (folder / "gauges.csv").write_text("\n".join(lines) + "\n")
    for day in np.arange("2012-01-01", "2013-01-01", dtype="datetime64[D]"):
        name = str(day)[5:].replace("-", "")
        _write(folder / "pet" / f"{name}.tif", np.full((SIDE // BLOCK, SIDE // BLOCK), 2.4, np.float32), 1000.0 * BLOCK)


def gauges(catchments: int) -> list[tuple[str, float, float]]:
    """Code, x and y of the corners of the blocks."""
    corners = [(row, column) for row in range(SIDE // BLOCK) for column in range(SIDE // BLOCK)][:catchments]
    middle = BLOCK - 0.5
    return [
        (f"C{n:02d}", LEFT + 1000 * (column * BLOCK + middle), TOP - 1000 * (row * BLOCK + middle))
        for n, (row, column) in enumerate(corners)
    ]


def _rain(generator: np.random.Generator, count: int) -> np.ndarray:
    """Tenths of a millimetre, int16[count, SIDE, SIDE]; nine tenths of them 0, where fields are dry as a whole."""
    values = generator.integers(1, 200, (count, SIDE, SIDE), np.int16)
    values[:, SIDE // 10 :] = 0
    return np.roll(values, generator.integers(SIDE), axis=1)


def _write(path: Path, values: np.ndarray, cell: float = 1000.0) -> None:
    import rasterio
    from rasterio.transform import Affine

    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "crs": CRS, "compress": "deflate"}
    height, width = values.shape
    transform = Affine(cell, 0.0, LEFT, 0.0, -cell, TOP)
    with rasterio.open(path, "w", height=height, width=width, transform=transform, **profile) as dataset:
        dataset.write(values, 1)


def _write_rasters(folder: Path, files: int) -> None:
    fields = _rain(np.random.default_rng(1), DISTINCT)
    for number, field in enumerate(fields):
        _write(folder.parent / "distinct" / f"{number}.tif", field)
    contents = [(folder.parent / "distinct" / f"{number}.tif").read_bytes() for number in range(DISTINCT)]
    stamps = START + np.arange(1, files + 1) * HOUR
    for number, stamp in enumerate(stamps.astype(str)):
        digits = stamp[:16].translate(str.maketrans("", "", "-T:"))
        path = folder / digits[:6] / f"rain_{digits}.tif"
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        path.write_bytes(contents[number % DISTINCT])


def _write_netcdf(folder: Path, years: int) -> int:
    import pyproj
    import xarray

    folder.mkdir(parents=True, exist_ok=True)
    generator, fields = np.random.default_rng(2), 0
    axis = 1000 * (np.arange(SIDE) + 0.5)
    for year in range(years):
        first, last = (START.astype("datetime64[Y]") + year + k for k in (0, 1))
        times = np.arange(first.astype("datetime64[h]") + 1, last.astype("datetime64[h]") + 1)
        fields += len(times)
        rain = np.tile(_rain(generator, DISTINCT), (len(times) // DISTINCT + 1, 1, 1))[: len(times)]
        attributes = {"units": "mm", "scale_factor": 0.1, "_FillValue": np.int16(-1), "grid_mapping": "crs"}
        made = xarray.Dataset(
            {"rain": (("time", "y", "x"), rain, attributes), "crs": ((), 0, pyproj.CRS(CRS).to_cf())},
            {"time": times.astype("datetime64[ns]"), "y": TOP - axis, "x": LEFT + axis},
        )
        made["x"].attrs["standard_name"], made["y"].attrs["standard_name"] = AXES
        encoding = {"rain": {"chunksizes": (720, BLOCK, BLOCK), "zlib": True, "complevel": 1}}
        made.to_netcdf(folder / f"rain_{first}.nc", engine="h5netcdf", encoding=encoding)
    return fields


AXES = ("projection_x_coordinate", "projection_y_coordinate")


class HydrocliArchive:
    """Cold ingestion of all catchments in one pass, then the opening of the first of their stores.

    Args:
        folder: of the archive.
        format: of the rain.
        fields: of the rain, one for each hour.
        catchments: how many.
    """

    def __init__(self, folder: str, format: str, fields: int, catchments: int) -> None:  # noqa: A002
        from hydrocli.basin.readers import ForcingSource
        from hydrocli.basin.source import BasinSource

        root = Path(folder)
        self.fields = fields
        self.sources = [
            BasinSource(
                start=START,
                end=START + fields * HOUR,
                step=3600,
                flow_directions=root / "flow.tif",
                encoding="smash",
                gauges=root / "gauges.csv",
                gauge_codes=(code,),
                precipitation=ForcingSource(root / "rain", format, scale_factor=0.1 if format == "geotiff" else 1.0),
                pet=ForcingSource(root / "pet"),
                pet_kind="interannual",
            )
            for code, *_ in gauges(catchments)
        ]

    def read(self, workers: int) -> dict[str, object]:
        from hydrocli.basin.ingest import ingest_batch, open_basin

        with tempfile.TemporaryDirectory() as store:
            failed = [one for one in ingest_batch(self.sources, Path(store), workers) if not isinstance(one, str)]
            if failed:
                raise failed[0]
            began = time.perf_counter()
            open_basin(self.sources[0], Path(store))
            return {"fields": self.fields, "open": time.perf_counter() - began}


class XarrayArchive:
    """Reading the same window of the same files by xarray alone, one file at a time."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def read(self) -> None:
        import xarray

        for path in sorted((self.folder / "rain").glob("*.nc")):
            with xarray.open_dataset(path, engine="h5netcdf") as dataset:
                dataset["rain"].values  # noqa: B018 - decodes them
