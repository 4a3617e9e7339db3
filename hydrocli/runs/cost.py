"""What a calibration minimises, from the configuration and the observations of its gauges."""

from __future__ import annotations

from hydrocli.errors import ConfigurationError
from hydrocli.runs.build import Case
from hydrocli.score.cost import Cost


def calibration_cost(case: Case) -> Cost:
    """Cost of the discharge at the calibration gauges from the start to the end of the calibration.

    Raises:
        InputError: gauges without observations to score.
        ConfigurationError: no gauge calibrates, or one of the table has no weight.
    """
    window, steps = case.experiment.period.calibration, case.calibration_steps
    assert window is not None
    weights = case.experiment.gauges.weights
    if not case.calibration:
        raise ConfigurationError("gauges.validation", "names every gauge of the table", "Leave one to calibrate.")
    if weights and (without := [code for code in case.calibration if code not in weights]):
        what = f"no weight for {', '.join(without)}, which calibrate as gauges.calibration is left out"
        raise ConfigurationError("gauges.weights", what, "Give each of them one, or name gauges.calibration.")
    return Cost.of(
        case.basin.discharge[case.gauges(case.calibration), :steps],
        case.inside(window)[:steps],
        case.calibration,
        [weights[code] for code in case.calibration] if weights else None,
    )
