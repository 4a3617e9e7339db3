"""The archive of an institute, from its folder to a basin: the values are those that were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hydrocli.basin.ingest import open_basin
from hydrocli.commands.check import check
from hydrocli.commands.init import init_from
from hydrocli.config import load
from hydrocli.errors import HydrocliError
from hydrocli.experiment.inputs import source_of
from hydrocli.synthetic import SampleOptions, make_terrain, rain_fields, temperature_fields
from hydrocli.synthetic.institute import RAIN_PACKING, write_institute

pytest.importorskip("xarray")
pytest.importorskip("h5netcdf")
OPTIONS = SampleOptions(
    np.datetime64("2019-10-20"), np.datetime64("2019-11-03"), cells=50, gauges=3, layout="institute"
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Over the end of summer time; the discharge is at random, with a gap."""
    folder = tmp_path_factory.mktemp("institute") / "archive"
    folder.mkdir()
    observed = np.random.default_rng(3).gamma(2.0, 0.3, (3, len(OPTIONS.times))).round(3)
    observed[1, 40:60] = np.nan
    write_institute(make_terrain(OPTIONS), OPTIONS, observed, folder)
    return folder, observed


def test_the_basin_is_that_of_the_archive(archive: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, observed = archive
    text, sentences = init_from(folder, tmp_path)
    (question,) = [one for one in sentences if one.startswith("to answer")]
    assert "2019-10-27" in question
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert any("two values at 2019-10-27 02:00:00" in one for one in check(config, [])["problems"])
    answered = text.replace("#? timezone", "timezone").replace("# flags: [Bonne, Douteuse]", "flags: [Bonne]")
    assert answered != text
    config.write_text(answered)
    report = check(config, [])
    assert report["problems"] == []
    terrain = make_terrain(OPTIONS)
    assert report["cells"] == pytest.approx(terrain.basin.sum(), abs=3)
    for row, site in zip(report["gauges"], terrain.gauges, strict=True):
        assert row["area_asked_km2"] == pytest.approx(site.area / 1e6)
        assert row["area_found_km2"] == pytest.approx(site.area / 1e6, rel=0.2)
    basin = open_basin(source_of(load(config)), tmp_path / "store")
    row, column = terrain.grid.cells_at(basin.network.x, basin.network.y)
    rain = np.concatenate([fields for _, fields in rain_fields(terrain, OPTIONS)])
    assert rain.max() > 1
    np.testing.assert_allclose(basin.precipitation, rain[:, row, column], rtol=0, atol=0.51 * RAIN_PACKING)
    # Cells of 8 km hold the mean of theirs, of which the outermost stand for those beyond the edge.
    daily = np.array([field for _, field in temperature_fields(terrain, OPTIONS)])
    assert basin.temperature is not None
    assert (
        np.abs(basin.temperature[::24].mean(axis=1) - daily[: len(basin.times) // 24, row, column].mean(axis=1)).max()
        < 2
    )
    flagged = np.isnan(basin.discharge) & ~np.isnan(observed)
    assert 0.01 < flagged.mean() < 0.1
    assert np.isnan(basin.discharge[1, 40:60]).all()
    np.testing.assert_allclose(basin.discharge[~flagged], observed[~flagged], rtol=0, atol=1e-9)


def test_a_region_has_no_such_layout() -> None:
    with pytest.raises(HydrocliError, match="is for a basin, not for a region"):
        SampleOptions(np.datetime64("2019-10-20"), np.datetime64("2019-11-03"), areas=(20, 30), layout="institute")
