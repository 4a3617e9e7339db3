"""The command line: arguments in, one plain function of `hydrocli.commands` called, tables and exit codes out."""

import os

# The sums of linear algebra must not depend on the number of cores; to be set before NumPy is loaded.
for _library in ("OPENBLAS", "MKL", "OMP", "BLIS"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

from hydrocli.cli import campaign, commands, showing  # noqa: E402
from hydrocli.cli.app import app, main  # noqa: E402

__all__ = ["app", "campaign", "commands", "main", "showing"]
