"""What a finished run has simulated, for the periods and gauges of the YAML as it is now.

The calibration period and its gauges are those of the run, since nothing else was calibrated. Other periods and
gauges are taken from the configuration; where the run has not simulated them, it is simulated again with its
parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats
from hydrocli.config import Experiment, differing_keys, load, resolved
from hydrocli.config.regional import FOLDER
from hydrocli.errors import ConfigurationError, HydrocliError, InputError
from hydrocli.experiment.inputs import OBSERVATIONS, changed_inputs, observations
from hydrocli.experiment.roles import Roles, roles_of, stamp
from hydrocli.names import EXTRAPOLATED
from hydrocli.results import Run, read, schemas
from hydrocli.results.folder import CONFIG, MANIFEST, RunFolder, read_manifest
from hydrocli.results.views import gauge_tree, rows_by_gauge
from hydrocli.results.write import write_series, write_text
from hydrocli.score.intervals import Until, ends_of, last_steps, mean_over, until_of, whole

if TYPE_CHECKING:
    from hydrocli.experiment.setup import CalibrationSetup

logger = logging.getLogger(__name__)

Period = tuple[datetime, datetime]

SIMULATION = "simulation"
"""In the place where the manifest of a calibration has the hash of its configuration."""


@dataclass(frozen=True)
class GaugePeriod:
    """A gauge in a period: `scenario` says whether either of the two was calibrated.

    Where observations are means over several steps, so are the simulated values; both stand at each of these steps, and
    `is_last` marks the last of them.

    `extrapolated` is the share of the cells whose network sees what the calibration has not seen, if there is one.
    `uniform` is the discharge with the uniform parameters from which a mapping by descriptors started.
    """

    gauge: str
    scenario: str
    period: str
    times: NDArray[np.datetime64]
    observed: Floats
    simulated: Floats
    rain: Floats
    extrapolated: Floats | None
    uniform: Floats | None
    is_last: Flags


class Evaluation:
    """A finished run with the periods and gauges to look at.

    Attributes:
        folder: of the run.
        experiment: the run's configuration with the validation periods and gauges of now.
        run: its results.
        others: folders of the basins that were calibrated together with it.
    """

    def __init__(self, now: Experiment) -> None:
        self.folder = Path(now.folder)
        self.run: Run = read(self.folder).require_whole(later=False)
        stored = load(self.folder / CONFIG)
        others = (file.parent for file in (self.folder / FOLDER).glob(f"*/{MANIFEST}"))
        self.others = sorted(others) if stored.regional.basins else []
        self._origin, self._discharge = _origin(self.folder, stored), stored.gauges.discharge
        if stored.period.calibration is None and self._origin is None:
            raise InputError(
                str(self.folder), "is a simulation, not a calibration", "Give the folder of a calibration."
            )
        self.experiment = _as_now(stored, now, self.run, self._origin)
        changed = changed_inputs(stored, self.run.manifest.inputs)
        other_inputs = {key: digest for key, digest in changed.items() if OBSERVATIONS not in key}
        why = [self._lacking(), f"{', '.join(other_inputs)} changed since the calibration" if other_inputs else ""]
        if any(why):
            logger.info(f"repeating the simulation: {'; '.join(filter(None, why))}")
            self._simulate_again(other_inputs)
            self.run = read(self.folder)
        self._take_observations(changed.keys() - other_inputs.keys())

    def gauge_periods(self) -> Iterator[GaugePeriod]:
        """Every gauge in every period, the calibration first."""
        periods, discharge, means = (
            self._periods(),
            self.run.arrays("discharge"),
            self.run.arrays("catchment_timeseries"),
        )
        rows, rows_of_means = rows_by_gauge(discharge["gauge"]), rows_by_gauge(means["gauge"])
        uniform = self.run.arrays("uniform") if self.run.manifest.first_guess else None
        rows_of_uniform = rows_by_gauge(uniform["gauge"]) if uniform else {}
        for code in self._codes():
            times, here = discharge["time"][rows[code]].astype("datetime64[s]"), rows_of_means[code]
            rain = means["precipitation"][here]
            outside = means[EXTRAPOLATED.symbol][here] if EXTRAPOLATED.symbol in means else None
            until = _until(discharge, rows[code])
            observed, simulated = (
                discharge["observed"][rows[code]],
                mean_over(discharge["simulated"][rows[code]], until),
            )
            plain = mean_over(uniform["simulated"][rows_of_uniform[code]], until) if uniform else None
            for name, (start, end) in periods.items():
                inside = (times > stamp(start)) & (times <= stamp(end))
                yield GaugePeriod(
                    gauge=code,
                    scenario=self._scenario(code, name, (start, end)),
                    period=name,
                    times=times[inside],
                    observed=np.where(whole(inside, until), observed, np.nan)[inside],
                    simulated=simulated[inside],
                    rain=rain[inside],
                    extrapolated=None if outside is None else outside[inside],
                    uniform=None if plain is None else plain[inside],
                    is_last=np.isin(np.flatnonzero(inside), last_steps(until, times.size)),
                )

    def _codes(self) -> tuple[str, ...]:
        return (*(self.experiment.gauges.calibration or ()), *self.experiment.gauges.validation)

    def _periods(self) -> dict[str, Period]:
        period = self.experiment.period
        return ({"calibration": period.calibration} if period.calibration else {}) | period.validation

    def _scenario(self, code: str, name: str, period: Period) -> str:
        known_gauge, known_period = code not in self.experiment.gauges.validation, name == "calibration"
        if self._origin:
            known_period = period[0] < self._origin.period[1] and self._origin.period[0] < period[1]
        names = {(True, True): "calibration", (True, False): "temporal", (False, True): "spatial"}
        return names.get((known_gauge, known_period), "spatio-temporal")

    def _lacking(self) -> str:
        """What the run has not simulated, in words."""
        discharge = self.run.arrays("discharge")
        known = rows_by_gauge(discharge["gauge"])
        gauges = [code for code in self._codes() if code not in known]
        last = discharge["time"].max()
        periods = [name for name, (_, end) in self._periods().items() if stamp(end) > last]
        parts = [f"gauges {', '.join(gauges)}" if gauges else "", f"periods {', '.join(periods)}" if periods else ""]
        return " and ".join(part for part in parts if part)

    def _take_observations(self, calibrated_with_others: Collection[str]) -> None:
        """Put the observations of now into the table of the discharge, and say where they differ from those in it.

        Args:
            calibrated_with_others: keys of observations that have changed since they calibrated.
        """
        if self.experiment.gauges.discharge is None:
            return
        table = self.run.arrays("discharge")
        rows = rows_by_gauge(table["gauge"])
        codes = tuple(rows)
        times = table["time"][rows[codes[0]]].astype("datetime64[s]")
        try:
            now = observations(self.experiment, codes, times)
        except HydrocliError as error:
            logger.warning(f"the observations cannot be compared with those of the run: {error}")
            return
        values = {code: now[code][0] if code in now else table["observed"][rows[code]] for code in codes}
        counts = {
            code: int((~np.isclose(values[code], table["observed"][rows[code]], 0, 0, equal_nan=True)).sum())
            for code in codes
        }
        if calibrated_with_others:
            names = ", ".join(sorted(calibrated_with_others))
            logger.warning(
                f"{names} changed since the calibration; these are scores with the observations of now, and "
                "`hydrocli calibrate --force` calibrates with them"
            )
        if any(counts.values()):
            shown = ", ".join(f"{code} ({count} values)" for code, count in counts.items() if count)
            sentence = f"observations differ from those in the run, and replace them: {shown}"
            logger.warning(sentence)
            until = {code: now[code][1] if code in now else _until(table, rows[code]) for code in codes}
            columns = {
                "observed": np.stack([values[code] for code in codes]),
                "simulated": np.stack([table["simulated"][rows[code]] for code in codes]),
            }
            has_means = any(one is not None for one in until.values())
            if has_means:
                columns["interval_end"] = np.stack([ends_of(times, until[code]) for code in codes])
            with (
                RunFolder.open(self.folder, self.experiment.name) as folder,
                folder.rewriting(schemas.DISCHARGE.file),
            ):
                folder.warn(sentence)
                table_now = schemas.discharge(has_means=has_means)
                write_series(folder.path, table_now, codes, times, columns, run=folder.manifest.run)
            self.run = read(self.folder)

    def _simulate_again(self, inputs: Mapping[str, str]) -> None:
        """Simulate with the inputs of now; where the discharge is that of the run, they are as good as those before.

        Args:
            inputs: fingerprints that the manifest takes then.
        """
        # What needs the model loads it; to read what a run has simulated takes a fraction of that time.
        from hydrocli.experiment import baseline
        from hydrocli.experiment.networks import read_regionalisation
        from hydrocli.experiment.setup import CalibrationSetup, ingested
        from hydrocli.experiment.simulation import final_simulation

        codes, experiment = self._codes(), self.experiment
        # Gauges that are not asked for now stay: without them the maps of their cells would be lost.
        others = [code for code in rows_by_gauge(self.run.arrays("discharge")["gauge"]) if code not in codes]
        gauges = experiment.gauges.model_copy(update={"validation": (*experiment.gauges.validation, *others)})
        experiment = experiment.model_copy(update={"gauges": gauges})
        setup = CalibrationSetup(experiment, ingested(experiment), trained=self.folder)
        is_baseline = experiment.baseline is not None
        maps = None if is_baseline else maps_of_run(self.folder, setup)
        with RunFolder.open(self.folder, self.experiment.name) as folder, folder.rewriting():
            if maps is None:
                trained = baseline.read_trained(self.folder, experiment)
                baseline.final_simulation(folder, setup, trained, self._require_same)
            else:
                final_simulation(
                    folder,
                    setup,
                    maps,
                    setup.flux_network,
                    read_regionalisation(self.folder),
                    self._require_same,
                    self.run.manifest.first_guess,
                )
            calibrated = experiment.gauges.model_copy(update={"discharge": self._discharge})
            kept = experiment.model_copy(update={"gauges": calibrated})
            write_text(folder.path / CONFIG, resolved(kept))
            folder.update(inputs=dict(inputs))

    def _require_same(self, codes: Sequence[str], simulated: Floats) -> None:
        """Refuse to overwrite what was calibrated by a simulation with other data.

        Raises:
            InputError: the discharge differs from that of the run.
        """
        discharge = self.run.arrays("discharge")
        rows = rows_by_gauge(discharge["gauge"])
        for code, series in zip(codes, simulated, strict=True):
            before = discharge["simulated"][rows.get(code, slice(0))]
            if before.size and not np.allclose(series[: before.size], before, rtol=1e-6, atol=1e-9, equal_nan=True):
                raise InputError(
                    str(self.folder),
                    f"the discharge at {code} differs from the stored one: the data have changed since the calibration",
                    "Restore the data, calibrate again with --force, or simulate in another folder with "
                    f"`hydrocli simulate CONFIG --parameters-from {self.folder} --output NEW`, and validate that.",
                )


def _until(discharge: Mapping[str, NDArray[Any]], rows: slice) -> Until | None:
    """Intervals of the observations of a gauge in the table of the discharge, see `hydrocli.score.intervals`."""
    if "interval_end" not in discharge:
        return None
    return until_of(*(discharge[name][rows].astype("datetime64[s]") for name in ("time", "interval_end")))


@dataclass(frozen=True)
class Origin:
    """Codes of the gauges, and the period, with which the parameters of a simulation were calibrated elsewhere."""

    gauges: tuple[str, ...]
    period: Period


def _origin(folder: Path, stored: Experiment) -> Origin | None:
    """Where the parameters of a run come from, if it is a simulation with those of a calibration."""
    source = stored.parameters.source
    if source is None or read_manifest(folder).identity != SIMULATION:
        return None
    theirs = load(Path(source) / CONFIG)
    window = theirs.period.calibration
    return Origin(_roles(theirs, read(source))[0], window) if window else None


def _roles(stored: Experiment, run: Run) -> Roles:
    """Codes of the gauges of a run that calibrated, and of those that validate."""
    return roles_of(stored.gauges, list(rows_by_gauge(run.arrays("discharge")["gauge"])), lambda: gauge_tree(run))


def _roles_now(stored: Experiment, now: Experiment, run: Run, origin: Origin | None) -> Roles:
    """Codes of the gauges that calibrated, here or where the parameters come from, and of those to validate with."""
    calibrated, others = _roles(stored, run)
    asked = now.gauges.calibration
    if origin:
        codes = (*calibrated, *others) if not isinstance(asked, tuple) else (*asked, *now.gauges.validation)
        known = tuple(code for code in codes if code in origin.gauges)
        return known, tuple(code for code in codes if code not in known)
    validation = now.gauges.validation or (() if isinstance(asked, tuple | None) else others)
    if both := sorted(set(calibrated) & set(validation)):
        raise ConfigurationError(
            "gauges.validation", f"{', '.join(both)}: the run was calibrated with it", "Remove it from the list."
        )
    return calibrated, validation


def _others(stored: Experiment, now: Experiment) -> list[str]:
    """Keys of a configuration that differ from those of a run and are not taken from it."""
    with suppress(HydrocliError):  # files of other basins that are no longer there
        return [key for key in differing_keys(stored, now) if not key.startswith("gauges.")]
    return []


def _as_now(stored: Experiment, now: Experiment, run: Run, origin: Origin | None) -> Experiment:
    """The run's configuration with what may change after a calibration, and with the gauges that calibrated by name.

    Raises:
        ConfigurationError: a gauge of the calibration shall validate, or a period begins before the run.
    """
    calibrated, validation = _roles_now(stored, now, run, origin)
    for name, (start, _) in now.period.validation.items():
        if start < stored.period.start:
            what = f"starts at {start:%Y-%m-%dT%H:%MZ}, before the run ({stored.period.start:%Y-%m-%dT%H:%MZ})"
            raise ConfigurationError(f"period.validation.{name}", what, "Choose a later start.")
    end = max(stored.period.end, now.period.end)
    period = stored.period.model_copy(update={"validation": now.period.validation, "end": end})
    roles = {"calibration": calibrated or None, "validation": validation}
    gauges = stored.gauges.model_copy(update=roles | {"discharge": now.gauges.discharge or stored.gauges.discharge})
    if origin is None and (other := _others(stored, now)):
        logger.warning(f"{', '.join(other)}: taken from the run, not from the configuration of now")
    forcing = stored.forcing.model_copy(update={"store": now.forcing.store})
    update = {"period": period, "gauges": gauges, "flood_events": now.flood_events, "forcing": forcing}
    update |= {"plausibility": now.plausibility}
    return stored.model_copy(update=update)


def maps_of_run(folder: Path, setup: CalibrationSetup) -> Floats:
    """Maps [rows, n] of a run on the cells of a setup; on cells that the run does not have, see `maps_from`.

    Raises:
        InputError: cells outside the run's domain, and maps that vary and follow no descriptors.
    """
    from hydrocli.experiment.networks import maps_from

    maps = maps_from(folder, setup.basin)
    if setup.experiment.initial.source:  # then the levels are the final ones of that run
        maps = {symbol: map_ for symbol, map_ in maps.items() if symbol not in setup.structure.states}
    cells = len(setup.basin.network)
    values = {row.symbol: np.broadcast_to(np.asarray(row.value, np.float64), cells) for row in setup.rows}
    return np.stack([maps.get(symbol, values[symbol]) for symbol in setup.structure.maps])


def areas_of(run: Run) -> dict[str, float]:
    """Areas of the catchments of a run by gauge [m2]."""
    catchments = run.arrays("catchments")
    return dict(zip(catchments["gauge"].tolist(), catchments["area"].tolist(), strict=True))
