"""A campaign: one base configuration, many catchments, several models; what is asked of every pair of the two."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from hydrocli.config.base import GaugeCode, InputPath, Integer, Memory, Name, Section, quoted, validation_error
from hydrocli.config.execution import STARTED, is_address
from hydrocli.config.experiment import run_folder

Count = Annotated[Integer, Field(ge=1, le=100_000)]
Step = Literal["validate", "signatures"]
RESERVED = ("collected", "logs")
"""Names of folders beside those of the models."""


def _check_cluster_name(value: Any) -> Any:
    if value in ("none", "local", "slurm") or is_address(value):
        return value
    raise validation_error(f"{quoted(value)} is not possible", f"one of: none, local, slurm, or {STARTED}")


Cluster = Annotated[str, BeforeValidator(_check_cluster_name), WithJsonSchema({"type": "string"})]


class Catchments(Section):
    """Which catchments: one run for each, calibrated at its gauge."""

    table: InputPath | None = Field(
        None,
        description="CSV, Parquet or GeoPackage with the column code; columns whose names hold a dot are keys, as "
        "period.calibration; left out: the table of gauges of the base",
        examples=["catchments.csv"],
    )
    codes: tuple[GaugeCode, ...] | None = Field(
        None, description="codes of those wanted; left out: all of the table", examples=[["V3515010"]]
    )


class CampaignExecution(Section):
    """How the runs are shared out."""

    cluster: Cluster = Field(
        "none", description="none: processes; with Dask: local, slurm, or a scheduler that runs, as tcp://host:8786"
    )
    workers: Count | None = Field(
        None, description="processes; left out: the cores that this process may use", examples=[4]
    )
    memory: Memory | None = Field(
        None, description="of all workers on a machine together; left out: what is available", examples=["16GB"]
    )
    attempts: Annotated[Integer, Field(ge=1, le=20)] = Field(
        3, description="how often a run whose worker was killed is started in one call"
    )


class Slurm(Section):
    """What is asked of SLURM, by `hydrocli slurm-script` and by `cluster: slurm`."""

    jobs: Count = Field(1, description="jobs of the array, or workers of Dask")
    cores: Annotated[Integer, Field(ge=1, le=1024)] = Field(1, description="cores of a job: so many workers")
    memory: Memory = Field(4 * 10**9, description="of a job")
    time: Annotated[str, Field(pattern=r"^(\d+-)?\d+(:\d\d){0,2}$")] = Field("12:00:00", description="of a job")
    partition: str | None = Field(None, description="partition", examples=["compute"])
    account: str | None = Field(None, description="account", examples=["hydro"])
    options: tuple[str, ...] = Field((), description="further options of sbatch", examples=[["--exclusive"]])
    setup: tuple[str, ...] = Field((), description="lines of shell before it starts", examples=[["module load python"]])

    @field_validator("partition", "account", "options", "setup")
    @classmethod
    def _check_single_line(cls, value: Any) -> Any:
        for text in (value,) if isinstance(value, str) else value or ():
            if not text.isprintable():
                raise validation_error(f"{quoted(text)} is not one line of text")
        return value


class Campaign(Section):
    """What `hydrocli.config.load_campaign` returns; all paths are absolute."""

    name: Name = Field(description="name of the campaign", examples=["france"])
    folder: Annotated[InputPath, BeforeValidator(run_folder)] = Field(
        "campaigns/{name}",
        validate_default=True,
        description="folder of the campaign; a run lies in <folder>/<model>/<code>",
    )
    base: InputPath = Field(
        description="configuration of a run: what all share; relative paths of models and of the table start from it",
        examples=["config.yaml"],
    )
    catchments: Catchments = Field(default_factory=Catchments, description="one run for each of them")
    models: Annotated[dict[Name, dict[str, Any] | None], Field(min_length=1)] = Field(
        description="name: sections laid over the base; one that names its kind, and a list, takes the place of all",
        examples=[{"gr_u": {"structure": {"kind": "gr"}}, "grnn_u": {"structure": {"kind": "grnn"}}}],
    )
    after_calibration: tuple[Step, ...] = Field(
        ("validate",), description="what follows a calibration: validate, signatures"
    )
    execution: CampaignExecution = Field(default_factory=CampaignExecution, description="how the runs are shared out")
    slurm: Slurm = Field(default_factory=Slurm, description="what is asked of SLURM")

    @field_validator("models")
    @classmethod
    def _check_model_names(cls, models: dict[str, Any]) -> dict[str, Any]:
        for name in models:
            if name in RESERVED:
                raise validation_error(
                    f"'{name}' is no name for a model", f"{', '.join(RESERVED)} lie beside the models"
                )
        return models
