"""Rain: storms that pass the basin, each a moving cluster of elliptical rain cells (after Northrop 1998).

Storms come at random between dry spells, more and wetter ones in autumn. A storm passes at its own speed and heading,
at some distance from the basin. Cells are born in it at random, travel with it, swell and fade. A cell rains
depth * (1 - q)^2 where q < 1, q its squared elliptical distance. What it leaves on the ground in one step is that
ellipse, lengthened by the way it went in the step: so no step shows blobs in a row, and none loses water. High land
gets more.

Depths are set by the climate below: there are as many cells as bring the depth that is wanted. Every storm has its own
stream of random numbers, so the fields do not depend on how the record is cut into blocks.

Northrop (1998), A clustered spatial-temporal model of rainfall, Proc. R. Soc. Lond. A 454, 1875-1888.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Times
from hydrocli.jit import loop
from hydrocli.synthetic.options import HOUR, SampleOptions
from hydrocli.synthetic.terrain import Terrain

Fields = NDArray[np.float32]
Strokes = tuple[NDArray[np.int64], Floats, Floats, Floats, Floats, Floats, Floats, Floats]
"""Step, column, row, long and short half axis [km], cosine and sine of the way, depth in the centre [mm]: n of each."""


@dataclass(frozen=True)
class Climate:
    """Storms of a season: how many of full strength pass a point in a year, and the means of their properties."""

    number: float  # per year of such weather
    depth: float  # mm
    speed: float  # km/h
    length: float  # km, standard deviation of the rain along the way
    width: float  # km, likewise across it
    radius: float  # km, short half axis of a cell
    life: float  # h, of a cell
    intensity: float  # mm/h, in the centre of a cell of that radius; the smaller a cell, the harder it rains

    @property
    def cell_volume(self) -> float:
        """Mean water of a cell [mm km2]: over an ellipse the mean of (1 - q)^2 is 1/3."""
        size = np.sinh(SIZE_SPREAD) / SIZE_SPREAD  # mean of radius^2 * intensity over those of a typical cell
        return float(self.intensity * self.life * np.pi / 3 * self.radius**2 * size * (1 + LONGEST) / 2)


YEAR = 365.25 * 24.0  # h
WET_SPELL, DRY_SPELL = 9.0 * 24.0, 6.0 * 24.0  # h, means
LEAD = 96.0  # h before the start, from which a storm may still rain
SIZE_SPREAD = 1.2  # radius over typical radius is exp of something uniform in [-1.2, 1.2]
LONGEST = 2.0  # greatest ratio of the long to the short axis
MOST_LIFE = 1.5  # longest life of a cell over the typical one; the shortest is 2 - 1.5
FASTEST = 1.15  # speed of a cell over that of its storm; the slowest is 2 - 1.15
WIDEST = 3.0  # standard deviations from its middle line at which a storm ends
SQRT6 = float(np.sqrt(6.0))  # half the base of a triangular distribution of standard deviation 1
OROGRAPHY = 0.5  # more rain per 1000 m
BLOCK_BYTES = 64e6

WINTER = Climate(60, 14.0, 35.0, 110.0, 120.0, 8.0, 3.0, 1.2)
SPRING = Climate(64, 13.0, 27.0, 80.0, 80.0, 6.0, 2.0, 2.0)
SUMMER = Climate(44, 12.0, 20.0, 35.0, 40.0, 4.0, 1.2, 7.0)
AUTUMN = Climate(76, 22.0, 20.0, 100.0, 70.0, 6.0, 2.5, 2.8)
SEASONS = (WINTER, WINTER, SPRING, SPRING, SPRING, SUMMER, SUMMER, SUMMER, AUTUMN, AUTUMN, AUTUMN, WINTER)
"""Of each month."""


@dataclass(frozen=True)
class Cells:
    """The n rain cells of a storm, each float64[n]; places are columns and rows of the grid in the middle of a life."""

    middle: Floats  # h
    column: Floats
    row: Floats
    life: Floats  # h
    speed: Floats  # km/h
    heading: Floats  # radians
    radius: Floats  # km, short half axis
    ratio: Floats  # long over short axis
    intensity: Floats  # mm/h in its centre, mean over its life


@dataclass(frozen=True)
class Storm:
    """One storm; times in hours since the start of the record, places in cells (km) from the middle of the grid."""

    climate: Climate
    passage: float  # h, when it is nearest to the middle
    offset: float  # km, how near, to the right of its way
    heading: float  # radians, 0 = towards the east, anticlockwise
    speed: float  # km/h
    depth: float  # mm, where its middle passes
    cells: np.random.SeedSequence  # where the random numbers of its cells come from

    @property
    def longest_way(self) -> float:
        """How far from the middle of its life a cell can rain [km]."""
        along = MOST_LIFE / 2 * self.climate.life * FASTEST * self.speed
        return along + LONGEST * self.climate.radius * float(np.exp(SIZE_SPREAD))

    def half_duration(self, reach: float) -> float:
        """Longest time in hours before and after the passage in which it can rain within `reach` km of the middle."""
        way = reach + self.longest_way + SQRT6 * self.climate.length
        return way / self.speed + MOST_LIFE * self.climate.life


def rain_fields(
    terrain: Terrain, options: SampleOptions, block_steps: int | None = None
) -> Iterator[tuple[Times, Fields]]:
    """Blocks of (stamps [t], rain float32[t, height, width] in mm per step) from the start to the end of the record."""
    height, width = terrain.grid.shape
    times = options.times
    block = block_steps or max(1, int(BLOCK_BYTES / (4 * height * width)))
    reach = np.hypot(height, width) / 2
    storms = make_storms(options, reach)
    hours = options.step / HOUR
    higher = (terrain.elevation - terrain.elevation[terrain.basin].mean()) / 1000
    enhancement = np.maximum(1 + OROGRAPHY * higher, 0.3).astype(np.float32)
    for first in range(0, len(times), block):
        stamps = times[first : first + block]
        fields = np.zeros((len(stamps), height, width), np.float32)
        for storm in storms:
            around = storm.half_duration(reach)
            if storm.passage + around > first * hours and storm.passage - around < (first + len(stamps)) * hours:
                _paint(fields, first, *_strokes(storm, height, width, hours))
        yield stamps, fields * enhancement


def make_storms(options: SampleOptions, reach: float) -> list[Storm]:
    """All storms of the record that may touch a grid of which no cell is farther than `reach` km from the middle."""
    generator = options.generator("storms")
    duration = float((options.end - options.start).astype(int)) / HOUR + 2 * LEAD
    per_hour = {climate: climate.number / YEAR * _ways_past(climate, reach) for climate in SEASONS}
    fastest = max(per_hour.values()) * (WET_SPELL + DRY_SPELL) / WET_SPELL
    passages = np.sort(generator.uniform(-LEAD, duration - LEAD, generator.poisson(fastest * duration)))
    wet = _is_wet(options, passages, duration)
    months = (options.start + (passages * HOUR).astype("timedelta64[s]")).astype("datetime64[M]").astype(int) % 12
    storms = []
    for passage, is_wet, month, stream in zip(
        passages, wet, months, options.seeds("storms").spawn(len(passages)), strict=True
    ):
        climate = SEASONS[month]
        own = np.random.default_rng(stream)
        if is_wet and own.random() * max(per_hour.values()) < per_hour[climate]:
            storms.append(_storm(own, climate, float(passage), reach, stream.spawn(1)[0]))
    return storms


def _ways_past(climate: Climate, reach: float) -> float:
    """How many storms must pass, at any distance at which they still rain, for one of full strength at every point."""
    return 2 * (reach + WIDEST * climate.width) / (climate.width * np.sqrt(2 * np.pi))


def _is_wet(options: SampleOptions, passages: Floats, duration: float) -> NDArray[np.bool_]:
    """Whether hours lie outside the dry spells; wet and dry spells alternate, their lengths are exponential."""
    generator = options.generator("dry spells")
    pairs = int(4 * duration / (WET_SPELL + DRY_SPELL)) + 20
    lengths = generator.exponential((WET_SPELL, DRY_SPELL), (pairs, 2)).ravel()
    ends = np.cumsum(lengths) - LEAD - generator.uniform(0, WET_SPELL + DRY_SPELL)
    return np.searchsorted(ends, passages) % 2 == 0


def _storm(
    generator: np.random.Generator, climate: Climate, passage: float, reach: float, cells: np.random.SeedSequence
) -> Storm:
    farthest = reach + WIDEST * climate.width
    return Storm(
        climate,
        passage,
        offset=generator.uniform(-farthest, farthest),
        heading=generator.normal(np.pi / 4, 0.6),  # most come from the south-west
        speed=climate.speed * generator.uniform(0.6, 1.4),
        depth=generator.gamma(1.5, climate.depth / 1.5),
        cells=cells,
    )


def _strokes(storm: Storm, height: int, width: int, hours: float) -> Strokes:
    """What every cell of a storm leaves on the ground in every step of `hours`."""
    cell = _cells(storm, height, width)
    birth, death = cell.middle - cell.life / 2, cell.middle + cell.life / 2
    first = np.floor(birth / hours).astype(np.int64)
    count = np.floor(death / hours).astype(np.int64) - first + 1
    which = np.repeat(np.arange(len(count)), count)
    step = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    begin, finish = np.maximum(birth[which], step * hours), np.minimum(death[which], (step + 1) * hours)
    life, speed = cell.life[which], cell.speed[which]
    share = _rained((finish - birth[which]) / life) - _rained((begin - birth[which]) / life)
    cosine, sine = np.cos(cell.heading[which]), -np.sin(cell.heading[which])  # rows run southwards
    travelled = speed * ((begin + finish) / 2 - cell.middle[which])
    long = cell.radius[which] * cell.ratio[which]
    lengthened = long + speed * (finish - begin) / 2
    depth = cell.intensity[which] * life * share * long / lengthened
    return (
        step,
        cell.column[which] + travelled * cosine,
        cell.row[which] + travelled * sine,
        lengthened,
        cell.radius[which],
        cosine,
        sine,
        depth,
    )


def _cells(storm: Storm, height: int, width: int) -> Cells:
    """The rain cells of a storm: those of a wide rectangle around the grid, thinned to the storm's own width."""
    climate, generator = storm.climate, np.random.default_rng(storm.cells)
    high, wide = height + 2 * storm.longest_way, width + 2 * storm.longest_way
    count = generator.poisson(storm.depth * high * wide / climate.cell_volume)
    column, row = generator.uniform(-wide / 2, wide / 2, count), generator.uniform(-high / 2, high / 2, count)
    cosine, sine = np.cos(storm.heading), -np.sin(storm.heading)
    along, across = column * cosine + row * sine, row * cosine - column * sine - storm.offset
    behind = generator.triangular(-SQRT6, 0, SQRT6, count) * climate.length
    kept = generator.random(count) < np.exp(-0.5 * (across / climate.width) ** 2)

    def around_one(spread: float) -> Floats:
        return generator.uniform(1 - spread, 1 + spread, count)[kept]

    size = np.exp(generator.uniform(-SIZE_SPREAD, SIZE_SPREAD, count))[kept]
    return Cells(
        middle=storm.passage + (along - behind)[kept] / storm.speed,
        column=column[kept] + width / 2 - 0.5,
        row=row[kept] + height / 2 - 0.5,
        life=climate.life * around_one(MOST_LIFE - 1),
        speed=storm.speed * around_one(FASTEST - 1),
        heading=storm.heading + generator.normal(0, 0.15, count)[kept],
        radius=climate.radius * size,
        ratio=generator.uniform(1, LONGEST, count)[kept],
        intensity=generator.gamma(2.0, climate.intensity / 2.0, count)[kept] / size,
    )


