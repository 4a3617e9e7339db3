"""What tests of several rooms share: the real data inside the installed peer."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def peer_data() -> Path:
    """Folder with Cance, Lez and France_flwdir.tif, which smash carries; found without importing smash."""
    spec = find_spec("smash")
    if spec is None or spec.origin is None:
        pytest.skip("smash is not installed")
    return Path(spec.origin).parent / "factory" / "dataset"


@pytest.fixture(scope="session")
def cance_data(peer_data: Path) -> Path:
    """1 km, hourly, 2014-09-15 to 2015-01-15, interannual evapotranspiration, three gauges."""
    return peer_data / "Cance"


@pytest.fixture(scope="session")
def lez_data(peer_data: Path) -> Path:
    """1 km, daily, 2012-08-01 to 2013-07-31, three gauges."""
    return peer_data / "Lez"
