"""Archives of fields over time: which forcing they are, and what their readers say of variables, units and times."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from hydrocli.basin.basin import DAY
from hydrocli.basin.containers import file_of
from hydrocli.basin.discharge import words
from hydrocli.basin.file_names import pattern_like, patterns_of
from hydrocli.basin.planning import spacing_of
from hydrocli.basin.readers import Archive, ForcingSource, Variable, reader_of
from hydrocli.basin.readers.geotiff import has_many_bands, opened, read_whole
from hydrocli.basin.survey.inputs import Input, Key, Span, alternatives
from hydrocli.basin.survey.listing import Files, Group
from hydrocli.basin.units import TEMPERATURES, conversion_of
from hydrocli.basin.volumes import HOUR
from hydrocli.errors import HydrocliError, InputError

WORDS = {
    "pet": (
        ("pet", "etp", "et0", "eto", "pev", "evspsblpot", "ep"),
        ("evapotranspiration", "evaporation", "potential_evap"),
    ),
    "temperature": (("temp", "tas", "t2m", "2t", "tair", "tmean", "tavg", "tg", "tm"), ("temperature",)),
    "precipitation": (
        ("rain", "rr", "rr1", "tp", "pr", "pluie", "pluies", "lame", "radar", "rw", "comephore", "antilope", "radolan"),
        ("precip", "prcp", "rainfall", "pluvio"),
    ),
}
"""By role: words of names of files and variables, and parts of such words; in the order in which they are tried."""
CLIMATOLOGY = 300
"""Fields of days of the year from which an archive is one of all days."""
KELVIN = 150.0
"""Temperatures above it are in kelvin."""
SAMPLED = 3
"""Files of an archive from which its spacing is found."""
WHERE = "path"


def archives(files: Files, left_out: list[str]) -> tuple[list[Input], list[Path]]:
    """Inputs of all archives of forcing, and the rasters that have no time; reasons are added to `left_out`."""
    found, rasters = list[Input](), list[Path]()
    for group in files.groups():
        if group.format == "geotiff" and not _has_times(group):
            rasters += [Path(path) for path in group.paths]
            continue
        try:
            for variable in reader_of(_source(group)).variables(group.paths[0]):
                role = role_of(group, variable, files.folder)
                if role is None:
                    left_out.append(
                        f"{_name(group)}: {variable.name or group.format} is no forcing by its name and unit"
                    )
                elif _is_discharge_file(variable, group):
                    continue
                else:
                    found.append(_input(group, role, variable, len(found)))
        except HydrocliError as error:
            is_mesh = group.format == "odim" and "mesh" in os.path.basename(group.paths[0]).lower()  # noqa: PTH119
            left_out.append(f"{error}" + ("\n  Is it a mesh of smash? `hydrocli import-smash` reads it." * is_mesh))
    return _merged(found), rasters


def role_of(group: Group, variable: Variable, folder: Path) -> str | None:
    """The forcing that a variable is, by its names and unit; None for none."""
    unit_role = _role_of_unit(variable.unit)
    path = os.path.relpath(group.root, folder) + "/" + os.path.basename(group.paths[0])  # noqa: PTH119 - a name only
    for text in (f"{variable.name} {variable.words}", path):
        role = _role_of_words(text)
        if role and (unit_role is None or (role == "temperature") == (unit_role == "temperature")):
            return role
    return "temperature" if unit_role == "temperature" else None


def _role_of_words(text: str) -> str | None:
    tokens = [token for token in re.split(r"[^a-z0-9]+", text.lower()) if token]
    for role, (whole, parts) in WORDS.items():
        if any(token in whole or any(part in token for part in parts) for token in tokens):
            return role
        if any(part in text.lower() for part in parts):
            return role
    return None


def _role_of_unit(unit: str) -> str | None:
    """What a unit allows: `temperature` or `amount`; None where it says nothing."""
    if not unit:
        return None
    if unit.strip().lower().replace(" ", "_") in TEMPERATURES:
        return "temperature"
    return "amount"


def _has_times(group: Group) -> bool:
    """Whether rasters are fields over time, by their names or their bands."""
    if len(group.paths) == 1:
        return has_many_bands(group.paths[0])
    names = [os.path.basename(path) for path in (group.paths[0], group.paths[-1])]  # noqa: PTH119 - names only
    return all(map(pattern_like, names)) or all(re.search(r"(?<!\d)[01]\d[0-3]\d(?!\d)", name) for name in names)


def _source(group: Group, variable: Variable | None = None) -> ForcingSource:
    return ForcingSource(Path(group.root), group.format, variable=(variable.name or None) if variable else None)


def _name(group: Group) -> str:
    return f"{group.root} ({group.format}, {len(group.paths)} files)"


def _is_discharge_file(variable: Variable, group: Group) -> bool:
    return group.format == "netcdf" and "river" in variable.words


def _input(group: Group, role: str, variable: Variable, number: int) -> Input:
    """An archive as an input; what cannot be found out becomes a question."""
    several = len(reader_of(_source(group)).variables(group.paths[0])) > 1
    source, keys = _source(group, variable if several else None), list[Key]()
    if group.format != "geotiff":
        keys.append(Key("format", group.format))
    if several:
        keys.append(Key("variable", variable.name, "others are in the files too"))
    span: Span | None = None
    archive: Archive | None = None
    if role == "pet" and (days := _days(group, source)):
        keys.insert(0, Key("kind", "interannual", f"{days} days of the year"))
        source, more = source, _pattern_keys(group, source, of_days=True)[1]
        keys += more
    else:
        if role == "pet":
            keys.insert(0, Key("kind", "raster"))
        source, more = _pattern_keys(group, source)
        keys += more
        archive, problem = _times(group, source)
        keys += problem
    if archive is not None and len(archive.times):
        span = Span(archive.times[0], archive.times[-1], spacing_of(archive.times, HOUR))
        more, shift = _time_keys(group, archive, span)
        keys += more
        span = span._replace(first=span.first + shift, last=span.last + shift)
    keys += _unit_keys(role, group, variable, span)
    count = len(group.paths)
    what = f"{count} file{'s' if count > 1 else ''} of {group.format}"
    what += f", variable {variable.name}" if variable.name else ""
    if span:
        what += f", every {words(span.spacing)} from {span.first} to {span.last}"
    return Input(role, source.path, tuple(keys), what, span)


def _pattern_keys(group: Group, source: ForcingSource, *, of_days: bool = False) -> tuple[ForcingSource, list[Key]]:
    """The source with a pattern where the folder has other files too, or dates have no usual form."""
    if len(group.paths) == 1:
        return source, []
    name = os.path.basename(group.paths[0])  # noqa: PTH119 - a name only
    pattern = re.sub(r"\d+", "*", name)
    if group.format == "geotiff" and not of_days:
        pattern, *others = patterns_of(group.paths)
        if others:  # `_times` asks
            return source, []
    if of_days:
        pattern = re.sub(r"(?<!\d)\d{4}(?!\d)", "%m%d", name, count=1)
    usual = group.format != "geotiff" or of_days or ("%y" not in pattern and "%j" not in pattern)
    if not group.has_others and usual:
        return source, []
    why = "other files are in the folder" if group.has_others else "the date in the names"
    return replace(source, pattern=(pattern,)), [Key("pattern", pattern, why)]


def _days(group: Group, source: ForcingSource) -> int:
    """Number of days of the year where the names are such; 0 else."""
    if group.format != "geotiff" or pattern_like(os.path.basename(group.paths[0])):  # noqa: PTH119 - a name only
        return 0
    source, _ = _pattern_keys(group, source, of_days=True)
    try:
        return len(reader_of(source).find_days(source, WHERE))
    except InputError:
        return 0


def _times(group: Group, source: ForcingSource) -> tuple[Archive | None, list[Key]]:
    """Times of an archive: from names of all files, or from the content of the first ones and the last."""
    reader = reader_of(source)
    try:
        if group.format == "geotiff":
            if has_many_bands(group.paths[0]) and len(group.paths) > SAMPLED:
                return _sampled(group, source), []
            return reader.find(source, WHERE), []
        return _sampled(group, source), []
    except InputError as error:
        if "band_step" in error.remedy:
            return None, [Key("band_step", "1h", "bands state no times: how far apart are they?", is_open=True)]
        if asked := re.findall(r"pattern: ([^`]*)", error.remedy):
            return None, alternatives("pattern", [text.rstrip(".") for text in asked], error.what)
        return None, [Key("path", os.fspath(source.path), f"{error.what}. {error.remedy}", is_open=True)]


def _sampled(group: Group, source: ForcingSource) -> Archive:
    """The archive that the first files and the last one make."""
    chosen = dict.fromkeys((*group.paths[:SAMPLED], group.paths[-1]))
    parts = [_of_file(path, source) for path in chosen]
    times = np.concatenate([part.times for part in parts])
    order = np.argsort(times, kind="stable")
    layers = [layer for part in parts for layer in part.layers]
    return replace(parts[0], times=times[order], layers=tuple(layers[k] for k in order))


def _of_file(path: str, source: ForcingSource) -> Archive:
    alone = replace(source, path=Path(path), pattern=())
    if file_of(path) != path:  # a member of an archive
        alone = replace(source, path=Path(file_of(path)), pattern=(os.path.basename(path),))  # noqa: PTH119 - the name
    return reader_of(source).find(alone, WHERE)


def _time_keys(group: Group, archive: Archive, span: Span) -> tuple[list[Key], np.timedelta64]:
    """Keys on the times of an archive, and how far they are shifted."""
    keys, shift = list[Key](), 0
    phase = int(span.first.astype("datetime64[s]").astype(np.int64)) % span.spacing
    if phase and not archive.is_daily:
        shift = span.spacing - phase if phase > span.spacing / 2 else -phase
        text = (
            f"times are {words(abs(shift))} {'before' if shift > 0 else 'after'} whole steps; they are shifted to these"
        )
        keys.append(Key("offset", f"{'-' if shift < 0 else ''}{words(abs(shift))}", text, is_assumed=True))
    if not archive.has_bounds:
        meaning = reader_of(ForcingSource(Path(group.root), group.format)).label
        text = f"{meaning}; write this key if it is the start"
        keys.append(Key("label", "start", text, is_assumed=True, is_default=True))
        if "UTC" not in archive.names and group.format == "geotiff":
            text = "times are UTC; write the zone if they are of a local clock"
            keys.append(Key("timezone", "Europe/Paris", text, is_assumed=True, is_default=True))
    return keys, np.timedelta64(shift, "s")


def _unit_keys(role: str, group: Group, variable: Variable, span: Span | None) -> list[Key]:
    """Unit and scale: what the files state counts, else the default of the format is an assumption."""
    is_temperature = role == "temperature"
    source = ForcingSource(Path(group.root))
    interval = span.spacing if span else HOUR
    if variable.unit:
        try:
            conversion_of(source, variable.unit, interval, "forcing", is_temperature=is_temperature)
        except InputError:
            text = f"the files state {variable.unit!r}, which is not understood: in which unit are they?"
            return [Key("unit", "degC" if is_temperature else "mm", text, is_open=True)]
        keys = []
        if variable.unit.strip() == "m" and not is_temperature:
            text = "write this key if values grow from 0 h UTC of each day, as in ERA5-Land"
            keys.append(Key("accumulated", "day", text, is_assumed=True, is_default=True))
            if role == "pet":
                text = "write this key if evapotranspiration is negative, as in ERA5"
                keys.append(Key("scale_factor", -1, text, is_assumed=True, is_default=True))
        return keys
    if is_temperature:
        if group.format == "geotiff" and _mean(group.paths[len(group.paths) // 2]) > KELVIN:
            return [Key("unit", "K", "the files state no unit; their values are those of kelvin", is_assumed=True)]
        return [Key("unit", "K", "the files state no unit; degC is assumed", is_assumed=True, is_default=True)]
    native = "mm/day" if role == "pet" else "mm/h"
    per = "day" if role == "pet" and (span is None or span.spacing >= DAY) else "step"
    text = f"the files state no unit; mm per {per} is assumed"
    keys = [Key("unit", native, text, is_assumed=True, is_default=True)]
    if group.format == "geotiff" and _is_whole(group.paths[0]):
        text = "values are whole numbers: write this key if they are tenths of a millimetre"
        keys.append(Key("scale_factor", 0.1, text, is_assumed=True, is_default=True))
    return keys


def _mean(path: str) -> float:
    values, nodata = read_whole(path)
    good = np.isfinite(values) & (values != nodata) if nodata is not None else np.isfinite(values)
    return float(np.mean(values[good], dtype=np.float64)) if good.any() else 0.0


def _is_whole(path: str) -> bool:
    with opened(path) as dataset:
        return bool(np.dtype(dataset.dtypes[0]).kind in "iu" and dataset.scales[0] == 1.0)


def _merged(found: list[Input]) -> list[Input]:
    """Inputs, those of one variable in files of one folder with different names as one."""
    kept: list[Input] = []
    for one in found:
        same = next((k for k, other in enumerate(kept) if _are_parts(one, other)), None)
        if same is None:
            kept.append(one)
            continue
        other = kept[same]
        assert one.span is not None
        assert other.span is not None
        span = Span(min(one.span.first, other.span.first), max(one.span.last, other.span.last), one.span.spacing)
        keys = tuple(key for key in other.keys if key.name != "pattern")
        count = sum(int(text.split()[0]) for text in (one.words, other.words))
        words_ = re.sub(r"^\d+ files?", f"{count} files", other.words)
        path = Path(os.path.commonpath([one.path, other.path]))
        path = path.parent if path.is_file() else path
        kept[same] = replace(other, path=path, keys=keys, span=span, words=words_)
    return kept


def _are_parts(one: Input, other: Input) -> bool:
    """Whether two inputs follow one another in time, in one folder."""
    if one.role != other.role or one.span is None or other.span is None or one.path.parent != other.path.parent:
        return False
    if one.value("format") not in ("netcdf", "grib") or one.value("format") != other.value("format"):
        return False
    apart = one.span.first > other.span.last or other.span.first > one.span.last
    return bool(apart) and one.value("variable") == other.value("variable")
