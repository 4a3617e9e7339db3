"""What the user asked: the YAML, checked. It stops at the door: only `runs` makes plain arguments of it."""

from hydrocli.config.campaign import Campaign
from hydrocli.config.experiment import Experiment
from hydrocli.config.identity import differing_keys, numbers_hash
from hydrocli.config.items import (
    CampaignFile,
    Item,
    experiment_of,
    is_campaign,
    items_of,
    load_campaign,
    resolved_campaign,
    table_of,
)
from hydrocli.config.load import load
from hydrocli.config.schema import schema
from hydrocli.config.section import step_seconds, utc
from hydrocli.config.together import together
from hydrocli.config.writing import initial_yaml, plain, resolved

__all__ = [
    "Campaign",
    "CampaignFile",
    "Experiment",
    "Item",
    "differing_keys",
    "experiment_of",
    "initial_yaml",
    "is_campaign",
    "items_of",
    "load",
    "load_campaign",
    "numbers_hash",
    "plain",
    "resolved",
    "resolved_campaign",
    "schema",
    "step_seconds",
    "table_of",
    "together",
    "utc",
]
