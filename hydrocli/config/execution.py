"""Section `execution`: threads, precision, memory. Only the precision changes a number."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from hydrocli.config.base import Integer, Memory, Section, quoted, validation_error

STARTED = "the address of a scheduler of Dask that runs, as tcp://host:8786"


def is_address(value: Any) -> bool:
    """Whether it is the address of a scheduler of Dask."""
    return isinstance(value, str) and bool(re.fullmatch(r"t(cp|ls)://\S+:\d+", value))


def _check_cluster_name(value: Any) -> Any:
    if value in ("none", "local") or is_address(value):
        return value
    if value == "slurm":
        what = "slurm starts the workers of campaigns only"
        raise validation_error(
            what, f"start `dask scheduler` and `dask worker` in jobs of your own (sbatch), and give {STARTED}"
        )
    raise validation_error(f"{quoted(value)} is not possible", f"one of: none, local, or {STARTED}")


Workers = Annotated[Integer, Field(ge=1, le=1024)]


class Execution(Section):
    """How it is computed."""

    threads: Workers = Field(
        1,
        description="threads within a basin (they pay from some thousand cells on), or over the basins of `regional`",
    )
    workers: Workers = Field(1, description="processes that read rasters, and that share the basins of `regional`")
    cluster: Annotated[str, BeforeValidator(_check_cluster_name), WithJsonSchema({"type": "string"})] = Field(
        "none",
        description="who computes `regional`; none: processes; with Dask: local, or all workers of a scheduler that "
        "runs, as tcp://host:8786",
    )
    precision: Literal["double", "single"] = Field("double", description="double or single (faster, 7 digits)")
    memory: Memory = Field(
        2 * 10**9, description="a gradient keeps to it by computing again what it does not store: 500MB, 2GB ..."
    )
