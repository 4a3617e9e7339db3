"""The door: the command line in, one plain function of `hydrocli.commands` called, tables and exit statuses out."""

import os

# The sums of linear algebra must not depend on the number of cores; to be said before NumPy is loaded.
for _library in ("OPENBLAS", "MKL", "OMP", "BLIS"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

from hydrocli.cli import showing  # noqa: E402
from hydrocli.cli.campaign import add_to  # noqa: E402
from hydrocli.cli.commands import app, main  # noqa: E402

add_to(app)

__all__ = ["app", "main", "showing"]
