"""A configuration from a folder: what is recognised passes `check`, and what the files leave open is asked."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import discharge_files
import field_cases as cases
import format_files as files
import numpy as np
import pandas as pd
import pyproj
import pytest

from hydrocli.basin.survey import survey
from hydrocli.commands.check import check
from hydrocli.commands.init import init_from
from hydrocli.config import load

OUTLET = pyproj.Transformer.from_crs("EPSG:2154", "EPSG:4326", always_xy=True).transform(805500, 6494500)
"""Longitude and latitude of the gauge of the base case."""


def written(folder: Path, *changes: tuple[str, str]) -> tuple[Path, list[str]]:
    """The configuration of a folder, with pieces of its text replaced, and what is said on the screen."""
    text, sentences = init_from(folder, folder.parent)
    for old, new in changes:
        assert old in text, text
        text = text.replace(old, new)
    path = folder.parent / "config.yaml"
    path.write_text(text)
    return path, sentences


def asked(sentences: list[str]) -> list[str]:
    return [one.removeprefix("to answer: ") for one in sentences if one.startswith("to answer: ")]


@pytest.mark.parametrize("way", files.WAYS)
def test_every_format_is_recognised(tmp_path: Path, way: str) -> None:
    """`check` finds nothing wrong with what is written; what the files leave open is asked."""
    folder = tmp_path / "archive"
    files.write_basin(folder)
    wanted = files.WAYS[way](folder)
    shutil.rmtree(folder / "t", ignore_errors=True)  # what was packed
    path, sentences = written(folder)
    questions = asked(sentences)
    if way == "geotiff bands of a step":
        assert "band_step" in questions[0]
        assert [one[:6] for one in questions[1:]] == ["period"]
        text = path.read_text().replace("#? ", "")
        path.write_text(text.replace("2020-01-01", "2020-03-01").replace("2021-01-01T00", "2020-03-01T06"))
        questions = [one for one in questions if "band_step" not in one and not one.startswith("period")]
    assert questions == []
    report = check(path, [])
    assert report["problems"] == []
    experiment = load(path)
    assert experiment.forcing.precipitation.format == wanted.format
    assert experiment.forcing.precipitation.offset == wanted.offset
    assert (experiment.period.step, report["steps"], report["cells"]) == (3600, 6, 36)
    assert experiment.basin.flow_directions.encoding == "smash"


def archive(folder: Path) -> Path:
    """The base case of awkward inputs."""
    cases.base_case(folder)
    return folder


def test_a_small_archive_of_smash_is_recognised(tmp_path: Path) -> None:
    path, sentences = written(archive(tmp_path / "a"))
    assert asked(sentences) == []
    report = check(path, [])
    assert report["problems"] == []
    assert load(path).period.calibration is not None
    assert [row["gauge"] for row in report["gauges"]] == ["G1", "G2"]
    assert any("mm per step is assumed" in one for one in sentences)


def test_several_archives_of_one_kind_are_a_question(tmp_path: Path) -> None:
    """Neither of two archives of rain is taken; either answer passes."""
    folder = archive(tmp_path / "a")
    cases.write_rain(folder / "radar" / "rain")
    path, sentences = written(folder)
    assert [one for one in asked(sentences) if "precipitation" in one] == ["precipitation: which of radar/rain, rain?"]
    with pytest.raises(Exception, match=r"forcing\.precipitation: is required"):
        load(path)


def test_encodings_that_fit_alike_are_a_question(tmp_path: Path) -> None:
    """Without areas nothing tells the encodings of a raster apart."""
    folder = archive(tmp_path / "a")
    (folder / "gauges.csv").write_text("code,x,y\nG1,805500,6494500\n")
    path, sentences = written(folder)
    (question,) = [one for one in asked(sentences) if "encoding" in one]
    assert "smash" in question
    assert "grass" in question
    assert "#? encoding: smash" in path.read_text()


def test_kelvin_without_a_unit_are_recognised(tmp_path: Path) -> None:
    folder = archive(tmp_path / "a")
    shutil.rmtree(folder / "pet")
    for hour in cases.HOURS[::24]:
        cases.raster(folder / "tair" / f"{cases.stamp(hour)}.tif", np.full((6, 6), 280.0, np.float32))
    path, sentences = written(folder)
    assert load(path).forcing.temperature.unit == "K"
    assert load(path).forcing.pet.kind == "oudin"
    assert any("kelvin" in one for one in sentences)


def wide(folder: Path, form: str = "%Y-%m-%d %H:%M", zone: str = "Europe/Paris") -> None:
    """A wide table over the end of summer time: decimal commas, local times, flags, Latin-1."""
    times = pd.date_range("2020-10-20", "2020-10-30", freq="1h", tz="UTC").tz_convert(zone)
    lines = ["Date;G1;G1_qualité;G2;G2_qualité"]
    for k, when in enumerate(times):
        flag = "Bonne" if k % 5 else "Douteuse"
        lines.append(f"{when:{form}};{1 + k % 7},5;{flag};{2 + k % 3},25;{flag}")
    (folder / "debits.csv").write_text("\n".join(lines) + "\n", encoding="latin-1")


def test_a_wide_table_of_a_local_clock_asks_for_its_zone(tmp_path: Path) -> None:
    folder = archive(tmp_path / "a")
    shutil.rmtree(folder / "q")
    wide(folder)
    path, sentences = written(folder)
    (question,) = [one for one in asked(sentences) if "timezone" in one]
    assert "2020-10-25" in question
    text = path.read_text()
    assert "format: wide" in text
    assert "# flags: [Bonne, Douteuse]" in text
    path.write_text(text.replace("#? timezone", "timezone"))
    assert load(path, ["period.calibration=[2020-03-01T12:00Z, 2020-03-02T12:00Z]"]).gauges.discharge.timezone


def test_days_and_months_that_may_be_either_are_a_question(tmp_path: Path) -> None:
    folder = archive(tmp_path / "a")
    shutil.rmtree(folder / "q")
    rows = [f"0{day}/0{month}/2020 00:00;1,5;2,5" for month in (1, 2) for day in range(1, 10)]
    (folder / "q.csv").write_text("date;G1;G2\n" + "\n".join(rows) + "\n")
    path, sentences = written(folder)
    assert any("date_format" in one for one in asked(sentences))
    assert "#? date_format: '%d/%m/%Y %H:%M'" in path.read_text()


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (
            "station;xl93;yl93;surface\nG1;805500,0;6494500,0;36,0\n",
            "columns: {code: station, x: xl93, y: yl93, area: surface}",
        ),
        ("code,x,y,area_m2\nG1,805500,6494500,36000000\n", "area_unit: m2"),
        (f"code,lon,lat,area\nG1,{OUTLET[0]},{OUTLET[1]},36\n", "crs: EPSG:4326"),
    ],
)
def test_tables_of_gauges(tmp_path: Path, table: str, line: str) -> None:
    folder = archive(tmp_path / "a")
    (folder / "gauges.csv").write_text(table)
    path, sentences = written(folder)
    assert line in path.read_text()
    assert [one for one in asked(sentences) if "gauges" in one or "flow" in one] == []
    assert [one for one in check(path, [])["problems"] if "gauges.table" in one] == []


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("%Y%j%H", "pattern: '%Y%j%H.tif'"),
        ("RR_%Y-%m-%d_%H%M", ""),
    ],
)
def test_names_of_files(tmp_path: Path, form: str, line: str) -> None:
    folder = tmp_path / "a"
    cases.base_case(folder, with_rain=False)
    cases.write_rain(folder / "rain", f"{form}.tif")
    path, sentences = written(folder)
    assert line in path.read_text()
    assert asked(sentences) == []
    assert check(path, [])["problems"] == []


def test_names_with_start_and_end_are_a_question(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    cases.base_case(folder, with_rain=False)
    for hour in cases.HOURS:
        name = f"rain_{cases.stamp(hour - np.timedelta64(1, 'h'))}_{cases.stamp(hour)}.tif"
        cases.raster(folder / "rain" / name, np.full((6, 6), 1.0, np.float32))
    path, sentences = written(folder)
    question, _ = asked(sentences)  # and the period, which follows from it
    assert "may be 2020-03-01 00:00:00 or 2020-03-01 01:00:00" in question
    for pattern in ("rain_%Y%m%d%H%M_*.tif", "rain_*_%Y%m%d%H%M.tif"):
        assert f"#? pattern: {pattern}" in path.read_text()


def test_two_archives_in_one_folder_get_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    cases.base_case(folder, with_rain=False)
    cases.write_rain(folder / "meteo", "rain_%Y%m%d%H%M.tif")
    for hour in cases.HOURS:
        cases.raster(folder / "meteo" / f"temp_{cases.stamp(hour)}.tif", np.full((6, 6), 10.0, np.float32))
    path, sentences = written(folder)
    assert asked(sentences) == []
    patterns = {role: getattr(load(path).forcing, role).pattern for role in ("precipitation", "temperature")}
    assert patterns == {"precipitation": ("rain_%Y%m%d%H%M.tif",), "temperature": ("temp_%Y%m%d%H%M.tif",)}
    assert check(path, [])["problems"] == []


def test_many_files_take_little_time(tmp_path: Path) -> None:
    """Names are listed; of the files only the first and the last are opened."""
    folder = archive(tmp_path / "a")
    rain = next((folder / "rain").iterdir()).read_bytes()
    start = np.datetime64("2000-01-01T00:00", "s")
    first = folder / "first.tif"
    first.write_bytes(rain)
    for hour in range(5_000):
        (folder / "rain" / f"{cases.stamp(start + np.timedelta64(hour, 'h'))}.tif").hardlink_to(first)
    first.unlink()
    began = time.process_time()
    found = survey(folder)
    assert time.process_time() - began < 3
    (precipitation,) = found.of("precipitation")
    assert precipitation.words.startswith("5048 files of geotiff")


@pytest.mark.parametrize(("format", "name", "text"), discharge_files.ARCHIVES)
def test_archives_of_discharge_are_recognised(tmp_path: Path, format: str, name: str, text: str) -> None:  # noqa: A002
    """Their daily means stand beside hourly rain, and are compared as such."""
    folder = archive(tmp_path / "a")
    shutil.rmtree(folder / "q")
    (folder / "gauges.csv").write_text("code,x,y,area\n012,805500,6494500,36\n")
    file = folder / "observed" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(text.encode("cp1252"))
    path, sentences = written(folder)
    assert asked(sentences) == []
    assert load(path).gauges.discharge.format == format
    report = check(path, [])
    assert report["problems"] == []
    assert any("means of 1d" in one for one in report["warnings"])
    assert report["gauges"][0]["observed_missing"] == 0


def test_stations_in_netcdf_are_recognised(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    folder = archive(tmp_path / "a")
    shutil.rmtree(folder / "q")
    values = np.arange(48.0)[:, None] + 1
    coordinates = {"time": np.array(cases.HOURS, "datetime64[ns]"), "station": ["G1"]}
    field = xarray.DataArray(values, dims=("time", "station"), coords=coordinates, attrs={"units": "m3/s"})
    field.to_dataset(name="q").to_netcdf(folder / "q.nc", engine="h5netcdf")
    path, sentences = written(folder)
    assert load(path).gauges.discharge.format == "netcdf"
    assert asked(sentences) == []


def test_a_dem_in_place_of_directions(tmp_path: Path) -> None:
    """The cells of the model and descriptors are proposed."""
    folder = archive(tmp_path / "a")
    (folder / "flwdir.tif").unlink()
    down, across = np.mgrid[:60, :60]
    surface = 500.0 + 3.0 * np.abs(across - 55) + 0.5 * (60 - down)
    cases.raster(folder / "mnt.tif", surface.astype(np.float32), cell=100.0)
    path, sentences = written(folder)
    assert asked(sentences) == []
    assert load(path).basin.dem.resolution == 1000
    assert "slope: {derived: slope}" in path.read_text()


def test_what_has_no_role_is_said(tmp_path: Path) -> None:
    folder = archive(tmp_path / "a")
    (folder / "readme.docx").write_text("?")
    (folder / "other.csv").write_text("a,b\n1,2\n")
    (folder / "bad.nc").write_text("no NetCDF")
    (folder / "run").mkdir()
    (folder / "run" / "manifest.json").write_text("{}")
    said = "\n".join(written(folder)[1])
    for words in ("readme.docx", "other.csv is neither", "bad.nc", "run is a run folder"):
        assert words in said, said


def test_of_several_tables_that_with_gauges_on_the_rasters_counts(tmp_path: Path) -> None:
    folder = archive(tmp_path / "a")
    (folder / "all.csv").write_text("gauge_id,gauge_lat,gauge_lon,area\nX,60.0,20.0,36\n")
    path, sentences = written(folder)
    assert load(path).gauges.table.name == "gauges.csv"
    assert any("all.csv has gauges outside of the rasters" in one for one in sentences)


def test_areas_and_classes_are_pointed_out(tmp_path: Path) -> None:
    gpd = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    folder = archive(tmp_path / "a")
    box = shapely.box(800_000, 6_494_000, 806_000, 6_500_000)
    gpd.GeoDataFrame({"id": [1]}, geometry=[box], crs="EPSG:2154").to_file(folder / "areas.gpkg")
    cases.raster(folder / "landcover.tif", np.arange(36, dtype=np.uint8).reshape(6, 6) % 5 + 111)
    path, sentences = written(folder)
    assert any("areas.gpkg has no gauges; areas may be the domain" in one for one in sentences)
    assert "classes: [1, 2]" in path.read_text()
    assert asked(sentences) == []
