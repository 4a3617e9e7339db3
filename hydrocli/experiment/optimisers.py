"""The optimiser of a stage, from its section of the configuration."""

from __future__ import annotations

from typing import Any

from hydrocli.calibration.adam import Adam
from hydrocli.calibration.cmaes import CMAES
from hydrocli.calibration.lbfgsb import LBFGSB
from hydrocli.calibration.problem import Optimiser
from hydrocli.calibration.sbs import StepByStep


def optimiser_of(stage: Any, seed: int) -> Optimiser:
    """An optimiser with the options of a stage.

    Args:
        stage: as `config` has it.
        seed: of what is drawn.
    """
    if stage.kind == "lbfgsb":
        return LBFGSB(stage.iterations, stage.cost_tolerance, stage.gradient_tolerance, stage.corrections)
    if stage.kind == "cmaes":
        return CMAES(stage.iterations, stage.population, stage.spread, stage.cost_tolerance, stage.patience, seed)
    if stage.kind == "sbs":
        return StepByStep(stage.iterations, stage.pace, stage.smallest_pace)
    return Adam(
        stage.iterations,
        stage.rate,
        stage.beta1,
        stage.beta2,
        stage.bias_correction,
        stage.schedule,
        stage.warm_up,
        stage.final_share,
        stage.weight_decay,
        stage.gradient_limit,
        stage.patience,
        stage.cost_tolerance,
        stage.batches.refresh if stage.batches else 1,
    )
