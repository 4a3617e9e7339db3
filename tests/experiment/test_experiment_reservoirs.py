"""Neural reservoirs from the YAML to the report: pre-training on GR, resuming, carrying on, what they write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_harness import assert_same_bits, call, configuration, manifest, series, table
from test_experiment_structures import ADAM, GAUGES, GIVEN, weights

from hydrocli.structures.nr import GATED

RESERVOIRS: dict[str, Any] = {"kind": "nr", "network": {"hidden": [8]}, "rain_intensity": "3h"}
CHANGES = GIVEN | {"structure": RESERVOIRS, "optimiser": ADAM | {"iterations": 3}}


@pytest.fixture(scope="module")
def calibrated(store: Path, once: Callable[..., Path]) -> Path:
    """Run folder of a short calibration, validated."""

    def make(folder: Path) -> None:
        file = configuration(folder / "nr.yaml", store, changes=CHANGES)
        call("calibrate", file)
        call("validate", file)

    return once("reservoirs", make) / "nr"


def test_pre_training_finds_gr(calibrated: Path) -> None:
    """Percolation is the smallest flux, and 8 units are few."""
    found, counts = table(calibrated, "pretraining"), manifest(calibrated)["counts"]
    assert list(found["flux"]) == list(GATED)
    assert found["relative_error"].max() < 0.3
    assert np.delete(found["relative_error"], 2).max() < 0.15
    assert counts["pretraining_nse"] > 0.9
    warned = any("differ from GR" in warning for warning in manifest(calibrated)["warnings"])
    assert warned == (counts["pretraining_nse"] < 0.98)
    assert manifest(calibrated)["timings"]["pretraining"] > 0


def test_what_the_run_writes(calibrated: Path) -> None:
    """Gates in the place of corrections, GR in that of no corrections, bounds that no flux passes."""
    balance, means = table(calibrated, "balance"), table(calibrated, "catchment_timeseries")
    assert np.abs(balance["closure_error"]).max() < 1e-9
    assert (balance["ps"] > 0).all()
    assert all(((means[f"g{k}"] > 0) & (means[f"g{k}"] < 1)).all() for k in range(1, 7))
    assert "f1" not in means
    surfaces = table(calibrated, "response_surfaces")
    assert (np.abs(surfaces["corrected"]) <= np.abs(surfaces["bound"]) * (1 + 1e-12)).all()
    inside = surfaces["classical"][surfaces["flux"] == "infiltration"]
    assert (inside <= surfaces["bound"][surfaces["flux"] == "infiltration"] * (1 + 1e-12)).all()
    assert {"infiltration, hp 0.2", "infiltration, hp 0.5", "infiltration, hp 0.8"} <= set(surfaces["flux"])
    learned = table(calibrated, "network_weights")
    names = list(learned["name"][learned["array"] == "lowest"])
    assert names == ["hp", "ht", "a(pn/cp)", "a(en/cp)", "a(pn/ct)", "a(r/cp)"]
    lowest, highest = (learned["value"][learned["array"] == array] for array in ("lowest", "highest"))
    assert (lowest >= 0).all()
    assert (lowest < highest).all()
    structure = manifest(calibrated)["structure"]
    assert structure["corrections"]["g1"] == {"flux": "infiltration", "factor": "g"}


def test_without_the_network_it_is_gr(calibrated: Path, store: Path, tmp_path: Path) -> None:
    found, own = table(calibrated, "no_correction"), table(calibrated, "parameters")
    values = {f"parameters.{symbol}.value": float(own[symbol][0]) for symbol in ("cp", "ct", "kexc", "akw", "bkw")}
    changes = GIVEN | values | {"structure": {"kind": "gr"}, "outputs.series": ["ps"]}
    call("simulate", configuration(tmp_path / "gr.yaml", store, changes=changes))
    for gauge in GAUGES:
        expected = series(tmp_path / "gr", gauge)[1]
        np.testing.assert_allclose(found["simulated"][found["gauge"] == gauge], expected, rtol=1e-9)
    maps, theirs = table(calibrated, "no_correction_means"), table(tmp_path / "gr", "mean_maps")
    np.testing.assert_allclose(maps["ps"], theirs["ps"], rtol=1e-9)


def test_the_same_run_has_the_same_bits_and_goes_on(calibrated: Path, store: Path, tmp_path: Path) -> None:
    """The pre-trained weights are found anew; another run may start from those of a run, and then learns nothing."""
    call("calibrate", configuration(tmp_path / "again.yaml", store, changes=CHANGES))
    assert_same_bits(
        calibrated, tmp_path / "again", ["parameters", "control", "network_weights", "pretraining", "states"]
    )
    names = dict.fromkeys(f"parameters.{symbol}.value" for symbol in ("cp", "ct", "kexc", "akw", "bkw"))
    source = {"parameters.from": str(calibrated), "initial_weights.from": str(calibrated)}
    call("calibrate", configuration(tmp_path / "on.yaml", store, changes=CHANGES | names | source))
    assert not (tmp_path / "on" / "pretraining.parquet").exists()
    first, last = table(tmp_path / "on", "convergence")["cost"][0], table(calibrated, "convergence")["cost"][-1]
    np.testing.assert_allclose(first, last, rtol=1e-9)
    assert not np.array_equal(weights(tmp_path / "on"), weights(calibrated))


def test_a_run_in_two_parts_is_one_run(calibrated: Path, store: Path, tmp_path: Path) -> None:
    """The running mean of the rain goes on, too."""
    call("simulate", calibrated, "--output", tmp_path / "whole")
    middle = "2014-10-12T00:00Z"
    call("simulate", calibrated, "--set", f"period.end={middle}", "--set", "period.calibration=null", "--set",
         "period.validation={}", "--output", tmp_path / "first")  # fmt: skip
    sets = [f"period.start={middle}", "period.calibration=null", f"initial={{from: {tmp_path / 'first'}}}"]
    call("simulate", calibrated, *(part for one in sets for part in ("--set", one)), "--output", tmp_path / "second")
    assert (table(tmp_path / "first", "states")["rain_intensity"] >= 0).all()
    states = [table(tmp_path / name, "states") for name in ("whole", "second")]
    assert (states[0]["rain_intensity"] > 0).any()
    for symbol in ("hp", "ht", "rain_intensity", "discharge"):
        np.testing.assert_allclose(states[1][symbol], states[0][symbol], rtol=1e-12)


def test_the_report_shows_gates_and_bounds(calibrated: Path, tmp_path: Path) -> None:
    call("report", calibrated, "--output", tmp_path / "report")
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    for words in (
        "the admissible bound (grey)",
        "Pre-training on GR",
        "Catchment means of the gates",
        "infiltration_beside_gr",
    ):
        assert words in text
    assert "1: no correction" not in text


def test_the_exact_start_is_gr(store: Path, tmp_path: Path) -> None:
    for name, structure in (("exact", RESERVOIRS | {"start": "exact", "rain_intensity": 0}), ("gr", {"kind": "gr"})):
        call("simulate", configuration(tmp_path / f"{name}.yaml", store, changes=GIVEN | {"structure": structure}))
    for gauge in GAUGES:
        found, expected = (series(tmp_path / name, gauge)[1] for name in ("exact", "gr"))
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert not (tmp_path / "exact" / "pretraining.parquet").exists()


def test_intensity_below_snow_is_refused(store: Path, tmp_path: Path) -> None:
    changes = GIVEN | {"structure": RESERVOIRS | {"snow": "degree_day"}}
    error = call("check", configuration(tmp_path / "run.yaml", store, changes=changes), status=2).stderr
    assert "structure.rain_intensity" in error
    assert "snow" in error
