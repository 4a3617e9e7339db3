"""A run in a notebook: rasters, series, GeoDataFrames, xarray, figures, HTML, and attributes that may be asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyproj
import pytest
from results_examples import write_valley

from hydrocli.errors import ConfigurationError, InputError
from hydrocli.results import Run, read, schemas
from hydrocli.results.write import write_table

CRS = pyproj.CRS("EPSG:2154").to_wkt()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = write_valley(tmp_path / "valley <1>")
    columns = {"cell": np.array([2, 0, 1, 3]), "row": np.zeros(4, int), "column": np.array([2, 0, 1, 3])}
    columns |= {"x": 800_500.0 + 1000 * columns["column"], "y": np.full(4, 6_500_500.0)}
    write_table(folder, schemas.parameters(["cp"]), columns | {"cp": columns["cell"] * 10.0}, run="valley", crs_wkt=CRS)
    return read(folder)


def test_a_table_that_is_missing_or_broken_is_no_attribute(run: Run) -> None:
    assert not hasattr(run, "lcurve")
    assert hasattr(run, "scores")
    with pytest.raises(InputError, match="does not exist"):
        run.lcurve  # noqa: B018
    (run.folder / "events.parquet").write_bytes(b"no parquet")
    assert not hasattr(run, "events")
    with pytest.raises(AttributeError, match="not a readable"):
        run.events  # noqa: B018


def test_completion_names_the_tables_that_are_there(run: Run) -> None:
    names = dir(run)
    assert {"scores", "discharge", "raster", "plot", "gauges"} <= set(names)
    assert not {"lcurve", "events"} & set(names)


def test_rasters(run: Run) -> None:
    """Cells are placed by their row and column, in whatever order the table has them."""
    assert run.raster("cp").tolist() == [[0.0, 10.0, 20.0, 30.0]]
    assert run.raster("level").tolist() == [[0.0, 1.0, 2.0, 3.0]]
    assert run.rasters[0] == "cp"
    with pytest.raises(ConfigurationError, match="Rasters: cp"):
        run.raster("slope")


def test_a_raster_has_gaps_where_no_cell_is_active(tmp_path: Path) -> None:
    folder = write_valley(tmp_path / "valley")
    domain = read(folder).arrays("domain")
    del domain["run"]
    place = {"row": np.array([0, 0, 2, 2]), "column": np.array([1, 3, 3, 1])}
    place |= {"x": 1000.0 * place["column"], "y": 5000.0 - 1000.0 * place["row"]}
    write_table(folder, schemas.domain([]), domain | place, run="valley", crs_wkt=CRS)
    run = read(folder)
    image = run.raster("level")
    assert image.shape == (3, 4)
    assert np.isnan(image).sum() == 8
    assert (image[0, 1], image[0, 3], image[2, 3], image[2, 1]) == (0, 1, 2, 3)
    data = run.dataset()
    assert data["x"].to_numpy().tolist() == [0, 1000, 2000, 3000]
    assert data["y"].to_numpy().tolist() == [5000, 4000, 3000]


def test_series_of_a_gauge(run: Run) -> None:
    frame = run.series("high")
    assert frame["observed"].tolist() == [5.0, 6.0, 7.0, 8.0, 9.0]
    assert str(frame.index[0]) == "2014-09-15 01:00:00+00:00"
    assert frame.attrs["units"]["observed"] == "m3/s"
    with pytest.raises(ConfigurationError, match="Gauges: low, high"):
        run.series("middle")


def test_geodataframes(run: Run) -> None:
    assert run.gauges.set_index("gauge")["area_km2"].to_dict() == {"low": 4.0, "high": 2.0}
    assert run.rivers["upstream_km2"].tolist() == [1.0, 2.0, 3.0]


def test_dataset(run: Run) -> None:
    data = run.dataset()
    assert data["simulated"].sel(gauge="high").to_numpy().tolist() == [1.0] * 5
    assert np.isnan(data["observed"].sel(gauge="low").to_numpy()[2])
    assert data["cp"].sel(x=802_500.0, y=6_500_500.0).item() == 20.0
    assert (data["cp"].attrs["units"], data["observed"].attrs["units"]) == ("mm", "m3 s-1")


def test_plots(run: Run) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    hydrograph = run.plot("low")
    observed, simulated = hydrograph.get_lines()
    np.testing.assert_array_equal(observed.get_ydata(), [0.0, 1.0, np.nan, 3.0, 4.0])
    assert simulated.get_ydata().tolist() == [1.0] * 5
    _, axes = matplotlib.pyplot.subplots()
    assert run.plot("cp", ax=axes) is axes
    assert axes.collections[0].get_array().ravel().tolist() == [0.0, 10.0, 20.0, 30.0]
    with pytest.raises(ConfigurationError, match="neither a gauge nor a raster"):
        run.plot("slope")
    matplotlib.pyplot.close("all")


def test_html(run: Run) -> None:
    page = run._repr_html_()
    assert "valley &lt;1&gt;" in page
    assert "<1>" not in page
    assert "0.750" in page
