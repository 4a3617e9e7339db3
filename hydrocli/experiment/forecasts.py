"""Forecasts of a calibrated run at issue times: open loop, its error carried on, analysis; persistence beside them.

An issue at time T knows the observations up to T, and of the rain after T what is asked for. Its window is
]T - window, T]. The background of the analysis is the calibrated model driven by the observed rain and never corrected
(open loop), at the start of the window: so every issue is a problem of its own, no observation counts twice, and issues
may be computed in any order, anywhere, again and again, with the same bits.

| kind | discharge after T |
|---|---|
| open_loop | the calibrated model |
| ar1 | open loop, with the last error of its logarithm carried on, smaller by a constant factor in every step |
| analysis | the model from the analysed state; at assimilated gauges its last error is carried on likewise |
| persistence | the last observation |
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from threading import local

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.config import Experiment
from hydrocli.engine.net_forcing import forcings_of, intensity_of, meteorological_forcing, net_forcing
from hydrocli.engine.objective import split_maps
from hydrocli.engine.simulator import Simulator, State
from hydrocli.errors import ConfigurationError, NumericalError
from hydrocli.experiment.assimilation import SINGLE_STEP, STEP, Analysis, analyse
from hydrocli.experiment.setup import CalibrationSetup

Floats32 = NDArray[np.float32]
KINDS = ("open_loop", "ar1", "analysis", "persistence")
RIVER, RAIN = "river", "rain"
DAY, HOUR = 86400, 3600
PIECE = 1000
"""Steps of the open loop that are computed at once."""
HALF_LIVES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 12.0, 18.0, 24.0, 36.0, 48.0)
"""Hours; 0: an error is gone at the next step."""
OFFSET = 0.01
"""Added to discharge before the logarithm, as a share of the mean observed discharge."""
LOWEST_LEVEL, HIGHEST_LEVEL = 1e-6, 1.0 - 1e-6
"""Of a store after its correction."""


@dataclass(frozen=True, eq=False)
class Carried:
    """What the model carries on: its state, level of the interception store [n], intensity of the rain [n]."""

    state: State
    hi: Floats
    intensity: Floats


@dataclass(frozen=True, eq=False)
class Issue:
    """The forecast of one issue time.

    Attributes:
        step: number of the last known step.
        discharge: by kind, [g, horizon] [m3/s]; NaN where a kind has none.
        analysis: what the assimilation has found.
        missing: share of cells and steps of the window that lack rain, PET or temperature.
    """

    step: int
    discharge: dict[str, Floats]
    analysis: Analysis
    missing: float


class Forecaster:
    """A calibrated model that makes forecasts.

    Args:
        setup: experiment and basin, to the end of the last horizon.
        maps: calibrated parameters and initial levels [rows, n].
        weights: of the flux network.

    Attributes:
        window, horizon: steps.
        controls: name and zone of each control of the analysis.
        deviation: standard deviation of each control [k].

    Raises:
        ConfigurationError: a window or horizon that is no whole step; thresholds of a gauge that is not there.
    """

    def __init__(self, setup: CalibrationSetup, maps: Floats, weights: Floats) -> None:
        self.setup, self.weights, asked = setup, weights, setup.experiment.forecast
        step, tree = setup.basin.step, setup.gauge_tree
        self.window, self.horizon = (_steps(setup.experiment, key) for key in ("window", "horizon"))
        self._parameters, self._start = split_maps(setup.structure, maps, setup.state)
        self._zone = tree.zone
        states = setup.structure.model.states
        stores = [one.quantity.symbol for one in states if one.capacity and one.calibrated]
        background = asked.background
        deviations = dict.fromkeys(stores, background.levels) | {RIVER: background.river, RAIN: background.rain}
        draining = tree.draining_to(setup.gauges(setup.calibration))
        zones = np.unique(tree.zone[draining]).tolist()  # others change nothing that is assimilated
        self.controls = [(name, zone) for name, deviation in deviations.items() if deviation for zone in zones]
        self.deviation = np.array([deviations[name] for name, _ in self.controls])
        self._kept, self._cells = local(), np.arange(len(setup.basin.network))
        self._averaged = max(1.0, asked.observation.correlation / step)
        if unknown := sorted(set(asked.thresholds) - set(setup.basin.gauges.code)):
            what = f"{', '.join(unknown)}: not in the table of gauges"
            raise ConfigurationError("forecast.thresholds", what, f"Gauges: {', '.join(setup.basin.gauges.code)}.")

    @cached_property
    def observed(self) -> Floats:
        """Observations of single steps [g, t] [m3/s]; NaN where there are none."""
        basin = self.setup.basin
        if basin.discharge_until is None:
            return basin.discharge
        until, steps = basin.discharge_until, np.arange(len(basin.times))
        before = np.concatenate([np.full((len(until), 1), -1), until[:, :-1]], axis=1)
        return np.where((until == steps) & (before != steps), basin.discharge, np.nan)

    @cached_property
    def assimilated(self) -> NDArray[np.bool_]:
        """Gauges [g] whose observations are assimilated: those of the calibration."""
        chosen = np.zeros(len(self.setup.basin.gauges.code), np.bool_)
        chosen[self.setup.gauges(self.setup.calibration)] = True
        return chosen

    @cached_property
    def _mean(self) -> Floats:
        """Mean observed discharge of the calibration period [g]; where there is none, of the open loop."""
        scored = self._scored
        observed = self.observed[:, scored]
        simulated = self.open_loop[:, scored]
        known = np.isfinite(observed).any(axis=1)
        means = simulated.mean(axis=1)
        means[known] = np.nanmean(observed[known], axis=1)
        return np.maximum(means, 1e-6)

    @property
    def _scored(self) -> NDArray[np.bool_]:
        window = self.setup.experiment.period.calibration
        assert window is not None
        return self.setup.inside(window)

    @cached_property
    def open_loop(self) -> Floats:
        """Discharge of the calibrated model with the rain of the archive over the whole period [g, t] [m3/s]."""
        steps, parts, carried = len(self.setup.basin.times), list[Floats](), self._first
        for first in range(0, steps, PIECE):
            part, carried = self._run(first, min(PIECE, steps - first), carried)
            parts.append(part)
        return np.concatenate(parts, axis=1)

    @cached_property
    def _first(self) -> Carried:
        return Carried(self._start, self.setup.hi, self.setup.intensity)

    @cached_property
    def persistence_of_error(self) -> Floats:
        """Factor of the logarithmic error of the open loop from one step to the next [g].

        That of the half-life among `HALF_LIVES` with the least squared error of the discharge in the calibration
        period, over all lead times of the horizon; an error of the logarithm itself lives longer, between the floods.
        """
        steps = np.flatnonzero(self._scored)
        error = self._log(self.observed) - self._log(self.open_loop)
        offset, leads = OFFSET * self._mean[:, np.newaxis], np.arange(1, self.horizon + 1)
        sums = np.zeros((len(HALF_LIVES), len(error)))
        for number, half_life in enumerate(HALF_LIVES):
            factor = 0.5 ** (self.setup.basin.step / HOUR / half_life) if half_life else 0.0
            for lead in leads:
                at, ahead = steps[:-lead], steps[lead:]
                forecast = (self.open_loop[:, ahead] + offset) * np.exp(error[:, at] * factor**lead) - offset
                departure = forecast - self.observed[:, ahead]
                sums[number] += np.nansum(departure**2, axis=1)
        best = np.array(HALF_LIVES)[np.argmin(sums, axis=0)]
        return np.where(best > 0, 0.5 ** (self.setup.basin.step / HOUR / np.maximum(best, 1e-9)), 0.0)

    def _log(self, discharge: Floats) -> Floats:
        return np.log(np.maximum(discharge, 0.0) + OFFSET * self._mean[:, np.newaxis])

    def issues(self, steps: Sequence[int], threads: int = 1) -> Iterator[Issue]:
        """Forecasts of issues, each named by the number of its last known step, in ascending order.

        Args:
            steps: ascending; each with a whole window before it.
            threads: that share the issues.
        """
        backgrounds = self._backgrounds([step + 1 - self.window for step in steps])
        _ = self.persistence_of_error, self.assimilated  # before threads ask for them
        if threads == 1:
            yield from map(self._issue, steps, backgrounds)
            return
        waiting = deque[Future[Issue]]()  # few: each holds the state of a basin
        with ThreadPoolExecutor(threads) as pool:
            try:
                for step, background in zip(steps, backgrounds, strict=True):
                    waiting.append(pool.submit(self._issue, step, background))
                    if len(waiting) > 2 * threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _backgrounds(self, firsts: Sequence[int]) -> Iterator[Carried]:
        """The open loop before some steps, ascending."""
        at, carried = 0, self._first
        for first in firsts:
            while at < first:
                steps = min(PIECE, first - at)
                _, carried = self._run(at, steps, carried)
                at += steps
            yield carried

    def _issue(self, step: int, background: Carried) -> Issue:
        first, length = step + 1 - self.window, self.window + self.horizon
        forcing = self._forcing_of(first, length)
        known = slice(first, step + 1)
        observed = np.where(self.assimilated[:, np.newaxis], self.observed[:, known], np.nan)
        compared = np.isfinite(observed)
        asked = self.setup.experiment.forecast.observation
        sigma = np.maximum(asked.relative * observed, asked.least * self._mean[:, np.newaxis]) * self._averaged**0.5

        def residuals(v: Floats) -> Floats:
            found, _ = self._corrected(v, first, self.window, background, forcing)
            values: Floats = ((found - observed) / sigma)[compared]
            return values

        is_double = self.setup.experiment.execution.precision == "double"
        analysis = analyse(residuals, len(self.controls), STEP if is_double else SINGLE_STEP)
        open_loop, _ = self._run(first, length, background, forcing)
        analysed, _ = self._corrected(analysis.controls, first, length, background, forcing)
        if not (np.isfinite(open_loop).all() and np.isfinite(analysed).all()):
            raise NumericalError(
                f"forecast of {self.setup.basin.times[step]}Z",
                "the discharge is not finite",
                "Look at the run with `hydrocli simulate`.",
            )
        unknown = ~np.logical_and.reduce([np.isfinite(values[known]) for values in self._series])
        discharge = {
            "open_loop": open_loop[:, self.window :],
            "ar1": self._carried_on(open_loop, self.observed[:, known]),
            "analysis": self._carried_on(analysed, observed),
            "persistence": self._persistent(known),
        }
        return Issue(step, discharge, analysis, float(np.mean(unknown)))

    def _carried_on(self, simulated: Floats, observed: Floats) -> Floats:
        """Discharge after the window [g, horizon], with the last logarithmic error in it; as it is where there is none.

        Args:
            simulated: [g, window + horizon].
            observed: [g, window].
        """
        error = self._log(observed) - self._log(simulated[:, : self.window])
        last, age = _last(error)
        lead = np.arange(1, self.horizon + 1)
        share = self.persistence_of_error[:, np.newaxis] ** (lead + age[:, np.newaxis])
        shift = np.where(np.isfinite(last), last, 0.0)[:, np.newaxis] * share
        offset = OFFSET * self._mean[:, np.newaxis]
        plain = simulated[:, self.window :]
        return np.where(
            shift == 0.0, plain, np.maximum((np.maximum(plain, 0.0) + offset) * np.exp(shift) - offset, 0.0)
        )

    def _persistent(self, known: slice) -> Floats:
        last, _ = _last(self.observed[:, known])
        return np.repeat(last[:, np.newaxis], self.horizon, axis=1)

    def _corrected(
        self, v: Floats, first: int, steps: int, background: Carried, forcing: tuple[Floats32, ...]
    ) -> tuple[Floats, Carried]:
        """The run of a window, or of a window with its horizon, from controls v [k]."""
        by_zone = {name: np.zeros(self.setup.gauge_tree.zones + 1) for name, _ in self.controls}
        for (name, zone), value in zip(self.controls, v * self.deviation, strict=True):
            by_zone[name][zone] = value
        at = {name: values[self._zone] for name, values in by_zone.items()}
        levels, state = background.state.levels.copy(), background.state
        for row, symbol in enumerate(self.setup.structure.states):
            if symbol in at and at[symbol].any():
                moved = np.clip(levels[row] + at[symbol], LOWEST_LEVEL, np.maximum(HIGHEST_LEVEL, levels[row]))
                levels[row] = np.where(at[symbol] == 0.0, levels[row], moved)
        river = np.exp(at.get(RIVER, np.zeros(1)))
        start = State(levels, state.discharge * river, state.lateral_inflow * river)
        if RAIN in at and at[RAIN].any():
            rain = forcing[0].copy()
            rain[: self.window] *= np.exp(at[RAIN]).astype(np.float32)
            forcing = (rain, *forcing[1:])
        return self._run(first, steps, Carried(start, background.hi, background.intensity), forcing)

    def _forcing_of(self, first: int, steps: int) -> tuple[Floats32, ...]:
        """Rain, PET and temperature (if any) of the window and of the horizon, whose future is as asked for."""
        asked, day = self.setup.experiment.forecast.future_rain, DAY // self.setup.basin.step
        parts = [np.array(values[first : first + steps], np.float32) for values in self._series]
        for values, whole in zip(parts[1:], self._series[1:], strict=True):
            for t in range(self.window, steps):  # the archive may not reach so far: then as the day before
                before = values[t - day] if t >= day else whole[first + t - day]
                values[t] = np.where(np.isfinite(values[t]), values[t], before)
        rain, future = parts[0], parts[0][self.window :]
        if asked == "zero":
            future[:] = 0.0
        elif asked == "persistence":
            future[:] = rain[self.window - 1]
        future[~np.isfinite(future)] = 0.0
        return tuple(parts)

    def _run(
        self, first: int, steps: int, start: Carried, forcing: tuple[Floats32, ...] | None = None
    ) -> tuple[Floats, Carried]:
        """Discharge [g, steps] from a step on, and what the model carries then."""
        setup, basin, cells = self.setup, self.setup.basin, self._cells
        if forcing is None:
            forcing = tuple(values[first : first + steps] for values in self._series)
        simulator = self._simulator(steps)
        if setup.structure.model.takes_net:
            net, hi, _ = net_forcing(simulator.order, forcing[0], forcing[1], setup.ci, start.hi, cells)
            simulator.forcing = forcings_of(setup.structure, simulator.order, net, start.intensity, basin.step)
        else:
            simulator.forcing, _ = meteorological_forcing(simulator.order, (forcing[0], forcing[1], forcing[2]), cells)
            hi = start.hi
        discharge, end = simulator.simulate(self._parameters, start.state, self.weights)
        intensity = intensity_of(simulator, start.intensity)
        return discharge, Carried(end, hi, start.intensity if intensity is None else intensity)

    @property
    def _series(self) -> list[Floats32]:
        """Rain, PET and temperature (if any) [t, n]."""
        basin = self.setup.basin
        return [basin.precipitation, basin.pet, *([] if basin.temperature is None else [basin.temperature])]

    def _simulator(self, steps: int) -> Simulator:
        """One for so many steps, of this thread; kept where many runs have this length."""
        known: dict[int, Simulator] = self._kept.__dict__.setdefault("simulators", {})
        if steps in known:
            return known[steps]
        made = self.setup.part(self._cells, np.arange(len(self.setup.basin.gauges.code)), steps)
        if steps in (self.window, self.window + self.horizon, PIECE):
            known[steps] = made
        return made


def _steps(experiment: Experiment, key: str) -> int:
    """A time of the section in steps.

    Raises:
        ConfigurationError: it is no whole number of steps.
    """
    seconds = getattr(experiment.forecast, key)
    if seconds % experiment.period.step or seconds < experiment.period.step:
        what = f"{seconds} s is not a whole number of steps of {experiment.period.step} s"
        raise ConfigurationError(f"forecast.{key}", what, "Give a multiple of the time step.")
    return int(seconds // experiment.period.step)


def _last(series: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """The last finite value of each row [g], NaN where there is none, and how many steps before the last it is."""
    known = np.isfinite(series)
    age = np.argmax(known[:, ::-1], axis=1)
    value = series[np.arange(len(series)), series.shape[1] - 1 - age]
    return np.where(known.any(axis=1), value, np.nan), age
