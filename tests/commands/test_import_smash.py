"""Setups of smash: the configuration that is written makes the same basin, and what has no equivalent is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hydrocli.basin.ingest import make_domain, open_basin
from hydrocli.commands.import_smash import import_smash
from hydrocli.config import load
from hydrocli.errors import ConfigurationError, HydrocliError, InputError
from hydrocli.experiment.inputs import source_of

SETUP = {
    "hydrological_module": "gr4",
    "routing_module": "kw",
    "dt": 3600,
    "start_time": "2020-03-01 00:00",
    "end_time": "2020-03-02 00:00",
    "read_prcp": True,
    "prcp_directory": "prcp",
    "read_pet": True,
    "pet_directory": "pet",
}


def imported(folder: Path, mesh: Path | None = None, **changes: Any) -> tuple[Path, str]:
    """The configuration of a setup, and what is said on the screen."""
    setup = folder / "setup.yaml"
    setup.write_text(yaml.safe_dump(SETUP | changes))
    sentences = import_smash(setup, mesh, folder / "config.yaml")
    return folder / "config.yaml", "\n".join(sentences)


def write_mesh(path: Path) -> Path:
    """A mesh of 3 x 3 cells that drain south, then east, with a gauge at the outlet and one cell that is not active."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        group = file.create_group("mesh")
        for name, value in {"xmin": 8e5, "ymax": 6.5e6, "xres": 1e3, "yres": 1e3, "epsg": 2154}.items():
            group.attrs[name] = value
        group["flwdir"] = np.array([[5, 5, 5], [5, 5, 5], [3, 3, 5]], np.float32)
        group["active_cell"] = np.array([[0, 1, 1], [1, 1, 1], [1, 1, 1]], np.int32)
        group["gauge_pos"] = np.array([[2, 2]], np.int32)
        group["code"] = np.array([b"0012"])
        group["area"] = np.array([7.5e6], np.float32)
        group["area_dln"] = np.array([8e6], np.float32)
    return path


def test_a_mesh_becomes_a_raster_and_a_table(tmp_path: Path) -> None:
    path, _ = imported(tmp_path, write_mesh(tmp_path / "mesh.hdf5"))
    text = path.read_text().replace("#? calibration", "calibration")
    path.write_text(text)
    experiment = load(path)
    network, gauges, _ = make_domain(source_of(experiment))
    assert len(network) == 8
    assert gauges.code == ("0012",)
    np.testing.assert_allclose(gauges.area_found, 8e6)
    assert (experiment.period.step, experiment.basin.crs) == (3600, "EPSG:2154")


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"hydrological_module": "gr4_mlp", "hidden_neuron": [32, 16]}, "structure.kind", "grnn"),
        ({"hydrological_module": "gr4_ude"}, "structure.network_coupling", "lagged"),
        ({"hydrological_module": "gr5"}, "structure.kind", "gr5"),
        ({"hydrological_module": "gr6_mlp"}, "structure.kind", "gr6nn"),
        ({"routing_module": "lr"}, "structure.routing", "linear_reservoir"),
        ({"read_imperviousness": True}, "structure.impervious", "imperviousness"),
        ({"prcp_conversion_factor": 0.1}, "forcing.precipitation.scale_factor", 0.1),
        ({"prcp_format": "nc"}, "forcing.precipitation.format", "netcdf"),
        ({"daily_interannual_pet": True}, "forcing.pet.kind", "interannual"),
        ({"dt": 86400}, "period.step", 86400),
        ({"read_qobs": True, "qobs_directory": "obs"}, "gauges.discharge.format", "smash"),
    ],
)
def test_keys_with_an_equivalent(tmp_path: Path, changes: dict[str, Any], key: str, expected: Any) -> None:
    path, _ = imported(tmp_path, write_mesh(tmp_path / "mesh.hdf5"), **changes)
    found: Any = load(path)
    for part in key.split("."):
        found = getattr(found, part)
    assert found == expected


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"routing_module": "muskingum"}, "no equivalent: routing_module muskingum"),
        ({"hydrological_module": "vic3l"}, "no equivalent: hydrological_module vic3l"),
        ({"read_imperviousness": True}, "note: smash leaves out the rain on impervious surfaces"),
        ({"adjust_interception": False}, "no equivalent: adjust_interception"),
        ({"sparse_storage": True}, "not needed: sparse_storage"),
        ({"colour": "blue"}, "no equivalent: colour: it is not a key of smash 1.3"),
        ({"read_pet": False}, "to answer: forcing.pet"),
        ({"prcp_directory": "nowhere"}, "to answer: prcp_directory nowhere does not exist"),
    ],
)
def test_keys_without_an_equivalent_are_said(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    assert sentence in imported(tmp_path, **changes)[1]


def test_what_cannot_be_read_or_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "setup.yaml").write_text("a: [")
    with pytest.raises(InputError, match="cannot be read as YAML"):
        import_smash(tmp_path / "setup.yaml", None, tmp_path / "c.yaml")
    (tmp_path / "no.hdf5").write_text("text")
    with pytest.raises(HydrocliError, match="is not a mesh of smash"):
        imported(tmp_path, tmp_path / "no.hdf5")
    assert not (tmp_path / "config.yaml").exists()
    imported(tmp_path)
    with pytest.raises(ConfigurationError, match="already exists"):
        imported(tmp_path)


@pytest.mark.peer
def test_cance_is_the_basin_of_our_configuration(cance_data: Path, tmp_path: Path) -> None:
    """Network, gauges, rain and observations are those of `configs/cance.yaml`."""
    ours = tmp_path / "ours.yaml"
    text = (Path(__file__).parents[2] / "configs" / "cance.yaml").read_text()
    ours.write_text(text.replace("../data/smash", str(cance_data.parent)))
    theirs = tmp_path / "theirs.yaml"
    import_smash(cance_data / "setup_Cance.yaml", cance_data / "mesh_Cance.hdf5", theirs)
    period = ["period.end=2014-09-20T00:00Z", "period.calibration=null", "period.validation=null"]
    roles = ["gauges.calibration=[V3524010, V3515010, V3517010]", "gauges.validation=null"]
    a, b = (open_basin(source_of(load(path, [*period, *roles])), tmp_path / path.stem) for path in (ours, theirs))
    for name in ("row", "column", "x", "y", "downstream", "level", "drained_area"):
        np.testing.assert_array_equal(getattr(a.network, name), getattr(b.network, name))
    assert a.gauges.code == b.gauges.code
    np.testing.assert_array_equal(a.gauges.cell, b.gauges.cell)
    assert np.nanmax(a.precipitation) > 5
    for name in ("precipitation", "pet", "discharge"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for name in ("slope", "dd"):
        np.testing.assert_array_equal(a.descriptors[name], b.descriptors[name])
