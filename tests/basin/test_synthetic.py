"""The synthetic basin: rivers that drain, rain that is not lost, a truth that can be found, files that read back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import rasterio

from hydrocli import names
from hydrocli.basin.grid import Grid
from hydrocli.basin.network import Drainage, DrainageNetwork
from hydrocli.errors import ConfigurationError, Errors
from hydrocli.synthetic import (
    SampleOptions,
    areas_of,
    make_region,
    make_terrain,
    observe,
    rain_fields,
    temperature_fields,
    true_parameters,
    write_discharge,
    write_rasters,
    write_truth,
)
from hydrocli.synthetic.rain import SEASONS
from hydrocli.synthetic.truth import TRUTH, UNIFORM, make_descriptors
from hydrocli.synthetic.writing import encode

OPTIONS = SampleOptions(np.datetime64("2014-09-01"), np.datetime64("2014-09-21"))


@pytest.fixture(scope="module")
def terrain():
    return make_terrain(OPTIONS)


def all_rain(terrain, options, block_steps=None):
    stamps, fields = zip(*rain_fields(terrain, options, block_steps), strict=True)
    assert np.array_equal(np.concatenate(stamps), options.times)
    return np.concatenate(fields)


# Terrain ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cells", "gauges", "seed"), [(50, 1, 3), (60, 4, 1), (60, 5, 2), (400, 12, 5), (3000, 6, 4)])
def test_rivers_drain_the_area_asked_through_nested_gauges(cells, gauges, seed):
    options = replace(OPTIONS, cells=cells, gauges=gauges, seed=seed)
    terrain = make_terrain(options)
    drainage = Drainage.from_d8(terrain.directions, "esri", terrain.grid)
    network = DrainageNetwork.from_drainage(drainage, [(terrain.gauges[0].row, terrain.gauges[0].column)])
    assert len(network) == terrain.basin.sum() == pytest.approx(cells, rel=0.1)
    assert [site.area for site in terrain.gauges] == [drainage.drained_area[g.row, g.column] for g in terrain.gauges]
    assert all(terrain.basin[site.row, site.column] for site in terrain.gauges)
    assert len({(site.row, site.column) for site in terrain.gauges}) == gauges
    if gauges <= 6:  # the more gauges, the nearer their areas
        areas = np.array([site.area for site in terrain.gauges])
        assert np.all(areas[1:] < 0.8 * areas[:-1])
    rows, columns = np.nonzero(terrain.basin)
    height, width = terrain.grid.shape
    assert (rows.min(), columns.min(), height - 1 - rows.max(), width - 1 - columns.max()) == (2, 2, 2, 2)


def test_water_never_runs_uphill(terrain):
    network = DrainageNetwork.from_d8(terrain.directions, "esri", terrain.grid)
    height = terrain.elevation[network.row, network.column]
    inside = network.downstream >= 0
    assert np.all(height[network.downstream[inside]] <= height[inside])
    assert np.ptp(terrain.elevation[terrain.basin]) > 100


def test_a_gauge_is_found_by_its_area_among_the_neighbouring_cells(terrain):
    area = Drainage.from_d8(terrain.directions, "esri", terrain.grid).drained_area
    for site in terrain.gauges:
        around = area[site.row - 1 : site.row + 2, site.column - 1 : site.column + 2]
        assert np.count_nonzero(around == site.area) == 1


@pytest.mark.parametrize("encoding", ["smash", "esri", "ldd"])
def test_every_encoding_says_the_same(terrain, encoding):
    written = Drainage.from_d8(encode(terrain.directions, encoding), encoding, terrain.grid)
    assert np.array_equal(written.downstream, Drainage.from_d8(terrain.directions, "esri", terrain.grid).downstream)


# Regions ------------------------------------------------------------------------------------------------------------

AREAS = (300, 8, 120, 20, 60, 20, 10, 30, 45, 100)


@pytest.fixture(scope="module")
def region():
    return make_region(replace(OPTIONS, areas=AREAS, gauges=2))


def test_catchments_of_a_region_are_apart_and_of_the_areas_asked(region):
    drainage = Drainage.from_d8(region.directions, "esri", region.grid)
    catchments = [DrainageNetwork.from_drainage(drainage, [(site.row, site.column)]) for site in region.outlets]
    places = [set(zip(network.x.tolist(), network.y.tolist(), strict=True)) for network in catchments]
    assert len(set.union(*places)) == sum(map(len, places)) == region.basin.sum()
    assert [len(place) for place in places] == [site.cells for site in region.outlets]
    found = np.array([site.cells for site in region.outlets])
    assert np.abs(np.log(found / sorted(AREAS, reverse=True))).max() < 0.2
    assert (drainage.downstream[[site.row * region.grid.width + site.column for site in region.outlets]] >= 0).all()


def test_gauges_inside_a_catchment_of_a_region_name_its_outlet(region):
    """Two gauges each, but one where there are not twelve cells for each of two."""
    drainage = Drainage.from_d8(region.directions, "esri", region.grid)
    for outlet in region.outlets:
        sites = [site for site in region.gauges if site.outlet == outlet.code]
        assert len(sites) == (2 if outlet.cells >= 24 else 1)
        network = DrainageNetwork.from_drainage(drainage, [(outlet.row, outlet.column)])
        inside = set(zip(network.x.tolist(), network.y.tolist(), strict=True))
        assert all((site.x, site.y) in inside for site in sites)
        assert [site.cells for site in sites] == [drainage.drained_area[s.row, s.column] / 1e6 for s in sites]
    assert len({site.code for site in region.gauges}) == len(region.gauges)


def test_a_region_of_one_seed_is_one_region(region):
    again = make_region(replace(OPTIONS, areas=AREAS[::-1], gauges=2, noise=0.5))
    assert again.gauges == region.gauges
    assert np.array_equal(again.directions, region.directions)


def test_areas_are_spread_or_listed():
    spread = areas_of("10-1000", 5)
    assert spread == (10, 32, 100, 316, 1000)
    assert areas_of("12,40", 235) == (12, 40)
    for text in ("", "300-10", "10-", "many"):
        with pytest.raises(ConfigurationError, match="neither"):
            areas_of(text, 3)


# Rain and temperature -----------------------------------------------------------------------------------------------


def test_rain_does_not_depend_on_blocks_and_only_on_the_seed(terrain):
    rain = all_rain(terrain, OPTIONS)
    assert np.array_equal(rain, all_rain(terrain, OPTIONS, block_steps=7))
    assert np.array_equal(rain, all_rain(terrain, replace(OPTIONS, noise=0.5, gaps=0.3, encoding="ldd", gauges=2)))
    assert not np.array_equal(rain, all_rain(terrain, replace(OPTIONS, seed=2)))
    assert rain.dtype == np.float32
    assert rain.min() == 0


def test_all_steps_bring_the_same_water(terrain):
    # The same storms for every step. Cells are longer ellipses in longer steps, so some of their water falls elsewhere:
    # over two months and the whole grid that is a few per cent.
    two_months = replace(OPTIONS, end=np.datetime64("2014-11-01"))
    total = {step: all_rain(terrain, replace(two_months, step=step)).sum() for step in (900, 3600, 10800, 86400)}
    assert total[900] > 100 * terrain.basin.size
    for step in (3600, 10800, 86400):
        assert total[step] == pytest.approx(total[900], rel=0.05)


def test_yearly_rain_is_that_of_the_climate(terrain):
    # 24 independent years of a standard deviation of about 20 %: three standard errors are 12 %.
    flat = replace(terrain, elevation=np.zeros_like(terrain.elevation))
    year = replace(OPTIONS, end=np.datetime64("2015-09-01"), step=86400)
    months = year.times.astype("datetime64[M]").astype(int) % 12
    daily = np.array([all_rain(flat, replace(year, seed=seed)).mean(axis=(1, 2)) for seed in range(24)])
    yearly = daily.sum(axis=1)
    assert yearly.mean() == pytest.approx(np.mean([climate.number * climate.depth for climate in SEASONS]), rel=0.12)
    assert 500 < yearly.min() < yearly.max() < 1800
    autumn, summer = (daily[:, np.isin(months, season)].sum() for season in ((8, 9, 10), (5, 6, 7)))
    assert autumn > 1.5 * summer
    longest_dry = [max(len(run) for run in "".join("d" if v < 0.1 else "w" for v in row).split("w")) for row in daily]
    assert np.median(longest_dry) > 14


def test_high_land_gets_more_rain(terrain):
    tilted = replace(terrain, elevation=np.broadcast_to(np.arange(terrain.grid.width) * 100.0, terrain.grid.shape))
    level = replace(terrain, elevation=np.zeros(terrain.grid.shape))
    wet = all_rain(level, OPTIONS).sum(axis=0)
    ratio = (all_rain(tilted, OPTIONS).sum(axis=0) / wet).mean(axis=0)
    assert np.diff(ratio) == pytest.approx(0.05, rel=1e-3)  # 100 m of 50 % in 1000 m


def test_temperature_falls_with_elevation_and_days_are_the_means_of_their_hours(terrain):
    daily = dict(temperature_fields(terrain, OPTIONS))
    hourly = list(temperature_fields(terrain, replace(OPTIONS, temperature_step=3600)))
    assert list(daily) == list(np.arange("2014-09-01", "2014-09-22", dtype="datetime64[D]").astype("datetime64[s]"))
    assert [stamp for stamp, _ in hourly] == list(OPTIONS.times)
    second_day = np.mean([field for _, field in hourly[24:48]], axis=0)
    assert second_day == pytest.approx(daily[np.datetime64("2014-09-02", "s")], abs=1e-4)  # float32 of about 20
    slope = np.polyfit(terrain.elevation.ravel(), second_day.ravel(), 1)[0]
    assert -9e-3 < slope < -4e-3
    cycle = np.array([field.mean() for _, field in hourly]).reshape(-1, 24).mean(axis=0)
    assert 12 <= np.argmax(cycle) <= 15
    year = replace(OPTIONS, end=np.datetime64("2015-09-01"))
    warmth = np.array([field.mean() for _, field in temperature_fields(terrain, year)])
    assert warmth[:15].mean() - warmth[120:165].mean() > 8


# Truth and observations ---------------------------------------------------------------------------------------------


def test_truth_is_a_multilinear_mapping_of_the_descriptors_inside_all_bounds(terrain):
    descriptors = make_descriptors(terrain, OPTIONS)
    columns = np.column_stack([np.ones(terrain.basin.size), *(field.ravel() for field in descriptors.values())])
    for symbol, field in true_parameters(terrain, OPTIONS).items():
        lower, upper, *_ = TRUTH[symbol]
        known = (names.PARAMETERS | names.ROUTING_PARAMETERS)[symbol]
        inside = field[terrain.basin]
        assert max(lower, known.lower) < inside.min() < inside.max() < min(upper, known.upper)
        assert np.ptp(inside) > 0.2 * (upper - lower)
        share = (field.ravel() - lower) / (upper - lower)
        control = np.log(share / (1 - share))
        residual = control - columns @ np.linalg.lstsq(columns, control, rcond=None)[0]
        assert np.abs(residual).max() < 1e-9


def test_truth_can_be_uniform(terrain):
    truth = true_parameters(terrain, replace(OPTIONS, truth="uniform"))
    assert {symbol: (field.min(), field.max()) for symbol, field in truth.items()} == {
        symbol: (value, value) for symbol, value in UNIFORM.items()
    }


def test_truth_is_the_same_soil_for_every_step(terrain):
    # Without inflow GR's transfer store goes R -> R (1 + (R / ct)^4)^(-1/4): 24 hours must empty it like a day.
    hourly, daily = (true_parameters(terrain, replace(OPTIONS, step=step))["ct"] for step in (3600, 86400))
    level = np.full(hourly.shape, 80.0)
    for _ in range(24):
        level = level * (1 + (level / hourly) ** 4) ** -0.25
    assert level == pytest.approx(80 * (1 + (80 / daily) ** 4) ** -0.25, rel=1e-12)


def test_descriptors_are_in_the_range_of_their_units(terrain):
    ranges = {"slope": (0, 45), "drainage_density": (0.2, 12), "forest": (0, 1), "available_water": (10, 600)}
    descriptors = make_descriptors(terrain, OPTIONS)
    assert descriptors.keys() == ranges.keys()
    for name, (least, most) in ranges.items():
        assert least <= descriptors[name].min() < descriptors[name].max() <= most


def test_observations_without_noise_and_gaps_are_the_truth():
    truth = np.random.default_rng(0).gamma(1.0, 5.0, (3, 500))
    before = truth.copy()
    assert np.array_equal(observe(truth, replace(OPTIONS, noise=0.0, gaps=0.0)), truth)
    observe(truth, OPTIONS)
    assert np.array_equal(truth, before)


def test_errors_are_multiplicative_and_last():
    observed = observe(np.full((4, 20_000), 3.0), replace(OPTIONS, noise=0.2, gaps=0.0))
    error = np.log(observed / 3.0)
    # 80,000 values, about 6000 of them independent: standard errors of 2 % of the deviation, 0.003 of the mean.
    assert error.std() == pytest.approx(0.2, rel=0.05)
    assert observed.mean() == pytest.approx(3.0, rel=0.01)
    lag = np.mean([np.corrcoef(row[:-1], row[1:])[0, 1] for row in error])
    assert lag == pytest.approx(np.exp(-1 / 12), abs=0.01)
    assert abs(np.corrcoef(error)[0, 1]) < 0.15


@pytest.mark.parametrize("gaps", [0.001, 0.02, 0.4])
def test_gaps_have_the_share_asked_in_outages(gaps):
    missing = np.isnan(observe(np.ones((3, 4000)), replace(OPTIONS, gaps=gaps)))
    assert missing.sum(axis=1).tolist() == [round(4000 * gaps)] * 3
    outages = np.diff(missing.astype(int), axis=1, prepend=0).clip(0).sum()
    assert outages <= max(3, missing.sum() / 10)
    assert not np.array_equal(missing[0], missing[1])


# Files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "hours"), [(900, 3), (3600, 30), (86400, 96)])
def test_files_read_back(terrain, tmp_path, step, hours):
    start = np.datetime64("2014-10-07")
    options = replace(OPTIONS, start=start, end=start + np.timedelta64(hours, "h"), step=step)
    write_rasters(terrain, options, tmp_path)
    files = sorted((tmp_path / "prcp").glob("*/*/*/*.tif"))
    names_of_files = [f"rain_precipitation_{stamp:%Y%m%d%H%M}.tif" for stamp in options.times.tolist()]
    assert [file.name for file in files] == names_of_files
    assert files[-1].parent == tmp_path / "prcp" / f"{options.end.item():%Y/%m/%d}"
    rain = all_rain(terrain, options)
    for file, field in zip(files, rain, strict=True):
        with rasterio.open(file) as raster:
            values = raster.read(1)
            assert raster.dtypes == ("uint16",)
            assert raster.nodata == 65535
            assert raster.crs.to_epsg() == 2154
            assert tuple(raster.transform)[:6] == terrain.grid.transform
        assert values * 0.1 == pytest.approx(field, abs=0.0501)
    days = sorted(file.name for file in (tmp_path / "temperature").rglob("*.tif"))
    assert days[0] == "temperature_20141007.tif"
    assert days[-1] == f"temperature_{options.end.item():%Y%m%d}.tif"


def test_static_files_and_truth_read_back(terrain, tmp_path):
    options = replace(OPTIONS, end=OPTIONS.start + np.timedelta64(3600, "s"))
    truth = true_parameters(terrain, options)
    write_rasters(terrain, options, tmp_path)
    write_truth(terrain, truth, tmp_path)
    for symbol, field in truth.items():
        with rasterio.open(tmp_path / "truth" / f"{symbol}.tif") as raster:
            assert np.array_equal(raster.read(1), field)
    for name, field in make_descriptors(terrain, options).items():
        with rasterio.open(tmp_path / "descriptor" / f"{name}.tif") as raster:
            assert raster.read(1) == pytest.approx(field, rel=1e-6)  # float32
    with rasterio.open(tmp_path / "flwdir.tif") as raster:
        grid = Grid(raster.crs.to_wkt(), tuple(raster.transform)[:6], raster.height, raster.width)
        drainage = Drainage.from_d8(raster.read(1), "smash", grid, raster.nodata)
    table = [line.split(",") for line in (tmp_path / "gauge_attributes.csv").read_text().splitlines()]
    assert table[0] == ["code", "x", "y", "area"]
    assert [row[0] for row in table[1:]] == ["S0001", "S0002", "S0003", "S0004"]
    for _, x, y, area in table[1:]:
        row, column = grid.cells_at(np.array(float(x)), np.array(float(y)))
        assert drainage.drained_area[row, column] == float(area) * 1e6


def test_discharge_files_begin_with_the_first_stamp(terrain, tmp_path):
    observed = np.arange(480.0 * 4).reshape(4, 480) / 7
    observed[1, 3] = np.nan
    write_discharge(terrain, OPTIONS, observed, tmp_path)
    for site, series in zip(terrain.gauges, observed, strict=True):
        header, *values = (tmp_path / "qobs" / f"{site.code}.csv").read_text().splitlines()
        assert datetime.strptime(header, "%Y%m%d%H%M") == OPTIONS.times[0].item()
        assert np.array(values, float) == pytest.approx(np.nan_to_num(series, nan=-99.0), abs=1e-6)


@pytest.mark.peer
def test_smash_finds_the_same_catchments(terrain, tmp_path):
    smash = pytest.importorskip("smash")
    write_rasters(terrain, replace(OPTIONS, end=OPTIONS.start + np.timedelta64(3600, "s")), tmp_path)
    mesh = smash.factory.generate_mesh(
        str(tmp_path / "flwdir.tif"),
        x=np.array([site.x for site in terrain.gauges]),
        y=np.array([site.y for site in terrain.gauges]),
        area=np.array([site.area for site in terrain.gauges]),
        code=np.array([site.code for site in terrain.gauges]),
    )
    assert mesh["area_dln"].tolist() == [site.area for site in terrain.gauges]
    assert mesh["nac"] == terrain.basin.sum()


# Options ------------------------------------------------------------------------------------------------------------


def test_wrong_options_are_told_together():
    with pytest.raises(Errors) as caught:
        SampleOptions(
            np.datetime64("2014-09-01"), np.datetime64("2014-08-01"), cells=10, step=7000, encoding="d8", truth="so"
        )
    assert [error.where for error in caught.value.errors] == [
        f"--{name}" for name in ("cells", "gauges", "step", "end", "truth", "encoding")
    ]
    assert caught.value.exit_status == 2


def test_the_period_holds_whole_steps():
    with pytest.raises(Errors, match="multiple of the step"):
        SampleOptions(np.datetime64("2014-09-01T00:30"), np.datetime64("2014-09-02"))
