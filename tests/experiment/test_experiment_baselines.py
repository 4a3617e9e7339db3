"""Baselines from the YAML to the comparison: what they write, score, resume, carry on, and what the pages say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_harness import BASE, CALIBRATED, call, configuration, manifest, rows, series, table

from hydrocli.config import load
from hydrocli.experiment.baseline import BaselineCalibration
from hydrocli.experiment.setup import CalibrationSetup, ingested
from hydrocli.report.fairness import fairness_section
from hydrocli.report.inside_sections import budget_section, network_section, state_section
from hydrocli.report.page import Section, Text
from hydrocli.report.sections import parameter_section
from hydrocli.report.source import Source
from hydrocli.report.water_sections import balance_section
from hydrocli.results import read
from hydrocli.score.metrics import nse

PLAIN: dict[str, Any] = {"initial": None, "first_guess": None, "optimiser": None}
ADAM = {"iterations": 30, "learning_rate": 0.02}
SMALL = {"kind": "lstm", "hidden": 4}
LSTM = PLAIN | {"structure": SMALL | {"early_stopping": True}, "optimiser": ADAM}
CASES: dict[str, dict[str, Any]] = {
    "lstm": LSTM,
    "local": LSTM | {"structure": SMALL | {"scope": "local"}},
    "linear": PLAIN | {"structure": {"kind": "linear"}},
    "climatology": PLAIN | {"structure": {"kind": "climatology", "scope": "local"}},
}
CALIBRATION = ["S0001", "S0003"]
GAUGES = ["S0001", "S0002", "S0003", "S0004"]


@pytest.fixture(scope="module")
def runs(store: Path, once: Callable[..., Path]) -> Path:
    """A folder with a short calibration of each baseline, validated; with signatures where gauges lack a discharge."""

    def make(folder: Path) -> None:
        for name, changes in CASES.items():
            file = configuration(folder / f"{name}.yaml", store, changes=changes)
            for command in ("calibrate", "validate", *(["signatures"] if name == "local" else [])):
                call(command, file)

    return once("baselines", make)


@pytest.mark.parametrize("name", CASES)
def test_what_a_run_writes(runs: Path, name: str) -> None:
    """Discharge, scores, weights and convergence; nothing of cells, stores and fluxes."""
    folder = runs / name
    files = {file.stem for file in folder.glob("*.parquet")} - {"signatures", "events"}
    assert files == {
        "discharge", "scores", "control", "convergence", "network_weights", "domain",
        "catchments", "catchment_timeseries",
    }  # fmt: skip
    found, structure = manifest(folder), manifest(folder)["structure"]
    assert (structure["states"], structure["fluxes"], structure["corrections"]) == ({}, [], {})
    weights = table(folder, "network_weights")
    learned = weights["value"][weights["layer"] > 0]
    assert found["counts"]["controls"] == found["counts"]["weights"] == learned.size
    assert np.array_equal(learned, table(folder, "control")["value"])
    for gauge in GAUGES:
        has_discharge = structure["baseline"]["scope"] == "regional" or gauge in CALIBRATION
        assert np.isfinite(series(folder, gauge)[1]).all() == has_discharge
        assert np.isnan(series(folder, gauge)[1]).all() != has_discharge


def test_scores_are_those_of_the_same_periods_and_gauges(runs: Path) -> None:
    for name in CASES:
        scores = table(runs / name, "scores")
        here = scores["metric"] == "nse"
        assert sorted(set(scores["scenario"])) == ["calibration", "spatial", "spatio-temporal", "temporal"]
        known = np.isfinite(scores["value"][here])
        elsewhere = np.isin(scores["gauge"][here], CALIBRATION, invert=True)
        assert np.array_equal(known, ~elsewhere | (name in ("lstm", "linear")))
    values = table(runs / "linear", "scores")
    there = (values["metric"] == "nse") & (values["scenario"] == "calibration")
    assert values["value"][there].min() > 0.5


def test_early_stopping_looks_at_the_last_fifth_of_the_calibration(runs: Path) -> None:
    """The cost is that of this fifth; the weights are those with the lowest."""
    history, structure = table(runs / "lstm", "convergence"), manifest(runs / "lstm")["structure"]
    start, end = (np.datetime64(time.rstrip("Z"), "s") for time in (BASE["period"]["calibration"][0], CALIBRATED))
    begin = end - (end - start) // 5
    costs = []
    for gauge in CALIBRATION:
        times, simulated = series(runs / "lstm", gauge)
        inside = (times > begin) & (times <= end)
        costs.append(1 - nse(series(runs / "lstm", gauge, "observed")[1][inside], simulated[inside]))
    assert history["cost"][-1] == pytest.approx(np.mean(costs), rel=1e-9)
    assert history["cost"][-1] == history["cost"].min() < history["cost"][0]
    assert structure["baseline"]["early_stopping"]
    assert not manifest(runs / "local")["structure"]["baseline"]["early_stopping"]


def test_a_batch_of_all_is_the_whole(store: Path, tmp_path: Path) -> None:
    """With other weights in the whole run, too. Shorter batches have other costs, and train the network."""
    asked = {"kind": "adam", "iterations": 24, "learning_rate": 0.02}
    whole, batches = {"length": "35d", "spin_up": "19d"}, {"length": "7d", "spin_up": "1d", "gauges": 1}
    for name, found in (("whole", whole), ("parts", batches)):
        changes = LSTM | {"structure": SMALL, "optimiser": asked | {"batches": found | {"full_evaluation_every": 6}}}
        file = configuration(tmp_path / f"{name}.yaml", store, changes=changes)
        experiment = load(file)
        calibration = BaselineCalibration(CalibrationSetup(experiment, ingested(experiment)))
        problem = calibration.stages[0].problem([])
        assert problem.batch is not None
        x = problem.starts[0]
        value, gradient = problem.batch(3, x + 0.1, x)
        expected, slope = problem.value_and_gradient(x)
        assert (value == expected and np.array_equal(gradient, slope)) == (name == "whole")
    call("calibrate", file)
    costs = table(tmp_path / "parts", "convergence")["cost"]
    assert costs[-1] < 0.99 * costs[0]


class Stopping:
    """A signal that comes after so many questions."""

    name = "SIGTERM"

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_stopped_calibration_ends_with_the_same_bits(
    runs: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other threads, too."""
    file = configuration(tmp_path / "lstm.yaml", store, changes=LSTM)

    @contextmanager
    def stopped() -> Iterator[Stopping]:
        yield Stopping(after=6)

    with monkeypatch.context() as patched:
        patched.setattr("hydrocli.experiment.calibrate.stop_flag", stopped)
        call("calibrate", file, status=75)
    assert (tmp_path / "lstm" / "journal.bin").stat().st_size > 1000
    call("calibrate", file, "--set", "execution.threads=2")
    for name in ("discharge", "control", "network_weights"):
        one, other = table(tmp_path / "lstm", name), table(runs / "lstm", name)
        assert all(
            np.array_equal(one[column], other[column], equal_nan=one[column].dtype.kind == "f") for column in one
        )


