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
        return LBFGSB(stage.iterations, stage.cost_tolerance, stage.gradient_tolerance, stage.history_size)
    if stage.kind == "cmaes":
        return CMAES(stage.iterations, stage.population, stage.sigma0, stage.cost_tolerance, stage.patience, seed)
    if stage.kind == "sbs":
        return StepByStep(stage.iterations, stage.step, stage.min_step)
    return Adam(
        stage.iterations,
        stage.learning_rate,
        stage.beta1,
        stage.beta2,
        stage.bias_correction,
        stage.schedule,
        stage.rate_warmup,
        stage.final_rate_fraction,
        stage.weight_decay,
        stage.max_gradient_norm,
        stage.patience,
        stage.cost_tolerance,
        stage.batches.full_evaluation_every if stage.batches else 1,
    )
