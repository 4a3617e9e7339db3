"""States and fluxes on request: they add up to the balance, agree with one another, and are what the equations say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from runs_harness import call, configuration, manifest, series, table
from test_experiment_structures import GIVEN, NETWORK

STRUCTURES = {
    "gr": {"kind": "gr"},
    "grnn": {"kind": "grnn", "network": NETWORK},
    "ode": {"kind": "ode"},
    "implicit": {"kind": "node", "network": NETWORK},
    "previous": {"kind": "node", "network_coupling": "lagged", "network": NETWORK},
}
FLUXES = ["pn", "en", "ps", "es", "pr", "exchange", "qr", "qd", "qt", "aet", "storage", "hp", "ht"]
LONGER = {"period.end": "2015-01-25T00:00Z"}
TIMES = ["2014-09-20T00:00Z", "2014-10-05T07:00Z"]


@pytest.fixture(scope="module")
def simulated(finished: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A simulation of every structure that writes all it has."""
    folder, runs = tmp_path_factory.mktemp("internals"), {}
    domain = table(finished.with_suffix(""), "domain")
    point = [float(domain["x"][7]) + 300.0, float(domain["y"][7]) - 300.0]
    for name, structure in STRUCTURES.items():
        extra = ["f1", "f2", "f3", "f4"] if "network" in structure else []
        extra += ["g1", "g2", "g3", "g4"] if "network" in structure else []
        extra += ["perc"] if name in ("gr", "grnn") else ["newton_iterations"]
        outputs = {
            "series": FLUXES + extra,
            "cells": [point],
            "maps": {"quantities": ["hp", "storage"], "times": TIMES},
        }
        changes = GIVEN | {"structure": structure, "outputs": outputs}
        file = configuration(folder / f"{name}.yaml", store, changes=changes)
        call("simulate", file)
        runs[name] = file.with_suffix("")
    return runs


