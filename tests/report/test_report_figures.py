"""Every figure holds the numbers of the tables: what the artists have is compared with what pandas reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection, PolyCollection, QuadMesh
from report_examples import Size, downstream_of, tree_of

from hydrocli.report import balance, convergence, corrections, floods, hydrographs, maps, relations
from hydrocli.report.source import Source
from hydrocli.report.tables import Columns, envelope, found, highest, spread_out
from hydrocli.results import read

pytestmark = pytest.mark.usefixtures("drawn")
HOUR = np.timedelta64(3600, "s")


@pytest.fixture
def inside(hybrid: Path) -> Source:
    return Source(read(hybrid))


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{name}.parquet")


def of(frame: pd.DataFrame, gauge: str) -> pd.DataFrame:
    return frame[frame["gauge"] == gauge].reset_index(drop=True)


def test_hydrograph(folder: Path, source: Source) -> None:
    figure = hydrographs.draw_hydrograph(source.hydrographs["G01"], source.about.periods)
    expected, rain = (
        of(table(folder, "discharge"), "G01"),
        of(table(folder, "catchment_timeseries"), "G01")["precipitation"],
    )
    top, linear, logarithmic = figure.axes
    for axis in (linear, logarithmic):
        observed, simulated = axis.lines
        np.testing.assert_array_equal(observed.get_ydata(), expected["observed"])
        np.testing.assert_array_equal(simulated.get_ydata(), expected["simulated"])
        np.testing.assert_array_equal(observed.get_xdata(), expected["time"].dt.tz_localize(None).to_numpy("M8[s]"))
    (shape,) = (part for part in top.collections if isinstance(part, PolyCollection))
    assert shape.get_paths()[0].vertices[:, 1].max() == rain.max()
    assert top.yaxis_inverted()
    assert logarithmic.get_yscale() == "log"
    assert {text.get_text() for text in top.texts} == {"calibration", "later"}


def test_gaps_are_gaps(source: Source) -> None:
    series = source.hydrographs["G01"]
    missing = np.isnan(series.observed)
    ((start, end),) = hydrographs.gaps(series.times, series.observed)
    np.testing.assert_array_equal(missing, (series.times > start) & (series.times <= end))
    figure = hydrographs.draw_hydrograph(series, {})
    (ribbon,) = (part for part in figure.axes[1].collections if isinstance(part, PolyCollection))
    assert ribbon.get_label() == "not observed"
    assert len(ribbon.get_paths()) == 1


def test_envelope_keeps_peaks_and_gaps() -> None:
    random = np.random.default_rng(1)
    times = np.datetime64("2000-01-01T00:00:00", "s") + HOUR * np.arange(50_000)
    values = random.gamma(0.2, 10, 50_000)
    values[20_000:23_000] = np.nan
    some_times, some = envelope(times, values, 500)
    assert len(some) <= 1000
    assert (np.nanmin(some), np.nanmax(some)) == (np.nanmin(values), np.nanmax(values))
    assert np.all(np.diff(some_times.astype(int)) >= 0)
    inside = (some_times > times[20_100]) & (some_times < times[22_900])
    assert inside.sum() > 20
    assert np.isnan(some[inside]).all()
    np.testing.assert_array_equal(values[np.searchsorted(times, some_times)], some)
    _, rain = highest(times, values, 500)
    assert len(rain) == 500
    np.testing.assert_array_equal(rain[:200], values[:20_000].reshape(200, 100).max(axis=1))


def test_floods_begin_with_the_largest(folder: Path, source: Source) -> None:
    events, series = source.parts("events")["G01"], source.hydrographs["G01"]
    found_floods = hydrographs.largest_floods(series, events["start"], events["end"], 3)
    discharge = of(table(folder, "discharge"), "G01").set_index("time")["observed"]
    peaks = [discharge.loc[f"{a}Z" : f"{b}Z"].max() for a, b in zip(events["start"], events["end"], strict=True)]  # type: ignore[misc]
    assert [place for place, _ in found_floods] == np.argsort(peaks)[::-1][:3].tolist()
    figure = hydrographs.draw_floods([flood for _, flood in found_floods], ["1", "2", "3"])
    for (place, flood), axis in zip(found_floods, figure.axes[3:6], strict=True):
        assert flood.times[0] < events["start"][place]
        assert flood.times[-1] >= min(events["end"][place] + HOUR, series.times[-1])
        np.testing.assert_array_equal(axis.lines[0].get_ydata(), flood.observed)
        assert np.nanmax(flood.observed) >= peaks[place]


def test_flow_duration(source: Source) -> None:
    series = source.hydrographs["G00"]
    curves = hydrographs.flow_duration(series)
    known = np.isfinite(series.observed)
    for name, values in (("observed", series.observed), ("simulated", series.simulated["simulated"])):
        assert np.all(np.diff(curves[name]) <= 0)
        share = [(values[known] > level).mean() for level in curves[name]]
        np.testing.assert_allclose(share, hydrographs.FREQUENCIES, atol=1.5 / known.sum())
    figure = hydrographs.draw_flow_duration({"G00": curves})
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), curves["observed"])


def test_high_pass_against_pandas() -> None:
    times = np.datetime64("2000-01-01T00:00:00", "s") + HOUR * np.arange(1000)
    values = np.random.default_rng(1).random(1000) + 0.01 * np.arange(1000)
    values[300:310] = np.nan
    mean = pd.Series(values).rolling(73, center=True, min_periods=1).mean()
    np.testing.assert_allclose(hydrographs.high_pass(times, values), values - mean, atol=1e-12)


def test_domain_map(source: Source) -> None:
    size, domain = Size(), source.domain
    assert domain is not None
    np.testing.assert_array_equal(domain.downstream, downstream_of(size.rows, size.columns))
    tree, cells = tree_of(size)
    assert domain.gauges == dict(zip(size.codes, cells.tolist(), strict=True))
    np.testing.assert_array_equal(domain.upstream_area[cells], 1e6 * tree.cells)
    scores = {"G00": 0.5, "G01": np.nan, "G02": -3.0}
    figure = maps.draw_domain(domain, {"p": scores}, ["G00"])
    drawn = [part for part in figure.axes[0].collections if isinstance(part, PathCollection)]
    coloured = [part for part in drawn if part.get_array() is not None]
    assert [part.get_array().tolist() for part in coloured] == [[0.5], [-3.0]]  # type: ignore[union-attr]
    cell = domain.gauges["G00"]
    np.testing.assert_array_equal(coloured[0].get_offsets(), [[domain.x[cell], domain.y[cell]]])
    assert {text.get_text() for text in figure.axes[0].texts} >= {"G00", "G01", "G02"}


def test_fields(folder: Path, source: Source) -> None:
    values, domain = table(folder, "parameters"), source.domain
    assert domain is not None
    figure = maps.draw_fields(domain, {"cp": values["cp"].to_numpy()}, {"cp": "mm"})
    (image,) = figure.axes[0].images
    np.testing.assert_array_equal(image.get_array(), values["cp"].to_numpy().reshape(6, 8))
    left, right, bottom, top = image.get_extent()
    assert (right - left, top - bottom) == (8000, 6000)
    assert (left, top) == (values["x"].min() - 500, values["y"].max() + 500)
    assert figure.axes[0].get_title(loc="left") == f"cp\n{values['cp'].mean():.3g} ± {values['cp'].std(ddof=0):.2g}"
    assert figure.axes[0].child_axes[0].get_ylabel() == "[mm]"


def test_difference(source: Source) -> None:
    assert source.domain is not None
    one, other = np.arange(48.0), np.arange(48.0)[::-1]
    figure = maps.draw_difference(source.domain, {"hp": (one, other)}, ("A", "B"), {"hp": "-"})
    shown = [axis.images[0] for axis in figure.axes[:3]]
    for image, expected in zip(shown, (one, other, other - one), strict=True):
        np.testing.assert_array_equal(np.ravel(image.get_array()), expected)
    assert shown[0].get_clim() == shown[1].get_clim()
    assert shown[2].get_clim() == (-47, 47)


def test_correlations_against_pandas(folder: Path, source: Source) -> None:
    parameters, domain = source.table("parameters"), source.table("domain")
    assert parameters is not None
    assert domain is not None
    relations_found = relations.with_descriptors(parameters, domain)
    assert relations_found is not None
    joined = table(folder, "parameters").join(table(folder, "domain")[["slope", "forest"]])
    expected = joined[[*relations_found.rows, *relations_found.columns]].corr()
    np.testing.assert_allclose(relations_found.values, expected.loc[list(relations_found.rows), ["slope", "forest"]])
    axis = relations.draw_relations(relations_found).axes[0]
    np.testing.assert_array_equal(axis.images[0].get_array(), relations_found.values)
    assert axis.texts[0].get_text() == f"{relations_found.values[0, 0]:.2f}"
    assert np.isnan(relations.correlation(np.ones(5), np.arange(5.0)))


def test_convergence(folder: Path, source: Source) -> None:
    history = source.table("convergence")
    assert history is not None
    figure = convergence.draw_convergence(convergence.stages(history))
    expected = table(folder, "convergence")
    for axis, column in zip(figure.axes, ("cost", "gradient_norm"), strict=True):
        shown = np.concatenate([np.asarray(line.get_ydata()) for line in axis.lines])
        np.testing.assert_array_equal(shown, expected[column].dropna())


def test_balance(folder: Path, source: Source) -> None:
    expected = of(table(folder, "balance"), "G01")
    bars = balance.bars(source.parts("balance")["G01"])
    np.testing.assert_allclose(sum(bars.terms.values()), 0, atol=1e-9)
    axis = balance.draw_balance({"G01": bars}).axes[0]
    heights = {str(part.get_label()): [bar.get_height() for bar in part] for part in axis.containers}
    for name, sign in (("rain", 1), ("runoff", -1), ("exchange", 1)):
        np.testing.assert_allclose(heights[name], sign * expected[name], rtol=1e-12)
    assert "network source" not in heights


def test_mean_fluxes(folder: Path, source: Source) -> None:
    annual = source.parts("annual_fluxes")
    fluxes = balance.mean_fluxes(annual)
    expected = table(folder, "annual_fluxes").query("period == 'calibration'").set_index("gauge")
    assert {code: values["runoff"] for code, values in fluxes.items()} == pytest.approx(expected["runoff"].to_dict())
    figure = balance.draw_mean_fluxes(fluxes, fluxes, ("A", "B"))
    order = expected["rain"].sort_values().index
    np.testing.assert_allclose(figure.axes[-1].lines[0].get_ydata(), expected["runoff"][order])
    sentence = balance.span(annual)
    assert "period calibration, without warm-up" in sentence
    assert f"{expected['days'].iloc[0]:.0f} days, scaled to 365.25; less than a year" in sentence


def test_scores_and_errors(folder: Path, source: Source) -> None:
    scores, signatures = source.table("scores"), source.table("signatures")
    assert scores is not None
    assert signatures is not None
    expected = table(folder, "scores").query("metric == 'kge'").groupby("scenario")["value"]
    shown = floods.by_scenario(scores, "kge")
    assert {name: sorted(values) for name, (_, values) in shown.items()} == {n: sorted(g) for n, g in expected}
    axis = floods.draw_scores({"kge": shown}).axes[0]
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), np.sort(shown["calibration"][1]))
    errors = floods.errors(signatures, of_events=True)
    told = table(folder, "signatures").dropna(subset="event").groupby("signature")["relative_error"]
    assert {name: np.median(values) for name, values in errors.items()} == pytest.approx(told.median().to_dict())
    axis = floods.draw_errors(errors, {}).axes[0]
    medians = [line.get_ydata()[0] for line in axis.lines if len(set(np.asarray(line.get_ydata()))) == 1]
    assert np.median(errors["Epf"]) in medians
    assert set(floods.errors(signatures, of_events=False)) == {"Crc"}


def test_corrections(hybrid: Path, inside: Source) -> None:
    catchment = of(table(hybrid, "catchment_timeseries"), "G00")
    factors = corrections.factors(inside.corrections, inside.catchments["G00"])
    assert list(factors) == ["1 + f1, rain", "1 + f2, evaporation", "1 + f3, exchange", "1 + f4, outflow"]
    np.testing.assert_array_equal(factors["1 + f3, exchange"], catchment["g3"])
    delayed = {"f3": {"flux": "delayed branch", "factor": "1 - f^2"}}
    of_grnn = corrections.factors(delayed, inside.catchments["G00"])
    np.testing.assert_array_equal(of_grnn["1 - f3^2, delayed branch"], catchment["g3"])
    linear = inside.catchments["G00"]
    without = Columns({name: column for name, column in linear.values.items() if not name.startswith("g")}, {}, {})
    np.testing.assert_array_equal(corrections.factors(inside.corrections, without)["1 + f1, rain"], 1 + catchment["f1"])
    assert not corrections.factors(delayed, without)  # 1 - (mean f)^2 is not the mean of 1 - f^2
    times = inside.catchments["G00"]["time"]
    figure = corrections.draw_in_time({name: {"G00": (times, v)} for name, v in factors.items()}, "factor [-]", 1.0)
    daily = catchment["g1"].groupby(np.arange(len(catchment)) // 24).mean()
    _, mean = corrections.mean_of_pieces(times, factors["1 + f1, rain"], 20)
    np.testing.assert_allclose(mean, daily, rtol=1e-12)
    assert len(figure.axes) == 4


def test_heatmap_is_sorted(inside: Source) -> None:
    found = {
        code: (rows["time"], corrections.factors(inside.corrections, rows)) for code, rows in inside.catchments.items()
    }
    period = inside.about.periods["calibration"]
    averages = corrections.averages(found, period)
    times, rows = found["G00"]
    within = (times > period[0]) & (times <= period[1])
    assert averages["G00"]["1 + f2, evaporation"] == pytest.approx(rows["1 + f2, evaporation"][within].mean())
    found_map = corrections.heatmap(found, averages)
    means = [averages[code]["1 + f1, rain"] for code in found_map.gauges]
    assert np.all(np.diff(means) >= 0)
    figure = corrections.draw_heatmap(found_map)
    images = [axis.images[0] for axis in figure.axes if axis.images]
    for image, values in zip(images, found_map.values.values(), strict=True):
        np.testing.assert_array_equal(image.get_array(), values)
        low, high = image.get_clim()
        assert low + high == pytest.approx(2)


def test_response(hybrid: Path, inside: Source) -> None:
    response = inside.table("response_surfaces")
    assert response is not None
    surfaces = corrections.surfaces(response)
    expected = table(hybrid, "response_surfaces").query("flux == 'exchange'")
    pivot = expected.pivot_table(index="level_value", columns="forcing_value", values="corrected")
    assert [surface.flux for surface in surfaces] == ["infiltration", "exchange"]
    np.testing.assert_array_equal(surfaces[1].corrected, pivot)
    figure = corrections.draw_response(surfaces)
    meshes = [part for axis in figure.axes for part in axis.collections if isinstance(part, QuadMesh)]
    np.testing.assert_array_equal(np.reshape(meshes[3].get_array(), pivot.shape), pivot)  # type: ignore[arg-type]
    assert meshes[2].get_clim() == meshes[3].get_clim()


def test_cumulated_water_with_and_without_the_network(hybrid: Path, inside: Source) -> None:
    code = inside.largest
    assert code == "G00"
    here, without = inside.catchments[code], inside.parts("no_correction")[code]
    runs = {"with": balance.cumulated(here["time"], here["precipitation"], here)}
    runs["without"] = balance.cumulated(without["time"], here["precipitation"], without)
    rain = of(table(hybrid, "catchment_timeseries"), code)["precipitation"].sum()
    shares = {"evapotranspiration": 0.4, "runoff": 0.3, "storage": 0.2, "left": 0.1}
    for name, share in shares.items():
        np.testing.assert_allclose(getattr(runs["with"], name)[-1], share * rain, rtol=1e-9)
    figure = balance.draw_cumulated(runs)
    np.testing.assert_allclose(figure.axes[1].lines[1].get_ydata()[-1], 0.1 * rain, rtol=1e-2)  # type: ignore[index]


def test_units_and_words_come_from_the_file(folder: Path) -> None:
    parameters = found(read(folder), "parameters")
    assert parameters is not None
    assert parameters.label("cp") == "production capacity [mm]"
    assert found(read(folder), "response_surfaces") is None
    assert found(read(folder), "no such table") is None


def test_figures_of_all_gauges_have_a_panel_for_some_of_very_many(
    monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    codes = [f"G{number}" for number in range(1000)]
    scores = {code: float(-number) for number, code in enumerate(codes)}
    chosen = spread_out(scores, codes, 5)
    assert chosen == ["G0", "G250", "G499", "G749", "G999"]  # the best and the worst among them, in their order
    assert spread_out({}, codes[:5], 5) == codes[:5]
    assert source.pictured == list(source.hydrographs)
    monkeypatch.setattr("hydrocli.report.source.PANELS", 2)
    few = Source(source.run)
    assert len(few.pictured) == 2
    assert few.panels_of == f"2 of {len(few.hydrographs)} gauges, spread from the worst to the best"
    curves = {code: hydrographs.flow_duration(few.hydrographs[code]) for code in few.pictured}
    assert len(hydrographs.draw_flow_duration(curves).axes) == 2
