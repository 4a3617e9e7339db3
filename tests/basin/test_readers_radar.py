"""Radar composites of ODIM HDF5 and RADOLAN, and files in archives: times, flags, grids and refusals."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import format_files as files
import numpy as np
import pyproj
import pytest

from hydrocli.basin import containers
from hydrocli.basin.readers import ForcingSource, Layer, UnreadableError, reader_of
from hydrocli.basin.readers import odim as odim_module
from hydrocli.basin.readers import radolan as radolan_module
from hydrocli.errors import InputError

FIRST = files.TIMES[0] - np.timedelta64(10, "m")


def find(path: Path, format_: str, **options: Any) -> Any:
    source = ForcingSource(path, format_, **options)
    return reader_of(source).find(source, "forcing.precipitation.path")


def test_corners_of_the_composites_are_those_of_their_description() -> None:
    """Longitudes and latitudes of the corners, from the tables of the DWD (in degrees, four decimals)."""
    to_degrees = pyproj.Transformer.from_crs(
        radolan_module.PROJECTION, pyproj.CRS(radolan_module.PROJECTION).geodetic_crs, always_xy=True
    )
    corners = {
        (900, 900): [(2.0715, 54.5877), (15.7208, 54.7405)],
        (1100, 900): [(3.0889, 55.5482), (17.1128, 55.5342)],
    }
    for shape, (west, east) in corners.items():
        left, top = radolan_module.CORNERS[shape]
        np.testing.assert_allclose(to_degrees.transform(left, top), west, atol=6e-5)
        np.testing.assert_allclose(to_degrees.transform(left + 900_000, top), east, atol=6e-5)


def test_a_composite_is_valid_in_the_interval_that_ends_at_its_time(tmp_path: Path) -> None:
    archive = find(files.radolan(tmp_path / "r"), "radolan")
    assert archive.has_bounds
    assert archive.times[0] == FIRST
    header = radolan_module.header_of(files.radolan_content(0), "a")
    assert (header.product, header.minutes, header.precision, header.shape) == ("RW", 60, 0.1, (900, 900))


def test_bits_of_a_value(tmp_path: Path) -> None:
    """Values of a second source count, a sign turns, clutter and missing and stated values are missing."""
    content = bytearray(files.radolan_content(0))
    start = len(content) - 2 * 900 * 900
    for number, raw in enumerate((0x1000 | 37, 0x4000 | 5, 0x29C4, 0x8000 | 2490, 444)):
        content[start + 2 * number : start + 2 * number + 2] = raw.to_bytes(2, "little")
    (tmp_path / "a.bin").write_bytes(content)
    image = radolan_module.image(str(tmp_path / "a.bin"), ForcingSource(tmp_path, nodata=(444.0,)), 0)
    np.testing.assert_allclose(image.values[-1, :5], [3.7, -0.5, np.nan, np.nan, np.nan])  # the south-western cell
    assert image.unit == "mm"
    assert image.is_packed


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"RW", b"RX", r"is a RADOLAN product RX, which holds no depths of rain"),
        (b"GP 900x 900", b"GP1500x1400", "has 1500 x 1400 cells, a grid that is not known"),
        (b"BY", b"??", "cannot be read as RADOLAN .*does not begin with a header"),
        (b"PR E-01", b"-------", "cannot be read as RADOLAN .*lacks one of PR, INT and GP"),
        (b"\x03", b"\xff\xff", "cannot be read as RADOLAN"),
    ],
)
def test_composites_that_are_refused(tmp_path: Path, old: bytes, new: bytes, match: str) -> None:
    (tmp_path / "a---bin").write_bytes(files.radolan_content(0).replace(old, new, 1))
    with pytest.raises(InputError, match=rf"a---bin: {match}"):
        find(tmp_path, "radolan")
    if b"R" not in new:
        (tmp_path / "a---bin").write_bytes(files.radolan_content(0)[:-9])
        source = ForcingSource(tmp_path, "radolan")
        with pytest.raises(UnreadableError, match=r"1619991 bytes of values, 1620000 are expected"):
            sampler_of(source).read(Layer(str(tmp_path / "a---bin")))


def sampler_of(source: ForcingSource) -> Any:
    return reader_of(source).sampler(source, files.cells())


def edited(path: Path, group: str, **attributes: Any) -> Path:
    """The first composite of a folder with other attributes of a group; None removes one."""
    import h5py

    first = sorted(path.iterdir())[0]
    with h5py.File(first, "a") as file:
        for name, value in attributes.items():
            if value is None:
                del file[group].attrs[name]
            else:
                file[group].attrs[name] = value
    return first


def test_scans_reflectivity_and_lost_corners_are_refused(tmp_path: Path) -> None:
    scan = edited(files.odim(tmp_path / "a"), "what", object=b"PVOL")
    with pytest.raises(InputError, match=r"no radar composite of ODIM HDF5 \(object 'PVOL'\)"):
        find(scan, "odim")
    reflectivity = edited(files.odim(tmp_path / "b"), "dataset1/what", quantity=b"DBZH")
    with pytest.raises(InputError, match=r"has the quantities DBZH: one quantity of ACRR, RATE is expected"):
        find(reflectivity, "odim")
    cornerless = edited(files.odim(tmp_path / "c"), "where", UL_lat=None)
    with pytest.raises(InputError, match=r"has no UL_lat in its group `where`"):
        odim_module.image(str(cornerless), ForcingSource(cornerless, "odim"), 0)
    (tmp_path / "d.h5").write_bytes(b"no HDF5")
    with pytest.raises(UnreadableError, match=r"d\.h5: cannot be read as ODIM HDF5"):
        find(tmp_path / "d.h5", "odim")


def test_a_composite_without_interval_has_its_nominal_time(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("startdate", "starttime", "enddate", "endtime"))
    archive = find(edited(files.odim(tmp_path / "a"), "dataset1/what", **nothing), "odim")
    assert not archive.has_bounds
    assert archive.times.tolist() == files.TIMES[:1].tolist()


def test_nothing_detected_is_zero_and_no_data_is_missing(tmp_path: Path) -> None:
    path = edited(files.odim(tmp_path / "a"), "dataset1/data1/what", offset=-1.0, undetect=4.0, nodata=6.0)
    image = odim_module.image(str(path), ForcingSource(path, "odim"), 0)
    np.testing.assert_allclose(image.values[0], [-1.0, -0.5, 0.0, 0.5, 0.0, 1.5])
    raw = odim_module.image(str(path), ForcingSource(path, "odim", packing="ignore", nodata=(3.0,)), 0)
    np.testing.assert_allclose(raw.values[0], [0, 1, 2, np.nan, 0, 5])
    assert np.isnan(image.values[1, 0])  # stored as 6


def test_broken_archives_and_members_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK no archive")
    with pytest.raises(InputError, match=r"a\.zip cannot be listed .*damaged"):
        find(tmp_path, "geotiff")
    (tmp_path / "a.zip").unlink()
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as zipped:
        zipped.writestr("x/20200301.tif", b"II*\0broken")
    (layer,) = find(tmp_path, "geotiff").layers
    assert layer.path == f"{tmp_path}/b.zip/x/20200301.tif"
    source = ForcingSource(tmp_path)
    with sampler_of(source) as sampler, pytest.raises(UnreadableError, match=r"b\.zip/x/20200301\.tif: cannot be"):
        sampler.read(layer)
    with sampler_of(source) as sampler, pytest.raises(UnreadableError, match=r"b\.zip/y\.tif: cannot be .*lacks"):
        sampler.read(Layer(f"{tmp_path}/b.zip/y.tif"))


def test_a_folder_may_be_named_like_an_archive(tmp_path: Path) -> None:
    files.geotiff(tmp_path / "2020.zip")
    archive = find(tmp_path, "geotiff")
    assert len(archive.layers) == files.HOURS
    assert containers.file_of(archive.layers[0].path) == archive.layers[0].path


def test_an_archive_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    for content in (b"one", b"other"):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            (tmp_path / "x").write_bytes(content)
            tar.add(tmp_path / "x", "x")
        os.utime(tmp_path / "a.tar", (len(content), len(content)))
        assert containers.read_bytes(str(tmp_path / "a.tar" / "x")) == content


def test_bands_without_times_ask_for_what_is_true_of_them(tmp_path: Path) -> None:
    files.geotiff_bands(tmp_path / "rain_2020030101.tif", described=False)
    with pytest.raises(InputError, match=r"has 6 bands without times.*\n.*precipitation\.band_step: 1h"):
        find(tmp_path, "geotiff")
    assert len(find(tmp_path, "geotiff", band=2).layers) == 1
    times = find(tmp_path, "geotiff", band_step=3600).times
    np.testing.assert_array_equal(times, files.TIMES)


def test_descriptions_of_bands_with_two_times_are_none(tmp_path: Path) -> None:
    """Start and end of a step: which of them a field belongs to is not guessed."""
    import rasterio

    path = files.geotiff_bands(tmp_path / "rain_2020030101.tif")
    with rasterio.open(path, "r+") as dataset:
        for band in dataset.indexes:
            dataset.set_band_description(band, f"2020-03-01 0{band - 1}:00 to 2020-03-01 0{band}:00")
    with pytest.raises(InputError, match=r"has 6 bands without times.*\n.*precipitation\.band_step: 1h"):
        find(tmp_path, "geotiff")
