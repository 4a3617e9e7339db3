"""Section `execution`: threads, precision, memory. Only the precision changes results."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from hydrocli.config.base import Integer, Memory, Section, quoted, validation_error

RUNNING_SCHEDULER = "the address of a running Dask scheduler, for example tcp://host:8786"


def is_address(value: Any) -> bool:
    """Whether it is the address of a Dask scheduler."""
    return isinstance(value, str) and bool(re.fullmatch(r"t(cp|ls)://\S+:\d+", value))


def _check_cluster_name(value: Any) -> Any:
    if value in ("none", "local") or is_address(value):
        return value
    if value == "slurm":
        what = "slurm is possible for campaigns only"
        raise validation_error(
            what, f"start `dask scheduler` and `dask worker` in your own jobs (sbatch), and give {RUNNING_SCHEDULER}"
        )
    raise validation_error(f"{quoted(value)} is not possible", f"one of: none, local, or {RUNNING_SCHEDULER}")


Workers = Annotated[Integer, Field(ge=1, le=1024)]


class Execution(Section):
    """Threads, processes, precision, memory."""

    threads: Workers = Field(
        1,
        description="threads within a basin (useful for basins of several thousand cells), or over the "
        "basins of `regional`",
    )
    workers: Workers = Field(1, description="processes that read rasters, and that compute the basins of `regional`")
    cluster: Annotated[str, BeforeValidator(_check_cluster_name), WithJsonSchema({"type": "string"})] = Field(
        "none",
        description="workers for `regional`; none: processes; with Dask: local, or the address of a running scheduler, "
        "tcp://host:8786",
    )
    precision: Literal["double", "single"] = Field(
        "double", description="floating-point precision: double, or single (faster, 7 digits)"
    )
    memory: Memory = Field(
        2 * 10**9,
        description="memory for forcing and states, for example 500MB, 2GB; below the demand of a gradient, parts are "
        "recomputed",
    )