@pytest.fixture(params=STRUCTURES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_series_add_up_to_the_balance(simulated: dict[str, Path], name: str) -> None:
    """Told twice: by the books of the year, and step by step."""
    means, balance = table(simulated[name], "catchment_timeseries"), table(simulated[name], "balance")
    for code in np.unique(balance["gauge"]):
        here, year = means["gauge"] == code, balance["gauge"] == code
        for column, booked in (("aet", "evapotranspiration"), ("exchange", "exchange"), ("qt", "runoff")):
            np.testing.assert_allclose(means[column][here].sum(), balance[booked][year].sum(), rtol=1e-9, atol=1e-9)
        change = balance["storage_change"][year].sum()
        steps = np.diff(means["storage"][here])
        first = change - steps.sum()  # of the first step, which the series begins after
        assert abs(first) < 30.0
        inward = means["precipitation"] - means["aet"] + means["exchange"] - means["qt"]
        if "f1" in means and name in ("implicit", "previous"):
            continue  # the network adds rain of its own, cell by cell
        np.testing.assert_allclose(inward[here][1:], steps, rtol=0, atol=1e-6)


def test_fluxes_are_those_of_the_equations(simulated: dict[str, Path], name: str) -> None:
    """At one cell, from the levels that are written beside them (1-NSE of nothing: plain arithmetic of P1 and P2)."""
    cell = table(simulated[name], "cell_timeseries")
    cp, ct, kexc = 200.0, 120.0, -0.5
    hp, ht, pn, en = (cell[symbol] for symbol in ("hp", "ht", "pn", "en"))
    f1, f2, f3, f4 = (cell.get(f"f{k}", np.zeros(len(hp))) for k in range(1, 5))
    if name in ("gr", "grnn"):
        before, below = np.concatenate([[0.3], hp[:-1]]), np.concatenate([[0.2], ht[:-1]])
        u, v = np.tanh(pn / cp), np.tanh(en / cp)
        ps = np.minimum(pn, (1 + f1) * cp * (1 - before**2) * u / (1 + before * u))
        es = np.minimum(en, (1 + f2) * cp * before * (2 - before) * v / (1 + (1 - before) * v))
        exchanged = (1 + f4) * kexc * below**3.5
        passing = pn - ps + cell["perc"]
        split = 0.9 * (1 - f3**2)
        qd = np.maximum(0.0, (1 - split) * passing + exchanged)
        expected = {"ps": ps, "es": es, "pr": pn - ps, "qd": qd}
        expected["exchange"] = exchanged + qd - (1 - split) * passing
        np.testing.assert_allclose(np.diff(hp), ((ps - es - cell["perc"]) / cp)[1:], rtol=0, atol=1e-12)
    else:
        exchanged = (1 + f3) * kexc * ht**3.5
        passing = hp**2 * pn * (1 + f1)
        expected = {"ps": (1 - hp**2) * pn * (1 + f1), "es": hp * (2 - hp) * en * (1 + f2), "pr": passing}
        expected |= {"exchange": 2 * exchanged, "qr": ct / 4 * ht**5 * (1 + f4), "qd": 0.1 * passing + exchanged}
    for symbol, values in expected.items():
        np.testing.assert_allclose(cell[symbol], values, rtol=1e-9, atol=1e-12, err_msg=symbol)
    np.testing.assert_allclose(cell["qt"], cell["qr"] + cell["qd"], rtol=1e-9, atol=1e-12)
    assert (cell["pn"] > 0).any()
    assert (cell["en"] > 0).any()


def test_maps_cells_and_means_agree(simulated: dict[str, Path], name: str) -> None:
    folder = simulated[name]
    cell, domain, means = table(folder, "cell_timeseries"), table(folder, "domain"), table(folder, "mean_maps")
    number = int(cell["cell"][0])
    assert (domain["x"][number], domain["y"][number]) == (cell["x"][0], cell["y"][0])
    for symbol in ("hp", "storage"):
        np.testing.assert_allclose(means[symbol][number], cell[symbol].mean(), rtol=1e-12)
        with rasterio.open(folder / "maps" / f"{symbol}.tif") as maps:
            assert maps.count == len(TIMES)
            assert [text.split(", ")[-1] for text in maps.descriptions] == [f"{t[:-1]}:00Z" for t in TIMES]
            bands = maps.read()[:, domain["row"][number], domain["column"][number]]
        at = np.isin(cell["time"], np.array([t[:-1] for t in TIMES], "datetime64[s]"))
        np.testing.assert_array_equal(bands, cell[symbol][at])
        with rasterio.open(folder / "maps" / f"mean_{symbol}.tif") as mean:
            assert mean.read(1)[domain["row"][number], domain["column"][number]] == means[symbol][number]


def test_factors_are_averaged_and_not_computed_of_averages(simulated: dict[str, Path]) -> None:
    """At a cell g is that of its f, in time the mean of g over the calibration; in space it is below 1 - mean(f)^2."""
    for name in ("grnn", "implicit"):
        folder = simulated[name]
        cell, means = table(folder, "cell_timeseries"), table(folder, "mean_maps")
        series_, number = table(folder, "catchment_timeseries"), int(cell["cell"][0])
        period = np.array(["2014-09-20T00:00", "2014-10-25T00:00"], "datetime64[s]")
        inside = (cell["time"] > period[0]) & (cell["time"] <= period[1])
        for k in range(1, 5):
            f, g = cell[f"f{k}"], cell[f"g{k}"]
            squared = name == "grnn" and k == 3
            np.testing.assert_allclose(g, 1 - f**2 if squared else 1 + f, rtol=1e-15)
            np.testing.assert_allclose(means[f"g{k}"][number], g[inside].mean(), rtol=1e-12)
            mean_f, mean_g = series_[f"f{k}"], series_[f"g{k}"]
            if squared:
                assert (mean_g < 1 - mean_f**2).mean() > 0.9  # by the variance of f over the cells
                assert abs(means["g3"][number] - (1 - f[inside].mean() ** 2)) > 0
            else:
                np.testing.assert_allclose(mean_g, 1 + mean_f, rtol=1e-12)


def test_annual_fluxes_are_of_the_days_of_their_period(simulated: dict[str, Path]) -> None:
    """Without warm-up, for 365.25 days; the evaporation of the soil alone is es, the rest is interception."""
    for name in ("gr", "implicit"):
        annual, means = table(simulated[name], "annual_fluxes"), table(simulated[name], "catchment_timeseries")
        for code in np.unique(annual["gauge"]):
            here = annual["gauge"] == code
            assert annual["period"][here].tolist() == ["calibration", "later"]
            for row, (start, end) in zip(np.flatnonzero(here), (("09-20", "10-25"), ("10-25", "11-15")), strict=True):
                inside = (means["gauge"] == code) & (means["time"] > np.datetime64(f"2014-{start}T00:00"))
                inside &= means["time"] <= np.datetime64(f"2014-{end}T00:00")
                assert annual["days"][row] == inside.sum() / 24
                scale = 365.25 / annual["days"][row]
                for flux, of in (("rain", "precipitation"), ("soil_evaporation", "es"), ("runoff", "qt")):
                    found = scale * means[of][inside].sum()
                    np.testing.assert_allclose(annual[flux][row], found, rtol=1e-6, atol=1e-9)
                evaporated = annual["soil_evaporation"][row] + annual["interception_evaporation"][row]
                np.testing.assert_allclose(evaporated, scale * means["aet"][inside].sum(), rtol=1e-9)


def test_newton_iterations_add_up(simulated: dict[str, Path]) -> None:
    for name in ("ode", "implicit", "previous"):
        means = table(simulated[name], "mean_maps")["newton_iterations"]
        np.testing.assert_allclose(means.mean(), manifest(simulated[name])["counts"]["newton_iterations_mean"])
        cell = table(simulated[name], "cell_timeseries")["newton_iterations"]
        assert np.array_equal(cell, np.round(cell))
        assert cell.max() >= 1


def test_without_its_network_a_hybrid_is_classical(simulated: dict[str, Path]) -> None:
    for hybrid, classical in (("grnn", "gr"), ("implicit", "ode"), ("previous", "ode")):
        without = table(simulated[hybrid], "no_correction")
        means = table(simulated[classical], "catchment_timeseries")
        for symbol in ("aet", "exchange", "qt", "storage"):
            np.testing.assert_allclose(without[symbol], means[symbol], rtol=1e-6, atol=1e-8)
        here = without["gauge"] == "S0001"
        expected = series(simulated[classical], "S0001")[1]
        np.testing.assert_allclose(without["simulated"][here], expected, rtol=1e-6)
        assert np.abs(expected - series(simulated[hybrid], "S0001")[1]).max() > 1e-3 * expected.max()


def test_the_response_is_that_of_the_network(simulated: dict[str, Path]) -> None:
    """Classical infiltration by the paper; corrections within ]-1, 1[ move it, and nothing else does."""
    for name in ("grnn", "previous"):
        response = table(simulated[name], "response_surfaces")
        here = response["flux"] == "infiltration"
        hp, pn = response["level_value"][here], response["forcing_value"][here].astype(np.float32).astype(np.float64)
        if name == "grnn":
            u = np.tanh(pn / 200.0)
            expected = 200.0 * (1 - hp**2) * u / (1 + hp * u)
        else:
            expected = (1 - hp**2) * pn
        np.testing.assert_allclose(response["classical"][here], expected, rtol=1e-9, atol=1e-12)
        assert set(response["flux"]) == {"infiltration", "evaporation", "exchange", "outflow"}
        assert (response["corrected"] != response["classical"]).any()
    assert not (simulated["gr"] / "response_surfaces.parquet").exists()
    assert not (simulated["gr"] / "no_correction.parquet").exists()


def test_nothing_asked_nothing_written(finished: Path, store: Path, tmp_path: Path) -> None:
    file = configuration(tmp_path / "bare.yaml", store, changes=GIVEN | {"outputs": {"series": []}})
    call("simulate", file)
    assert not (tmp_path / "bare" / "mean_maps.parquet").exists()
    assert set(table(tmp_path / "bare", "catchment_timeseries")) == {
        "run", "gauge", "time", "precipitation", "pet",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ({"series": ["f1"]}, "the structure gr has no f1"),
        ({"series": ["newton_iterations"]}, "the structure gr has no newton_iterations"),
        ({"maps": {"quantities": ["hp"]}}, "is empty, and every is not set"),
        ({"cells": [[0.0, 0.0]]}, "no active cell at x 0, y 0"),
        ({"maps": {"quantities": ["hp"], "times": ["2013-01-01T00:00Z"]}}, "no time step ends at this time"),
        ({"max_memory": "16MB", "maps": {"quantities": FLUXES, "every": 1}}, "outputs.max_memory is 16 MB"),
    ],
)
def test_what_cannot_be_is_refused(store: Path, tmp_path: Path, outputs: dict, sentence: str) -> None:
    file = configuration(
        tmp_path / "wrong.yaml", store, changes=GIVEN | {"outputs": outputs, "period.end": "2015-01-25T00:00Z"}
    )
    for command in ("simulate", "calibrate"):
        result = call(command, file, status=2)
        assert sentence in " ".join(result.stderr.split())
    assert not (tmp_path / "wrong" / "discharge.parquet").exists()


def test_single_precision_and_threads_write_the_same_kind(store: Path, tmp_path: Path) -> None:
    """The look inside is in double precision whatever the run has; it does not depend on the number of threads."""
    folders = []
    for threads in (1, 2):
        changes = GIVEN | {
            "structure": STRUCTURES["ode"],
            "execution": {"precision": "single", "threads": threads},
        }
        file = configuration(tmp_path / f"threads{threads}.yaml", store, changes=changes)
        call("simulate", file)
        folders.append(file.with_suffix(""))
    one, two = (table(folder, "catchment_timeseries") for folder in folders)
    for column in ("hp", "ht", "aet", "storage"):
        np.testing.assert_array_equal(one[column], two[column])
    assert np.abs(table(folders[0], "balance")["closure_error"]).max() < 1e-6
