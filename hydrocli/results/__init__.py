"""What a run leaves behind: tables, maps, manifest, log, and the lock of the folder that holds them.

`runs` writes through this room and `report` reads through it; nothing else touches the files of a run folder.
For Python users:

    import hydrocli.results

    run = hydrocli.results.read("runs/cance")
    run.scores, run.discharge                       # pandas, read when first asked for
    hydrocli.results.read_many("runs/*", "scores")  # one table of many runs
"""

from hydrocli.results.read import Run, read, read_many

__all__ = ["Run", "read", "read_many"]
