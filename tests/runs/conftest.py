"""One ingested store and one finished run of the embedded sample for all tests of the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs_harness import call, configuration


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what was read from the sample is kept."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def finished(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YAML of a run that is calibrated, validated and has its signatures; its folder `short` lies beside it.

    Tests read it only.
    """
    file = configuration(tmp_path_factory.mktemp("finished") / "short.yaml", store)
    for command in ("calibrate", "validate", "signatures"):
        call(command, file)
    return file
