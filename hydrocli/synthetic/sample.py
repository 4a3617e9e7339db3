"""A synthetic basin with known truth in a folder: rasters, discharge of a true model, configuration."""

from __future__ import annotations

import logging
import textwrap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.config import load
from hydrocli.engine.simulator import State
from hydrocli.errors import ConfigurationError
from hydrocli.experiment.setup import CalibrationSetup, announce_compilation, ingested
from hydrocli.files import atomic_folder, os_errors_as_input_errors, partial_of
from hydrocli.synthetic.institute import require_libraries, write_institute
from hydrocli.synthetic.options import SampleOptions
from hydrocli.synthetic.region import make_region
from hydrocli.synthetic.terrain import Terrain, make_terrain
from hydrocli.synthetic.true_models import TRUE_MODELS, simulate_true_model
from hydrocli.synthetic.truth import true_parameters
from hydrocli.synthetic.writing import observe, write_discharge, write_rasters, write_truth

logger = logging.getLogger(__name__)


CAMPAIGN = """\
# Each catchment alone, with two models: `hydrocli batch campaign.yaml`.
name: region
base: config.yaml
catchments: {table: catchments.csv}
models:
  gr_u: {structure: {kind: gr}}
  grnn_u: {structure: {kind: grnn}, optimiser: {kind: adam, iterations: 20}}
"""

WARM_UP, CALIBRATED = 0.2, 0.6
"""Shares of the period at which the calibration starts and ends; days are rounded down."""

YAML = """\
# A synthetic {what}: {cells} cells of 1 km, {steps} steps, seed {seed}.
# truth/*.tif are the parameters that made the discharge{model}.
#
#   hydrocli calibrate config.yaml
#   hydrocli validate config.yaml
#   hydrocli signatures config.yaml
name: {name}
folder: runs/{name}
seed: 1
period:
  step: {step}
  start: {start}
  end: {end}
  calibration: [{warm}, {calibrated}]   # what lies before warms the model up
  validation: {{later: [{calibrated}, {end}]}}
basin:
  flow_directions: {{path: flwdir.tif, encoding: {encoding}}}
  descriptors:
{descriptors}
gauges:
  table: gauge_attributes.csv
  discharge: {{path: qobs, format: smash}}
  calibration: [{calibration}]
  validation: [{validation}]
forcing:
  precipitation: {{path: prcp, format: geotiff, scale_factor: 0.1}}
  temperature: {{path: temperature}}
  pet: {{kind: oudin}}
structure: {{kind: gr}}
mapping: {{kind: uniform}}
initial: {{hp: {{value: 0.3}}, ht: {{value: 0.2}}}}
objective: {{metric: nse}}
"""


def write_sample(folder: Path, options: SampleOptions, true_model: str = "gr") -> None:
    """Write rasters, gauges, discharge and `config.yaml` of a synthetic basin or region into a new folder.

    Args:
        folder: new, or empty.
        options: what basin, and what is observed of it.
        true_model: that makes the discharge, one of `hydrocli.synthetic.true_models.TRUE_MODELS`.

    Raises:
        ConfigurationError: no such model, or a folder that is not empty.
    """
    if true_model not in TRUE_MODELS:
        raise ConfigurationError("--true-model", f"{true_model} must be one of {', '.join(TRUE_MODELS)}")
    if options.layout == "institute":
        require_libraries()
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(str(folder), "is not empty", "Choose a new folder.")
    with os_errors_as_input_errors(folder), partial_of(folder) as store, atomic_folder(folder) as whole:
        if options.layout == "plain":
            _write(whole, options, true_model, store)
            return
        with partial_of(folder) as plain:
            terrain, observed = _write(plain, options, true_model, store)
            write_institute(terrain, options, observed, whole)


def _write(folder: Path, options: SampleOptions, true_model: str, store: Path) -> tuple[Terrain, Floats]:
    """Write all files; the terrain and the observations [g, t] come back."""
    announce_compilation()
    terrain = make_region(options) if options.areas else make_terrain(options)
    logger.info(f"terrain of {terrain.basin.sum()} cells; writing {len(options.times)} maps of rain")
    write_rasters(terrain, options, folder)
    truth = true_parameters(terrain, options)
    write_truth(terrain, truth, folder)
    (folder / "config.yaml").write_text(_configuration(folder, terrain, options, true_model), encoding="utf-8")
    if options.areas:
        (folder / "campaign.yaml").write_text(CAMPAIGN, encoding="utf-8")
    experiment = load(folder / "config.yaml", [f"forcing.store={store}"])
    blind = experiment.model_copy(update={"gauges": experiment.gauges.model_copy(update={"discharge": None})})
    setup = CalibrationSetup(blind, ingested(blind))
    network = setup.basin.network
    row, column = terrain.grid.cells_at(network.x, network.y)
    parameters = np.stack([truth[symbol][row, column] for symbol in setup.structure.all_parameters])
    gauges = setup.gauges([site.code for site in terrain.gauges])
    observed = observe(_discharge(setup, true_model, parameters, gauges), options)
    write_discharge(terrain, options, observed, folder)
    return terrain, observed


def _discharge(setup: CalibrationSetup, true_model: str, parameters: Floats, gauges: NDArray[np.intp]) -> Floats:
    """True discharge [g, t]."""
    basin, network = setup.basin, setup.basin.network
    if true_model == "gr":
        simulator, _, _ = setup.simulator(np.arange(len(network)), gauges, len(basin.times))
        return simulator.simulate(parameters, State(setup.state.levels, *np.zeros((2, len(network)))))[0]
    return simulate_true_model(
        true_model,
        (basin.precipitation, basin.pet),
        (setup.ci, setup.hi),
        parameters,
        setup.state.levels,
        (network.downstream, network.cell_area, network.cell_width),
        basin.gauges.cell[gauges],
        basin.step,
    )


def _configuration(folder: Path, terrain: Terrain, options: SampleOptions, true_model: str) -> str:
    """The YAML: every second gauge of a basin calibrates, or three catchments in four of a region."""
    roles: tuple[list[str], list[str]] = [], []
    outlets = [site.code for site in terrain.outlets]
    for number, site in enumerate(terrain.gauges):
        validates = outlets.index(site.outlet) % 4 == 3 if options.areas else number % 2
        roles[bool(validates)].append(site.code)
    days = int((options.end - options.start).astype("timedelta64[D]").astype(int))
    warm, calibrated = (options.start + np.timedelta64(int(share * days), "D") for share in (WARM_UP, CALIBRATED))
    descriptors = sorted(path.stem for path in (folder / "descriptor").glob("*.tif"))
    what = f"region of {len(outlets)} catchments" if options.areas else "basin"
    return YAML.format(
        name="region" if options.areas else "sample",
        what=what,
        model="" if true_model == "gr" else f", of the model `{true_model}`",
        cells=terrain.basin.sum(),
        steps=len(options.times),
        seed=options.seed,
        step=f"{options.step // 60}min",
        start=f"{options.start}Z",
        end=f"{options.end}Z",
        warm=f"{warm}Z",
        calibrated=f"{calibrated}Z",
        encoding=options.encoding,
        descriptors="\n".join(f"    {name}: descriptor/{name}.tif" for name in descriptors),
        calibration=_listed(roles[0]),
        validation=_listed(roles[1]),
    )


def _listed(codes: list[str]) -> str:
    """Codes in lines of a YAML list."""
    return textwrap.fill(", ".join(codes), 110, subsequent_indent="    ")
