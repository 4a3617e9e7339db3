"""What a baseline declares, what it is given, and what the experiment asks of it.

A baseline gives the discharge of gauges from means of the forcing over their catchments. It has no cells, no stores and
no routing. All that is not the model is shared with the structures: forcing, warm-up, periods, gauges, objective,
optimiser, resume, results.

    local       one set of weights for each calibration gauge; other gauges have no discharge
    regional    one set of weights for all gauges, which also see the attributes of their catchments (`lstm`)

Discharge per area [mm/step] is scaled by the standard deviation of the observations in the calibration period: of each
gauge where it is local, the median over the gauges where it is regional. So a regional baseline is one function for all
gauges, observed or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats

Arrays = Mapping[str, Floats]
"""Numbers by name that a baseline takes from the calibration period beside its weights, of one or two dimensions."""
FORCINGS = ("precipitation", "pet")
WEIGHTS_OF_NO_OWNER = -1


@dataclass(frozen=True, eq=False)
class Catchments:
    """Inputs of a baseline: g catchments and t steps.

    Attributes:
        codes: of the gauges.
        rain: mean precipitation [g, t] [mm/step]; missing values are 0.
        pet: mean potential evapotranspiration [g, t] [mm/step]; missing values are 0.
        area: of the catchments [g] [m2].
        attributes: of the catchments by name [g]: means of descriptors.
        times: ends of the steps [t], UTC.
        step: length of a step [s].
    """

    codes: tuple[str, ...]
    rain: Floats
    pet: Floats
    area: Floats
    attributes: Mapping[str, Floats]
    times: NDArray[np.datetime64]
    step: int

    @property
    def cubic_metres(self) -> Floats:
        """Discharge [m3/s] that is 1 mm/step over each catchment [g]."""
        return self.area * 1e-3 / self.step


@dataclass(frozen=True, eq=False)
class Observations:
    """What a baseline may learn from: the catchments of the calibration gauges, and their discharge.

    Attributes:
        catchments: of the calibration gauges, from the start to the end of the calibration.
        discharge: observed [g, t] [m3/s]; NaN where missing.
        scored: steps of the calibration period without its warm-up [t].
        weights: of the gauges in the objective [g], with the sum 1.
    """

    catchments: Catchments
    discharge: Floats
    scored: Flags
    weights: Floats

    @property
    def depth(self) -> Floats:
        """Observed discharge per area [g, t] [mm/step]; NaN where missing or outside the calibration period."""
        return np.where(self.scored, self.discharge / self.catchments.cubic_metres[:, np.newaxis], np.nan)


@dataclass(frozen=True)
class Baseline:
    """A baseline with its options; for the configuration it is a structure without parameters, states and fluxes.

    Attributes:
        kind: one of `names.BASELINES`.
        title: what it is, in a few words.
        scope: local or regional.
        hidden: units of the LSTM.
        attributes: names of the descriptors that a regional LSTM sees.
        ridge: penalty on the coefficients of `linear`.
    """

    kind: str
    title: str
    scope: str = "regional"
    hidden: int = 32
    attributes: tuple[str, ...] = ()
    ridge: float = 0.0

    all_parameters: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    calibrated_states: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    usual_outputs: tuple[str, ...] = ()
    network_inputs: tuple[str, ...] = ()
    forcings: tuple[str, ...] = FORCINGS
    has_network: bool = False
    corrects_new_levels: bool = False

    @property
    def model(self) -> Baseline:
        """The declaration, as structures have it apart from their options."""
        return self

    @property
    def is_regional(self) -> bool:
        """Whether one set of weights serves all gauges."""
        return self.scope == "regional"

    def owners(self, codes: tuple[str, ...], calibrated: tuple[str, ...]) -> NDArray[np.intp]:
        """Which set of weights each gauge has [g]: that of its number among the calibrated ones; -1: none."""
        if self.is_regional:
            return np.zeros(len(codes), np.intp)
        number = {code: place for place, code in enumerate(calibrated)}
        return np.array([number.get(code, WEIGHTS_OF_NO_OWNER) for code in codes], np.intp)


class Model(Protocol):
    """A baseline on some catchments: weights to discharge, and back."""

    def run(self, weights: Floats) -> tuple[Floats, Any]:
        """Discharge [g, t] [m3/s] of weights [m], NaN of gauges without weights; and what `pull_back` needs of it."""
        ...

    def pull_back(self, weights: Floats, trace: Any, discharge_bar: Floats) -> Floats:
        """d cost / d weights [m] from d cost / d discharge [g, t]: the transpose of `run`."""
        ...


class Kind(Protocol):
    """What a file of this folder gives."""

    def first(self, baseline: Baseline, seen: Observations, seed: int) -> tuple[dict[str, Floats], Floats]:
        """Arrays, and weights [m]: a first guess, or the solution where there is one in closed form."""
        ...

    def model(self, baseline: Baseline, catchments: Catchments, arrays: Arrays, owners: Any, threads: int) -> Model:
        """The baseline on some catchments."""
        ...

    def blocks(self, baseline: Baseline, arrays: Arrays) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parts of one set of weights, in their order; that of a bias starts with `bias`."""
        ...


def flow_scale(baseline: Baseline, seen: Observations) -> Floats:
    """Scale of the discharge per area [mm/step], one for each set of weights."""
    spread = np.array([np.nanstd(depth) for depth in seen.depth])
    return np.array([np.median(spread)]) if baseline.is_regional else spread


def size_of(blocks: Mapping[str, tuple[int, ...]]) -> int:
    """Number of weights of one set."""
    return sum(int(np.prod(shape)) for shape in blocks.values())
