"""Ensembles of seeds: each member is a run of its own, all commands go through them, pages show how far they differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_harness import call, configuration, manifest, rows, series, table

from hydrocli.experiment.ensemble import spread
from hydrocli.report import style
from hydrocli.report.ensemble import ensemble_section
from hydrocli.report.page import Picture, Sheet
from hydrocli.report.source import Source
from hydrocli.results import read

GIVEN: dict[str, Any] = {"first_guess": {"kind": "given"}, "period.end": "2014-10-25T00:00Z"} | {
    "period.calibration": ["2014-09-20T00:00Z", "2014-10-15T00:00Z"],
    "period.validation": {"later": ["2014-10-15T00:00Z", "2014-10-25T00:00Z"]},
}
LSTM = GIVEN | {"initial": None, "structure": {"kind": "lstm", "hidden": 3}, "optimiser": {"iterations": 2}}
GRNN = GIVEN | {
    "structure": {"kind": "grnn", "network": {"hidden": [4], "initial_std": 0.3}},
    "optimiser": {"kind": "adam", "iterations": 2},
}


@pytest.fixture(scope="module")
def ensemble(store: Path, once: Callable[..., Path]) -> Path:
    """Run folder of two members of a hybrid structure, validated."""

    def make(folder: Path) -> None:
        file = configuration(folder / "grnn.yaml", store, changes=GRNN | {"ensemble": 2})
        call("calibrate", file)
        call("validate", file)

    return once("ensemble", make) / "grnn"


def test_a_member_is_the_run_of_its_seed(store: Path, tmp_path: Path) -> None:
    """To the bit; more members are added later, and none is done twice."""
    file = configuration(tmp_path / "lstm.yaml", store, changes=LSTM | {"ensemble": 2, "seed": 7})
    found = rows(call("calibrate", file, "--json"))
    assert found[0]["nse_lowest"] <= found[0]["nse"] <= found[0]["nse_highest"]
    assert found[0]["members"] == 2
    member = tmp_path / "lstm" / "members" / "002"
    assert (manifest(member)["seed"], manifest(member)["state"]) == (8, "finished")
    alone = configuration(tmp_path / "alone.yaml", store, changes=LSTM | {"seed": 8})
    call("calibrate", alone)
    assert np.array_equal(series(member, "S0002")[1], series(tmp_path / "alone", "S0002")[1])
    assert not np.array_equal(series(member, "S0002")[1], series(tmp_path / "lstm", "S0002")[1])
    before = (member / "manifest.json").read_bytes()
    call("calibrate", file, "--set", "ensemble=3")
    assert (member / "manifest.json").read_bytes() == before
    assert manifest(tmp_path / "lstm" / "members" / "003")["seed"] == 9
    scored = rows(call("validate", tmp_path / "lstm", "--json"))
    values = [table(folder, "scores") for folder in (tmp_path / "lstm", *sorted(member.parent.iterdir()))]
    of_each = [one["value"][(one["metric"] == "kge") & (one["gauge"] == "S0002")][0] for one in values]
    row = next(one for one in scored if (one["gauge"], one["period"]) == ("S0002", "calibration"))
    assert (row["kge"], row["kge_highest"]) == pytest.approx((np.median(of_each), max(of_each)))
    assert row["members"] == 3


def test_spread_is_that_of_the_same_rows() -> None:
    one, other = ({"gauge": code, "nse": value, "n_valid": 5} for code, value in (("A", 0.5), ("A", 0.7)))
    found = spread([[one, {"gauge": "B", "nse": np.nan}], [{"gauge": "B", "nse": np.nan}, other]], ["gauge"], ["nse"])
    assert found[0] == {
        "gauge": "A", "nse": 0.6, "nse_lowest": 0.5, "nse_highest": 0.7, "n_valid": 5, "members": 2,
    }  # fmt: skip
    assert np.isnan(found[1]["nse_highest"])
    assert spread([[one]], ["gauge"], []) == [one]


def test_the_page_shows_scores_parameters_corrections_and_responses(ensemble: Path) -> None:
    with style.drawing():
        section = ensemble_section(Source(read(ensemble)))
        assert not ensemble_section(Source(read(ensemble / "members" / "002"))).blocks
    sheets = {block.caption.split(":")[0]: block for block in section.blocks if isinstance(block, Sheet)}
    assert set(sheets) == {"Scores", "Parameters", "Factors of the network", "Response surfaces"}
    assert [row[:2] for row in sheets["Scores"].rows][:2] == [("NSE", "calibration"), ("NSE", "temporal")]
    assert [row[0] for row in sheets["Parameters"].rows] == ["cp", "ct", "kexc", "akw", "bkw"]
    assert len(sheets["Factors of the network"].rows) == 4
    pictures = {block.name for block in section.blocks if isinstance(block, Picture)}
    assert {"ensemble_responses", "ensemble_factors"} <= pictures
    means = [float(np.mean(table(folder, "mean_maps")["g1"])) for folder in (ensemble, ensemble / "members" / "002")]
    median = float(sheets["Factors of the network"].rows[0][1])
    assert median == pytest.approx(np.median(means), abs=2e-3)


def test_models_without_a_network_have_no_ensemble(store: Path, tmp_path: Path) -> None:
    file = configuration(tmp_path / "gr.yaml", store, changes=GIVEN | {"ensemble": 3})
    assert "ensemble: the calibration has no network" in call("calibrate", file, status=2).stderr
