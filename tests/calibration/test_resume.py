"""A calibration killed anywhere and resumed ends with the bits of one that was not: results and history."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from calibration_harness import Build, Killed, Rosenbrock, calibrate

from hydrocli.calibration.cmaes import CMAES
from hydrocli.calibration.lbfgsb import LBFGSB
from hydrocli.calibration.levenberg_marquardt import LevenbergMarquardt
from hydrocli.calibration.problem import Problem, StageResult
from hydrocli.calibration.screening import Screening
from hydrocli.calibration.stages import Stage
from hydrocli.errors import InputError

START = np.array([[-1.2, 1.0, 0.3]])


def screening_then_descents(function: Rosenbrock) -> Sequence[Stage]:
    """A global guess in three dimensions, two descents from it, and one in nine that starts where they ended."""

    def finer(before: Sequence[StageResult]) -> Problem:
        return function.problem(np.repeat(before[-1].x, 3)[np.newaxis] * 0.9)

    return [
        Stage("screening", Screening(samples=16, keep=2, batch=4), lambda _: function.problem(START)),
        Stage("coarse", LBFGSB(iterations=5), lambda before: function.problem(before[-1].candidates), descents=2),
        Stage("fine", LBFGSB(iterations=6), finer),
    ]


def cmaes(function: Rosenbrock) -> Sequence[Stage]:
    return [Stage("cmaes", CMAES(iterations=12), lambda _: function.problem(START))]


def levenberg_marquardt(function: Rosenbrock) -> Sequence[Stage]:
    return [Stage("few", LevenbergMarquardt(iterations=12), lambda _: function.problem(START))]


each = pytest.mark.parametrize("build", [screening_then_descents, cmaes, levenberg_marquardt])


@each
def test_killed_at_every_evaluation(build: Build, tmp_path: Path) -> None:
    function = Rosenbrock()
    whole = calibrate(tmp_path / "whole", build, function)
    assert not any(iteration.replayed for iteration in whole.history)
    for death in range(function.computed):
        with pytest.raises(Killed):
            calibrate(tmp_path / f"{death}", build, Rosenbrock(die_at=death))
        rest = Rosenbrock()
        assert calibrate(tmp_path / f"{death}", build, rest).bits == whole.bits
        assert rest.computed == function.computed - death  # nothing is computed twice


@each
def test_stopped_before_every_evaluation_again_and_again(build: Build, tmp_path: Path) -> None:
    """Each process computes one thing, then is asked to stop; the last one finishes."""
    whole = calibrate(tmp_path / "whole", build)
    path = tmp_path / "journal"
    for _ in range(1000):
        function = Rosenbrock()
        outcome = calibrate(path, build, function, should_stop=lambda function=function: function.computed == 1)
        if outcome.results[-1].finished:
            break
        assert outcome.results[-1].reason == "Interrupted; run again to continue."
        assert function.computed == 1
    assert outcome.bits == whole.bits
    assert all(iteration.replayed for iteration in outcome.history[:-1])


@each
def test_journal_torn_at_any_byte(build: Build, tmp_path: Path) -> None:
    """Every length of the file would take minutes: this stride falls on every part of a frame."""
    path = tmp_path / "journal"
    whole = calibrate(path, build)
    content = path.read_bytes()
    for length in range(0, len(content), 397):
        path.write_bytes(content[:length])
        assert calibrate(path, build).bits == whole.bits


def test_wall_times_of_an_earlier_process_are_kept(path: Path) -> None:
    first = calibrate(path, cmaes)
    second = calibrate(path, cmaes)
    assert [i.seconds for i in first.history] == [i.seconds for i in second.history]
    assert all(iteration.replayed for iteration in second.history)


def test_stopped_before_anything_is_known(path: Path) -> None:
    result = calibrate(path, cmaes, should_stop=lambda: True).results[0]
    assert not result.finished
    assert np.isnan(result.cost)
    assert np.array_equal(result.x, START[0])


def test_best_of_several_descents(path: Path) -> None:
    outcome = calibrate(path, screening_then_descents)
    coarse = outcome.results[1]
    by_descent = {stage: [i for i in outcome.history if i.stage == stage] for stage in ("coarse 1", "coarse 2")}
    assert coarse.cost == min(descent[-1].cost for descent in by_descent.values())
    assert coarse.iterations == sum(descent[-1].iteration for descent in by_descent.values())
    assert coarse.evaluations == by_descent["coarse 2"][-1].evaluations - outcome.results[0].evaluations
    assert coarse.reason.startswith("Best of 2 descents (coarse ")
    assert coarse.candidates.shape == (2, 3)
    assert outcome.results[2].x.size == 9


SCRIPT = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from calibration_harness import Rosenbrock, calibrate
from test_resume import screening_then_descents

class Dying(Rosenbrock):
    def _count(self):
        if self.computed == int(sys.argv[3]):
            os._exit(9)
        self.computed += 1

calibrate(Path(sys.argv[2]), screening_then_descents, Dying())
"""


@pytest.mark.parametrize("death", [3, 17])
@pytest.mark.slow
def test_a_process_that_dies_without_a_word(death: int, tmp_path: Path) -> None:
    whole = calibrate(tmp_path / "whole", screening_then_descents)
    path = tmp_path / "journal"
    arguments = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(path), str(death)]
    assert subprocess.run(arguments, check=False).returncode == 9
    function = Rosenbrock()
    assert calibrate(path, screening_then_descents, function).bits == whole.bits
    assert function.computed > 0


def test_another_path_than_the_recorded_one_is_told(path: Path) -> None:
    def elsewhere(function: Rosenbrock) -> Sequence[Stage]:
        return [Stage("cmaes", CMAES(iterations=12), lambda _: function.problem(START + 1e-9))]

    calibrate(path, cmaes)
    with pytest.raises(InputError, match=r"evaluation 1 differs from the journal by 1\.0e-09: this machine does not"):
        calibrate(path, elsewhere)


def test_another_kind_of_evaluation_and_another_stage_are_told(path: Path) -> None:
    def descent(function: Rosenbrock) -> Sequence[Stage]:
        return [Stage("cmaes", LBFGSB(), lambda _: function.problem(START))]

    calibrate(path, cmaes)
    with pytest.raises(InputError, match="evaluation 1 is of another kind than in the journal"):
        calibrate(path, descent)
    with pytest.raises(InputError, match="the journal does not continue with the stage 'screening'"):
        calibrate(path, screening_then_descents)
