"""Every structure with every mapping, from the YAML to the run folder and back from there."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_harness import (
    CALIBRATED_TABLES,
    assert_same_bits,
    call,
    configuration,
    manifest,
    process,
    rows,
    series,
    table,
)
from test_experiment_resume import KILLED, disturbed

from hydrocli import names
from hydrocli.errors import InputError
from hydrocli.results import read

VALUES = {"cp": 200.0, "ct": 120.0, "kexc": -0.5, "akw": 4.0, "bkw": 0.7}
ALL_PARAMETERS = names.PARAMETERS | names.ROUTING_PARAMETERS
GIVEN: dict[str, Any] = {f"parameters.{symbol}.value": value for symbol, value in VALUES.items()} | {
    "first_guess": {"kind": "given"},
    "parameters.cp.bounds": [50, 800],
    "parameters.ct.bounds": [20, 500],
    "parameters.kexc.bounds": [-5, 2],
}
ADAM = {"kind": "adam", "iterations": 5, "learning_rate": 0.01}
NETWORK = {"hidden": [6], "input_scaling": "max", "initial_std": 0.1}
STRUCTURES: dict[str, dict[str, Any]] = {
    "grnn": {"kind": "grnn", "network": NETWORK | {"hidden": [5, 4], "activation": "leaky_relu"}},
    "ode": {"kind": "ode"},
    "implicit": {"kind": "node", "network": NETWORK},
    "previous": {"kind": "node", "network_coupling": "lagged", "network": NETWORK | {"activation": "leaky_relu"}},
}
WEIGHTS = {"grnn": 5 * 5 + 4 * 6 + 4 * 5, "ode": 0, "implicit": 6 * 5 + 4 * 7, "previous": 6 * 5 + 4 * 7}
GAUGES = ("S0001", "S0002", "S0003", "S0004")
HYBRIDS = ("grnn", "implicit", "previous")
Calibrated = Mapping[tuple[str, str], Path]


@pytest.fixture(scope="module")
def calibrated(store: Path, made: Callable[..., Calibrated]) -> Calibrated:
    """YAML of a short calibration of every structure with every mapping; their folders lie beside them."""

    def make(folder: Path, key: tuple[str, str]) -> Path:
        name, mapping = key
        changes = GIVEN | {"structure": STRUCTURES[name], "mapping.kind": mapping, "optimiser": ADAM}
        file = configuration(folder / f"{name}-{mapping}.yaml", store, changes=changes)
        call("calibrate", file)
        return file

    return made([(name, mapping) for name in STRUCTURES for mapping in ("uniform", "distributed")], make)


@pytest.fixture(params=STRUCTURES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["uniform", "distributed"])
def mapping(request: pytest.FixtureRequest) -> str:
    return request.param


def weights(folder: Path) -> np.ndarray:
    columns = table(folder, "network_weights")
    return columns["value"][columns["layer"] > 0]


def of_inputs(folder: Path, array: str) -> np.ndarray:
    columns = table(folder, "network_weights")
    return columns["value"][columns["array"] == array]


def test_a_calibration(calibrated: Calibrated, name: str, mapping: str) -> None:
    folder = calibrated[name, mapping].with_suffix("")
    history, control, counts = table(folder, "convergence"), table(folder, "control"), manifest(folder)["counts"]
    assert list(dict.fromkeys(history["stage"])) == [f"1 {mapping} adam"]
    assert history["cost"][-1] < history["cost"][0]
    mapped = 5 if mapping == "uniform" else 5 * 59
    assert list(control["name"][mapped:]) == [f"phi1[{number}]" for number in range(WEIGHTS[name])]
    assert len(control["name"]) == counts["controls"] == mapped + WEIGHTS[name]
    assert np.isinf(control["lower"][mapped:]).all()
    assert np.isfinite(control["gradient"]).all()
    assert (control["gradient"][mapped:] != 0).all()
    assert "iteration limit" in manifest(folder)["ending"]
    assert counts["calibrated_cells"] == 59
    assert manifest(folder)["timings"]["calibration_cpu"] > 0


def test_balance_closes(calibrated: Calibrated, name: str, mapping: str) -> None:
    """grnn to rounding; ode and node as far as Newton's method has solved the steps: to the square of its tolerance."""
    balance = table(calibrated[name, mapping].with_suffix(""), "balance")
    assert np.abs(balance["closure_error"]).max() < (1e-9 if name == "grnn" else 1e-6)
    inward = balance["rain"] - balance["evapotranspiration"] + balance["exchange"] + balance["correction_source"]
    left = inward + balance["clamped"] - balance["runoff"] - balance["storage_change"]
    np.testing.assert_allclose(left, balance["closure_error"], rtol=0, atol=1e-9)
    assert (balance["correction_source"] != 0).all() == (name in ("implicit", "previous"))
    assert (balance["exchange"] < 0).all()


