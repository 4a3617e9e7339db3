"""The shipped sample as it was ingested before formats had readers: the same bits.

Amounts, tables and the network are read, scaled by powers of ten and added up, which every machine does alike: their
digests are fixed. Potential evapotranspiration has sines of the latitude in it, and has a tolerance.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from hydrocli.basin.basin import Basin
from hydrocli.basin.ingest import open_basin
from hydrocli.config import load
from hydrocli.experiment.inputs import source_of

DIGESTS = {
    "precipitation": "8fc669166cc8518a",
    "discharge": "e850af09a243c40b",
    "downstream": "52518f9c40eba8a4",
    "level": "7c489a32b4b1ebdb",
    "drained_area": "9e7e34b9dbe48e26",
    "cell_area": "456ebc2ec7fcb970",
    "x": "24ed2e48a2b0fc27",
    "y": "d460777ccf96dabe",
    "cell": "9d1d182ac0e30b6b",
    "area_found": "21af7c294c396a8b",
}
"""First 16 digits of the SHA-256 of the bytes of each array, little-endian, recorded at e6c1d0e."""


@pytest.fixture(scope="module")
def basin(tmp_path_factory: pytest.TempPathFactory) -> Basin:
    file = Path(__file__).parents[2] / "configs" / "sample.yaml"
    return open_basin(source_of(load(file)), tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("name", DIGESTS)
def test_arrays_have_the_bits_they_had(basin: Basin, name: str) -> None:
    owner = next(part for part in (basin, basin.network, basin.gauges) if hasattr(part, name))
    array = getattr(owner, name)
    assert hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16] == DIGESTS[name]


def test_evapotranspiration_and_temperature(basin: Basin) -> None:
    """Single precision rounds by 6e-8; a library of sines may differ by some of them."""
    assert float(basin.pet.astype(np.float64).sum()) == pytest.approx(8311.77725237608, rel=1e-6)
    some = [0.043373722583055496, 0.05325634032487869, 0.060393787920475006, 0.06423702836036682, 0.06423702836036682]
    np.testing.assert_allclose(basin.pet[2000:2005, 3], some, rtol=1e-6)
    assert basin.temperature is not None
    assert basin.temperature.shape == basin.pet.shape
    days = basin.temperature.reshape(-1, 24, basin.temperature.shape[1])
    np.testing.assert_array_equal(days, np.broadcast_to(days[:, :1], days.shape))  # daily files
