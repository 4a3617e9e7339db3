"""Forcing from tables: the series of a file in every cell, and lumped basins of Caravan and other archives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from field_cases import HOURS, RAIN, base_case

from hydrocli.basin.ingest import ingest_batch, open_basin
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.source import BasinSource
from hydrocli.basin.store import load
from hydrocli.basin.tables import read_catchments
from hydrocli.commands.check import check
from hydrocli.config import catchment_table, code_column, load_campaign, run_specs
from hydrocli.config import load as load_config
from hydrocli.errors import HydrocliError
from hydrocli.experiment.inputs import source_of

TEXTS = [str(hour)[:16].replace("T", " ") for hour in HOURS]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BasinSource:
    return base_case(tmp_path_factory.mktemp("base"), with_rain=False)


def table(path: Path, header: str, rows: list[tuple[Any, ...]], separator: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(separator.join(map(str, row)) for row in rows)]) + "\n")
    return path


def rain_of(base: BasinSource, store: Path, path: Path, **options: Any) -> np.ndarray:
    source = replace(base, precipitation=ForcingSource(path, "table", **options))
    return np.array(open_basin(source, store).precipitation)


def test_the_series_of_a_table_is_that_of_every_cell(base: BasinSource, tmp_path: Path) -> None:
    expected = np.repeat(RAIN[:, None], 36, axis=1)
    rows = list(zip(TEXTS, RAIN, strict=True))
    plain = table(tmp_path / "a.csv", "time,rain", rows)
    np.testing.assert_array_equal(rain_of(base, tmp_path / "s", plain), expected)
    commas = [(time.replace("-", "/"), f"{value / 10:g}".replace(".", ","), "x") for time, value in rows]
    other = table(tmp_path / "b.csv", "# gauge 7\nDate;Pluie [cm];Note", commas, ";")
    np.testing.assert_allclose(rain_of(base, tmp_path / "s", other, variable="pluie [cm]"), expected, rtol=1e-6)
    pd.DataFrame({"time": HOURS, "p": RAIN, "t": 9.0}).to_parquet(tmp_path / "c.parquet")
    np.testing.assert_array_equal(rain_of(base, tmp_path / "s", tmp_path / "c.parquet", variable="p"), expected)


def test_gaps_and_labels_of_a_table(base: BasinSource, tmp_path: Path) -> None:
    starts = [str(hour - np.timedelta64(1, "h"))[:16] for hour in HOURS]
    values = ["" if k == 3 else -99 if k == 4 else value for k, value in enumerate(RAIN)]
    rows = list(zip(starts, values, strict=True))
    path = table(tmp_path / "a.csv", "time,rain", rows[:20] + rows[21:])
    rain = rain_of(base, tmp_path / "s", path, label="start", nodata=(-99.0,))[:, 0]
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(rain)), [3, 4, 20])
    np.testing.assert_array_equal(np.delete(rain, [3, 4, 20]), np.delete(RAIN, [3, 4, 20]))


@pytest.mark.parametrize(
    ("header", "rows", "options", "words"),
    [
        ("time,a,b", [(TEXTS[0], 1, 2)], {}, r"has 2 columns beside time\n.*`forcing.precipitation.variable`: a, b"),
        ("time,a,b", [(TEXTS[0], 1, 2)], {"variable": "c"}, "has no column c\n.*: a, b"),
        ("time,a", [(TEXTS[0], "Ice")], {}, r"a.csv:2: 'Ice' is not a number"),
        ("time,a", [], {}, "has no row"),
        ("time,a", [(TEXTS[0], 1), (TEXTS[0], 2)], {}, "has twice the same date"),
        ("time,a", [("2020-03-01", 1), ("2020-03-02", 2)], {}, "does a day begin or end there.\n.*precipitation.label"),
        ("time,a", [("01/03/2020 01:00", 1)], {}, r"csv:2: the day and the month .*\n.*precipitation.pattern`"),
        ("time,a", [(TEXTS[0] + "Z", 1)], {"timezone": "Europe/Paris"}, "states the offset of its times"),
        ("time,a(°F)", [(TEXTS[k], 1) for k in range(48)], {}, "state the unit '°F', which is not understood"),
    ],
)  # fmt: skip
def test_tables_that_are_refused(
    base: BasinSource, tmp_path: Path, header: str, rows: list[Any], options: dict[str, Any], words: str
) -> None:
    path = table(tmp_path / "a.csv", header, rows)
    with pytest.raises(HydrocliError, match=words):
        rain_of(base, tmp_path / "s", path, **options)


def test_a_folder_of_tables_is_for_lumped_basins(base: BasinSource, tmp_path: Path) -> None:
    table(tmp_path / "t" / "G1.csv", "time,rain", list(zip(TEXTS, RAIN, strict=True)))
    with pytest.raises(HydrocliError, match=r"is a folder, .*\n.*`basin.domain: lumped`"):
        rain_of(base, tmp_path / "s", tmp_path / "t")


# --- lumped basins -------------------------------------------------------------------------------------------------

DAYS = [str(day) for day in np.arange("2020-02-25", "2020-03-08", dtype="datetime64[D]")]
AMOUNT = np.arange(1.0, 1 + len(DAYS))
"""Rain of each day; PET is a tenth of it, discharge a half."""
CARAVAN = """\
name: lumped
folder: run
period: {step: 1d, start: 2020-02-27T00:00Z, end: 2020-03-06T00:00Z,
         calibration: [2020-02-29T00:00Z, 2020-03-06T00:00Z]}
