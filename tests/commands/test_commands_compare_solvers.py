"""`solvers` on a run: schemes of known order beside the reference, tables, choices refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from runs_harness import call, configuration, rows, table

from hydrocli.report.source import Source
from hydrocli.report.water_sections import solver_section
from hydrocli.results import read

SHORT = {"period.end": "2014-09-25T00:00Z", "period.calibration": None, "period.validation": None}
VALUES = {f"parameters.{symbol}": {"value": value} for symbol, value in (("cp", 60.0), ("ct", 20.0), ("kexc", 0.5))}


@pytest.mark.parametrize("kind", ["ode", "node", "gr"])
def test_errors_follow_the_order_of_a_scheme(kind: str, store: Path, tmp_path: Path) -> None:
    """Euler's error halves with its step, that of Runge-Kutta is far smaller, and no equation is solved by accident."""
    structure = {"kind": kind} | ({"network": {"initial_std": 0.3}} if kind == "node" else {})
    file = configuration(tmp_path / "run.yaml", store, changes=SHORT | VALUES | {"structure": structure})
    call("simulate", file)
    printed = call("compare-solvers", tmp_path / "run", "--gauge", "S0001", "--json")
    found = {row["scheme"]: row for row in rows(printed)}
    euler = [found[f"explicit Euler x {count}"]["ht_error"] for count in (4, 16)]
    assert euler[0] == pytest.approx(4 * euler[1], rel=0.15)
    assert found["Runge-Kutta 4 x 4"]["ht_error"] < 1e-4 * euler[1]
    assert 0 < found["implicit Euler"]["ht_error"] < 4 * euler[0] + 1e-9
    assert found["implicit Euler, single"]["ht_error"] == pytest.approx(found["implicit Euler"]["ht_error"], rel=1e-2)
    assert ("gr, algebraic" in found) == (kind != "node")
    written, series = table(tmp_path / "run", "solvers"), table(tmp_path / "run", "solver_series")
    assert list(written["scheme"]) == list(found)
    assert len(series["qt"]) == len(found) * len(np.unique(series["time"]))
    truth = series["scheme"] == "reference"
    engine = series["scheme"] == "implicit Euler"
    error = np.abs(series["ht"][engine] - series["ht"][truth]).max()
    assert error == pytest.approx(found["implicit Euler"]["ht_error"], rel=1e-12)
    for option, value, words in (
        ("--cell", "9999", "is not one of 0 to"),
        ("--gauge", "X", "unknown gauge X (available: S0001"),
    ):
        assert words in call("compare-solvers", tmp_path / "run", option, value, status=2).stderr
    section = solver_section(Source(read(tmp_path / "run")))
    figure = section.blocks[0].figure
    assert isinstance(figure, Figure)
    drawn = [line.get_label() for line in figure.axes[1].get_lines()]
    assert drawn[:4] == ["reference", "implicit Euler", "explicit Euler x 1", "Runge-Kutta 4 x 1"]
