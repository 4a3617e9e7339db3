"""What a run leaves behind: tables, maps, manifest, log, and the lock of the folder that holds them.

`runs` writes through this room and `report` reads through it; nothing else touches the files of a run folder.
For Python users:

    import hydrocli.results

    run = hydrocli.results.read("runs/cance")
    run.scores, run.discharge                       # pandas, read when first asked for
    run.series("S0001")                             # observed, simulated and forcing of a gauge, by time
    run.raster("cp"), run.dataset()                 # NumPy [rows, columns]; everything as xarray
    run.gauges, run.rivers                          # GeoDataFrames
    run.plot("S0001"), run.plot("cp")               # hydrograph, map
    hydrocli.results.read_many("runs/*", "scores")  # one table of many runs
"""

from hydrocli.results.read import Run, read, read_many

__all__ = ["Run", "read", "read_many"]