def test_a_later_period_is_simulated_again(runs: Path, store: Path, tmp_path: Path) -> None:
    """`validate` with a period beyond the run: the discharge before it keeps its bits."""
    call("calibrate", configuration(tmp_path / "local.yaml", store, changes=CASES["local"]))
    later = ["2014-11-15T00:00Z", "2014-11-20T00:00Z"]
    call("validate", tmp_path / "local.yaml", "--set", f"period.validation.more=[{', '.join(later)}]",
         "--set", "period.end=2014-11-20T00:00Z")  # fmt: skip
    for gauge in GAUGES:
        longer, before = series(tmp_path / "local", gauge)[1], series(runs / "local", gauge)[1]
        assert longer.size == before.size + 24 * 5
        assert np.array_equal(longer[: before.size], before, equal_nan=True)
    assert "more" in table(tmp_path / "local", "scores")["period"]


def test_weights_are_carried_to_another_run(runs: Path, store: Path, tmp_path: Path) -> None:
    """A simulation with regional weights; those of single gauges stay where they are."""
    gr = configuration(tmp_path / "gr.yaml", store)
    call("simulate", gr, "--parameters-from", runs / "lstm", "--output", tmp_path / "carried")
    for gauge in GAUGES:
        assert np.array_equal(series(tmp_path / "carried", gauge)[1], series(runs / "lstm", gauge)[1])
    call("validate", tmp_path / "carried")
    assert "weights belong to its gauges" in call("simulate", gr, "--parameters-from", runs / "local", status=2).stderr
    alone = configuration(tmp_path / "alone.yaml", store, changes=CASES["linear"])
    assert "has no weights before a calibration" in call("simulate", alone, status=2).stderr
    going_on = LSTM | {"parameters": {"from": str(runs / "lstm")}, "optimiser": ADAM | {"iterations": 1}}
    call("calibrate", configuration(tmp_path / "on.yaml", store, changes=going_on))
    first = table(tmp_path / "on", "convergence")["cost"][0]
    assert first == pytest.approx(table(runs / "lstm", "convergence")["cost"][-1], rel=1e-12)


def test_check_and_gradcheck(runs: Path) -> None:
    report = rows(call("check", runs / "lstm", "--json"))[0]
    assert report["structure"] == "lstm"
    assert 0 < report["seconds_per_gradient"] < 1
    for name in ("lstm", "linear"):
        assert all(row["passed"] for row in rows(call("gradcheck", runs / name, "--json")))


def text_of(section: Section) -> str:
    return " ".join(sentence for block in section.blocks if isinstance(block, Text) for sentence in block.sentences)


def test_the_page_prints_the_rules_and_leaves_out_what_there_is_not(runs: Path) -> None:
    source = Source(read(runs / "local"))
    words = text_of(fairness_section(source))
    for part in ("They see no discharge", "A local LSTM learns from one gauge alone", "234 parameters and weights"):
        assert part in words
    assert "A local LSTM" not in text_of(fairness_section(Source(read(runs / "lstm"))))
    for section in (parameter_section, balance_section, budget_section, state_section, network_section):
        assert not section(source).blocks
    assert list(source.hydrographs) == CALIBRATION


def test_the_comparison_prints_rules_weights_and_seconds(runs: Path, finished: Path) -> None:
    """And in what conditions the runs differ; without a baseline it says nothing of them."""
    gr = finished.with_suffix("")
    compared = call("compare", *(runs / name for name in CASES), gr)
    for label in ("LSTM", "LSTM local", "LINEAR", "CLIMATOLOGY local", "GR.U"):
        assert f"\n{label} " in compared.stdout
        assert f"{label}: " in compared.stderr
    for words in ("They see no discharge", "A local LSTM learns", "s per evaluation"):
        assert words in compared.stderr
    assert "differs from" not in compared.stderr
    assert "They see no discharge" not in call("compare", gr).stderr
