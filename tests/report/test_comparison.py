"""Comparing runs: labels, quartiles as pandas has them, what the figures hold, table and page of the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import PathPatch
from page_reader import look_at
from report_examples import METRICS, Size, write_run
from typer.testing import CliRunner

from hydrocli.cli import app
from hydrocli.errors import Errors, InputError
from hydrocli.report import comparison, style
from hydrocli.report import comparison_figures as figures
from hydrocli.report.about import model_of
from hydrocli.report.comparison_page import compare, found_runs
from hydrocli.report.page import pictures
from hydrocli.report.tables import Array
from hydrocli.results import read

SMALL = {"gauges": 12, "steps": 300, "rows": 4, "columns": 6}
MODELS = [(s, m) for s in ("gr", "ode", "node") for m in ("uniform", "mlp", "cnn")]


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of nine regional runs, one for each model of the second paper."""
    place = tmp_path_factory.mktemp("nine")
    for seed, (structure, mapping) in enumerate(MODELS):
        write_run(place / f"{structure}-{mapping}", Size(**SMALL), structure=structure, mapping=mapping, seed=seed)
    return place


@pytest.fixture(scope="module")
def known(nine: Path) -> list[comparison.Contender]:
    return comparison.contenders(found_runs([str(nine / "*")]))[0]


def test_the_cost_of_a_model_is_without_compilation() -> None:
    """Two runs of the same speed, one of which has compiled: the same cost, and both numbers are shown."""
    counts = {"evaluations": 50.0}
    cold = comparison.cost(counts, {"calibration": 18.0, "calibration_compilation": 13.0, "calibration_cpu": 17.5})
    warm = comparison.cost(counts, {"calibration": 5.5, "calibration_compilation": 0.5, "calibration_cpu": 5.4})
    for shown in (cold, warm):
        assert shown["calibration without compilation [s]"] == 5.0
        assert shown["per evaluation [s]"] == 0.1
    assert (cold["compilation [s]"], cold["calibration [s]"]) == (13.0, 18.0)
    unknown = comparison.cost(counts, {"calibration": 5.0})
    assert unknown["calibration without compilation [s]"] is None
    assert unknown["calibration [s]"] == 5.0


@pytest.fixture
def scores(known: list[comparison.Contender]) -> dict[str, Array]:
    return comparison.pooled(known)


def test_models_are_named_and_ordered_as_in_the_papers(known: list[comparison.Contender]) -> None:
    assert [one.label for one in known] == [
        f"{structure}.{mapping}" for structure in ("GR", "ODE", "NODE") for mapping in ("U", "MLP", "CNN")
    ]


def test_the_mapping_is_that_of_the_last_stage() -> None:
    stages = [{"kind": "lbfgsb", "mapping": "uniform"}, {"kind": "adam"}]
    assert (
        model_of({"structure": {"kind": "grnn"}, "mapping": {"kind": "multilinear"}, "optimiser": stages}) == "GRNN.ML"
    )
    assert model_of({"mapping": {"kind": "distributed"}, "optimiser": stages[:1]}) == "GR.D"


def test_quartiles_against_pandas(nine: Path, scores: dict[str, Array]) -> None:
    rows = pd.DataFrame(comparison.summary(scores)).set_index(["model", "scenario", "metric"])
    assert len(rows) == 9 * 4 * len(METRICS)
    table = pd.read_parquet(nine / "node-cnn" / "scores.parquet")
    expected = table.groupby(["scenario", "metric"])["value"].quantile([0.25, 0.5, 0.75]).unstack()
    found = rows.loc["NODE.CNN", ["lower_quartile", "median", "upper_quartile"]]
    np.testing.assert_allclose(found, expected.loc[found.index], rtol=1e-12)
    assert set(rows["number"]) == {6}


def test_boxes_hold_the_scores(scores: dict[str, Array]) -> None:
    values = comparison.values_of(scores, "kge")
    with style.drawing():
        figure = figures.draw_boxes(values, "kge")
    for axis, (scenario, found) in zip(figure.axes, values.items(), strict=True):
        assert axis.get_title(loc="left") == f"{scenario} (6)"
        assert [text.get_text() for text in axis.get_xticklabels()] == list(found)
        boxes = [part for part in axis.patches if isinstance(part, PathPatch)]
        for box, of_model in zip(boxes, found.values(), strict=True):
            heights = box.get_path().vertices[:, 1]
            shown = np.quantile(np.maximum(of_model, figures.LOWEST["kge"]), [0.25, 0.75])
            np.testing.assert_allclose([heights.min(), heights.max()], shown)


