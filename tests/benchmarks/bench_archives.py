"""Large archives: 20,000 GeoTIFFs for 25 catchments in one pass, nine years of hourly NetCDF, opening and extending.

Archives are synthetic: rain of a tenth of the cells on a grid of 100 x 100 km, catchments of 20 x 20 cells. The wheel
of smash reads the same files with one mesh of all catchments; xarray reads the same window of the same NetCDF files.
The second table has sizes that fill memory if read carelessly: 100,000 files, 18 million rows of discharge, a month of
radar of 1000 x 1000 cells.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bench_worker import AbsentError, Answer, Contestant
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from hydrocli.basin.source import BasinSource

SIDE, BLOCK = 100, 20
"""Cells of the grid, and of a catchment, along an edge."""
CRS, LEFT, TOP = "EPSG:2154", 800_000.0, 6_500_000.0
START = np.datetime64("2010-01-01T00:00", "s")
HOUR = np.timedelta64(1, "h")
RADAR = 1000
"""Cells of the radar along an edge."""
WAIT = 11.0
"""Seconds after which what was written is old enough for a listing of it to be kept."""
DISTINCT = 50
"""Fields that differ; the archive repeats them."""
BAR = 4.0


def archives(
    console: Console, files: int = 20_000, years: int = 9, catchments: int = 25, share: float = 1.0
) -> dict[str, object]:
    """Print the tables; returns their figures. `catchments` are at most 25; `share` is that of the second table."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _write_domain(folder, catchments)
        rows = {"GeoTIFF": _geotiff(folder, files, catchments), "NetCDF": _netcdf(folder, years, catchments)}
        large = _large(folder, share)
    table = Table(
        "archive", "fields", "reader", "wall s", "CPU s", "fields/s", "peak MB", "fields/s against smash", "list s",
        "open s", "a month more s",
        title="large archives, cold store, files in the page cache", title_justify="left",
    )  # fmt: skip
    for archive, row in rows.items():
        peer = row.get("smash")
        for name, answer in row.items():
            speed, verdict = answer["fields"] / answer["wall"], ""
            if peer and name != "smash":
                ratio = speed * peer["wall"] / peer["fields"]
                verdict = f"{ratio:.2f}"
                if "workers" in name:
                    verdict += f" (>= {BAR:g} {'[green]yes[/]' if ratio >= BAR else '[red]no[/]'})"
            seconds = [f"{answer[key]:.3f}" if key in answer else "" for key in ("list", "open", "month")]
            table.add_row(
                archive, str(answer["fields"]), name, f"{answer['wall']:.2f}", f"{answer['cpu']:.2f}",
                f"{speed:.0f}", f"{answer['peak'] / 1e6:.0f}", verdict, *seconds,
            )  # fmt: skip
    console.print(table)
    table = Table("what", "wall s", "CPU s", "peak MB", title="sizes that fill memory", title_justify="left")
    for name, answer in large.items():
        table.add_row(name, f"{answer['wall']:.2f}", f"{answer['cpu']:.2f}", f"{answer['peak'] / 1e6:.0f}")
    console.print(table)
    return rows | {"large": large}


def _geotiff(folder: Path, files: int, catchments: int) -> dict[str, Answer]:
    _write_rasters(folder / "rain", files)
    time.sleep(WAIT)
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
            answer = ours.ask("read", workers=workers)
            after = ours.ask("after") if workers > 1 else {}
        key = f"hydrocli, {workers} workers" if workers > 1 else "hydrocli"
        rows[key] = answer | {name: after[name] for name in ("list", "open", "month") if after}
    return rows


def _large(folder: Path, share: float) -> dict[str, Answer]:
    """Each in a process of its own, which has its own peak of memory."""
    for number in range(int(100_000 * share)):
        stamp = (START + (number + 1) * HOUR).astype(str)[:13].translate(str.maketrans("", "", "-T:"))
        path = folder / "many" / stamp[:6] / f"rain_{stamp}.tif"
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        path.touch()
    gauges, hours = 228, int(78_912 * share)
    _write_table(folder / "discharge.csv", gauges, hours)
    fields = max(1, int(744 * share))
    _write_radar(folder / "radar.nc", fields)
    time.sleep(WAIT)
    asked = {
        f"listing {int(100_000 * share)} files": ("listing", {"files": int(100_000 * share)}),
        "the same, kept": ("listing", {"files": int(100_000 * share)}),
        f"{gauges * hours} rows of discharge": ("table", {"gauges": gauges, "hours": hours}),
        f"{fields} fields of radar": ("radar", {"fields": fields}),
    }
    answers = {}
    for name, (method, options) in asked.items():
        with Contestant("large archive", folder=str(folder)) as ours:
            answers[name] = ours.ask(method, **options)
    return answers


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


