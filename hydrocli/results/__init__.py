"""The run folder: tables, maps, manifest, log, and its lock.

Experiments write and reports read through this package only.
For Python users:

    import hydrocli.results

    run = hydrocli.results.read("runs/cance")
    run.scores, run.discharge                       # pandas, read on first access
    run.series("S0001")                             # observed, simulated and forcing of a gauge, by time
    run.raster("cp"), run.dataset()                 # NumPy [rows, columns]; everything as xarray
    run.gauges, run.rivers                          # GeoDataFrames
    run.plot("S0001"), run.plot("cp")               # hydrograph, map
    hydrocli.results.read_many("runs/*", "scores")  # one table of many runs
"""

from hydrocli.results.read import Run, read, read_many

__all__ = ["Run", "read", "read_many"]
