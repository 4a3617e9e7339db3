"""A run carried to another time step: what is declared per step is converted, and the water stays the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from runs_harness import SAMPLE, call, configuration, manifest, table
from test_experiment_structures import GIVEN

from hydrocli.config import load
from hydrocli.errors import ConfigurationError
from hydrocli.experiment.networks import continued_regionalisation
from hydrocli.structures.structure import Structure, parameter_quantities, variants

QUARTER, HOUR = 900, 3600
SPAN = {"period.start": "2014-09-01T00:00Z", "period.end": "2014-09-25T00:00Z"}
SPAN |= {"period.calibration": ["2014-09-03T00:00Z", "2014-09-25T00:00Z"], "period.validation": None}
NETWORK = {"hidden": [4], "initial_std": 0.7}
PHYSICS: dict[str, Any] = GIVEN | SPAN | {"gauges.discharge": None, "initial.ht.value": 0.4}
PHYSICS |= {"parameters.kexc.value": -5.0, "parameters.kexc.bounds": [-50, 20]}
MODELS: dict[str, dict[str, Any]] = {
    "gr": {"structure": {"kind": "gr"}},
    "node": {"structure": {"kind": "node", "network": NETWORK}},
    "grnn": {"structure": {"kind": "grnn", "network": NETWORK | {"input_scaling": "max"}}},
    "snow": {
        "structure": {"kind": "gr", "snow": "degree_day"},
        "parameters.kmlt.value": 0.002,
        "initial.hs.value": 40.0,
    },
}


@pytest.fixture(scope="module")
def quarters(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The sample with the rain of every hour in four equal parts."""

    def fill(folder: Path) -> None:
        shutil.copytree(SAMPLE, folder, dirs_exist_ok=True, ignore=lambda place, names: {"prcp"} & set(names))
        begin, end = (np.datetime64(SPAN[key][:-1]) for key in ("period.start", "period.end"))
        for path in (SAMPLE / "prcp").rglob("*.tif"):
            stamp = path.stem.rsplit("_", 1)[1]
            day, clock = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}", f"{stamp[8:10]}:{stamp[10:12]}"
            time = np.datetime64(f"{day}T{clock}")
            if not begin < time <= end:
                continue
            with rasterio.open(path) as raster:
                profile, values = raster.profile, raster.read(1).astype(np.float32)
                values = np.where(values == raster.nodata, np.nan, values / 4)
            for part in range(4):
                quarter = str(time - np.timedelta64(15 * part, "m"))
                name = path.stem.replace(stamp, "".join(letter for letter in quarter if letter.isdigit()))
                place = folder / "prcp" / f"{name}.tif"
                place.parent.mkdir(exist_ok=True)
                with rasterio.open(place, "w", **(profile | {"dtype": "float32", "nodata": np.nan})) as raster:
                    raster.write(values, 1)

    return once("quarters", fill)


def total(folder: Path, name: str) -> float:
    """Sum of a flux over the largest catchment [mm]."""
    means = table(folder, "catchment_timeseries")
    return float(means[name][means["gauge"] == "S0001"].sum())


def of_days(folder: Path, name: str) -> np.ndarray:
    """Daily means of a quantity over the largest catchment."""
    means = table(folder, "catchment_timeseries")
    return means[name][means["gauge"] == "S0001"].reshape(24, -1).mean(axis=1)


