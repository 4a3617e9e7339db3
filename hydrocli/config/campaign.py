"""A campaign: one base configuration, many catchments, several models; one run for each pair of the two."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from hydrocli.config.base import GaugeCode, InputPath, Integer, Memory, Name, Section, quoted, validation_error
from hydrocli.config.execution import RUNNING_SCHEDULER, is_address
from hydrocli.config.experiment import run_folder

Count = Annotated[Integer, Field(ge=1, le=100_000)]
Step = Literal["validate", "signatures"]
RESERVED = ("collected", "logs")
"""Folders of a campaign that belong to no model."""


def _check_cluster_name(value: Any) -> Any:
    if value in ("none", "local", "slurm") or is_address(value):
        return value
    raise validation_error(f"{quoted(value)} is not possible", f"one of: none, local, slurm, or {RUNNING_SCHEDULER}")


Cluster = Annotated[str, BeforeValidator(_check_cluster_name), WithJsonSchema({"type": "string"})]


class Catchments(Section):
    """Catchments of the campaign: one run for each, calibrated at its gauge."""

    table: InputPath | None = Field(
        None,
        description="CSV, Parquet or GeoPackage with the column code; columns with a dot in their name are "
        "keys, for example "
        "period.calibration; default: gauges.table of the base",
        examples=["catchments.csv"],
    )
    codes: tuple[GaugeCode, ...] | None = Field(
        None, description="codes of the catchments to run; default: all of the table", examples=[["V3515010"]]
    )


class CampaignExecution(Section):
    """Distribution of the runs over workers."""

    cluster: Cluster = Field(
        "none",
        description="none: processes; with Dask: local, slurm, or the address of a running scheduler, tcp://host:8786",
    )
    workers: Count | None = Field(
        None, description="worker processes; default: number of available cores", examples=[4]
    )
    memory: Memory | None = Field(
        None, description="memory of all workers on one machine; default: available memory", examples=["16GB"]
    )
    attempts: Annotated[Integer, Field(ge=1, le=20)] = Field(
        3, description="maximum number of starts of a run whose worker was killed"
    )


class Slurm(Section):
    """Resources requested from SLURM, by `hydrocli slurm-script` and by `cluster: slurm`."""

    jobs: Count = Field(1, description="number of jobs of the array, or of Dask workers")
    cores: Annotated[Integer, Field(ge=1, le=1024)] = Field(1, description="cores per job; one worker per core")
    memory: Memory = Field(4 * 10**9, description="memory per job")
    time: Annotated[str, Field(pattern=r"^(\d+-)?\d+(:\d\d){0,2}$")] = Field(
        "12:00:00", description="wall time per job"
    )
    partition: str | None = Field(None, description="partition", examples=["compute"])
    account: str | None = Field(None, description="account", examples=["hydro"])
    options: tuple[str, ...] = Field((), description="additional options of sbatch", examples=[["--exclusive"]])
    setup: tuple[str, ...] = Field(
        (), description="shell lines run before hydrocli starts", examples=[["module load python"]]
    )

    @field_validator("partition", "account", "options", "setup")
    @classmethod
    def _check_single_line(cls, value: Any) -> Any:
        for text in (value,) if isinstance(value, str) else value or ():
            if not text.isprintable():
                raise validation_error(f"{quoted(text)} is not a single line of text")
        return value


class Campaign(Section):
    """Result of `hydrocli.config.load_campaign`; all paths are absolute."""

    name: Name = Field(description="name of the campaign", examples=["france"])
    folder: Annotated[InputPath, BeforeValidator(run_folder)] = Field(
        "campaigns/{name}",
        validate_default=True,
        description="folder of the campaign; runs are stored in <folder>/<model>/<code>",
    )
    base: InputPath = Field(
        description="run configuration that all runs share; relative paths in models and in the table refer "
        "to its folder",
        examples=["config.yaml"],
    )
    catchments: Catchments = Field(default_factory=Catchments, description="catchments; one run for each")
    models: Annotated[dict[Name, dict[str, Any] | None], Field(min_length=1)] = Field(
        description="name: sections that override the base; a section with a kind, or a list, replaces the "
        "section of the base",
        examples=[{"gr_u": {"structure": {"kind": "gr"}}, "grnn_u": {"structure": {"kind": "grnn"}}}],
    )
    after_calibration: tuple[Step, ...] = Field(
        ("validate",), description="commands run after each calibration: validate, signatures"
    )
    execution: CampaignExecution = Field(
        default_factory=CampaignExecution, description="distribution of the runs over workers"
    )
    slurm: Slurm = Field(default_factory=Slurm, description="resources requested from SLURM")

    @field_validator("models")
    @classmethod
    def _check_model_names(cls, models: dict[str, Any]) -> dict[str, Any]:
        for name in models:
            if name in RESERVED:
                raise validation_error(
                    f"'{name}' is not a valid model name",
                    f"{', '.join(RESERVED)} are reserved for folders of the campaign",
                )
        return models
