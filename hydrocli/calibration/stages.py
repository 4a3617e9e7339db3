"""Stages one after the other, each with its own problem and optimiser, all through one journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hydrocli.calibration.history import Ending
from hydrocli.calibration.problem import Problem
from hydrocli.calibration.recorder import Interrupted, Optimiser, Recorder

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: unlike those of the other stages.
        optimiser: with its options.
        problem: builds the problem from the endings of the stages before, so that controls may change their meaning.
        descents: from how many of the problem's starts, best first, the optimiser sets out; the best ending counts.
    """

    name: str
    optimiser: Optimiser
    problem: Callable[[Sequence[Ending]], Problem]
    descents: int = 1


def run_stages(stages: Sequence[Stage], recorder: Recorder) -> list[Ending]:
    """Run the stages, resuming where the recorder's journal ends.

    Returns:
        One ending per stage; where `should_stop` has said yes the last one is not `finished`, and the same call with
        the journal opened anew continues to the same bits.

    Raises:
        NumericalError: a cost or a gradient is not finite.
        InputError: the journal cannot be written, or holds another calibration's evaluations.
    """
    endings: list[Ending] = []
    for stage in stages:
        endings.append(_run_stage(stage, stage.problem(endings), recorder))
        if not endings[-1].finished:
            break
    return endings


def _run_stage(stage: Stage, problem: Problem, recorder: Recorder) -> Ending:
    starts = problem.starts[: stage.descents]
    descents: list[Ending] = []
    for number, start in enumerate(starts, start=1):
        name = stage.name if len(starts) == 1 else f"{stage.name} {number}"
        descents.append(_run_descent(name, stage.optimiser, replace(problem, starts=start[np.newaxis]), recorder))
        if not descents[-1].finished:
            break
    return _best_of(stage.name, descents)


def _run_descent(name: str, optimiser: Optimiser, problem: Problem, recorder: Recorder) -> Ending:
    recorder.begin(name, problem)
    try:
        return optimiser.minimise(recorder)
    except Interrupted:
        return recorder.ending("Stopped from outside; run again to continue.", finished=False)


def _best_of(stage: str, descents: list[Ending]) -> Ending:
    if len(descents) == 1:
        return descents[0]
    ranked = sorted(descents, key=lambda ending: np.nan_to_num(ending.cost, nan=np.inf))
    best, last = ranked[0], descents[-1]
    reason = f"Best of {len(descents)} descents ({best.stage}): {best.reason}" if last.finished else last.reason
    return replace(
        best,
        stage=stage,
        iterations=sum(ending.iterations for ending in descents),
        evaluations=sum(ending.evaluations for ending in descents),
        seconds=sum(ending.seconds for ending in descents),
        reason=reason,
        finished=last.finished,
        candidates=np.concatenate([ending.candidates for ending in ranked]),
    )
