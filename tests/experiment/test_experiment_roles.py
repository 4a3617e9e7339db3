"""Gauges that calibrate by their places in the network, from the YAML to the scores."""

from __future__ import annotations

import json
from pathlib import Path

from runs_harness import call, configuration, manifest, rows, table

QUICK = {"first_guess": {"kind": "given"}, "optimiser": {"kind": "adam", "iterations": 1}}
UPSTREAM = QUICK | {"gauges.calibration": "upstream", "gauges.validation": None}
LATER = {"period.validation": {"later": ["2014-11-01T00:00Z", "2014-11-15T00:00Z"]}}


def scenarios(file: Path) -> dict[str, set[str]]:
    """Gauges by scenario."""
    found: dict[str, set[str]] = {}
    for row in rows(call("validate", file, "--json")):
        found.setdefault(row["scenario"], set()).add(row["gauge"])
    return found


def test_the_heads_of_the_network_calibrate_and_the_others_validate(store: Path, tmp_path: Path) -> None:
    """In the sample S0002 and S0004 have no gauge upstream; also with other periods, and where gauges are added."""
    file = configuration(tmp_path / "run.yaml", store, changes=UPSTREAM)
    call("calibrate", file)
    heads, others = {"S0002", "S0004"}, {"S0001", "S0003"}
    expected = {"calibration": heads, "temporal": heads, "spatial": others, "spatio-temporal": others}
    assert scenarios(file) == expected
    assert scenarios(configuration(tmp_path / "run.yaml", store, changes=UPSTREAM | LATER)) == expected
    assert "nothing to do" in call("calibrate", file).stderr
    one = UPSTREAM | {"gauges.validation": ["S0003"]}
    assert scenarios(configuration(tmp_path / "run.yaml", store, changes=one))["spatial"] == {"S0003"}
    differs = call("calibrate", tmp_path / "run.yaml", status=2).stderr
    assert "gauges.validation" in differs  # with a word, it decides which gauges are left to calibrate
    calibrated = table(tmp_path / "run", "domain")["calibrated"]
    assert 0 < calibrated.sum() < calibrated.size
    assert manifest(tmp_path / "run")["counts"]["calibrated_cells"] == calibrated.sum()


def test_a_role_that_no_gauge_has_is_refused(store: Path, tmp_path: Path) -> None:
    changes = QUICK | {"gauges.calibration": "independent", "gauges.validation": None}
    file = configuration(tmp_path / "run.yaml", store, changes=changes)
    assert "gauges.calibration: no gauge is independent" in call("calibrate", file, status=2).stderr
    report = json.loads(call("check", file, "--json", status=3).stdout)
    assert any("no gauge is independent" in problem for problem in report["problems"])
