"""What the user asked: the YAML, checked. It stops at the door: only `runs` makes plain arguments of it."""

from hydrocli.config.experiment import Experiment
from hydrocli.config.identity import differing_keys, numbers_hash
from hydrocli.config.load import load
from hydrocli.config.schema import schema
from hydrocli.config.section import step_seconds, utc
from hydrocli.config.together import together
from hydrocli.config.writing import initial_yaml, resolved

__all__ = [
    "Experiment",
    "differing_keys",
    "initial_yaml",
    "load",
    "numbers_hash",
    "resolved",
    "schema",
    "step_seconds",
    "together",
    "utc",
]
