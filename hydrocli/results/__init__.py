"""The run folder: tables, maps, manifest, log, and its lock.

Experiments write and reports read through this package only.
For Python users:

    import hydrocli.results

    run = hydrocli.results.read("runs/cance")
    run.scores, run.discharge                       # pandas, read on first access
    hydrocli.results.read_many("runs/*", "scores")  # one table of many runs
"""

from hydrocli.results.read import Run, read, read_many

__all__ = ["Run", "read", "read_many"]