def test_newton_is_counted(calibrated: Calibrated, name: str) -> None:
    counts = manifest(calibrated[name, "uniform"].with_suffix(""))["counts"]
    if name == "grnn":
        assert not any(key.startswith("newton") for key in counts)
        return
    assert 1 <= counts["newton_iterations_mean"] <= counts["newton_iterations_most"] <= 20
    assert counts["newton_unsolved"] == 0


def test_the_network_is_written_as_it_was_trained(calibrated: Calibrated, mapping: str) -> None:
    for name in HYBRIDS:
        folder = calibrated[name, mapping].with_suffix("")
        columns, control = table(folder, "network_weights"), table(folder, "control")
        np.testing.assert_array_equal(weights(folder), control["value"][-WEIGHTS[name] :])
        hidden = STRUCTURES[name]["network"]["hidden"]
        widths = [4, *hidden, 4]
        for layer in range(1, len(widths)):
            for array, shape in (("weight", (widths[layer], widths[layer - 1])), ("bias", (widths[layer],))):
                here = (columns["layer"] == layer) & (columns["array"] == array)
                places = [columns[key][here].astype(int) for key in ("unit", "input")[: len(shape)]]
                np.testing.assert_array_equal(np.array(places), np.indices(shape).reshape(len(shape), -1))
        scale, lowest, highest = (of_inputs(folder, array) for array in ("scale", "lowest", "highest"))
        np.testing.assert_array_equal(scale[:2], 1.0)
        assert (highest[2:] * scale[2:] <= 1.0 + 1e-12).all()
        assert (highest * scale > 0.2).all()
        assert (lowest < highest).all()
        assert (lowest[2:] == 0).all()
        assert read(folder).network_weights.attrs["units"]["value"] == ""
    assert not (calibrated["ode", mapping].with_suffix("") / "network_weights.parquet").exists()


def test_what_the_network_has_not_seen_is_reported(calibrated: Calibrated, name: str) -> None:
    """No cell leaves its ranges while it is calibrated: they are those of the same states, bit for bit."""
    file = calibrated[name, "uniform"]
    scores = rows(call("validate", file, "--json"))
    stored = table(file.with_suffix(""), "scores")
    if name == "ode":
        assert "extrapolated" not in stored["metric"]
        return
    means = table(file.with_suffix(""), "catchment_timeseries")
    assert ((means["extrapolated"] >= 0) & (means["extrapolated"] <= 1)).all()
    shares = {(row["gauge"], row["period"]): row["extrapolated"] for row in scores}
    assert all(shares[gauge, "calibration"] == 0 for gauge in GAUGES)
    assert any(shares[gauge, "later"] > 0 for gauge in GAUGES)
    told = stored["metric"] == "extrapolated"
    found = dict(
        zip(zip(stored["gauge"][told], stored["period"][told], strict=True), stored["value"][told], strict=True)
    )
    assert found == shares


