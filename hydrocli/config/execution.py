"""Section `execution`: threads, precision, memory. Only the precision changes a number."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hydrocli.config.section import Integer, Memory, Section

Workers = Annotated[Integer, Field(ge=1, le=1024)]


class Execution(Section):
    """How it is computed."""

    threads: Workers = Field(
        1,
        description="threads within a basin (they pay from some thousand cells on), or over the basins of `regional`",
    )
    workers: Workers = Field(1, description="processes that read rasters, and that share the basins of `regional`")
    precision: Literal["double", "single"] = Field("double", description="double or single (faster, 7 digits)")
    memory: Memory = Field(
        2 * 10**9, description="a gradient keeps to it by computing again what it does not store: 500MB, 2GB ..."
    )