basin: {domain: lumped}
gauges:
  table: attributes/attributes_other_camels.csv
  columns: {code: gauge_id, x: gauge_lon, y: gauge_lat}
  crs: EPSG:4326
  discharge: {path: timeseries, format: caravan}
  calibration: [camels_012]
forcing:
  precipitation: {path: timeseries, format: caravan, variable: total_precipitation_sum}
  pet: {kind: raster, path: timeseries, format: caravan, variable: potential_evaporation_sum}
structure: {kind: gr}
mapping: {kind: uniform}
objective: {metric: nse}
"""


@pytest.fixture
def caravan(tmp_path: Path) -> Path:
    """Two basins in the layout of Caravan, and a configuration of one of them."""
    header = "date,potential_evaporation_sum,streamflow,temperature_2m_mean,total_precipitation_sum"
    for code, factor in (("camels_012", 1.0), ("camels_0123", 2.0)):
        rows = [(day, p / 10, p / 2, 5.0, factor * p) for day, p in zip(DAYS, AMOUNT, strict=True)]
        table(tmp_path / "timeseries" / f"{code}.csv", header, rows)
    gauges = [("camels_012", "A", 45.0, 4.5, 36.0), ("camels_0123", "B", -20.0, 134.0, 2500.0)]
    table(
        tmp_path / "attributes" / "attributes_other_camels.csv", "gauge_id,gauge_name,gauge_lat,gauge_lon,area", gauges
    )
    (tmp_path / "config.yaml").write_text(CARAVAN)
    return tmp_path


def test_a_basin_of_caravan_needs_no_file_of_its_own(caravan: Path) -> None:
    """Dates are the days of rain, evapotranspiration and discharge alike: step k ends with the day k."""
    report = check(caravan / "config.yaml", [])
    assert report["problems"] == []
    assert report["cells"] == 1
    basin = open_basin(source_of(load_config(caravan / "config.yaml")), caravan / "store")
    days = slice(DAYS.index("2020-02-27"), DAYS.index("2020-03-06"))
    np.testing.assert_allclose(basin.precipitation[:, 0], AMOUNT[days])
    np.testing.assert_allclose(basin.pet[:, 0], AMOUNT[days] / 10, rtol=1e-6)
    np.testing.assert_allclose(basin.discharge[0], AMOUNT[days] / 2 * 36e3 / 86400, rtol=1e-12)
    np.testing.assert_allclose(basin.network.cell_area, 36e6, rtol=1e-12)
    np.testing.assert_allclose(basin.network.cell_width, 6000.0, rtol=1e-12)


def test_lumped_basins_of_a_batch_are_those_that_each_is_alone(caravan: Path, tmp_path: Path) -> None:
    one = source_of(load_config(caravan / "config.yaml"))
    forcing = {name: replace(getattr(one, name), gauge="camels_0123") for name in ("precipitation", "pet")}
    both = [one, replace(one, gauge_codes=("camels_0123",), **forcing)]
    found = ingest_batch(both, tmp_path / "store")
    assert all(isinstance(name, str) for name in found), found
    stored = [load(tmp_path / "store", str(name)) for name in found]
    for source, together, factor in zip(both, stored, (1.0, 2.0), strict=True):
        alone = open_basin(source, tmp_path / "alone")
        assert together is not None
        np.testing.assert_array_equal(together.basin.precipitation, alone.precipitation)
        np.testing.assert_allclose(alone.precipitation[0, 0], 3 * factor)
        assert alone.network.cell_area[0] == pytest.approx(36e6 if factor == 1 else 2500e6)


def test_attributes_of_a_lumped_basin_are_descriptors(caravan: Path) -> None:
    table(
        caravan / "attributes" / "a.csv", "gauge_id,aridity,name", [("camels_0123", 2.5, "B"), ("camels_012", "", "A")]
    )
    aridity = "descriptors: {aridity: {path: attributes/a.csv, attribute: aridity}}"
    text = CARAVAN.replace("{domain: lumped}", f"{{domain: lumped, {aridity}}}").replace(
        "[camels_012]", "[camels_0123]"
    )
    config = caravan / "config.yaml"
    config.write_text(text)
    basin = open_basin(source_of(load_config(config)), caravan / "store")
    np.testing.assert_array_equal(basin.descriptors["aridity"], [2.5])
    for old, new, words in (
        ("attribute: aridity", "attribute: slope", "has no column slope\n  It has gauge_id, aridity"),
        ("attribute: aridity", "attribute: name", "has texts in the column name: B"),
        ("attribute: aridity", "attribute: aridity, band: 1", "band: .*is a table"),
        ("attributes/a.csv", "timeseries/camels_0123.csv", "has no column gauge_id"),
    ):
        config.write_text(text.replace(old, new))
        with pytest.raises(HydrocliError, match=words):
            open_basin(source_of(load_config(config)), caravan / "store")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  calibration: [camels_012]\n", "", "is a folder, of which no table is that of"),
        ("  crs: EPSG:4326\n", "", "is needed for a lumped basin"),
        ("x: gauge_lon, y: gauge_lat", "x: gauge_lat, y: gauge_lon", "no place on earth in EPSG:4326 .x = -20"),
        ("x: gauge_lon, y: gauge_lat", "x: gauge_lat, y: gauge_name", "y is 'A', not a number"),
        ("{domain: lumped}", "{domain: lumped, flow_directions: {path: f, encoding: esri}}", "has no effect"),
        ("{domain: lumped}", "{}", "flow_directions: is required"),
        ("[camels_012]", "[camels_7]", "has no gauge camels_7"),
    ],
)  # fmt: skip
def test_lumped_basins_that_are_refused(caravan: Path, old: str, new: str, words: str) -> None:
    assert old in CARAVAN
    text = CARAVAN.replace(old, new)
    if "no place" in words:
        text = text.replace("[camels_012]", "[camels_0123]")
    (caravan / "config.yaml").write_text(text)
    with pytest.raises(HydrocliError, match=words):
        open_basin(source_of(load_config(caravan / "config.yaml")), caravan / "store")


def test_a_lumped_basin_has_one_gauge(caravan: Path) -> None:
    text = CARAVAN.replace("  calibration: [camels_012]\n", "")
    for name in ("precipitation: {", "kind: raster, "):
        text = text.replace(f"{name}path: timeseries,", f"{name}path: timeseries/camels_012.csv,")
    (caravan / "config.yaml").write_text(text)
    with pytest.raises(HydrocliError, match="is lumped, but has 2 gauges: camels_012, camels_0123\n  List one in"):
        open_basin(source_of(load_config(caravan / "config.yaml")), caravan / "store")


def test_a_campaign_runs_every_gauge_of_the_table(caravan: Path) -> None:
    """The column of codes is that of the base; each run finds the file of its gauge."""
    (caravan / "campaign.yaml").write_text("name: all\nbase: config.yaml\nmodels: {gr: {structure: {kind: gr}}}\n")
    file = load_campaign(caravan / "campaign.yaml")
    gauges = catchment_table(file)
    specs = run_specs(file, gauges, read_catchments(gauges, code_column(file)))
    sources = [source_of(spec.experiment) for spec in specs]
    assert [source.gauge_codes for source in sources] == [("camels_012",), ("camels_0123",)]
    rain = [open_basin(source, caravan / "store").precipitation[0, 0] for source in sources]
    assert rain == [3.0, 6.0]
