"""The baselines by name."""

from __future__ import annotations

from hydrocli.baselines import climatology, linear, lstm
from hydrocli.baselines.baseline import Kind
from hydrocli.names import BASELINES

KINDS: dict[str, Kind] = {"lstm": lstm, "linear": linear, "climatology": climatology}
assert tuple(KINDS) == BASELINES
