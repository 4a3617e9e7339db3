"""The mesh of smash, an HDF5 file: flow directions and gauges, and the files that hydrocli reads in its place.

The group `mesh` holds flwdir (D8 of the encoding smash), active_cell, gauge_pos (row, column from 0), code, area and
area_dln [m2]; its attributes are xmin, ymax, xres, yres, nrow, ncol and epsg.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.grid import Grid, crs_to_wkt
from hydrocli.errors import ConfigurationError, InputError
from hydrocli.files import atomic_write

NODATA = -99


@dataclass(frozen=True)
class Mesh:
    """A mesh.

    Attributes:
        path: of the file.
        crs: of the grid, such as EPSG:2154.
        grid: of the cells.
        directions: int16[height, width], D8 of the encoding smash; NODATA in cells that are not active.
        code: of the g gauges.
        row, column: int64[g], cells of the gauges.
        area: float64[g], that drains through these cells [m2].
        area_stated: float64[g], as the user of smash has given them [m2].
    """

    path: Path
    crs: str
    grid: Grid
    directions: NDArray[np.int16]
    code: tuple[str, ...]
    row: Integers
    column: Integers
    area: Floats
    area_stated: Floats


def read_mesh(path: Path) -> Mesh:
    """Read a mesh.

    Raises:
        ConfigurationError: h5py is not installed.
        InputError: the file is not there, or no mesh.
    """
    try:
        import h5py
    except ImportError as error:
        remedy = "Install it with: pip install 'hydrocli[netcdf]'"
        raise ConfigurationError(str(path), "a mesh needs h5py, which is not installed", remedy) from error
    if not path.is_file():
        raise InputError(str(path), "does not exist")
    try:
        with h5py.File(path, "r") as file:
            group = file["mesh"]
            said = {name: group.attrs[name] for name in ("xmin", "ymax", "xres", "yres", "epsg")}
            flwdir, active, place, code, found, stated = (
                group[name][()] for name in ("flwdir", "active_cell", "gauge_pos", "code", "area_dln", "area")
            )
    except (OSError, KeyError) as error:
        what = f"is not a mesh of smash ({' '.join(str(error).split())})"
        raise InputError(str(path), what, "Write it with `smash.io.save_mesh`.") from error
    transform = float(said["xres"]), 0.0, float(said["xmin"]), 0.0, -float(said["yres"]), float(said["ymax"])
    crs = f"EPSG:{int(said['epsg'])}"
    grid = Grid(crs_to_wkt(str(path), crs), transform, *flwdir.shape)
    is_cell = (active == 1) & (flwdir >= 0)
    codes = tuple(one.decode() if isinstance(one, bytes) else str(one) for one in code)
    place = np.asarray(place, np.int64)
    directions = np.where(is_cell, flwdir, NODATA).astype(np.int16)
    areas = np.asarray(found, np.float64), np.asarray(stated, np.float64)
    return Mesh(path, crs, grid, directions, codes, place[:, 0], place[:, 1], *areas)


def write_directions(mesh: Mesh, path: Path) -> None:
    """Write the flow directions as GeoTIFF; a file that is there is refused.

    Raises:
        ConfigurationError: the file is there.
    """
    from rasterio.io import MemoryFile
    from rasterio.transform import Affine

    profile = {
        "driver": "GTiff",
        "count": 1,
        "dtype": "int16",
        "height": mesh.grid.height,
        "width": mesh.grid.width,
        "crs": mesh.grid.crs_wkt,
        "transform": Affine(*mesh.grid.transform),
        "nodata": NODATA,
        "compress": "deflate",
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as raster:
            raster.write(mesh.directions, 1)
        _write_new(path, memory.read())


def write_gauges(mesh: Mesh, path: Path) -> None:
    """Write the gauges, at the centres of their cells, as CSV with areas in km2; a file that is there is refused.

    The area is that of the cell, so that each gauge is found on its cell again.

    Raises:
        ConfigurationError: the file is there.
    """
    x, y = mesh.grid.centres(mesh.row, mesh.column)
    places = zip(mesh.code, x.tolist(), y.tolist(), strict=True)
    areas = zip((mesh.area / 1e6).tolist(), (mesh.area_stated / 1e6).tolist(), strict=True)
    rows = [
        f"{code},{a:.12g},{b:.12g},{found:.7g},{stated:.7g}\n"
        for (code, a, b), (found, stated) in zip(places, areas, strict=True)
    ]
    text = "code,x,y,area,area_stated\n" + "".join(rows)
    _write_new(path, text.encode())


def _write_new(path: Path, content: bytes) -> None:
    if path.exists():
        raise ConfigurationError(str(path), "already exists", "Remove it, or name another file with --output.")
    with atomic_write(path) as file:
        file.write(content)
