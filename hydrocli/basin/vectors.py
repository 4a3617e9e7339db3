"""Layers of points and polygons: GeoPackage, Shapefile, GeoJSON and GeoParquet.

What a file is, its first bytes decide. A file of several layers needs the name of one; every error lists those there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats
from hydrocli.basin.file_kinds import kind_of
from hydrocli.basin.grid import crs_of_file, transform_points
from hydrocli.errors import InputError

SUFFIXES = {"GeoPackage": (".gpkg",), "Shapefile": (".shp",), "GeoJSON": (".geojson", ".json")}
"""Suffixes from which GDAL takes the format."""
EXPECTED = "Use a GeoPackage, a Shapefile or GeoParquet."
SOUND = "Replace it by a sound copy."


@dataclass(frozen=True)
class Features:
    """Rows of a layer.

    Attributes:
        names: of the columns, without the geometry.
        columns: values of each.
        geometry: shapely geometries [rows]; None where the layer has none.
        crs: WKT; empty where the file names none.
        is_empty: whether the whole layer has no row.
    """

    names: tuple[str, ...]
    columns: list[Sequence[Any]]
    geometry: NDArray[Any] | None
    crs: str
    is_empty: bool


Bounds = tuple[float, float, float, float]
"""West, south, east, north."""


def read_features(
    path: Path, kind: str, layer: str | None, key: str, near: Callable[[str], Bounds | None] | None = None
) -> Features:
    """Read a layer.

    Args:
        path: of the file.
        kind: Parquet, or one of `SUFFIXES`.
        layer: its name; None: the only one.
        key: of the configuration that names the layer, for messages; empty where there is none.
        near: bounds within which features are needed, from the WKT that the file names, or an empty text. Others may
            be left out.

    Raises:
        InputError: the file has several layers, or not this one; or it cannot be read.
    """
    if kind == "Parquet":
        if layer is not None:
            raise InputError(key, f"{path} is Parquet, which has no layers", "Remove the key.")
        return _geo_parquet(path)
    endings = SUFFIXES[kind]
    if path.suffix.lower() not in endings:  # GDAL would take a .csv for CSV
        what = f"is a {kind} under another name"
        raise InputError(str(path), what, f"Rename it to end with {endings[0]}.")
    import pyogrio
    import shapely

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about further tables without geometry
            chosen = _layer(path, pyogrio.list_layers(path), layer, key)
            about = pyogrio.read_info(path, layer=chosen)
            bounds = near(str(about["crs"] or "")) if near else None
            meta, _, geometry, columns = pyogrio.raw.read(path, layer=chosen, bbox=bounds)
            shapes = None if geometry is None else shapely.from_wkb(geometry)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, shapely.errors.ShapelyError) as error:
        raise InputError(str(path), f"cannot be read ({error})", SOUND) from error
    names = tuple(map(str, meta["fields"]))
    return Features(names, list(columns), shapes, str(meta["crs"] or ""), is_empty=not about["features"])


def _layer(path: Path, found: NDArray[Any], layer: str | None, key: str) -> str | None:
    """The layer to read; None for the first of a file that has no geometry."""
    every = [str(name) for name, _ in found]
    with_geometry = [str(name) for name, geometry in found if geometry is not None]
    if layer is not None:
        if layer not in every:
            what = f"{path} has no layer {layer}"
            raise InputError(key, what, f"It has {', '.join(every)}." if every else "It has none.")
        return layer
    candidates = with_geometry or every
    if len(candidates) > 1:
        remedy = f"Name one of them with `{key}`." if key else "Export one of them to a file."
        raise InputError(str(path), f"has several layers: {', '.join(candidates)}", remedy)
    return candidates[0] if candidates else None


def is_geo_parquet(path: Path) -> bool:
    """Whether a Parquet file has geometries after the specification of GeoParquet; a folder has not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.is_dir():
        return False
    try:
        return b"geo" in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError, ValueError):
        return False  # whoever reads it says why


def _geo_parquet(path: Path) -> Features:
    import geopandas
    import pyarrow as pa
    import shapely
    from pyproj.exceptions import CRSError

    try:
        frame = geopandas.read_parquet(path)
    except (pa.ArrowException, OSError, ValueError, KeyError, CRSError, shapely.errors.ShapelyError) as error:
        raise InputError(str(path), f"cannot be read as GeoParquet ({error})", SOUND) from error
    own = frame.geometry.name
    names = [str(name) for name in frame.columns if name != own]
    crs = frame.crs.to_wkt() if frame.crs is not None else ""
    columns = [frame[name].to_numpy() for name in names]
    return Features(tuple(names), columns, frame.geometry.to_numpy(), crs, is_empty=frame.empty)


def points_of(features: Features) -> tuple[Floats, Floats] | None:
    """Coordinates x, y [rows] of a layer of points, NaN where there is none; None for any other layer."""
    import shapely

    if features.geometry is None or not len(features.geometry):
        return None
    kinds = shapely.get_type_id(features.geometry)
    is_point = np.isin(kinds, (shapely.GeometryType.POINT, shapely.GeometryType.MULTIPOINT))
    if not (is_point | (kinds == shapely.GeometryType.MISSING)).all():
        return None
    # A multipoint of several points is where no single gauge can be: it has no coordinates.
    single = shapely.get_num_coordinates(features.geometry) == 1
    x, y = np.full((2, len(kinds)), np.nan)
    x[single], y[single] = shapely.get_coordinates(features.geometry[single]).T
    return x, y


