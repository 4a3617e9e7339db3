"""The experiments of a regional calibration: that of the file, and one for each basin of `regional.basins`."""

from __future__ import annotations

from hydrocli.config.experiment import Experiment, Regional
from hydrocli.config.load import load
from hydrocli.errors import ConfigurationError, Errors, HydrocliError

OWN = ("period", "basin", "gauges", "forcing", "plausibility", "initial")
"""Sections that are read from the file of each basin."""
NEEDS = ("gauges.discharge", "period.calibration")
FOLDER = "basins"


def regional_members(experiment: Experiment) -> list[Experiment]:
    """All basins of a calibration, that of the file first; the only one without `regional`.

    The others share structure, mapping, optimiser and all other sections of the first. Their folders are inside its
    folder.

    Raises:
        Errors: all errors of the other files, and of what all basins share.
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
            errors.append(
                ConfigurationError("regional.basins", f"two basins have the name {path}", "Rename one of them.")
            )
        if member.period.step != first.period.step:
            what = f"{member.name} has a step of {member.period.step} s, {first.name} one of {first.period.step} s"
            errors.append(ConfigurationError("regional.basins", what, "Use the same step: parameters depend on it."))
    if len(members) > 1 and "distributed" in {first.mapping.kind, *(stage.mapping for stage in first.optimiser)}:
        what = "the mapping distributed shares no control between basins"
        errors.append(ConfigurationError("mapping.kind", what, "Calibrate each basin alone, or use another mapping."))
    return errors
