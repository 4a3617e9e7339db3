"""Synthetic basins with known truth: terrain, rivers, weather, parameters and what gauges would see of the discharge.

Everything follows from `SampleOptions`, the seed included. The discharge itself is computed by a model, elsewhere:

    terrain = make_terrain(options)                     # or make_region(options): many catchments
    write_rasters(terrain, options, folder)             # flow directions, descriptors, rain, temperature, gauge table
    truth = true_parameters(terrain, options.step)      # fields [height, width] on terrain.grid
    write_truth(terrain, truth, folder)
    ...                                                 # simulated discharge [g, t] with these parameters
    write_discharge(terrain, options, observe(simulated, options), folder)
"""

from hydrocli.synthetic.options import SampleOptions
from hydrocli.synthetic.rain import rain_fields
from hydrocli.synthetic.region import areas_of, make_region
from hydrocli.synthetic.temperature import temperature_fields
from hydrocli.synthetic.terrain import GaugeSite, Terrain, make_terrain
from hydrocli.synthetic.truth import true_parameters
from hydrocli.synthetic.writing import observe, write_discharge, write_rasters, write_truth

__all__ = [
    "GaugeSite",
    "SampleOptions",
    "Terrain",
    "areas_of",
    "make_region",
    "make_terrain",
    "observe",
    "rain_fields",
    "temperature_fields",
    "true_parameters",
    "write_discharge",
    "write_rasters",
    "write_truth",
]
