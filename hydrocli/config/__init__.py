"""The configuration: YAML in, checked sections out. The packages below receive plain arguments, never a section."""

from hydrocli.config.base import duration_seconds, step_seconds, utc
from hydrocli.config.campaign import Campaign
from hydrocli.config.campaign_runs import (
    CampaignFile,
    RunSpec,
    catchment_table,
    code_column,
    experiment_from_dict,
    is_campaign,
    load_campaign,
    resolved_campaign,
    run_specs,
)
from hydrocli.config.experiment import Experiment
from hydrocli.config.identity import differing_keys, numbers_hash
from hydrocli.config.load import load
from hydrocli.config.regional import regional_members
from hydrocli.config.schema import schema
from hydrocli.config.writing import initial_yaml, resolved, to_dict

__all__ = [
    "Campaign",
    "CampaignFile",
    "Experiment",
    "RunSpec",
    "catchment_table",
    "code_column",
    "differing_keys",
    "duration_seconds",
    "experiment_from_dict",
    "initial_yaml",
    "is_campaign",
    "load",
    "load_campaign",
    "numbers_hash",
    "regional_members",
    "resolved",
    "resolved_campaign",
    "run_specs",
    "schema",
    "step_seconds",
    "to_dict",
    "utc",
]
