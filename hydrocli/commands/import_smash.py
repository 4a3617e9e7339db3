"""`hydrocli import-smash`: the configuration that is equivalent to a setup of smash, and what has no equivalent.

The keys are those of smash 1.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from hydrocli.basin.discharge import words
from hydrocli.basin.smash_mesh import Mesh, read_mesh, write_directions, write_gauges
from hydrocli.basin.survey import Key
from hydrocli.commands.init import key_line, key_lines, relative
from hydrocli.config import utc
from hydrocli.config.structure import kinds_with_network
from hydrocli.errors import ConfigurationError, InputError
from hydrocli.files import atomic_write

STRUCTURES: dict[str, dict[str, Any]] = {
    "gr4": {"kind": "gr"},
    "gr4_mlp": {"kind": "grnn"},
    "gr4_ode": {"kind": "ode"},
    "gr4_ude": {"kind": "node", "network_coupling": "lagged"},
    "gr5": {"kind": "gr5"},
    "gr5_mlp": {"kind": "gr5nn"},
    "gr6": {"kind": "gr6"},
    "gr6_mlp": {"kind": "gr6nn"},
    "grc": {"kind": "grc"},
    "grc_mlp": {"kind": "grcnn"},
    "grd": {"kind": "grd"},
    "grd_mlp": {"kind": "grdnn"},
    "loieau": {"kind": "loieau"},
    "loieau_mlp": {"kind": "loieaunn"},
}
"""Structure by `hydrological_module`."""
IMPERVIOUSNESS = "imperviousness"
"""Name of the descriptor that becomes of the map."""
FORMATS = {"tif": "geotiff", "nc": "netcdf"}
ROUTINGS = {"kw": "kinematic_wave", "lr": "linear_reservoir", "lag0": "lag0", "zero": "none"}
"""Routing by `routing_module`."""
IN_FORCE = {
    "sparse_storage": "only active cells are stored, always",
    "compute_mean_atmos": "means over the catchments are always written",
    "descriptor_tfm": "mappings scale the descriptors themselves",
    "descriptor_format": "",
    "prcp_access": "folders are searched as deep as they are",
    "pet_access": "",
    "temp_access": "",
    "snow_access": "",
}
"""Keys that need no equivalent, and why."""
WITHOUT = {
    "serr_mu_mapping": "a model of errors is not part of a run",
    "serr_sigma_mapping": "",
    "read_snow": "fields of snow are not read: `structure.snow: degree_day` divides precipitation by the temperature",
    "snow_format": "",
    "snow_conversion_factor": "",
    "snow_directory": "",
}
"""Keys without an equivalent, and what there is; those without words belong to the one before."""
USED = {
    *("snow_module", "hydrological_module", "routing_module", "hidden_neuron", "dt", "start_time", "end_time"),
    *("adjust_interception", "read_qobs", "qobs_directory", "read_prcp", "prcp_format", "prcp_conversion_factor"),
    *("prcp_directory", "read_pet", "pet_format", "pet_conversion_factor", "pet_directory", "daily_interannual_pet"),
    *("read_temp", "temp_format", "temp_directory", "prcp_partitioning", "read_descriptor", "descriptor_directory"),
    *("descriptor_name", "read_imperviousness", "imperviousness_format", "imperviousness_file"),
}


def import_smash(setup: Path, mesh: Path | None, output: Path) -> list[str]:
    """Write a configuration, and beside it the flow directions and gauges of a mesh; sentences for the screen.

    Args:
        setup: YAML file of smash.
        mesh: HDF5 file of smash; None: the rasters and the table are left open.
        output: YAML file to write, new.

    Raises:
        ConfigurationError: a file to write is there, or the setup lacks what every run needs.
        InputError: the setup or the mesh cannot be read.
    """
    if output.exists():
        raise ConfigurationError(str(output), "already exists", "Name another file with --output.")
    values = _read(setup)
    sentences: list[str] = []
    beside = read_mesh(mesh) if mesh else None
    if beside is None:
        sentences.append("to answer: basin.flow_directions and gauges.table: the mesh of smash has them, give it too")
    text = "\n".join(_yaml(values, setup, beside, output, sentences)) + "\n"
    sentences += _unequal(values)
    if beside:
        write_directions(beside, output.with_name(f"{output.stem}-flwdir.tif"))
        write_gauges(beside, output.with_name(f"{output.stem}-gauges.csv"))
    with atomic_write(output) as file:
        file.write(text.encode())
    return sentences


def _read(setup: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(setup.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = f"cannot be read as YAML ({' '.join(str(error).split())[:200]})"
        raise InputError(str(setup), what, "Give the setup that `smash.Model` takes.") from error
    if not isinstance(values, dict):
        raise InputError(str(setup), "holds no keys", "Give the setup that `smash.Model` takes.")
    absent = [key for key in ("start_time", "end_time") if values.get(key) is None]
    if absent:
        raise ConfigurationError(str(setup), f"has no {' and no '.join(absent)}", "Add them to the setup.")
    return values


def _yaml(
    values: Mapping[str, Any], setup: Path, mesh: Mesh | None, output: Path, sentences: list[str]
) -> Iterable[str]:
    home = output.resolve().parent

    def path_of(key: str, default: str) -> str:
        """A folder of the setup, from the configuration; smash looks from the folder in which it runs."""
        text = str(values.get(key) or default)
        beside = setup.resolve().parent / text
        found = beside if beside.exists() else Path(text).resolve()
        if not found.exists():
            sentences.append(f"to answer: {key} {text} does not exist")
        return relative(found, home)

    yield f"# Written by `hydrocli import-smash` from {relative(setup.resolve(), home)}. A line after #? is a question."
    yield f"name: {output.stem}"
    yield f"folder: runs/{output.stem}"
    yield "period:"
    yield from key_lines(_period(values, sentences), "  ")
    yield "basin:"
    yield from key_lines(_basin(values, mesh, output, path_of), "  ")
    yield "gauges:"
    yield from key_lines(_gauges(values, mesh, output, path_of), "  ")
    yield "forcing:"
    yield from _forcing(values, path_of, sentences)
    yield from key_lines(_structure(values, sentences), "")
    yield "mapping: {kind: uniform}"
    yield "objective: {metric: nse}"


def _period(values: Mapping[str, Any], sentences: list[str]) -> list[Key]:
    start, end = (utc(str(values[key])) for key in ("start_time", "end_time"))
    sentences.append("to answer: period.calibration: smash states the spin-up with the cost (`end_warmup`)")
    shown = [f"{time:%Y-%m-%dT%H:%MZ}" for time in (start, end)]
    question = "the time before it is the spin-up: where does the cost begin?"
    return [
        Key("step", words(int(values.get("dt") or 3600))),
        Key("start", shown[0]),
        Key("end", shown[1]),
        Key("calibration", shown, question, is_open=True),
    ]


def _basin(values: Mapping[str, Any], mesh: Mesh | None, output: Path, path_of: Any) -> list[Key]:
    directions = {"path": f"{output.stem}-flwdir.tif", "encoding": "smash"}
    if mesh is None:
        keys = [Key("flow_directions", directions, "the raster that the mesh was made of", is_open=True)]
    else:
        keys = [Key("flow_directions", directions, "of the mesh")]
        keys.append(Key("crs", mesh.crs, "of the mesh, for rasters that state none"))
    descriptors: dict[str, str] = {}
    if values.get("read_descriptor"):
        names = values.get("descriptor_name") or []
        folder = path_of("descriptor_directory", "descriptor")
        suffix = "tif" if values.get("descriptor_format") in (None, "tif") else str(values["descriptor_format"])
        descriptors = {str(name): f"{folder}/{name}.{suffix}" for name in names}
    if values.get("read_imperviousness"):
        descriptors[IMPERVIOUSNESS] = path_of("imperviousness_file", "imperviousness.tif")
    if descriptors:
        keys.append(Key("descriptors", descriptors))
    return keys


def _gauges(values: Mapping[str, Any], mesh: Mesh | None, output: Path, path_of: Any) -> list[Key]:
    table = f"{output.stem}-gauges.csv"
    if mesh is None:
        keys = [Key("table", table, "gauges: code, x, y, area in km2", is_open=True)]
    else:
        keys = [Key("table", table, f"the {len(mesh.code)} gauges of the mesh, at their cells")]
    if values.get("read_qobs"):
        keys.append(Key("discharge", {"path": path_of("qobs_directory", "qobs"), "format": "smash"}))
    text = "smash names the gauges that calibrate with the cost; default: all"
    keys.append(Key("calibration", "upstream", text, is_default=True))
    return keys


def _forcing(values: Mapping[str, Any], path_of: Any, sentences: list[str]) -> Iterable[str]:
    for role, key in (("precipitation", "prcp"), ("pet", "pet"), ("temperature", "temp")):
        if not values.get(f"read_{key}"):
            if role != "temperature":
                sentences.append(f"to answer: forcing.{role}: the setup reads none (`read_{key}`)")
                yield key_line("  ", Key(role, {"path": role}, f"read_{key} is not set", is_open=True))
            continue
        keys = [Key("path", path_of(f"{key}_directory", key))]
        if role == "pet":
            is_interannual = bool(values.get("daily_interannual_pet"))
            keys.insert(0, Key("kind", "interannual" if is_interannual else "raster"))
            if is_interannual:
                sentences.append(
                    "note: smash takes interannual evapotranspiration of the day before after 28 February of years "
                    "without a 29th; here each day has its own"
                )
        form = str(values.get(f"{key}_format") or "tif")
        keys.append(Key("format", FORMATS.get(form, form)))
        factor = float(values.get(f"{key}_conversion_factor") or 1)
        if factor != 1:
            keys.append(Key("scale_factor", factor))
        yield f"  {role}:"
        yield from key_lines(keys, "    ")


def _structure(values: Mapping[str, Any], sentences: list[str]) -> list[Key]:
    module = str(values.get("hydrological_module") or "gr4")
    options = dict(STRUCTURES.get(module, {"kind": "gr"}))
    if module not in STRUCTURES:
        known = ", ".join(STRUCTURES)
        sentences.append(f"no equivalent: hydrological_module {module}; gr is written, which is gr4 (known: {known})")
    if options["kind"] in kinds_with_network():
        hidden = values.get("hidden_neuron") or 16
        options["network"] = {"hidden": list(hidden) if isinstance(hidden, list | tuple) else [int(hidden)]}
        sentences.append("note: weights of a network that are all zero do not train; they start as small random ones")
    if str(values.get("snow_module") or "zero") == "ssn":
        options["snow"] = "degree_day"
        sentences.append("note: snow_module ssn: `structure.snow: degree_day` divides precipitation by the temperature")
    if values.get("read_imperviousness"):
        options["impervious"] = IMPERVIOUSNESS
        sentences.append("note: smash leaves out the rain on impervious surfaces; here it runs off at once")
    routing = str(values.get("routing_module") or "lr")
    if routing not in ROUTINGS:
        sentences.append(
            f"no equivalent: routing_module {routing}; the kinematic wave is used, with the parameters akw and bkw"
        )
    elif ROUTINGS[routing] != "kinematic_wave":
        options["routing"] = ROUTINGS[routing]
    if values.get("adjust_interception") is False:
        sentences.append("no equivalent: adjust_interception False; the interception capacity is always adjusted")
    return [Key("structure", options, f"hydrological_module {module}")]


def _unequal(values: Mapping[str, Any]) -> Iterable[str]:
    """Sentences on keys that are not needed, and on those without an equivalent."""
    for key, value in values.items():
        if key in USED or value in (None, False, "", "Zero"):
            continue
        if key in IN_FORCE:
            if IN_FORCE[key]:
                yield f"not needed: {key}: {IN_FORCE[key]}"
        elif key in WITHOUT:
            if WITHOUT[key]:
                yield f"no equivalent: {key}: {WITHOUT[key]}"
        else:
            yield f"no equivalent: {key}: it is not a key of smash 1.3"
