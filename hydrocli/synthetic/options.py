"""Options of a synthetic basin or region, and its streams of random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hydrocli.basin.basin import Times, stamps
from hydrocli.basin.network import ENCODINGS
from hydrocli.errors import ConfigurationError, Errors

DAY = 86400
HOUR = 3600
CELLS_OF_GAUGE = 12
"""A catchment has no more gauges than one for so many cells."""
PURPOSES = ("terrain", "descriptors", "storms", "dry spells", "temperature", "places", "noise", "gaps", "catchments")
"""One stream of random numbers each, so that a change of one option leaves all else as it was. Append only."""

TRUTHS = ("descriptors", "uniform")
LAYOUTS = ("plain", "institute")


@dataclass(frozen=True)
class SampleOptions:
    """A synthetic basin, or a region of separate catchments; the same options give the same bytes.

    Attributes:
        start: beginning of the first step (UTC).
        end: end of the last step.
        cells: about as many cells of 1 km drain through the outlet (50 to 50,000).
        gauges: number of gauges, the outlet included.
        step: length of a step of rain and discharge [s], 15 minutes to a day, dividing a day.
        temperature_step: length of a step of temperature [s]: 3600 or 86400.
        seed: seed of everything random.
        noise: standard deviation of the logarithm of observed over true discharge; 0 is noise-free.
        gaps: share of the observations that are missing.
        encoding: how flow directions are written: smash, esri or ldd.
        areas: cells of each catchment of a region (5 to 50,000), about; then `cells` counts for nothing, and `gauges`
            are those of each catchment, as far as it has twelve cells for each.
        truth: of the parameters: functions of the `descriptors`, or `uniform`.
        layout: of the files: `plain`, as in `hydrocli.synthetic.writing`, or `institute`, as in the module so named.

    Raises:
        Errors: every option out of its range, together.
    """

    start: np.datetime64
    end: np.datetime64
    cells: int = 60
    gauges: int = 4
    step: int = HOUR
    temperature_step: int = DAY
    seed: int = 1
    noise: float = 0.1
    gaps: float = 0.02
    encoding: str = "smash"
    areas: tuple[int, ...] = ()
    truth: str = "descriptors"
    layout: str = "plain"

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            object.__setattr__(self, name, np.datetime64(getattr(self, name), "s"))
        step_fits = 900 <= self.step <= DAY and DAY % self.step == 0
        most = max(1, (max(self.areas) if self.areas else self.cells) // CELLS_OF_GAUGE)
        rules = [
            ("cells", 50 <= self.cells <= 50_000 or bool(self.areas), "must be 50 to 50000"),
            ("areas", all(5 <= area <= 50_000 for area in self.areas), "must be 5 to 50000 each"),
            ("gauges", 1 <= self.gauges <= most, f"must be 1 to {most} (one for {CELLS_OF_GAUGE} cells)"),
            ("step", step_fits, "must be 900 to 86400 seconds and divide a day"),
            ("temperature_step", self.temperature_step in (HOUR, DAY), "must be 3600 or 86400 seconds"),
            ("end", self.end > self.start, f"must come after the start, {self.start}"),
            ("seed", self.seed >= 0, "must not be negative"),
            ("noise", 0 <= self.noise <= 1, "must be 0 to 1"),
            ("gaps", 0 <= self.gaps < 1, "must be 0 to less than 1"),
            ("truth", self.truth in TRUTHS, f"must be one of {', '.join(TRUTHS)}"),
            ("layout", self.layout in LAYOUTS, f"must be one of {', '.join(LAYOUTS)}"),
            ("layout", self.layout == "plain" or not self.areas, "is for a basin, not for a region"),
            ("encoding", self.encoding in ENCODINGS, f"must be one of {', '.join(ENCODINGS)}"),
        ]
        if step_fits:
            multiple = f"must be a multiple of the step of {self.step} s after midnight"
            rules += [
                (name, int(getattr(self, name).astype(int)) % self.step == 0, multiple) for name in ("start", "end")
            ]
        wrong = [
            ConfigurationError(f"--{name.replace('_', '-')}", f"{getattr(self, name)} {what}")
            for name, fine, what in rules
            if not fine
        ]
        if wrong:
            raise Errors([*wrong])

    @property
    def times(self) -> Times:
        """Stamps of the steps of rain and discharge, datetime64[s][t]."""
        return stamps(self.start, int((self.end - self.start).astype(int)) // self.step, self.step)

    def seeds(self, purpose: str) -> np.random.SeedSequence:
        """The root of the random numbers of one of PURPOSES."""
        return np.random.SeedSequence(self.seed).spawn(len(PURPOSES))[PURPOSES.index(purpose)]

    def generator(self, purpose: str) -> np.random.Generator:
        """A fresh generator for one of PURPOSES; each call starts the same sequence."""
        return np.random.default_rng(self.seeds(purpose))
