"""The experiments of a regional calibration: that of the file, and one for each basin of `regional.basins`."""

from __future__ import annotations

from hydrocli.config.experiment import Experiment, Regional
from hydrocli.config.load import load
from hydrocli.errors import ConfigurationError, Errors, HydrocliError

OWN = ("period", "basin", "gauges", "forcing", "initial")
"""Sections that each basin has of its own."""
NEEDS = ("gauges.discharge", "period.calibration")
FOLDER = "basins"


def regional_members(experiment: Experiment) -> list[Experiment]:
    """All basins of a calibration, the one of the file first; alone it is all there is.

    The others carry the structure, mapping, optimiser and all else of the first, and lie in folders inside its own.

    Raises:
        Errors: everything wrong with the other files, and with what they have in common.
    """
    alone = experiment.model_copy(update={"regional": Regional()})
    members = [alone]
    for path in experiment.regional.basins:
        other = load(path, needs=NEEDS)
        own = {section: getattr(other, section) for section in OWN}
        own |= {"name": other.name, "folder": alone.folder / FOLDER / other.name}
        members.append(alone.model_copy(update=own))
    if errors := _problems(members):
        raise Errors(errors)
    return members


def _problems(members: list[Experiment]) -> list[HydrocliError]:
    first, errors = members[0], list[HydrocliError]()
    names = [member.name for member in members]
    for path, member in zip(("", *names[1:]), members, strict=True):
        if names.count(member.name) > 1 and path:
            errors.append(ConfigurationError("regional.basins", f"two basins have the name {path}", "Rename one."))
        if member.period.step != first.period.step:
            what = f"{member.name} has a step of {member.period.step} s, {first.name} one of {first.period.step} s"
            errors.append(ConfigurationError("regional.basins", what, "Parameters belong to a step: use one."))
    if len(members) > 1 and "distributed" in {first.mapping.kind, *(stage.mapping for stage in first.optimiser)}:
        what = "the mapping distributed has nothing in common between basins"
        errors.append(ConfigurationError("mapping.kind", what, "Calibrate each alone, or take another mapping."))
    return errors
