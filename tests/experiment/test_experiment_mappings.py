"""Mappings by descriptors, from the YAML to the run folder, in stages, and carried to other cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from runs_harness import SAMPLE, assert_same_bits, call, configuration, manifest, rows, series, table
from test_experiment_structures import STRUCTURES, Calibrated

from hydrocli.calibration.journal import Journal
from hydrocli.calibration.problem import Iteration, StageResult
from hydrocli.calibration.recorder import Recorder
from hydrocli.calibration.stages import run_stages
from hydrocli.config import load
from hydrocli.experiment.scores import worse_than_uniform
from hydrocli.experiment.setup import CalibrationSetup, ingested
from hydrocli.experiment.stages import BasinCalibration

GIVEN: dict[str, Any] = {
    "first_guess": {"kind": "given"},
    "parameters.cp": {"value": 200.0, "bounds": [50, 800]},
    "parameters.ct": {"value": 120.0, "bounds": [20, 500]},
    "parameters.kexc": {"value": -0.5, "bounds": [-5, 2]},
}
DESCRIPTORS = ("slope", "forest")
MAPPINGS: dict[str, dict[str, Any]] = {
    "multilinear": {"kind": "multilinear", "descriptors_by_parameter": {"cp": ["forest"]}},
    "multipower": {"kind": "multipower"},
    "mlp": {"kind": "mlp", "hidden": [6, 5], "activation": "silu", "initialisation": "glorot"},
    "cnn": {"kind": "cnn", "channels": [4, 3], "uniform_parameters": ["akw", "bkw"]},
}
CONTROLS = {
    "multilinear": 5 + 9,
    "multipower": 5 + 20,
    "mlp": 3 * 6 + 7 * 5 + 6 * 5,
    "cnn": 4 * 19 + 3 * 37 + 3 * 4 + 2,
}
PAPERS = [
    {"kind": "adam", "iterations": 2, "learning_rate": 0.02, "train": ["parameters"]},
    {"kind": "adam", "iterations": 2, "learning_rate": 0.01},
]
UPSTREAM = {"gauges.calibration": ["S0002"], "gauges.validation": []}


def of_phi2(folder: Path) -> dict[str, np.ndarray]:
    columns = table(folder, "network_weights")
    here = columns["network"] == "phi2"
    return {name: values[here] for name, values in columns.items()}


@pytest.fixture(scope="module")
def calibrated(store: Path, made: Callable[..., Calibrated]) -> Calibrated:
    """YAML of a short calibration, in the stages of the papers, of every structure with every mapping."""
    structures = {"gr": {"kind": "gr"}, **STRUCTURES}

    def make(folder: Path, key: tuple[str, str]) -> Path:
        name, kind = key
        changes = GIVEN | {"structure": structures[name], "mapping": MAPPINGS[kind], "optimiser": PAPERS}
        file = configuration(folder / f"{name}-{kind}.yaml", store, changes=changes)
        call("calibrate", file)
        return file

    return made([(name, kind) for name in structures for kind in MAPPINGS], make)


@pytest.fixture(params=MAPPINGS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("name", ["gr", *STRUCTURES])
def test_a_calibration(calibrated: Calibrated, name: str, kind: str) -> None:
    """The second stage starts where the first has ended, which no map could tell it, and trains phi1 too."""
    folder = calibrated[name, kind].with_suffix("")
    history, control = table(folder, "convergence"), table(folder, "control")
    stages = [f"1 {kind} adam", f"2 {kind} adam"]
    assert list(dict.fromkeys(history["stage"])) == stages
    first, second = (history["cost"][history["stage"] == stage] for stage in stages)
    np.testing.assert_allclose(second[0], first[-1], rtol=1e-12)
    assert second[-1] < first[-1] < first[0]
    assert len(control["name"]) - CONTROLS[kind] == (0 if name in ("gr", "ode") else sum(weights_of(folder)))
    assert np.isfinite(control["gradient"]).all()
    assert manifest(folder)["counts"]["controls"] == len(control["name"])
    found = table(folder, "parameters")
    for symbol in ("cp", "ct", "kexc"):
        assert np.ptp(found[symbol]) > 0
    assert (np.ptp(found["akw"]) == 0) == (kind == "cnn")


def weights_of(folder: Path) -> list[bool]:
    columns = table(folder, "network_weights")
    return list((columns["network"] == "phi1") & (columns["layer"] > 0))


def test_weights_and_scaling_are_written(calibrated: Calibrated, kind: str) -> None:
    folder = calibrated["gr", kind].with_suffix("")
    columns, control, domain = of_phi2(folder), table(folder, "control"), table(folder, "domain")
    weights = columns["value"][columns["layer"] > 0]
    np.testing.assert_array_equal(weights, control["value"][: weights.size])
    for array, expected in (("lowest", np.min), ("highest", np.max)):
        here = columns["array"] == array
        assert columns["name"][here].tolist() == list(DESCRIPTORS)
        np.testing.assert_array_equal(columns["value"][here], [expected(domain[name]) for name in DESCRIPTORS])
    last = columns["layer"] == columns["layer"].max()
    assert columns["unit"][last].max() == (2 if kind == "cnn" else 4)
    assert np.isnan(columns["neighbour"]).all() == (kind != "cnn")


@pytest.mark.parametrize("kind", ["multipower", "cnn"])
def test_a_trained_mapping_makes_the_same_maps_elsewhere(
    calibrated: Calibrated, kind: str, store: Path, tmp_path: Path
) -> None:
    """In the same basin to the bit; gauges validate as in the run, and nothing is refused or recalibrated."""
    run = calibrated["grnn", kind].with_suffix("")
    plain = configuration(tmp_path / "other.yaml", store, changes={"period.calibration": None})
    call("simulate", plain, "--parameters-from", run)
    tables = ["discharge", "states", "parameters", "balance", "network_weights"]
    assert_same_bits(run, tmp_path / "other", tables)
    scores = rows(call("validate", plain, "--json"))
    assert {(row["gauge"], row["scenario"]) for row in scores} == {
        (gauge, "temporal" if gauge in ("S0001", "S0003") else "spatio-temporal")
        for gauge in ("S0001", "S0002", "S0003", "S0004")
    }


@pytest.mark.parametrize("kind", ["multilinear", "multipower", "mlp"])
def test_a_mapping_reaches_beyond_the_domain_of_its_run(kind: str, store: Path, tmp_path: Path) -> None:
    """Trained on the catchment of S0002, carried to the whole basin: maps are those of its weights, by hand."""
    changes = GIVEN | UPSTREAM | {"mapping": MAPPINGS[kind], "optimiser": PAPERS}
    call("calibrate", configuration(tmp_path / "small.yaml", store, changes=changes))
    whole = configuration(tmp_path / "whole.yaml", store)
    printed = call("simulate", whole, "--parameters-from", tmp_path / "small").stderr
    for said in (printed, " ".join(manifest(tmp_path / "whole")["warnings"])):
        assert "slope, forest lie outside their range in the calibrated catchments" in said
    small, large = table(tmp_path / "small", "parameters"), table(tmp_path / "whole", "parameters")
    assert len(small["cell"]) < len(large["cell"]) == 59
    at = {place: n for n, place in enumerate(zip(large["x"], large["y"], strict=True))}
    inside = [at[place] for place in zip(small["x"], small["y"], strict=True)]
    for symbol in ("cp", "akw"):
        np.testing.assert_array_equal(large[symbol][inside], small[symbol])
        assert np.ptp(np.delete(large[symbol], inside)) > 0
    if kind == "multilinear":
        phi2, domain = of_phi2(tmp_path / "small"), table(tmp_path / "whole", "domain")
        lowest, highest = (phi2["value"][phi2["array"] == array][1] for array in ("lowest", "highest"))
        control = dict(zip(*(table(tmp_path / "small", "control")[key] for key in ("name", "value")), strict=True))
        x = control["cp"] + control["cp[forest]"] * (domain["forest"] - lowest) / (highest - lowest)
        np.testing.assert_allclose(large["cp"], 50 + 750 / (1 + np.exp(-x)), rtol=1e-12)
    counts = manifest(tmp_path / "whole")["counts"]
    assert counts["cells_unseen"] > 0
    assert ("descriptors_clipped" in counts) == (kind == "multipower")
    scores = rows(call("validate", whole, "--json"))
    assert {(row["gauge"], row["scenario"]) for row in scores if row["gauge"] in ("S0001", "S0002")} == {
        ("S0001", "spatial"),
        ("S0001", "spatio-temporal"),
        ("S0002", "calibration"),
        ("S0002", "temporal"),
    }
    # A validation of the run itself with a gauge downstream follows the mapping there, too.
    more = configuration(tmp_path / "small.yaml", store, changes=changes | {"gauges.validation": ["S0001"]})
    call("validate", more)
    np.testing.assert_allclose(
        series(tmp_path / "small", "S0001")[1], series(tmp_path / "whole", "S0001")[1], rtol=1e-9
    )
    assert of_phi2(tmp_path / "small")["value"].size == phi2_size(tmp_path / "whole")


def phi2_size(folder: Path) -> int:
    return of_phi2(folder)["value"].size


@pytest.mark.parametrize("name", ["gr", "grnn"])
def test_the_uniform_start_is_simulated_and_scored_beside_the_mapping(
    calibrated: Calibrated, name: str, store: Path, tmp_path: Path
) -> None:
    """As a simulation of its own with the first guess, without corrections; `validate` names the gauges below it."""
    file, folder = calibrated[name, "mlp"], calibrated[name, "mlp"].with_suffix("")
    values = {key: one["value"] for key, one in GIVEN.items() if key != "first_guess"}
    values |= {"parameters.akw": 5.0, "parameters.bkw": 0.6}
    start = {key: {"value": manifest(folder)["first_guess"][key.removeprefix("parameters.")]} for key in values}
    np.testing.assert_allclose([one["value"] for one in start.values()], list(values.values()), rtol=1e-9)
    call("simulate", configuration(tmp_path / "plain.yaml", store, changes=start))
    np.testing.assert_allclose(
        table(folder, "uniform")["simulated"], table(tmp_path / "plain", "discharge")["simulated"], rtol=1e-9
    )
    plain = configuration(tmp_path / "plain.yaml", store, changes=start | {"gauges.calibration": None})
    expected = {(row["gauge"], row["period"]): row["nse"] for row in rows(call("validate", plain, "--json"))}
    result = call("validate", file, "--json")
    scores = rows(result)
    for row in scores:
        if row["period"] != "calibration":
            assert row["nse_uniform"] == pytest.approx(expected[row["gauge"], row["period"]], abs=1e-9)
    sentences = worse_than_uniform(scores, "mlp")
    assert all(sentence in result.stderr.replace("\n", " ") for sentence in sentences)
    said = [one for one in manifest(folder)["warnings"] if "does worse than the uniform" in one]
    assert said == sentences


def test_a_mapping_starts_from_the_uniform_optimum_and_goes_on_after_every_stop(store: Path, tmp_path: Path) -> None:
    """The uniform calibration before it is a stage of the journal as the others are: stopped many times, same bits."""
    changes: dict[str, Any] = {"mapping": MAPPINGS["multilinear"], "optimiser.iterations": 3}
    experiment = load(configuration(tmp_path / "run.yaml", store, changes=changes))
    setup = CalibrationSetup(experiment, ingested(experiment))

    def calibrated(journal: Path, evaluations: int) -> tuple[BasinCalibration, list[StageResult], list[Iteration]]:
        costs, iterations, calibration = list[float](), list[Iteration](), BasinCalibration(setup)
        with Journal(journal, "key") as opened:
            recorder = Recorder(opened, iterations.append, lambda: len(costs) >= evaluations, costs.append)
            return calibration, run_stages(calibration.stages, recorder), iterations

    calibration, whole, iterations = calibrated(tmp_path / "whole.bin", 10**6)
    assert [result.stage for result in whole] == ["screening", "first guess", "uniform", "1 multilinear lbfgsb"]
    guess, uniform, mapped = whole[1:]
    assert uniform.cost < guess.cost
    start = next(one for one in iterations if one.stage == mapped.stage)
    assert start.cost == pytest.approx(uniform.cost, rel=1e-6)  # no penalty yet, and no parameter at a bound
    values = calibration.uniform_start(whole)
    assert [values[symbol] for symbol in ("cp", "ct")] == pytest.approx(uniform.x[:2] * 1000, rel=1e-5)
    stops = 0
    while not (pieces := calibrated(tmp_path / "pieces.bin", 10)[1])[-1].finished:
        stops += 1
    assert stops > 2
    for one, other in zip(whole, pieces, strict=True):
        assert (one.cost, one.reason, one.x.tobytes()) == (other.cost, other.reason, other.x.tobytes())


def test_validate_says_where_a_mapping_does_worse_than_uniform_parameters() -> None:
    """By scenario and period, the largest loss first; what does not show in two decimals is left out."""
    scores = [("temporal", "A", 0.61, 0.82), ("temporal", "B", -1.6, 0.93), ("temporal", "C", 0.9, 0.904)]
    scores += [("calibration", "A", 0.98, 0.96), ("spatial", "D", 0.5, np.nan)]
    made = [
        {"scenario": scenario, "gauge": gauge, "period": "p2", "nse": nse, "nse_uniform": uniform}
        for scenario, gauge, nse, uniform in scores
    ]
    assert worse_than_uniform([*made, {"scenario": "spatial", "gauge": "E", "period": "p2", "nse": 0.1}], "mlp") == [
        "temporal, period p2: the mapping mlp does worse than the uniform parameters from which it started at "
        "B (NSE -1.60, uniform 0.93), A (NSE 0.61, uniform 0.82)"
    ]


def test_beyond_the_calibrated_catchments_descriptors_may_be_held(store: Path, tmp_path: Path) -> None:
    """The fit is the same; elsewhere the maps keep within what the calibrated cells have."""
    for beyond in ("allow", "clamp"):
        mapping = {"kind": "multilinear", "descriptors": ["slope"], "extrapolation": beyond}
        changes = GIVEN | {"gauges.calibration": ["S0004"], "mapping": mapping, "optimiser": PAPERS}
        changes |= {"gauges.validation": ["S0001"]}
        call("calibrate", configuration(tmp_path / f"{beyond}.yaml", store, changes=changes))
    free, held = (table(tmp_path / beyond, "parameters") for beyond in ("allow", "clamp"))
    seen = table(tmp_path / "clamp", "domain")["calibrated"].astype(bool)
    np.testing.assert_array_equal(free["cp"][seen], held["cp"][seen])
    assert held["cp"][~seen].min() == held["cp"][seen].min()
    assert held["cp"][~seen].max() == held["cp"][seen].max()
    assert np.ptp(free["cp"]) > np.ptp(held["cp"])
    assert "extrapolates" in " ".join(manifest(tmp_path / "allow")["warnings"])


def test_another_run_is_gone_on_from(calibrated: Calibrated, store: Path, tmp_path: Path) -> None:
    """The same mapping with another structure starts with its weights; another mapping cannot start from its maps."""
    run = calibrated["gr", "cnn"].with_suffix("")
    bounds = {key: {"bounds": value["bounds"]} for key, value in GIVEN.items() if key != "first_guess"}
    on = bounds | {"parameters.from": str(run), "mapping": MAPPINGS["cnn"], "optimiser": PAPERS[1]}
    call("calibrate", configuration(tmp_path / "on.yaml", store, changes=on | {"first_guess": None}))
    first = table(tmp_path / "on", "convergence")["cost"][0]
    np.testing.assert_allclose(first, table(run, "convergence")["cost"][-1], rtol=1e-9)
    other = on | {"mapping": MAPPINGS["mlp"], "first_guess": None}
    refused = call("calibrate", configuration(tmp_path / "other.yaml", store, changes=other), status=2).stderr
    assert (
        "parameter cp: the first guess varies in space, but a mapping of descriptors starts from uniform values"
        in refused
    )
    uniform = {"optimiser": [{"kind": "adam", "iterations": 1, "mapping": "uniform"}, PAPERS[1]]}
    call("calibrate", configuration(tmp_path / "means.yaml", store, changes=other | uniform))


def test_single_parameters_are_freed(store: Path, tmp_path: Path) -> None:
    """A stage that frees cp moves its constant and slopes alone, and the next goes on from all of them."""
    only = [
        {"kind": "adam", "iterations": 2, "learning_rate": 0.05, "train": ["cp"]},
        {"kind": "adam", "iterations": 1},
    ]
    changes = GIVEN | {"mapping": MAPPINGS["multilinear"]}
    call("calibrate", configuration(tmp_path / "one.yaml", store, changes=changes | {"optimiser": only[0]}))
    control, maps = table(tmp_path / "one", "control"), table(tmp_path / "one", "parameters")
    assert control["name"].tolist() == ["cp", "cp[forest]"]
    assert np.ptp(maps["cp"]) > 0
    assert np.ptp(maps["ct"]) == 0
    assert of_phi2(tmp_path / "one")["value"].size == 8 + CONTROLS["multilinear"]
    call("calibrate", configuration(tmp_path / "two.yaml", store, changes=changes | {"optimiser": only}))
    history = table(tmp_path / "two", "convergence")
    np.testing.assert_array_equal(history["cost"][:3], table(tmp_path / "one", "convergence")["cost"])
    assert history["cost"][3] == history["cost"][2]


@pytest.mark.parametrize(("free", "groups"), [("cp", {"cp"}), ("akw", {"akw"}), ("parameters", {"cp", "ct", "akw"})])
def test_of_cells_and_of_one_value_only_those_that_are_freed_move(
    free: str, groups: set[str], store: Path, tmp_path: Path
) -> None:
    """akw keeps one value, cp and ct one for each cell: a stage that frees one of them leaves the others at rest."""
    mapping = {"kind": "distributed", "uniform_parameters": ["akw"]}
    fixed = {f"parameters.{symbol}.calibrated": False for symbol in ("kexc", "bkw")}
    adam = {"kind": "adam", "iterations": 2, "learning_rate": 0.05, "train": [free]}
    file = configuration(tmp_path / "run.yaml", store, changes=GIVEN | fixed | {"mapping": mapping, "optimiser": adam})
    call("calibrate", file)
    control, maps = table(tmp_path / "run", "control"), table(tmp_path / "run", "parameters")
    assert {name.split("[")[0] for name in control["name"]} == groups
    assert (np.ptp(maps["cp"]) > 0) == ("cp" in groups)
    assert np.ptp(maps["akw"]) == 0
    assert (maps["akw"][0] != 5.0) == ("akw" in groups)


def test_descriptors_that_cannot_be_used_are_named(store: Path, tmp_path: Path) -> None:
    changes = GIVEN | {"mapping": MAPPINGS["mlp"], "optimiser": PAPERS}
    call("calibrate", configuration(tmp_path / "run.yaml", store, changes=changes))
    with rasterio.open(SAMPLE / "descriptor" / "forest.tif") as raster:
        profile, values = raster.profile, raster.read()
    values[0, 3:5, 3:5] = np.nan
    with rasterio.open(tmp_path / "forest.tif", "w", **profile | {"nodata": np.nan}) as raster:
        raster.write(values)
    with rasterio.open(tmp_path / "slope.tif", "w", **profile) as raster:
        raster.write(np.ones_like(values))
    for name, words in (("forest", "is missing in 4 of 59 cells"), ("slope", "has the same value in all cells")):
        change = {f"basin.descriptors.{name}": str(tmp_path / f"{name}.tif")}
        file = configuration(tmp_path / f"{name}.yaml", store, changes=changes | change)
        assert f"descriptor {name}: {words}" in call("calibrate", file, status=3).stderr
    assert "descriptor forest: is missing in 6.8% of the cells, and mlp needs it" in call(
        "check", tmp_path / "forest.yaml", status=3
    ).stderr.replace("\n", " ")
    few = configuration(tmp_path / "few.yaml", store, changes={"basin.descriptors": {"slope": "descriptor/slope.tif"}})
    refused = call("simulate", few, "--parameters-from", tmp_path / "run", status=2).stderr
    assert "basin.descriptors: forest missing" in refused


# A structure meets a mapping only where maps meet cells, so each is examined with one or two of the others.
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gr", "multilinear"),
        ("gr", "multipower"),
        ("gr", "mlp"),
        ("gr", "cnn"),
        ("grnn", "multipower"),
        ("ode", "mlp"),
        ("implicit", "cnn"),
        ("previous", "multilinear"),
    ],
)
def test_gradcheck(name: str, kind: str, store: Path, tmp_path: Path) -> None:
    structure = STRUCTURES.get(name, {"kind": "gr"})
    if name not in ("gr", "ode"):
        structure = structure | {"network": structure["network"] | {"activation": "silu"}}
    mapping = MAPPINGS[kind] | ({"activation": "tanh"} if kind == "cnn" else {})
    changes = GIVEN | {"structure": structure, "mapping": mapping, "initial.hp.calibrated": True}
    printed = call("gradcheck", configuration(tmp_path / "run.yaml", store, changes=changes)).stdout
    verdicts = [line.split()[-1] for line in printed.splitlines() if line.split()]
    assert (verdicts.count("yes"), verdicts.count("no")) == (10, 0)