def test_a_run_is_simulated_again(calibrated: Calibrated, name: str, tmp_path: Path) -> None:
    """By its folder, and for a validation that ends later: weights, scale and ranges are those of the run."""
    run = calibrated[name, "distributed"].with_suffix("")
    call("simulate", run, "--output", tmp_path / "again")
    tables = ["discharge", "states", "domain", "parameters", "balance", "catchment_timeseries"]
    assert_same_bits(run, tmp_path / "again", tables if name == "ode" else [*tables, "network_weights"])
    later = ["period.end=2014-12-01T00:00Z", "period.validation={more: [2014-11-15T00:00Z, 2014-12-01T00:00Z]}"]
    sets = [part for item in later for part in ("--set", item)]
    call("simulate", run, *sets, "--output", tmp_path / "longer")
    copy = shutil.copytree(run, tmp_path / "copy")
    call("validate", copy, *sets)
    same = [*tables[:-2], "catchment_timeseries"]
    assert_same_bits(copy, tmp_path / "longer", same if name == "ode" else [*same, "network_weights"])


@pytest.mark.parametrize(("hybrid", "classical"), [("grnn", "gr"), ("implicit", "ode"), ("previous", "ode")])
@pytest.mark.parametrize("limits", ["conservative", "as_published"])
def test_a_network_of_zeros_is_the_classical_structure(
    hybrid: str, classical: str, limits: str, store: Path, tmp_path: Path
) -> None:
    tight = {} if classical == "gr" else {"tolerance": 1e-10, "flux_limits": limits}
    structure = STRUCTURES[hybrid] | tight | {"flux_limits": limits}
    structure["network"] = structure["network"] | {"initial_std": 0}
    for file, changes in (("hybrid", structure), ("classical", {"kind": classical} | tight)):
        call("simulate", configuration(tmp_path / f"{file}.yaml", store, changes=GIVEN | {"structure": changes}))
    for gauge in GAUGES:
        found, expected = (series(tmp_path / file, gauge)[1] for file in ("hybrid", "classical"))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not np.isfinite(of_inputs(tmp_path / "hybrid", "lowest")).any()


@pytest.mark.parametrize("hybrid", HYBRIDS)
def test_a_hybrid_goes_on_from_another(calibrated: Calibrated, hybrid: str, store: Path, tmp_path: Path) -> None:
    """The first cost is the last of the other run: its maps, weights and scale are taken."""
    run = calibrated[hybrid, "distributed"].with_suffix("")
    names = (f"parameters.{symbol}.value" for symbol in ALL_PARAMETERS)
    changes = GIVEN | dict.fromkeys(names) | {"parameters.from": str(run), "initial_weights.from": str(run)}
    changes |= {"structure": STRUCTURES[hybrid], "mapping.kind": "distributed", "optimiser": ADAM | {"iterations": 1}}
    call("calibrate", configuration(tmp_path / "on.yaml", store, changes=changes))
    first, last = table(tmp_path / "on", "convergence")["cost"][0], table(run, "convergence")["cost"][-1]
    np.testing.assert_allclose(first, last, rtol=1e-9)
    np.testing.assert_array_equal(of_inputs(tmp_path / "on", "scale"), of_inputs(run, "scale"))
    assert not np.array_equal(weights(tmp_path / "on"), weights(run))


def test_a_hybrid_starts_from_a_classical_run(finished: Path, store: Path, tmp_path: Path) -> None:
    """With weights of zero its first cost is the last of the classical run; with small ones it is near."""
    run = finished.with_suffix("")
    for name, deviation, tolerance in (("zero", 0.0, 1e-9), ("small", 0.01, 0.05)):
        changes = {"parameters.from": str(run), "first_guess": None, "optimiser": ADAM | {"iterations": 1}}
        changes["structure"] = {"kind": "grnn", "network": {"initial_std": deviation}}
        call("calibrate", configuration(tmp_path / f"{name}.yaml", store, changes=changes))
        first, last = table(tmp_path / name, "convergence")["cost"][0], table(run, "convergence")["cost"][-1]
        np.testing.assert_allclose(first, last, rtol=tolerance)