def is_vector(path: Path) -> bool:
    """Whether a file holds features, by its name."""
    return path.suffix.lower() in (".parquet", *(end for ends in SUFFIXES.values() for end in ends))


@dataclass(frozen=True)
class PolygonSource:
    """A file of polygons.

    Attributes:
        path: of the file.
        layer: of a GeoPackage that has several.
        crs: of the coordinates, whatever the file says.
    """

    path: Path
    layer: str | None = None
    crs: str | None = None


@dataclass(frozen=True)
class Polygons:
    """Polygons in the coordinate reference system of a grid.

    Attributes:
        path: of the file.
        names: of its columns.
        columns: values [p] of each.
        geometry: p valid shapely polygons or multipolygons.
    """

    path: Path
    names: tuple[str, ...]
    columns: list[Sequence[Any]]
    geometry: NDArray[Any]


def read_polygons(
    source: PolygonSource, key: str, crs_wkt: str, default_crs: str | None, bounds: Bounds | None = None
) -> Polygons:
    """Read polygons and transform them.

    Args:
        source: the file.
        key: section of the configuration, for messages.
        crs_wkt: coordinate reference system wanted.
        default_crs: of files that name none.
        bounds: in the coordinate reference system wanted, beyond which polygons are left out; None: nowhere.

    Raises:
        InputError: the file is not there, cannot be read, has no polygons or no coordinate reference system.
    """
    import shapely

    where = str(source.path) + (f", layer {source.layer}" if source.layer else "")

    def near(found: str) -> Bounds | None:
        crs = crs_of_file(found, source.crs, default_crs, where)
        return None if bounds is None else _transformed_bounds(bounds, crs_wkt, crs)

    kind = _kind(source.path, f"{key}.path")
    features = read_features(source.path, kind, source.layer, f"{key}.layer", near)
    geometry = features.geometry
    if geometry is None or features.is_empty:
        raise InputError(where, "has no polygons: it is empty", EXPECTED)
    is_polygon = np.isin(
        shapely.get_type_id(geometry), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    )
    is_used = is_polygon & ~shapely.is_empty(geometry)
    if len(geometry) and not is_used.any():
        kinds = sorted({shape.geom_type for shape in geometry if shape is not None}) or ["no geometry"]
        raise InputError(where, f"has no polygons but {', '.join(kinds)}", EXPECTED)
    crs = crs_of_file(features.crs, source.crs, default_crs, where)
    shapes = shapely.make_valid(_transformed(geometry[is_used], crs, crs_wkt, where))
    is_near = np.full(len(shapes), True) if bounds is None else shapely.intersects(shapes, shapely.box(*bounds))
    columns = [np.asarray(column, dtype=object)[is_used][is_near] for column in features.columns]
    return Polygons(source.path, features.names, list(columns), shapes[is_near])


def _transformed_bounds(bounds: Bounds, source: str, target: str) -> Bounds | None:
    """Bounds that hold others, in another coordinate reference system; None where they have none there."""
    from pyproj import Transformer

    west, south, east, north = Transformer.from_crs(source, target, always_xy=True).transform_bounds(*bounds)
    margin = 0.01 * max(abs(east - west), abs(north - south))
    if not np.isfinite(margin) or east < west:  # beyond the projection, or across the date line
        return None
    return west - margin, south - margin, east + margin, north + margin


def _kind(path: Path, where: str) -> str:
    if path.suffix.lower() in SUFFIXES["GeoJSON"] and path.is_file():
        return "GeoJSON"
    kind = kind_of(path, where)
    if kind == "text" or (kind == "Parquet" and not is_geo_parquet(path)):
        what = "Parquet without geometry" if kind == "Parquet" else "no file of polygons"
        raise InputError(where, f"{path} is {what}", EXPECTED)
    return kind


def _transformed(geometry: NDArray[Any], source: str, target: str, where: str) -> NDArray[Any]:
    import shapely

    points = shapely.get_coordinates(geometry)
    x, y = transform_points(source, target, points[:, 0], points[:, 1], 0.0, where)
    if not np.isfinite(x).all() or not np.isfinite(y).all():
        what = "has corners that cannot be transformed to the coordinate reference system of the model"
        raise InputError(where, what, "Is its coordinate reference system right?")
    return np.asarray(shapely.set_coordinates(shapely.force_2d(geometry), np.stack([x, y], axis=1)))


def inside(polygons: NDArray[Any], transform: Any, shape: tuple[int, int]) -> Flags:
    """Which cells [height, width] of a grid have their centre in a polygon."""
    from rasterio.features import rasterize

    burnt = rasterize(polygons.tolist(), out_shape=shape, transform=transform, fill=0, default_value=1, dtype="uint8")
    return np.asarray(burnt == 1)
