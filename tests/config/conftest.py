from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hydrocli.config import Experiment, load
from hydrocli.errors import HydrocliError

MINIMAL = """\
name: small
period:
  step: 1h
  start: 2014-09-15T00:00Z
  end: 2015-01-15T00:00Z
  calibration: [2014-10-01T00:00Z, 2014-11-14T00:00Z]
  validation: {p2: [2014-11-14T00:00Z, 2015-01-15T00:00Z]}
basin:
  flow_directions: {path: flwdir.tif, encoding: smash}
gauges:
  table: gauges.csv
  discharge: {path: qobs, format: smash}
  calibration: [A, B]
  validation: [C]
forcing:
  precipitation: {path: prcp, format: geotiff, scale_factor: 0.1}
  pet: {kind: interannual, path: pet}
"""


@pytest.fixture
def minimal() -> str:
    return MINIMAL


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write `config.yaml` and stand in its folder, so that messages name it shortly."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        Path("config.yaml").write_text(text)
        return Path("config.yaml")

    return write


@pytest.fixture
def read(write: Callable[[str], Path]) -> Callable[..., Experiment]:
    return lambda text, *overrides: load(write(text), overrides)


@pytest.fixture
def complaint(read: Callable[..., Experiment]) -> Callable[..., str]:
    """What a user reads about a configuration."""

    def complaint(text: str, *overrides: str) -> str:
        with pytest.raises(HydrocliError) as caught:
            read(text, *overrides)
        assert caught.value.exit_status == 2
        return str(caught.value)

    return complaint
