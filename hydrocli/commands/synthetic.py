"""`hydrocli synthetic`: a synthetic basin with known truth, and its configuration, ready to calibrate."""

from __future__ import annotations

import logging
from pathlib import Path

from hydrocli.synthetic import SampleOptions
from hydrocli.synthetic.sample import write_sample

logger = logging.getLogger(__name__)


def synthetic(folder: Path, options: SampleOptions, true_model: str = "gr") -> None:
    """Write rasters, gauges, discharge and `config.yaml` of a synthetic basin or region into a new folder.

    Args:
        folder: new, or empty.
        options: what basin, and what is observed of it.
        true_model: that makes the discharge, one of `hydrocli.synthetic.true_models.TRUE_MODELS`.

    Raises:
        ConfigurationError: no such model, or a folder that is not empty.
    """
    write_sample(folder, options, true_model)
    if options.layout != "plain":
        logger.info(f"{folder.absolute()}: next, `hydrocli init config.yaml --from {folder}`")
        return
    config = folder.absolute() / "config.yaml"
    logger.info(f"{config.parent}: calibrate it with `hydrocli calibrate {config}`")