def test_the_first_guess_leaves_the_weights_alone(store: Path, tmp_path: Path) -> None:
    """Screening and its descents are those of the small weights; only then are they trained."""
    structure = {"kind": "node", "network_coupling": "lagged", "network": {"hidden": [3]}}
    changes = {"structure": structure, "optimiser": ADAM | {"iterations": 2}}
    call("calibrate", configuration(tmp_path / "run.yaml", store, changes=changes))
    history = table(tmp_path / "run", "convergence")
    assert list(dict.fromkeys(history["stage"])) == ["screening", "first guess 1", "first guess 2", "1 uniform adam"]
    began = np.flatnonzero(history["stage"] == "1 uniform adam")[0]
    guesses = [history["cost"][history["stage"] == f"first guess {number}"][-1] for number in (1, 2)]
    np.testing.assert_allclose(history["cost"][began], min(guesses), rtol=1e-9)


def test_stages_that_change_one_part_only(store: Path, tmp_path: Path) -> None:
    stages = [ADAM | {"train": ["network"]}, {"kind": "lbfgsb", "iterations": 3, "train": ["parameters"]}]
    base = GIVEN | {"structure": STRUCTURES["grnn"]}
    for name, optimiser in (("one", stages[:1]), ("both", stages)):
        call("calibrate", configuration(tmp_path / f"{name}.yaml", store, changes=base | {"optimiser": optimiser}))
    one, both = table(tmp_path / "one", "parameters"), table(tmp_path / "both", "parameters")
    assert all((one[symbol] == value).all() for symbol, value in VALUES.items())
    assert any((both[symbol] != value).all() for symbol, value in VALUES.items())
    np.testing.assert_array_equal(weights(tmp_path / "one"), weights(tmp_path / "both"))
    assert list(table(tmp_path / "one", "control")["name"]) == [f"phi1[{n}]" for n in range(WEIGHTS["grnn"])]
    assert list(table(tmp_path / "both", "control")["name"]) == list(ALL_PARAMETERS)
    assert list(dict.fromkeys(table(tmp_path / "both", "convergence")["stage"])) == [
        "1 network adam",
        "2 uniform lbfgsb",
    ]


def test_weights_that_do_not_fit_are_refused(
    calibrated: Calibrated, finished: Path, store: Path, tmp_path: Path
) -> None:
    grnn, node = (calibrated[name, "uniform"].with_suffix("") for name in ("grnn", "previous"))
    for source, structure, words in (
        (finished.with_suffix(""), STRUCTURES["grnn"], "is a run with the structure gr"),
        (node, STRUCTURES["grnn"], "The corrections of grnn apply to other fluxes"),
        (grnn, {"kind": "grnn"}, "structure.network.hidden [5, 4], and the configuration [16]"),
        (grnn, {"kind": "grnn", "network": {"hidden": [5, 4]}}, "activation leaky_relu, and the configuration silu"),
    ):
        changes = GIVEN | {"structure": structure, "initial_weights.from": str(source)}
        error = call("simulate", configuration(tmp_path / "run.yaml", store, changes=changes), status=3).stderr
        assert words in error


def test_adam_killed_and_continued(store: Path, tmp_path: Path) -> None:
    long = GIVEN | {"structure": STRUCTURES["previous"], "optimiser": ADAM | {"iterations": 70}}
    whole = process("calibrate", configuration(tmp_path / "whole.yaml", store, changes=long))
    assert whole.returncode == 0, whole.stderr
    file = configuration(tmp_path / "run.yaml", store, changes=long)
    frame = 2 * 8 * (5 + WEIGHTS["previous"])
    assert [disturbed(file, signal.SIGKILL, count * frame) for count in (15, 20)] == [KILLED, KILLED]
    # In a process of its own, as the undisturbed run: what other tests compiled or loaded here may round otherwise.
    continued = process("calibrate", file)
    assert continued.returncode == 0, continued.stderr
    assert "resuming" in continued.stderr
    assert_same_bits(tmp_path / "whole", tmp_path / "run", [*CALIBRATED_TABLES, "network_weights"])


def test_steps_without_a_solution_are_told(store: Path, tmp_path: Path) -> None:
    """Single precision cannot meet a tolerance of 1e-14; the nearest levels are taken, and the run says so."""
    structure = {"kind": "ode", "tolerance": 1e-14}
    changes = GIVEN | {"structure": structure, "execution": {"precision": "single"}}
    told = call("simulate", configuration(tmp_path / "run.yaml", store, changes=changes)).stderr
    found = manifest(tmp_path / "run")
    assert found["counts"]["newton_unsolved"] > 0
    sentence = f"Newton's method found no solution in {found['counts']['newton_unsolved']} cell-steps."
    assert sentence in found["ending"]
    assert sentence in told
    assert any("Newton's method found no solution" in warning for warning in found["warnings"])
    assert np.abs(table(tmp_path / "run", "balance")["closure_error"]).max() < 1e-6


