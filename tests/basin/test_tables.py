"""Tables as people have them, and errors that say file, line, column and remedy in our own words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hydrocli.basin.basin import stamps
from hydrocli.basin.discharge import find_discharge, read_discharge
from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.basin.gauges import place, read_gauges
from hydrocli.basin.grid import Grid
from hydrocli.basin.network import Drainage
from hydrocli.basin.tables import number, parts_of, read_catchments, read_table, read_text
from hydrocli.errors import Errors, HydrocliError, InputError

TIMES = stamps(np.datetime64("2020-01-01T00:00"), 4, 3600)
TIDY = "gauge,time,discharge\nA,2020-01-01T01:00Z,1.5\nA,2020-01-01T02:00Z,\nB,2020-01-01T04:00Z,-1\n"
EXPECTED = [[1.5, np.nan, np.nan, np.nan], [np.nan] * 4]


def tidy(path: Path) -> tuple[np.ndarray, list[str]]:
    return read_discharge(find_discharge(DischargeSource(path, "tidy"), ["A", "B"]), ["A", "B"], TIMES, 3600)[:2]


def written(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def message(path: Path) -> str:
    with pytest.raises(HydrocliError) as caught:
        tidy(path)
    text = str(caught.value)
    for foreign in ("pandas", "Usecols", "usecols", "pyarrow", "Arrow", "codec", "dayfirst", "CSV parse error"):
        assert foreign not in text
    return text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n"])
def test_any_encoding_separator_and_line_end(tmp_path: Path, encoding: str, separator: str, end: str) -> None:
    gauges = "code,x,y,area,name\n01,1,2,3,Rhône à Ternay\n\n02,4,5,6,b\n"
    text = gauges.replace(",", separator).replace("\n", end)
    table = read_gauges(written(tmp_path / "g.csv", text, encoding))
    assert table.code == ("01", "02")
    np.testing.assert_array_equal(table.x, [1, 4])
    discharge = TIDY.replace(",", separator).replace("\n", end)
    np.testing.assert_array_equal(tidy(written(tmp_path / "q.csv", discharge, encoding))[0], EXPECTED)


def test_decimal_commas(tmp_path: Path) -> None:
    table = read_gauges(written(tmp_path / "g.csv", "code;x;y;area\nA;801500,5;6446500;11,25\n"))
    assert (table.x[0], table.area[0]) == (801500.5, 11.25e6)
    text = TIDY.replace(",", ";").replace("1.5", "1,5")
    np.testing.assert_array_equal(tidy(written(tmp_path / "q.csv", text))[0], EXPECTED)
    (tmp_path / "q").mkdir()
    written(tmp_path / "q" / "A.csv", "202001010100\n1,5\n\n")
    one = read_discharge(find_discharge(DischargeSource(tmp_path / "q", "smash"), ["A"]), ["A"], TIMES, 3600)[0]
    np.testing.assert_array_equal(one, EXPECTED[:1])


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-1.5e3", -1500), ("1,5", 1.5), ("-,5", -0.5), ("1,5e3", 1500), ("1 234,5", None), ("1.234,5", None)],
)
def test_numbers(text: str, value: float | None) -> None:
    assert number(text) == value


def test_decimal_commas_between_commas_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"g\.csv:2: has 5 values, the header has 4 columns\n.*decimal commas"):
        read_gauges(written(tmp_path / "g.csv", "code,x,y,area\nA,1,2,3,5\n"))
    text = message(written(tmp_path / "q.csv", TIDY.replace("1.5", "1,5")))
    assert "q.csv:2: has 4 values, the header has 3 columns" in text
    assert "decimal commas" in text


def test_a_wide_table_is_explained(tmp_path: Path) -> None:
    text = message(written(tmp_path / "q.csv", "time,A,B\n2020-01-01T01:00Z,1,2\n"))
    assert "q.csv: has no column gauge, discharge" in text
    assert "one column per gauge" in text
    assert "format: wide" in text


def test_errors_of_tidy_tables_name_the_line(tmp_path: Path) -> None:
    """Also behind blank lines, which rows are not counted by."""
    base = "gauge,time,discharge\n\nB,01/19/2021 25:00,1\n\n"
    assert "q.csv:3: invalid time stamp '01/19/2021 25:00'\n  Use ISO 8601" in message(
        written(tmp_path / "q.csv", base)
    )
    text = "gauge,time,discharge\n\nA,2020-01-01T01:00Z,1\n\nA,2020-01-01T02:00Z,Ice\n"
    assert "q.csv:5: 'Ice' is not a discharge" in message(written(tmp_path / "q.csv", text))
    text = text.replace("Ice", "2").replace("02:00", "01:00")
    assert "q.csv:5: gauge A has two values at 2020-01-01 01:00:00" in message(written(tmp_path / "q.csv", text))


def test_rows_of_other_gauges_are_not_examined(tmp_path: Path) -> None:
    text = TIDY + "Z,yesterday,much\n"
    np.testing.assert_array_equal(tidy(written(tmp_path / "q.csv", text))[0], EXPECTED)


def test_columns_that_are_not_read_and_codes_that_are_not_there_are_noted(tmp_path: Path) -> None:
    _, notes = tidy(written(tmp_path / "q.csv", "Gauge, Time ,DISCHARGE,flag\nA,2020-01-01T01:00Z,1,bad\n"))
    assert any(note.endswith("columns that are not read: flag") for note in notes)
    _, notes = tidy(written(tmp_path / "q.csv", "gauge,time,discharge\nXYZ,2020-01-01T01:00Z,1\n"))
    assert any(note.endswith("q.csv has none of the gauges; it has XYZ") for note in notes)


def points(path: Path, frame: pd.DataFrame, crs: str = "EPSG:4326") -> Path:
    geopandas = pytest.importorskip("geopandas")
    pyproj = pytest.importorskip("pyproj")
    x, y = pyproj.Transformer.from_crs("EPSG:2154", crs, always_xy=True).transform([801500.0], [6446500.0])
    geopandas.GeoDataFrame(frame, geometry=geopandas.points_from_xy(x, y), crs=crs).to_file(path)
    return path


@pytest.mark.parametrize("suffix", [".gpkg", ".shp"])
def test_gauges_of_a_layer_of_points_have_its_coordinates(tmp_path: Path, suffix: str) -> None:
    import pyproj

    path = points(tmp_path / f"g{suffix}", pd.DataFrame({"code": ["01"], "area": [11.0], "name": ["x"]}))
    table = read_gauges(path)
    assert table.code == ("01",)
    grid = Grid(pyproj.CRS("EPSG:2154").to_wkt(), (1000.0, 0.0, 800000.0, 0.0, -1000.0, 6450000.0), 4, 4)
    drainage = Drainage.from_d8(np.array([[5, 5, 7, 7], [3, 5, 7, 0], [0, 5, 7, 7], [0, 5, 0, 7]]), "smash", grid)
    placement = place(table, drainage, 0.2)
    assert (placement.row[0], placement.column[0]) == (3, 1)
    rows = read_catchments(path)
    assert rows == [{"code": "01", "area": 11.0, "name": "x"}]
    assert len(parts_of(path)) == (1 if suffix == ".gpkg" else len(list(tmp_path.glob("g.*"))))


def test_a_geopackage_where_a_csv_was_named_is_recognised(tmp_path: Path) -> None:
    path = points(tmp_path / "g.gpkg", pd.DataFrame({"code": ["A"], "area": [11.0]}))
    with pytest.raises(InputError, match=r"g\.csv: is a GeoPackage under another name"):
        read_gauges(path.rename(tmp_path / "g.csv"))
    with pytest.raises(InputError, match=r"g\.csv: is a GeoPackage, a CSV or Parquet table is expected"):
        tidy(tmp_path / "g.csv")


def test_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"code": pd.array([1022500, None], "Int64"), "x": [1.0, 2.0], "y": 1.0, "area": 2.0})
    frame[:1].to_parquet(tmp_path / "g.parquet")
    assert read_gauges(tmp_path / "g.parquet").code == ("1022500",)
    frame.to_parquet(tmp_path / "g.parquet")
    with pytest.raises(InputError, match=r"g\.parquet:3: has no code"):
        read_catchments(tmp_path / "g.parquet")
    frame[:1].astype({"code": float}).to_parquet(tmp_path / "g.parquet")  # as pandas has whole numbers beside gaps
    assert read_catchments(tmp_path / "g.parquet")[0]["code"] == "1022500"
    (tmp_path / "g.parquet").write_bytes(b"PAR1broken")
    with pytest.raises(InputError, match=r"g\.parquet: cannot be read as Parquet"):
        read_catchments(tmp_path / "g.parquet")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\3\4" + bytes(20), "is an Excel workbook or another archive, a table is expected"),
        (b"II*\0" + bytes(20), "is a GeoTIFF, a table is expected"),
        ("", "has no column code, x, y, area\n  It is empty"),
        ("id;lon;lat\n1;2;3\n", "has no column code, x, y, area\n  It has id, lon, lat. Rename its columns"),
        ("code,x,y,area\nA,1,2,1 234\n", r"g.csv:2: area is '1 234', not a number\n  Write numbers without separators"),
    ],
)
def test_what_is_no_table_of_gauges_is_explained(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(HydrocliError, match=words):
        read_gauges(written(tmp_path / "g.csv", content))


def test_all_errors_of_a_table_come_together(tmp_path: Path) -> None:
    with pytest.raises(Errors) as caught:
        read_gauges(written(tmp_path / "g.csv", "code,x,y,area\nA,one,2,3\nB,1,two,3\nB,1,2,0\n"))
    assert [error.where.rpartition("/")[2] for error in caught.value.errors] == [
        "g.csv:2",
        "g.csv:3",
        "g.csv:4",
        "g.csv",
    ]


def test_values_of_any_length(tmp_path: Path) -> None:
    polygon = "POLYGON((" + "1 2 " * 50_000 + "))"
    table = read_table(written(tmp_path / "g.csv", f'code,wkt\nA,"{polygon}"\n'), "gauges.table")
    assert table.rows[0]["wkt"] == polygon


def test_lines_of_any_system(tmp_path: Path) -> None:
    assert read_text(written(tmp_path / "a", b"1\r\r\n2\r\n3\n\n4\r5")) == "1\n2\n3\n\n4\n5"
    with pytest.raises(InputError, match="does not exist"):
        read_text(tmp_path / "b")


def test_folders_of_parquet_are_watched_part_by_part(tmp_path: Path) -> None:
    (tmp_path / "q").mkdir()
    for code in "AB":
        frame = pd.DataFrame({"gauge": code, "time": TIMES, "discharge": 1.0})
        frame.to_parquet(tmp_path / "q" / f"{code}.parquet")
    assert tidy(tmp_path / "q")[0].tolist() == [[1.0] * 4] * 2
    assert [Path(part).name for part in parts_of(tmp_path / "q")] == ["A.parquet", "B.parquet"]


def test_rows_of_gauges_that_nobody_uses_are_not_examined(tmp_path: Path) -> None:
    path = written(tmp_path / "g.csv", "code,x,y,area\nA,1,2,3\nB,x,2,-999\nC,1,2,3\nC,1,2,4\n")
    assert read_gauges(path, ["A"]).code == ("A",)
    with pytest.raises(Errors, match=r"has no gauge BB\n  Did you mean B\?"):
        read_gauges(path, ["A", "BB"])
    for codes in (["A", "B"], ["C"], []):
        with pytest.raises(Errors):
            read_gauges(path, codes)
