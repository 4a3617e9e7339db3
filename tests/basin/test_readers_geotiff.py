"""Rasters at active cells: alignment, nodata, coordinate systems, odd files; and archives by date."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio

from hydrocli.arrays import Floats
from hydrocli.basin.grid import Grid
from hydrocli.basin.readers import Archive, ForcingSource, Layer, UnreadableError, geotiff
from hydrocli.basin.readers.geotiff import READER, RasterSampler, raster_grid, read_whole
from hydrocli.basin.sampling import Points
from hydrocli.errors import InputError

Writer = Callable[..., Path]
GRID = Grid(pyproj.CRS("EPSG:2154").to_wkt(), (1000.0, 0.0, 800000.0, 0.0, -1000.0, 6450000.0), 4, 5)
ROW, COLUMN = np.array([0, 1, 3, 3]), np.array([4, 2, 0, 1])
NUMBER = (10.0 * np.arange(4)[:, None] + np.arange(5)).astype(np.float32)


def sampler(crs: str | None = None) -> RasterSampler:
    return RasterSampler(Points(GRID, *GRID.centres(ROW, COLUMN), crs))


def read(path: Path, crs: str | None = None) -> Floats:
    with sampler(crs) as opened:
        return opened.read(Layer(str(path)))


def open_archive(folder: Path, where: str) -> Archive:
    return READER.find(ForcingSource(folder), where)


def open_interannual(folder: Path, where: str) -> dict[str, Layer]:
    return READER.find_days(ForcingSource(folder), where)


def test_the_very_grid(tmp_path: Path, write_raster: Writer) -> None:
    np.testing.assert_array_equal(read(write_raster(tmp_path / "a.tif", NUMBER)), [4, 12, 30, 31])


@pytest.mark.parametrize(
    "options",
    [
        {"compress": "lzw", "predictor": 2},
        {"compress": "packbits"},
        {"compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"BIGTIFF": "YES"},
        {"ENDIANNESS": "BIG"},
    ],
)
def test_every_flavour_of_tiff(tmp_path: Path, write_raster: Writer, options: dict[str, object]) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBER.astype(np.int32), **options)
    np.testing.assert_array_equal(read(path), [4, 12, 30, 31])


def test_a_larger_raster_with_cells_in_line(tmp_path: Path, write_raster: Writer) -> None:
    large = np.full((10, 10), -1.0)
    large[2:6, 3:8] = NUMBER
    path = write_raster(tmp_path / "a.tif", large, corner=(797000.0, 6452000.0))
    np.testing.assert_array_equal(read(path), [4, 12, 30, 31])


def test_coarser_rasters_give_the_nearest_value_and_finer_ones_their_mean(tmp_path: Path, write_raster: Writer) -> None:
    coarse = write_raster(tmp_path / "a.tif", np.array([[1.0, 2, 3], [4, 5, 6]]), cell=2000.0)
    np.testing.assert_array_equal(read(coarse), [3, 2, 4, 4])
    fine = write_raster(tmp_path / "b.tif", np.kron(NUMBER, np.ones((3, 3))), cell=1000.0 / 3)
    np.testing.assert_allclose(read(fine), [4, 12, 30, 31], rtol=1e-15)


def test_another_coordinate_system_is_sampled_where_the_cells_are(tmp_path: Path, write_raster: Writer) -> None:
    """A raster in degrees whose values are the longitude: those of the cell centres come back to half a cell."""
    longitude = 4 + 0.001 * (np.arange(600) + 0.5)
    path = write_raster(
        tmp_path / "a.tif", np.tile(longitude, (500, 1)), crs="EPSG:4326", corner=(4.0, 45.4), cell=0.001
    )
    x, y = GRID.centres(ROW, COLUMN)
    expected = pyproj.Transformer.from_crs("EPSG:2154", "EPSG:4326", always_xy=True).transform(x, y)[0]
    np.testing.assert_allclose(read(path), expected, atol=0.0005)


def test_what_a_raster_does_not_cover_is_missing(tmp_path: Path, write_raster: Writer) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBER[:, :3])
    np.testing.assert_array_equal(read(path), [np.nan, 12, 30, 31])
    far = write_raster(tmp_path / "b.tif", NUMBER, corner=(0.0, 0.0))
    with pytest.raises(InputError, match=r"b\.tif: covers no active cell"):
        read(far)


@pytest.mark.parametrize(("dtype", "nodata"), [("int32", 12), ("uint16", 12), ("float32", 12), ("float64", np.nan)])
def test_nodata_is_missing(tmp_path: Path, write_raster: Writer, dtype: str, nodata: float) -> None:
    values = NUMBER.astype(dtype)
    if np.isnan(nodata):
        values[1, 2] = np.nan
    path = write_raster(tmp_path / "a.tif", values, nodata=nodata)
    np.testing.assert_array_equal(read(path), [4, np.nan, 30, 31])


def test_nodata_of_the_peers_archives_in_single_precision(tmp_path: Path, write_raster: Writer) -> None:
    values = NUMBER.copy()
    values[1, 2] = -3.4e38
    path = write_raster(tmp_path / "a.tif", values, nodata=-3.3999999521443642e38)
    np.testing.assert_array_equal(read(path), [4, np.nan, 30, 31])


def test_scale_and_offset_of_the_band_count(tmp_path: Path, write_raster: Writer) -> None:
    import rasterio

    path = write_raster(tmp_path / "a.tif", NUMBER.astype(np.int16), nodata=12)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.5,), (100.0,)
    np.testing.assert_array_equal(read(path), [102, np.nan, 115, 115.5])


def test_grids_may_change_from_file_to_file(tmp_path: Path, write_raster: Writer) -> None:
    """Same size, other place: each file is sampled by its own georeference."""
    here = write_raster(tmp_path / "a.tif", NUMBER)
    shifted = write_raster(tmp_path / "b.tif", NUMBER, corner=(799000.0, 6450000.0))
    with sampler() as opened:
        for _ in range(2):
            np.testing.assert_array_equal(opened.read(Layer(str(here))), [4, 12, 30, 31])
            np.testing.assert_array_equal(opened.read(Layer(str(shifted))), [np.nan, 13, 31, 32])


def test_a_world_file_places_a_raster(tmp_path: Path, write_raster: Writer) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBER, crs=None, profile="BASELINE", TFW="YES")
    (tmp_path / "a.tif.aux.xml").unlink(missing_ok=True)
    np.testing.assert_array_equal(read(path, "EPSG:2154"), [4, 12, 30, 31])


def test_a_raster_without_crs_needs_to_be_told(tmp_path: Path, write_raster: Writer) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBER, crs=None)
    with pytest.raises(InputError, match=r"a\.tif: does not name its coordinate reference system"):
        read(path)
    np.testing.assert_array_equal(read(path, "EPSG:2154"), [4, 12, 30, 31])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_without_georeference_is_refused(tmp_path: Path, write_raster: Writer) -> None:
    path = write_raster(tmp_path / "a.tif", NUMBER, transform=None)
    with pytest.raises(InputError, match=r"a\.tif: is not georeferenced"):
        raster_grid(path, "EPSG:2154")


def test_several_bands_are_refused(tmp_path: Path, write_raster: Writer) -> None:
    one = write_raster(tmp_path / "one.tif", NUMBER)
    two = write_raster(tmp_path / "two.tif", np.stack([NUMBER, NUMBER]))
    with sampler() as opened:
        opened.read(Layer(str(one)))
        with pytest.raises(InputError, match=r"two\.tif: has 2 bands"):
            opened.read(Layer(str(two)))


@pytest.mark.parametrize("length", [0, 4, 100, 450])
def test_broken_files_are_named(tmp_path: Path, write_raster: Writer, length: int) -> None:
    whole = write_raster(tmp_path / "a.tif", np.tile(NUMBER, (4, 4)))
    broken = tmp_path / "b.tif"
    broken.write_bytes(whole.read_bytes()[:length])
    with pytest.raises(UnreadableError, match=r"b\.tif: cannot be read as a raster"):
        read(broken)


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.tif: does not exist, or not any more"):
        read(tmp_path / "gone.tif")
    with pytest.raises(InputError, match=r"gone\.tif: does not exist, or not any more"):
        read_whole(tmp_path / "gone.tif")


def test_paths_of_any_length_and_letters(tmp_path: Path, write_raster: Writer) -> None:
    """The peer cuts paths at 256 characters, and then all rain is missing."""
    folder = tmp_path / ("long " * 20) / ("é#%!" * 20) / ("deep" * 20)
    path = write_raster(folder / "rain_202001010100.tif", NUMBER)
    assert len(str(path)) > 300
    assert open_archive(tmp_path, "rain").layers == (Layer(str(path)),)
    np.testing.assert_array_equal(read(path), [4, 12, 30, 31])


def names(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def test_an_archive_is_read_by_the_dates_in_its_names(tmp_path: Path) -> None:
    folder = names(
        tmp_path, "2014/09/v2_rain_201409150100.tif", "201409140000.TIFF", "a_201409150000.tif",
        "mask.tif", "201409150300.txt", "7/x201409150300y.tif",
    )  # fmt: skip
    (folder / "again").symlink_to(folder)
    archive = open_archive(folder, "rain")
    assert archive.times.astype("datetime64[m]").astype(str).tolist() == [
        "2014-09-14T00:00", "2014-09-15T00:00", "2014-09-15T01:00", "2014-09-15T03:00"
    ]  # fmt: skip
    (note,) = archive.notes
    assert note.startswith("1 files without a date are left out")
    assert note.endswith("mask.tif")
    assert not archive.is_daily
    part = archive.between(np.datetime64("2014-09-15T00:00"), np.datetime64("2014-09-15T01:00"))
    assert len(part.layers) == len(part.times) == 2
    assert open_archive(names(tmp_path / "daily", "20140101_T.tif", "20140102_T.tif"), "t").is_daily


def test_a_name_without_a_date_says_nothing_of_names_like_it(tmp_path: Path) -> None:
    """The hour 24 ends the day; a number that is no date is in no archive."""
    folder = names(tmp_path, "r_20201332_0100.tif", "r_20200331_2300.tif", "r_20200331_2400.tif", "r_20200401_0100.tif")
    archive = open_archive(folder, "rain")
    hours = (archive.times - archive.times[0]).astype("timedelta64[h]").astype(int)
    assert (str(archive.times[0]), hours.tolist()) == ("2020-03-31T23:00:00", [0, 1, 2])
    assert archive.names == "r_20200331_2300.tif is read as 2020-03-31T23:00:00"
    assert "r_20201332_0100.tif" in archive.notes[0]


def test_two_files_of_one_date_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a_20140915.tif and .*b_20140915.tif have the same date"):
        open_archive(names(tmp_path, "a_20140915.tif", "b_20140915.tif"), "forcing.rain.path")
    with pytest.raises(InputError, match=r"0101_a.tif and .*0101_b.tif have the same date"):
        open_interannual(names(tmp_path / "pet", "0101_a.tif", "0101_b.tif"), "pet")


def test_impossible_dates_and_empty_archives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file with a date .*\n  It has files such as 20141301.tif"):
        open_archive(names(tmp_path / "a", "20141301.tif"), "rain")
    with pytest.raises(InputError, match=r"0230_x.tif holds no day"):
        open_interannual(names(tmp_path / "b", "0230_x.tif", "0229_x.tif"), "pet")
    with pytest.raises(
        InputError, match=r"has no file with a date.*\n  It has files such as rain\.tif\. Say where the date stands"
    ):
        open_archive(names(tmp_path / "c", "rain.tif"), "rain")
    with pytest.raises(InputError, match="has no file with a day"):
        open_interannual(names(tmp_path / "d", "rain.tif"), "pet")
    with pytest.raises(InputError, match=r"rain: .*none does not exist"):
        open_archive(tmp_path / "none", "rain")


def test_a_crs_that_cannot_be_transformed_is_named(tmp_path: Path, write_raster: Writer) -> None:
    """A GeoTIFF of a French agency has an engineering CRS that is only named like Lambert-93."""
    local = 'LOCAL_CS["RGF93 v1 / Lambert-93",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
    path = write_raster(tmp_path / "a.tif", NUMBER, crs=local)
    with pytest.raises(
        InputError,
        match=r"a\.tif: has a coordinate reference system 'RGF93 v1 / Lambert-93' that is a local.*\n.*crs",
    ):
        read(path)
    np.testing.assert_array_equal(read(path, "EPSG:2154"), [4, 12, 30, 31])


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    names(tmp_path, "rain/20200101.tif", "rain/lost+found/x")
    scan = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("lost+found"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"rain: .*lost\+found cannot be listed \(Permission denied\)\n  Change"):
        open_archive(tmp_path / "rain", "rain")


def flavours(folder: Path, write_raster: Writer) -> list[Path]:
    """Rasters that differ in what their headers, or files beside them, say of the values; three of each."""
    made: dict[str, dict[str, object]] = {
        "plain": {},
        "nodata": {"nodata": 12.0},
        "rounded": {"nodata": -3.4028234663852886e38},
        "tiled": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
        "predictor": {"compress": "lzw", "predictor": 3},
        "big": {"BIGTIFF": "YES"},
        "endian": {"ENDIANNESS": "BIG"},
    }
    paths = [
        write_raster(folder / f"{name}{k}.tif", NUMBER + 100 * k, **options)
        for name, options in made.items()
        for k in range(3)
    ]
    for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float64"):
        paths += [write_raster(folder / f"{kind}{k}.tif", (NUMBER + k).astype(kind), nodata=12) for k in range(2)]
    for k in range(2):  # scale and offset, a mask within, overviews, and a mask and nodata beside them
        packed, masked, small, beside, aside = (
            write_raster(folder / f"{name}{k}.tif", NUMBER + k) for name in ("packed", "mask", "cog", "beside", "aux")
        )
        with rasterio.open(packed, "r+") as dataset:
            dataset.scales, dataset.offsets = (0.5 + k,), (3.0,)
            dataset.update_tags(written=f"on day {k}")
        for path, options in ((masked, {"GDAL_TIFF_INTERNAL_MASK": True}), (beside, {})):
            with rasterio.Env(**options), rasterio.open(path, "r+") as dataset:
                dataset.write_mask(NUMBER != 30)
        with rasterio.open(small, "r+") as dataset:
            dataset.build_overviews([2])
        statement = "<PAMDataset><PAMRasterBand band='1'><NoDataValue>4</NoDataValue></PAMRasterBand></PAMDataset>"
        aside.with_name(f"{aside.name}.aux.xml").write_text(statement)
        paths += [packed, masked, small, beside, aside]
    wide = write_raster(folder / "wide.tif", np.pad(NUMBER, ((0, 0), (0, 2))))
    odd = write_raster(folder / "a & b's <c>.tif", NUMBER)
    zipped = folder / "zipped.tif.gz"
    zipped.write_bytes(gzip.compress(odd.read_bytes()))
    return [*paths, wide, odd, zipped]


def test_fields_read_together_are_those_read_one_by_one(
    tmp_path: Path, write_raster: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = flavours(tmp_path, write_raster)
    together: list[int] = []
    opened_together = geotiff.opened_together
    monkeypatch.setattr(
        geotiff, "opened_together", lambda paths, band: (together.append(len(paths)), opened_together(paths, band))[1]
    )
    for order in (paths, paths[::-1], sorted(paths, key=lambda path: path.stat().st_size)):
        layers = [Layer(str(path)) for path in order]
        with sampler() as opened:
            expected = np.stack([opened.read(layer) for layer in layers])
        with sampler() as opened:
            np.testing.assert_array_equal(opened.read_many(layers), expected)
    assert sum(together) > len(paths)
    monkeypatch.setattr(geotiff, "WINDOW_BYTES", 0.0)  # one at a time
    with sampler() as opened:
        np.testing.assert_array_equal(opened.read_many(layers), expected)


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "other"])
def test_a_broken_file_among_others_is_named(damage: str, tmp_path: Path, write_raster: Writer) -> None:
    paths = [write_raster(tmp_path / f"{k}.tif", NUMBER + k, compress="deflate") for k in range(5)]
    broken = paths[3]
    content = broken.read_bytes()
    broken.unlink()
    if damage != "absent":
        with_holes = content[: len(content) // 2] + bytes(len(content) - len(content) // 2)
        broken.write_bytes({"empty": b"", "cut": content[:-10], "other": with_holes}[damage])
    layers = [Layer(str(path)) for path in paths]
    with sampler() as opened, pytest.raises(UnreadableError, match=r"3\.tif"):
        opened.read_many(layers)
    with sampler() as opened:
        np.testing.assert_array_equal(opened.read_many(layers[:3])[:, 1], [12, 13, 14])