def _write_radar(path: Path, fields: int) -> None:
    """Fields of RADAR x RADAR cells, a chunk for each, one after the other: nobody holds all of them."""
    import h5netcdf
    import pyproj

    rain = np.zeros((RADAR, RADAR), np.int16)
    rain[: RADAR // 10] = np.random.default_rng(3).integers(1, 200, (RADAR // 10, RADAR))
    axis = 1000 * (np.arange(RADAR) + 0.5)
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": fields, "y": RADAR, "x": RADAR}
        for name, values, standard in (("x", LEFT + axis, AXES[0]), ("y", TOP - axis, AXES[1])):
            file.create_variable(name, (name,), data=values).attrs["standard_name"] = standard
        times = file.create_variable("time", ("time",), data=np.arange(1, fields + 1))
        times.attrs["units"] = "hours since 2010-01-01"
        file.create_variable("crs", (), "i4", data=0).attrs.update(pyproj.CRS(CRS).to_cf())
        chunk = (1, RADAR, RADAR)
        packed = file.create_variable(
            "rain", ("time", "y", "x"), "i2", chunks=chunk, compression="gzip", compression_opts=1
        )
        packed.attrs.update({"units": "mm", "scale_factor": 0.1, "grid_mapping": "crs"})
        for number in range(fields):
            packed[number] = np.roll(rain, 7 * number, axis=0)


def _write_table(path: Path, gauges: int, hours: int) -> None:
    times = START + np.arange(1, hours + 1) * HOUR
    texts = np.char.replace(times.astype("datetime64[m]").astype(str), "T", " ")
    with path.open("w") as file:
        file.write("gauge,time,discharge\n")
        for gauge in range(gauges):
            lines = (f"Q{gauge:03d},{text},{number % 997 / 8}" for number, text in enumerate(texts.tolist()))
            file.write("\n".join(lines) + "\n")


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
        from hydrocli.basin.ingest import ingest_batch

        with tempfile.TemporaryDirectory() as store:
            failed = [one for one in ingest_batch(self.sources, Path(store), workers) if not isinstance(one, str)]
        if failed:
            raise failed[0]
        return {"fields": self.fields}

    def after(self) -> dict[str, object]:
        """Seconds to list the archives, to open a store without that, and to add a month to all stores."""
        from hydrocli.basin.ingest import ingest_batch, open_basin
        from hydrocli.basin.source import fingerprint_of, make_plan

        month = min(720, self.fields // 2)
        shorter = [replace(source, end=source.end - month * HOUR) for source in self.sources]
        seconds, clock = {}, time.perf_counter
        with tempfile.TemporaryDirectory() as store:
            ingest_batch(shorter, Path(store), 2)
            began = clock()
            ingest_batch(self.sources, Path(store), 1)
            seconds["month"] = clock() - began
            began = clock()
            fingerprint_of(self.sources[0], make_plan(self.sources[0]))
            seconds["list"] = clock() - began
            began = clock()
            open_basin(self.sources[0], Path(store))
            seconds["open"] = clock() - began
        return seconds


class LargeArchive:
    """What would fill memory if it were read carelessly."""

    def __init__(self, folder: str) -> None:
        from hydrocli.basin import discharge, ingest, source  # noqa: F401 - not a part of what is measured

        self.folder = Path(folder)

    def listing(self, files: int) -> None:
        """The plan of an archive of many files, as at the start of every command."""
        from hydrocli.basin.source import make_plan

        (self.folder / "store").mkdir(exist_ok=True)
        forcing = make_plan(self._source("many", files), self.folder / "store").forcing
        assert forcing.digests
        forcing.keep()

    def table(self, gauges: int, hours: int) -> None:
        """A tidy table with all gauges of a campaign."""
        from hydrocli.basin.basin import stamps
        from hydrocli.basin.discharge import find_discharge, read_discharge
        from hydrocli.basin.discharge_formats import DischargeSource

        codes = [f"Q{gauge:03d}" for gauge in range(gauges)]
        files = find_discharge(DischargeSource(self.folder / "discharge.csv", "tidy"), codes)
        found = read_discharge(files, codes, stamps(START, hours, 3600), 3600).discharge
        assert np.isfinite(found).all()

    def radar(self, fields: int) -> None:
        """Cold ingestion of one catchment."""
        from hydrocli.basin.ingest import open_basin

        with tempfile.TemporaryDirectory() as store:
            assert open_basin(self._source("radar.nc", fields, "netcdf"), Path(store)).precipitation[-1].sum() >= 0

    def _source(self, path: str, fields: int, format_: str = "geotiff") -> BasinSource:
        (source,) = HydrocliArchive(str(self.folder), format_, fields, 1).sources
        return replace(source, precipitation=replace(source.precipitation, path=self.folder / path))


class XarrayArchive:
    """Reading the same window of the same files by xarray alone, one file at a time."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def read(self) -> None:
        import xarray

        for path in sorted((self.folder / "rain").glob("*.nc")):
            with xarray.open_dataset(path, engine="h5netcdf") as dataset:
                dataset["rain"].values  # noqa: B018 - decodes them