def _rained(age: Floats) -> Floats:
    """Share of its water that a cell has lost at an age of 0 to 1: its rain swells and fades as a parabola."""
    return age**2 * (3 - 2 * age)


@loop
def _paint(fields, first, step, column, row, long, short, cosine, sine, depth):  # type: ignore[no-untyped-def]
    """Add the ellipses to `fields` [t, height, width], in place; the first of its steps has the number `first`."""
    steps, height, width = fields.shape
    for k in range(len(step)):
        t = step[k] - first
        if t < 0 or t >= steps:
            continue
        down = np.sqrt((long[k] * sine[k]) ** 2 + (short[k] * cosine[k]) ** 2)
        over = np.sqrt((long[k] * cosine[k]) ** 2 + (short[k] * sine[k]) ** 2)
        c, s, a, b = np.float32(cosine[k]), np.float32(sine[k]), np.float32(1 / long[k]), np.float32(1 / short[k])
        x0, y0, amount = np.float32(column[k]), np.float32(row[k]), np.float32(depth[k])
        left, right = max(0, int(np.ceil(column[k] - over))), min(width, int(np.floor(column[k] + over)) + 1)
        for i in range(max(0, int(np.ceil(row[k] - down))), min(height, int(np.floor(row[k] + down)) + 1)):
            y = np.float32(i) - y0
            for j in range(left, right):
                x = np.float32(j) - x0
                near = max(np.float32(0), np.float32(1) - ((x * c + y * s) * a) ** 2 - ((y * c - x * s) * b) ** 2)
                fields[t, i, j] += amount * near * near
