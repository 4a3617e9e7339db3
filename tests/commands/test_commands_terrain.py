"""A run on elevations and polygons, by the commands a user types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely
import yaml
from runs_harness import SAMPLE, call, configuration, table
from test_commands_smoke import FORTNIGHT


def with_basin(tmp_path: Path, name: str, basin: dict[str, Any]) -> Path:
    file = configuration(tmp_path / f"{name}.yaml", tmp_path / "store", changes=FORTNIGHT)
    values = yaml.safe_load(file.read_text())
    values["basin"] = basin
    values["optimiser"] = {"kind": "lbfgsb", "iterations": 2}
    file.write_text(yaml.safe_dump(values))
    return file


def test_a_calibration_on_elevations_is_that_on_their_flow_directions(tmp_path: Path) -> None:
    """The elevations of the sample made its directions: both runs have the same network, and so the same cost."""
    sites = pd.read_csv(SAMPLE / "gauge_attributes.csv")
    x, y = sites.x.median(), sites.y.median()
    soil = geopandas.GeoDataFrame(geometry=[shapely.box(x - 9000, y - 9000, x, y + 9000)], crs="EPSG:2154")
    soil.to_file(tmp_path / "soil.gpkg")
    dem = {"path": str(SAMPLE / "elevation.tif")}
    descriptors = {
        "slope": {"derived": "slope"},
        "far": {"derived": "distance_to_outlet"},
        "sand": str(tmp_path / "soil.gpkg"),
    }
    directions = {"path": str(SAMPLE / "flwdir.tif"), "encoding": "smash"}
    basins = {
        "directed": {"flow_directions": directions, "dem": dem, "descriptors": descriptors},
        "filled": {"dem": dem | {"resolution": 1000}, "descriptors": descriptors},
    }
    costs = []
    for name, basin in basins.items():
        file = with_basin(tmp_path, name, basin)
        call("calibrate", file)
        costs.append(table(tmp_path / name, "convergence")["cost"])
        domain = table(tmp_path / name, "domain")
        assert domain["far"].min() == 0.0
        assert set(np.unique(domain["sand"])) <= {0.0, 0.5, 1.0}
    np.testing.assert_array_equal(*costs)
    printed = call("check", file).stdout
    assert "km" in next(line for line in printed.splitlines() if line.startswith("far "))
