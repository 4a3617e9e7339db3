"""Stages one after the other, each with its own problem and optimiser, all through one journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hydrocli.calibration.problem import Problem, StageResult
from hydrocli.calibration.recorder import Interrupted, Optimiser, Recorder


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: unlike those of the other stages.
        optimiser: with its options.
        problem: builds the problem from the results of the stages before, so that controls may change their meaning.
        descents: number of starts, best first, from which the optimiser runs; the best result is kept.
    """

    name: str
    optimiser: Optimiser
    problem: Callable[[Sequence[StageResult]], Problem]
    descents: int = 1


def run_stages(stages: Sequence[Stage], recorder: Recorder) -> list[StageResult]:
    """Run the stages, resuming where the recorder's journal ends.

    Returns:
        One result per stage; where `should_stop` has said yes the last one is not `finished`, and the same call with
        the reopened journal continues with identical results.

    Raises:
        NumericalError: a cost or a gradient is not finite.
        InputError: the journal cannot be written, or holds another calibration's evaluations.
    """
    results: list[StageResult] = []
    for stage in stages:
        results.append(_run_stage(stage, stage.problem(results), recorder))
        if not results[-1].finished:
            break
    return results


def _run_stage(stage: Stage, problem: Problem, recorder: Recorder) -> StageResult:
    starts = problem.starts[: stage.descents]
    descents: list[StageResult] = []
    for number, start in enumerate(starts, start=1):
        name = stage.name if len(starts) == 1 else f"{stage.name} {number}"
        descents.append(_run_descent(name, stage.optimiser, replace(problem, starts=start[np.newaxis]), recorder))
        if not descents[-1].finished:
            break
    return _best_of(stage.name, descents)


def _run_descent(name: str, optimiser: Optimiser, problem: Problem, recorder: Recorder) -> StageResult:
    recorder.begin(name, problem)
    try:
        return optimiser.minimise(recorder)
    except Interrupted:
        return recorder.result("Interrupted; run again to continue.", finished=False)


def _best_of(stage: str, descents: list[StageResult]) -> StageResult:
    if len(descents) == 1:
        return descents[0]
    ranked = sorted(descents, key=lambda result: np.nan_to_num(result.cost, nan=np.inf))
    best, last = ranked[0], descents[-1]
    reason = f"Best of {len(descents)} descents ({best.stage}): {best.reason}" if last.finished else last.reason
    return replace(
        best,
        stage=stage,
        iterations=sum(result.iterations for result in descents),
        evaluations=sum(result.evaluations for result in descents),
        seconds=sum(result.seconds for result in descents),
        reason=reason,
        finished=last.finished,
        candidates=np.concatenate([result.candidates for result in ranked]),
    )