@pytest.fixture
def carried(request: pytest.FixtureRequest, quarters: Path, store: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A run of hours, the same carried to quarters of an hour and the same with its numbers as they are."""
    changes = PHYSICS | MODELS[request.param]
    hourly = configuration(tmp_path / "hourly.yaml", store, changes=changes)
    call("simulate", hourly)
    here = {"period.step": "15min"}
    level = {"initial.ht.value": 0.4 * 0.25**0.25}
    other = configuration(tmp_path / "quarter.yaml", store, quarters, PHYSICS | here | level)
    said = call("simulate", other, "--parameters-from", tmp_path / "hourly")
    assert "ct multiplied by 1.41421; kexc multiplied by 0.840896; ht multiplied by 0.707107" in said.stderr
    wrong = configuration(tmp_path / "wrong.yaml", store, quarters, changes | here)
    call("simulate", wrong)  # the seed gives the same weights
    return tmp_path / "hourly", tmp_path / "quarter", tmp_path / "wrong"


@pytest.mark.parametrize("carried", MODELS, indirect=True)
def test_a_run_of_hours_in_quarters_of_an_hour(carried: tuple[Path, Path, Path], store: Path, tmp_path: Path) -> None:
    """What is per step and what a network sees are the same in an hour; unconverted, they are not.

    And back: parameters and scales are those of the first run to rounding.
    """
    one, two, wrong = carried
    assert any("ct multiplied by 1.41421" in warning for warning in manifest(two)["warnings"])
    assert (manifest(one)["structure"]["step"], manifest(two)["structure"]["step"]) == (HOUR, QUARTER)
    symbols = [symbol for symbol in table(one, "parameters") if symbol in parameter_quantities()]
    for symbol in symbols:
        factor = {"ct": 0.25**-0.25, "kexc": 0.25**0.125, "kmlt": 0.25}.get(symbol, 1.0)
        before, after = (table(folder, "parameters")[symbol] for folder in (one, two))
        np.testing.assert_array_equal(after, factor * before, err_msg=symbol)
    assert total(two, "exchange") == pytest.approx(total(one, "exchange"), rel=0.05)
    assert total(wrong, "exchange") / total(one, "exchange") > 1.2
    error, unconverted = (
        np.abs(of_days(run, "qt") * times - of_days(one, "qt")).max() for run, times in ((two, 4), (wrong, 4))
    )
    assert error < 0.05 * of_days(one, "qt").max() < unconverted
    if "kmlt" in symbols:
        assert 5 < total(one, "melt") < 35
        assert total(two, "melt") == pytest.approx(total(one, "melt"), rel=0.05)
    call("simulate", tmp_path / "hourly.yaml", "--parameters-from", two, "--output", tmp_path / "back")
    for symbol in symbols:
        before, after = (table(folder, "parameters")[symbol] for folder in (one, tmp_path / "back"))
        np.testing.assert_allclose(after, before, rtol=1e-15)
    if not (two / "network_weights.parquet").exists():
        return
    for k in range(1, 5):
        spread = np.abs(of_days(one, f"f{k}")).max()
        error, unconverted = (np.abs(of_days(run, f"f{k}") - of_days(one, f"f{k}")).max() for run in (two, wrong))
        assert error < 0.01 * spread
        if "kind: node" in (one / "config.yaml").read_text():  # with input_scaling: max the scale is that of the step
            assert unconverted > 5 * error
    weights = [table(folder, "network_weights") for folder in (one, two, tmp_path / "back")]
    scale = [found["value"][found["array"] == "scale"] for found in weights]
    np.testing.assert_allclose(scale[1] / scale[0], [1, 0.25**-0.25, 4, 4], rtol=1e-15)
    np.testing.assert_allclose(scale[2], scale[0], rtol=1e-15)
    inner = weights[0]["layer"] > 0
    np.testing.assert_array_equal(weights[1]["value"][inner], weights[0]["value"][inner])


def test_the_declaration_says_what_is_per_step() -> None:
    """Every parameter whose unit names the step, with a slash, and what is declared to depend on it otherwise."""
    for model in variants():
        structure = Structure(model.name.split("_")[0], snow="degree_day" if model.name.endswith("_snow") else "none")
        assert set(model.step_exponents) <= {*structure.parameters, *structure.states}
        for one in model.parameters:
            exponent = model.step_exponents.get(one.symbol, float("step" in one.unit))
            assert structure.carried_by(one.symbol, 0.25) == pytest.approx(0.25**exponent, rel=1e-15)
            assert "dt" not in one.unit
    assert Structure("gr").carried_by("kexc", 16.0) == pytest.approx(16**0.125)
    assert Structure("nr").carried_by("kexc", 16.0) == 16.0


def test_a_mapping_of_another_step_needs_its_bounds(quarters: Path, store: Path, tmp_path: Path) -> None:
    """Continued with the bounds of the run at the new step; other bounds would give other maps, and are refused."""
    mapping = {"mapping": {"kind": "multilinear"}, "optimiser": {"kind": "lbfgsb", "iterations": 1}}
    observed = {"gauges.discharge": {"path": str(SAMPLE / "qobs"), "format": "smash"}, "outputs": {"series": []}}
    call("calibrate", configuration(tmp_path / "run.yaml", store, changes=PHYSICS | mapping | observed))
    fields = {f"parameters.{symbol}.value": None for symbol in ("cp", "ct", "kexc", "akw", "bkw")}
    again = PHYSICS | fields | mapping | {"period.step": "15min", "parameters.from": str(tmp_path / "run")}
    again |= {"gauges.discharge": None, "parameters.ct.bounds": [20 * 0.25**-0.25, 500 * 0.25**-0.25]}
    wrong = configuration(tmp_path / "wrong.yaml", store, quarters, again)
    with pytest.raises(ConfigurationError, match=r"(?s)parameters.kexc.bounds.*\[-42\.\d*, 16\.\d*\]"):
        continued_regionalisation(tmp_path / "run", load(wrong))
    bounds = {"parameters.kexc.bounds": [-50 * 0.25**0.125, 20 * 0.25**0.125]}
    right = configuration(tmp_path / "right.yaml", store, quarters, again | bounds)
    assert continued_regionalisation(tmp_path / "run", load(right)) is not None
    call("simulate", right)
    found, before = table(tmp_path / "right", "parameters"), table(tmp_path / "run", "parameters")
    np.testing.assert_array_equal(found["kexc"], 0.25**0.125 * before["kexc"])
    np.testing.assert_array_equal(found["cp"], before["cp"])
