"""What gauges would have written down of a true discharge: with errors that last, and with outages."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.synthetic.options import HOUR, SampleOptions
from hydrocli.synthetic.terrain import Terrain

NOISE_MEMORY = 12.0  # h in which the correlation of two errors falls to 1/e
OUTAGE = 30.0  # h, mean length
MISSING = -99.0


def observe(simulated: Floats, options: SampleOptions) -> Floats:
    """Observations float64[g, t] of a true discharge [g, t]; NaN in the gaps.

    The errors are factors exp(e - noise^2 / 2), e normal with standard deviation `options.noise` and first-order
    autoregressive, so that their mean is one. Gaps are outages of random length, other ones at every gauge.
    """
    gauges, count = simulated.shape
    error = options.noise * _autoregressive(options.generator("noise"), gauges, count, options.step)
    observed = simulated * np.exp(error - options.noise**2 / 2)
    generator = options.generator("gaps")
    for gauge in range(gauges):
        for first, last in _outages(generator, count, options):
            observed[gauge, first:last] = np.nan
    return observed


def write_discharge(terrain: Terrain, options: SampleOptions, observed: Floats, folder: Path) -> None:
    """qobs/<code>.csv for every gauge: stamp of the first value, then one value [m3/s] a line, -99 where missing."""
    target = folder / "qobs"
    target.mkdir(parents=True, exist_ok=True)
    header = options.times[0].item().strftime("%Y%m%d%H%M")
    for site, series in zip(terrain.gauges, observed, strict=True):
        lines = [header, *(f"{value:.6f}" for value in np.where(np.isnan(series), MISSING, series))]
        (target / f"{site.code}.csv").write_text("\n".join(lines) + "\n")


def _autoregressive(generator: np.random.Generator, gauges: int, count: int, step: int) -> Floats:
    """Standard normal series [g, t] that forget in NOISE_MEMORY."""
    memory = np.exp(-step / (NOISE_MEMORY * HOUR))
    series = generator.standard_normal((count, gauges))
    for t in range(1, count):
        series[t] = memory * series[t - 1] + np.sqrt(1 - memory**2) * series[t]
    return series.T


def _outages(generator: np.random.Generator, count: int, options: SampleOptions) -> list[tuple[int, int]]:
    """First and one past the last step of outages that share the steps to be lost; they do not overlap."""
    lost = round(options.gaps * count)
    number = min(lost, max(1, round(lost * options.step / (OUTAGE * HOUR))))
    if not number:
        return []
    shares = generator.dirichlet(np.ones(number)) * lost
    lengths = np.diff(np.round(np.cumsum(shares)).astype(int), prepend=0)
    between = np.sort(generator.integers(0, count - lost + 1, number))
    first = between + np.cumsum(lengths) - lengths
    return list(zip(first.tolist(), (first + lengths).tolist(), strict=True))