def test_stores_held_at_the_limits_of_the_papers(store: Path, tmp_path: Path) -> None:
    """A tiny transfer store overfills: physical limits let it, those of the papers lose the water, and it is booked."""
    options = {limits: {"flux_limits": limits} for limits in ("conservative", "as_published")}
    options["explicit"] = {"flux_limits": "as_published", "scheme": "explicit", "substeps": 4}
    for name, asked in options.items():
        changes = GIVEN | {"structure": {"kind": "ode"} | asked, "parameters.ct": {"value": 1.0}}
        call("simulate", configuration(tmp_path / f"{name}.yaml", store, changes=changes))
    physical, papers, explicit = (table(tmp_path / name, "balance") for name in options)
    assert (physical["clamped"] == 0).all()
    assert (papers["clamped"] < -1).all()
    assert manifest(tmp_path / "as_published")["counts"]["clamped_steps"] > 0
    assert (explicit["clamped"] != 0).all()
    assert not any("newton" in name for name in manifest(tmp_path / "explicit")["counts"])
    for balance in (physical, papers, explicit):
        assert np.abs(balance["closure_error"]).max() < 1e-6


@pytest.mark.parametrize("mapping", ["uniform", "distributed"])
def test_gradcheck(name: str, mapping: str, store: Path, tmp_path: Path) -> None:
    structure = STRUCTURES[name]
    if name != "ode":
        structure = structure | {"network": structure["network"] | {"activation": "silu"}}
    changes = GIVEN | {"structure": structure, "mapping.kind": mapping}
    printed = call("gradcheck", configuration(tmp_path / "run.yaml", store, changes=changes)).stdout
    verdicts = [line.split()[-1] for line in printed.splitlines() if line.split()]
    assert (verdicts.count("yes"), verdicts.count("no")) == (10, 0)


def test_impervious_surfaces_and_a_routing(store: Path, tmp_path: Path) -> None:
    """Rain on the share of each cell runs off; a run that goes on from another one has its river; no share, no run."""
    around = {"kind": "gr", "impervious": "forest", "routing": "linear_reservoir"}
    river = {f"parameters.{symbol}.value": None for symbol in ("akw", "bkw")}
    given = {key: value for key, value in GIVEN.items() if key not in river} | {"structure": around}
    begin, middle, end = "2014-09-01T00:00Z", "2014-09-20T00:00Z", "2014-10-10T00:00Z"
    parts = {"whole": (begin, end), "first": (begin, middle), "second": (middle, end)}
    for name, (start, stop) in parts.items():
        changes = given | {"period.start": start, "period.end": stop, "period.validation": None}
        changes |= {"period.calibration": [start, min(stop, middle) if start == begin else stop]}  # gives ci
        changes |= {"gauges.discharge": None}
        if name == "second":
            changes |= {"initial": {"from": str(tmp_path / "first")}}
        call("simulate", configuration(tmp_path / f"{name}.yaml", store, changes=changes))
    balance = table(tmp_path / "whole", "balance")
    assert np.abs(balance["closure_error"]).max() < 1e-6
    assert (balance["qi"] > 0).all()
    whole, second = (table(tmp_path / name, "states") for name in ("whole", "second"))
    for symbol in ("hp", "ht", "discharge", "lateral_inflow"):
        np.testing.assert_array_equal(second[symbol], whole[symbol], err_msg=symbol)
    changes |= {"initial": None, "structure": around | {"impervious": "slope"}}
    wrong = configuration(tmp_path / "wrong.yaml", store, changes=changes)
    said = " ".join(call("simulate", wrong, status=InputError.exit_status).stderr.split())
    assert "cells have no share of impervious surfaces, values from 0.516319 to 5.29265" in said
