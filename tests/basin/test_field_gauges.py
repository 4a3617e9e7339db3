"""Awkward gauges, discharge and directions of the field, as changes of the base case; forcing has a file of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from field_cases import DIRECTIONS, HOURS, base_case, raster, write_yaml

from hydrocli.basin.descriptors import read_descriptors
from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.basin.domain import make_domain
from hydrocli.basin.gauges import read_gauges
from hydrocli.basin.source import BasinSource, DescriptorSource, fingerprint_of, make_plan
from hydrocli.config import load
from hydrocli.errors import HydrocliError

LOCAL = (
    'LOCAL_CS["RGF93 v1 / Lambert-93",UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["Easting",EAST],'
    'AXIS["Northing",NORTH]]'
)


SLOPE = np.linspace(0.0, 0.3, 36).reshape(6, 6).astype(np.float32)
"""Of the cells, as a descriptor."""


@pytest.fixture
def source(tmp_path: Path) -> BasinSource:
    return base_case(tmp_path, with_rain=False)


def gauges(source: BasinSource, text: str) -> BasinSource:
    source.gauges.write_text(text)
    return source


def areas(source: BasinSource) -> list[float]:
    return [area / 1e6 for area in make_domain(source)[1].area_found.tolist()]


def refused(source: BasinSource) -> str:
    with pytest.raises(HydrocliError) as caught:
        make_domain(source)
    return str(caught.value)


def encoded(encoding: dict[int, int]) -> np.ndarray:
    return np.vectorize(encoding.__getitem__)(DIRECTIONS).astype(np.uint8)


@pytest.mark.parametrize(
    ("encoding", "codes"),
    [
        ("esri", {3: 1, 5: 4, 0: 0}),
        ("ldd", {3: 6, 5: 2, 0: 5}),
        ("taudem", {3: 1, 5: 7, 0: 7}),
        ("grass", {3: 8, 5: 6, 0: 0}),
        ("whitebox", {3: 2, 5: 8, 0: 0}),
    ],
)
def test_directions_of_other_programs(source: BasinSource, encoding: str, codes: dict[int, int]) -> None:
    raster(source.flow_directions, encoded(codes))
    assert areas(replace(source, encoding=encoding)) == [36, 18]
    wrong = "esri" if encoding == "whitebox" else "smash"
    if encoding != wrong:
        text = refused(replace(source, encoding=wrong))
        assert encoding in text.replace("encodings", "")
        assert "encoding" in text


def test_every_direction_of_every_encoding_leads_to_its_neighbour(source: BasinSource) -> None:
    """Eight cells around an outlet, named by their sides."""
    clockwise = {(-1, -1): 4, (-1, 0): 5, (-1, 1): 6, (0, 1): 7, (1, 1): 8, (1, 0): 1, (1, -1): 2, (0, -1): 3}
    tables = {
        "smash": (1, 2, 3, 4, 5, 6, 7, 8),
        "taudem": (3, 2, 1, 8, 7, 6, 5, 4),
        "grass": (2, 1, 8, 7, 6, 5, 4, 3),
        "whitebox": (128, 1, 2, 4, 8, 16, 32, 64),
    }
    gauges(source, "code,x,y,area\nG1,801500,6498500,9\n")
    for encoding, codes in tables.items():
        directions = np.zeros((3, 3), np.uint8)
        for (row, column), towards in clockwise.items():
            directions[1 + row, 1 + column] = codes[towards - 1]
        if encoding == "taudem":  # it has no outlet: water of the middle would go on
            continue
        raster(source.flow_directions, directions)
        assert areas(replace(source, encoding=encoding, gauge_codes=("G1",))) == [9]


def test_cycles_and_odd_codes_far_from_the_catchments_are_noted(source: BasinSource) -> None:
    wide = np.full((12, 12), 3, np.uint8)
    wide[:6, :6] = DIRECTIONS
    wide[:, 6:] = 5
    wide[0, 10], wide[0, 11] = 3, 7
    wide[11, 9] = 9
    raster(source.flow_directions, wide)
    network, _, notes = make_domain(source)
    assert len(network) == 36
    assert len([note for note in notes if "outside of the catchments" in note]) == 2
    wide[2, 2], wide[2, 3] = 3, 7
    raster(source.flow_directions, wide)
    assert "the flow runs in cycles" in refused(replace(source, area_tolerance=0.3))
    wide[2, 3], wide[3, 3] = 3, 9
    raster(source.flow_directions, wide)
    assert "codes 9 do not exist in the encoding smash" in refused(replace(source, area_tolerance=0.3))


def test_an_outlet_with_the_value_of_nodata_is_kept(source: BasinSource) -> None:
    wide = np.zeros((8, 8), np.uint8)
    wide[:6, :6] = DIRECTIONS
    raster(source.flow_directions, wide, nodata=0)
    assert areas(source) == [36, 18]
    assert len(make_domain(source)[0]) == 36


def test_a_crs_of_no_use_is_overruled_by_the_key(source: BasinSource) -> None:
    raster(source.flow_directions, DIRECTIONS, crs=LOCAL)
    assert areas(replace(source, flow_directions_crs="EPSG:2154", gauges_crs="EPSG:2154")) == [36, 18]
    raster(source.flow_directions, DIRECTIONS)
    assert "RGF93 v1 / Lambert-93" in refused(replace(source, gauges_crs=LOCAL))


def test_rows_of_others_are_not_examined_and_equal_rows_are_one(source: BasinSource) -> None:
    base = source.gauges.read_text()
    assert areas(gauges(source, base + "G9,1,2,-999\nG8,1,1,1\nG8,1,1,1\n")) == [36, 18]
    assert areas(gauges(source, base + "G1,805500,6494500,36\n")) == [36, 18]
    assert "gauge G1 is listed 2 times" in refused(gauges(source, base + "G1,805500,6494500,35\n"))


def test_gauges_far_from_their_river(source: BasinSource) -> None:
    far = "code,x,y,area\nG1,805500,6494500,36\nG2,802500,6497500,18\n"
    text = refused(gauges(source, far))
    assert "G2 18 km2 in the table, 4 found" in text
    assert "Cells around: G2: 4 km2 at 1 km" in text
    assert "`gauges.snap_distance`" in text
    _, found, notes = make_domain(replace(source, snap_distance=4000.0))
    assert found.area_found.tolist() == [36e6, 18e6]
    assert "gauge G2: its cell is 3 km from its coordinates" in notes


def test_areas_may_be_absent_with_a_distance(source: BasinSource) -> None:
    gauges(source, "code,x,y,area\nG1,805500,6494500,\nG2,804500,6497500,-999\n")
    assert "gauge G2 needs finite x and y and an area above 0" in refused(source)
    assert areas(replace(source, snap_distance=1000.0)) == [36, 18]
    gauges(source, "code,x,y\nG1,805500,6494500\nG2,804500,6497500\n")
    assert areas(replace(source, snap_distance=1000.0)) == [36, 18]


def test_areas_in_square_metres(source: BasinSource) -> None:
    gauges(source, "code,x,y,area\nG1,805500,6494500,36e6\nG2,805500,6497500,18e6\n")
    assert areas(source) == areas(replace(source, area_unit="m2")) == [36, 18]
    assert "areas are taken for m2" in read_gauges(source.gauges).notes[0]
    assert not read_gauges(source.gauges, area_unit="m2").notes


def test_columns_by_name(source: BasinSource) -> None:
    gauges(source, "cdstationhydro;code;x;y;surface\nG1;1;805500;6494500;36\nG2;2;805500;6497500;18\n")
    columns = {"code": "cdstationhydro", "area": "surface"}
    assert areas(replace(source, gauge_columns=columns)) == [36, 18]
    text = refused(replace(source, gauge_columns={"code": "station"}))
    assert "gauges.columns.code" in text
    assert "It has cdstationhydro, code, x, y, surface" in text


def test_codes_that_lost_their_zeros(source: BasinSource) -> None:
    gauges(source, "code,x,y,area\n1022500,805500,6494500,36\n")
    text = refused(replace(source, gauge_codes=("01022500",)))
    assert "Did you mean 1022500? Leading zeros are part of a code" in text
    frame = pd.DataFrame({"code": [1022500.0, np.nan], "x": 805500.0, "y": 6494500.0, "area": 36.0})
    frame.to_parquet(source.gauges.with_suffix(".parquet"))
    table = read_gauges(source.gauges.with_suffix(".parquet"), ["1022500"])
    assert table.code == ("1022500",)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("G1", "write a list for codes: [G1]"),
        ("[39/001]", "holds a slash"),
        ("[01022500, 9162E10]", "91620000000000.0 is not a gauge code"),
        ("[01022500, NO]", None),
    ],
)
def test_codes_in_the_yaml(tmp_path: Path, value: str, words: str | None) -> None:
    path = write_yaml(tmp_path, ("calibration: [G1, G2]", f"calibration: {value}"))
    if words is None:
        assert load(path, []).gauges.calibration == ("01022500", "NO")
        return
    with pytest.raises(HydrocliError, match=words.replace("[", r"\[")):
        load(path, [])


def test_a_rounded_tag_is_the_fill_value_of_a_descriptor(source: BasinSource, tmp_path: Path) -> None:
    slope = np.where(SLOPE > 0.29, np.float32(-3.4028235e38), SLOPE)
    path = raster(tmp_path / "slope.tif", slope, nodata=-3.4e38)
    network, _, _ = make_domain(source)
    found = read_descriptors(replace(source, descriptors={"slope": DescriptorSource(path)}), network)["slope"].values
    assert np.isnan(found).sum() == (SLOPE > 0.29).sum() > 0
    assert np.nanmin(found) == 0.0


@pytest.mark.parametrize("value", [-9999.0, -3.4028235e38, 65535.0, 12345.0])
def test_fill_values_of_descriptors(value: float, source: BasinSource, tmp_path: Path) -> None:
    """Row 31: such a number would be the range of the descriptor, and all cells else look alike."""
    slope = SLOPE.copy()
    slope[2, 4] = value
    path = raster(tmp_path / "slope.tif", slope)
    network, _, _ = make_domain(source)
    with pytest.raises(HydrocliError, match=r"in 1 cells, first at x = 804500, y = 6497500; all others are from 0 to"):
        read_descriptors(replace(source, descriptors={"slope": DescriptorSource(path)}), network)


@pytest.mark.parametrize(
    "values",
    [SLOPE, SLOPE * 3000.0 - 100.0, np.where(SLOPE > 0.1, 255, 0).astype(np.uint8), np.full((6, 6), 255, np.uint8)],
    ids=["slope", "heights below the sea", "two classes", "one class"],
)
def test_what_is_no_fill_value_of_a_descriptor(values: np.ndarray, source: BasinSource, tmp_path: Path) -> None:
    path = raster(tmp_path / "descriptor.tif", values)
    network, _, _ = make_domain(source)
    found = read_descriptors(replace(source, descriptors={"d": DescriptorSource(path)}), network)["d"].values
    assert sorted(found) == sorted(values.ravel().astype(float))


def test_a_raster_full_of_cycles_serves_where_the_areas_fit(source: BasinSource) -> None:
    """Two thirds of it, outside of the catchments; without an area nothing shows that the encoding is right."""
    wide = np.full((12, 12), 3, np.uint8)
    wide[:, 1::2] = 7
    wide[:6, :6] = DIRECTIONS
    wide[5, 5] = 0
    raster(source.flow_directions, wide)
    network, _, notes = make_domain(source)
    assert len(network) == 36
    assert [note for note in notes if "outside of the catchments, the flow runs in cycles (108 cells" in note]
    gauges(source, "code,x,y\nG1,805500,6494500\n")
    text = refused(replace(source, gauge_codes=("G1",), snap_distance=1000.0))
    assert "the flow runs in cycles (108 cells" in text


def test_candidates_for_a_gauge_beside_its_river(source: BasinSource) -> None:
    """The table of candidates has area and distance of each, and says which was chosen (row 23)."""
    table = gauges(source, "code,x,y,area\nG2,803500,6497500,18\nG9,805500,6494500,\n")
    _, found, _ = make_domain(replace(table, gauge_codes=("G2", "G9"), snap_distance=3000.0))
    (chosen,) = [one for one in found.candidates["G2"] if one.is_chosen]
    assert (chosen.row, chosen.column, chosen.area, chosen.distance) == (2, 5, 18e6, 2000.0)
    differences = [abs(one.area - 18e6) for one in found.candidates["G2"]]
    assert differences == sorted(differences)
    assert len(differences) == 5
    # Without an area the largest rivers are listed.
    assert [one.area for one in found.candidates["G9"]][:2] == [36e6, 30e6]
    assert found.candidates["G9"][0].is_chosen


def test_parts_of_a_table_of_discharge_belong_to_the_fingerprint(tmp_path: Path) -> None:
    """B55: a part that is written anew, its values doubled, makes another basin."""
    source = base_case(tmp_path)
    folder = tmp_path / "q.parquet"
    folder.mkdir()

    def fingerprint(factor: float) -> str:
        for code in ("G1", "G2"):
            values = factor * (1.0 + np.arange(48) / 10)
            frame = pd.DataFrame({"gauge": code, "time": HOURS, "discharge": values})
            frame.to_parquet(folder / f"{code}.parquet")
        parts = replace(source, discharge=DischargeSource(folder, "tidy"))
        return fingerprint_of(parts, make_plan(parts))

    first = fingerprint(1.0)
    assert fingerprint(2.0) != first
