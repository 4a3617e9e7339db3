"""`hydrocli sample`: a synthetic basin with known truth, and its configuration, ready to calibrate."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np

from hydrocli.basin.synthetic import (
    SampleOptions,
    Terrain,
    make_terrain,
    observe,
    true_parameters,
    write_discharge,
    write_rasters,
    write_truth,
)
from hydrocli.config import load
from hydrocli.errors import ConfigurationError, InputError
from hydrocli.model.sweep import State
from hydrocli.names import PARAMETERS
from hydrocli.runs.build import Case, ingested, stamp, tell_compilation
from hydrocli.runs.progress import Console

WARM_UP, CALIBRATED = 0.2, 0.6
"""Shares of the period at which the calibration starts and ends; days are rounded down."""

YAML = """\
# A synthetic basin: {cells} cells of 1 km, {steps} steps, seed {seed}.
# truth/*.tif are the parameters that made the discharge.
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
  precipitation: {{path: prcp, format: geotiff, factor: 0.1}}
  evapotranspiration: {{kind: oudin, temperature: {{path: temperature}}}}
structure: {{kind: gr}}
mapping: {{kind: uniform}}
initial: {{hp: {{value: 0.3}}, ht: {{value: 0.2}}}}
objective: {{metric: nse}}
optimiser: {{kind: lbfgsb}}
"""


def sample(
    folder: Path,
    console: Console,
    *,
    cells: int,
    gauges: int,
    start: datetime,
    end: datetime,
    step: int,
    temperature_step: int,
    seed: int,
    noise: float,
    gaps: float,
    encoding: str,
) -> None:
    """Write rasters, gauges, discharge and `config.yaml` of a synthetic basin into a new folder.

    Args:
        folder: new, or empty.
        console: what is said goes there.
        cells, gauges, start, end, step, temperature_step, seed, noise, gaps, encoding: see `SampleOptions`.

    Raises:
        ConfigurationError: options out of range, or a folder that is not empty.
    """
    options = SampleOptions(
        stamp(start), stamp(end), cells, gauges, step, temperature_step, seed, noise, gaps, encoding
    )
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(str(folder), "is not empty", "Name a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        whole = Path(scratch) / "sample"
        whole.mkdir()
        _write(whole, options, console, Path(scratch) / "store")
        try:
            if folder.exists():
                folder.rmdir()
            shutil.move(whole, folder)
        except OSError as error:
            raise InputError(str(folder), f"cannot be written: {error.strerror}") from error
    console.note(f"{folder}: calibrate it with `hydrocli calibrate {folder / 'config.yaml'}`")


def _write(folder: Path, options: SampleOptions, console: Console, store: Path) -> None:
    tell_compilation(console)
    terrain = make_terrain(options)
    console.note(f"terrain of {terrain.gauges[0].cells} cells; writing {len(options.times)} maps of rain")
    write_rasters(terrain, options, folder)
    truth = true_parameters(terrain, options)
    write_truth(terrain, truth, folder)
    (folder / "config.yaml").write_text(_configuration(folder, terrain, options), encoding="utf-8")
    experiment = load(folder / "config.yaml", [f"forcing.store={store}"])
    blind = experiment.model_copy(update={"gauges": experiment.gauges.model_copy(update={"discharge": None})})
    case = Case(blind, ingested(blind, console))
    network = case.basin.network
    row, column = terrain.grid.cells_at(network.x, network.y)
    parameters = np.stack([truth[symbol][row, column] for symbol in PARAMETERS])
    codes = [site.code for site in terrain.gauges]
    sweep, _, _ = case.sweep(np.arange(len(network)), case.gauges(codes), len(case.basin.times))
    simulated, _ = sweep.simulate(parameters, State(case.state.levels, *np.zeros((2, len(network)))))
    write_discharge(terrain, options, observe(simulated, options), folder)


def _configuration(folder: Path, terrain: Terrain, options: SampleOptions) -> str:
    """The YAML: every second gauge calibrates, the outlet among them."""
    codes = [site.code for site in terrain.gauges]
    days = int((options.end - options.start).astype("timedelta64[D]").astype(int))
    warm, calibrated = (options.start + np.timedelta64(int(share * days), "D") for share in (WARM_UP, CALIBRATED))
    descriptors = sorted(path.stem for path in (folder / "descriptor").glob("*.tif"))
    return YAML.format(
        name="sample",
        cells=terrain.gauges[0].cells,
        steps=len(options.times),
        seed=options.seed,
        step=f"{options.step // 60}min",
        start=f"{options.start}Z",
        end=f"{options.end}Z",
        warm=f"{warm}Z",
        calibrated=f"{calibrated}Z",
        encoding=options.encoding,
        descriptors="\n".join(f"    {name}: descriptor/{name}.tif" for name in descriptors),
        calibration=", ".join(codes[::2]),
        validation=", ".join(codes[1::2]),
    )