def test_radar_and_distributions(known: list[comparison.Contender], scores: dict[str, Array]) -> None:
    gauges, models = comparison.calibration_scores(scores, "nse")
    expected = known[0].scores
    here = (expected["metric"] == "nse") & (expected["scenario"] == "calibration")
    assert gauges == expected["gauge"][here].tolist()
    np.testing.assert_array_equal(models["GR.U"], expected["value"][here])
    errors = comparison.event_errors(known, "Epf", calibrated=False)
    table = known[0].run.signatures.query("signature == 'Epf' and period != 'calibration'")
    np.testing.assert_array_equal(errors["GR.U"], np.sort(table["relative_error"].abs()))
    with style.drawing():
        radar = figures.draw_radar(gauges, models, "nse").axes[0]
        axis = figures.draw_distributions({"Epf": errors}, "validation").axes[0]
    np.testing.assert_array_equal(radar.lines[0].get_ydata()[:-1], np.clip(models["GR.U"], 0, 1))  # type: ignore[index]
    x, y = (np.asarray(values) for values in (axis.lines[0].get_xdata(), axis.lines[0].get_ydata()))
    for level in (0.1, 0.3, 0.7):
        assert y[np.searchsorted(x, level, side="right") - 1] == pytest.approx(np.mean(errors["GR.U"] <= level))


def test_local_and_regional(tmp_path: Path) -> None:
    size = {"gauges": 4, "steps": 200, "rows": 2, "columns": 4}
    write_run(tmp_path / "all", Size(**size), mapping="uniform", seed=1)
    for place in (0, 1):
        write_run(tmp_path / f"only-{place}", Size(**size, alone=place), mapping="uniform", seed=2 + place)
    known = comparison.contenders(found_runs([str(tmp_path / "*")]))[0]
    assert {one.label for one in known} == {"GR.U", "GR.U local (only-0)", "GR.U local (only-1)"}
    (pair,) = comparison.local_and_regional(known, "nse")
    assert pair.gauges == ("G00", "G00", "G01", "G01")
    assert pair.scenarios == ("calibration", "temporal") * 2
    local = pd.concat(
        pd.read_parquet(tmp_path / f"only-{place}/scores.parquet").query(f"gauge == 'G0{place}' and metric == 'nse'")
        for place in (0, 1)
    )
    np.testing.assert_array_equal(pair.local, local["value"])
    with style.drawing():
        axis = figures.draw_local_and_regional([pair], "nse").axes[0]
    shown = np.concatenate([np.asarray(line.get_xdata()) for line in axis.lines[1:]])
    assert sorted(shown) == sorted(np.maximum(pair.local, figures.LOWEST["nse"]))


def test_two_runs_of_one_model_are_told_apart(tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        write_run(tmp_path / name, Size(gauges=1, steps=100, rows=2, columns=2), seed=seed)
    known = comparison.contenders(found_runs([str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "*")]))[0]
    assert [one.label for one in known] == ["GR.MLP (one)", "GR.MLP (two)"]


def test_command(nine: Path, tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["compare", str(nine / "*"), "--metric", "kge"])
    assert printed.exit_code == 0, printed.stderr
    assert "NODE.CNN" in printed.stdout
    assert "kge: median [quartiles] (number of values)" in printed.stdout
    as_json = CliRunner().invoke(app, ["compare", str(nine / "*"), "--json"])
    rows = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert len(rows) == 9 * 4 * len(METRICS)
    assert CliRunner().invoke(app, ["compare", str(nine / "*"), "--metric", "skill"]).exit_code == 2
    assert CliRunner().invoke(app, ["compare", str(tmp_path / "*")]).exit_code == 3


def test_page_and_table(nine: Path, tmp_path: Path) -> None:
    three = [str(nine / name) for name in ("gr-uniform", "gr-mlp", "node-cnn")]
    rows, notes = compare(three, output=tmp_path / "out", formats=[])
    assert notes == []
    table = pd.read_parquet(tmp_path / "out" / "comparison.parquet")
    assert table.drop(columns="run").to_dict("records") == rows
    assert set(table["run"]) == {"out"}
    seen = look_at(tmp_path / "out" / "compare.html")
    boxes = {f"figure-{metric}_by_scenario" for metric in METRICS}
    assert set(seen.figures) == boxes | {
        "figure-radar_of_calibration",
        "figure-event_errors_calibration",
        "figure-event_errors_validation",
    }
    assert min(seen.figures.values()) > 20
    assert min(seen.tables) > 0


def test_runs_without_scores(nine: Path, tmp_path: Path) -> None:
    bare = write_run(tmp_path / "bare", Size(gauges=1, steps=100, rows=2, columns=2))
    (bare / "scores.parquet").unlink()
    _, notes = compare([str(nine / "gr-mlp"), str(bare)])
    assert notes == [f"{bare} has no scores and is excluded; run `hydrocli validate` first"]
    with pytest.raises(InputError, match="none of these runs has scores"):
        compare([str(bare)])
    with pytest.raises(Errors, match="is not a run folder"):
        compare([str(tmp_path), str(bare)])


def test_nothing_is_drawn_of_one_run_that_needs_several(nine: Path) -> None:
    from hydrocli.report.comparison_page import comparison_page

    known = comparison.contenders([read(nine / "gr-mlp")])[0]
    scores = comparison.pooled(known)
    with style.drawing():
        page = comparison_page(known, scores, comparison.summary(scores), [])
    assert "regional_against_local" not in {picture.name for picture in pictures(page)}
