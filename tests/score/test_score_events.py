from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hydrocli.score.events import Segmentation, find_events, season

START = np.datetime64("2019-01-01T00:00:00")


def times(count, step):
    return START + step * np.arange(1, count + 1)


def storm(hours=800, step=3600, peak=300.0, height=50.0):
    """Discharge [m3/s] that rises for 6 h and recedes by half each 20 h, and the rain 12 to 8 h before its peak."""
    stamps = np.arange(1, hours * 3600 // step + 1) * step / 3600
    rise = np.clip(1 - (peak - stamps) / 6, 0, None)
    discharge = 1 + height * np.where(stamps < peak, rise, 0.5 ** ((stamps - peak) / 20))
    quarters = np.arange(1, hours * 4 + 1) / 4
    rain = np.maximum(0, 5 - 2 * np.abs(quarters - (peak - 10))) / 4
    return discharge, rain.reshape(-1, step // 900).sum(axis=1)


def test_an_event_is_dated_by_the_stamps_at_which_its_steps_end():
    """Rain that fells from 10:00 to 11:00 is the value stamped 11:00, and the peak is where the series has it."""
    stamps = times(600, 3600)
    rain, discharge = np.zeros(600), np.ones(600)
    rain[stamps == np.datetime64("2019-01-05T11:00")] = 20
    peak = int(np.flatnonzero(stamps == np.datetime64("2019-01-05T18:00"))[0])
    discharge[peak:] += 30 * 0.9 ** np.arange(600 - peak)
    (event,) = find_events(discharge, rain, 3600)
    assert stamps[event.peak_rain] == np.datetime64("2019-01-05T11:00")
    assert stamps[event.peak_discharge] == np.datetime64("2019-01-05T18:00")
    assert stamps[event.start] == np.datetime64("2019-01-05T10:00")
    assert not event.multipeak


def test_an_event_ends_where_the_two_days_before_the_next_rise_begin():
    """The recession only falls, so the least 48 h are the last, 352 ... 399; they are counted from the hour before."""
    discharge, rain = storm()
    discharge[400:] += 40 * 0.5 ** (np.arange(400) / 20)
    (event,) = find_events(discharge, rain, 3600, Segmentation(max_duration=120))
    assert event.end == 353


@pytest.mark.parametrize("step", [900, 3600, 3 * 3600, 6 * 3600, 86400])
def test_the_same_flood_is_found_with_any_step(step):
    discharge, rain = storm(hours=1200, step=step, peak=360.0)
    stamps = np.arange(1, discharge.size + 1) * step / 3600
    (event,) = find_events(discharge, rain, step)
    assert stamps[event.peak_discharge] == 360
    assert 360 - 24 - step / 3600 <= stamps[event.start] <= 360
    assert 360 + 48 <= stamps[event.end] <= 360 + 240
    assert event.start <= event.peak_rain <= event.peak_discharge


def test_floods_that_overlap_are_one_with_several_peaks():
    first, second, far = storm(1500, peak=300, height=40), storm(1500, peak=340, height=60), storm(1500, peak=900)
    discharge = first[0] + second[0] + far[0] - 2
    rain = first[1] + 2 * second[1] + far[1]
    events = find_events(discharge, rain, 3600, Segmentation(peak_quantile=0.95))
    assert [event.multipeak for event in events] == [True, False]
    assert [event.peak_discharge for event in events] == [339, 899]
    assert [event.peak_rain for event in events] == [329, 889]
    assert events[0].start <= 290
    assert events[0].end < events[1].start


def test_events_never_overlap_and_hold_their_peaks():
    random = np.random.default_rng(8)
    storms = [storm(6000, peak=peak, height=height) for peak, height in random.uniform((200, 10), (5700, 50), (25, 2))]
    discharge, rain = np.sum(storms, axis=0)
    events = find_events(discharge, rain, 3600, Segmentation(peak_quantile=0.9))
    assert len(events) > 5
    assert any(event.multipeak for event in events)
    assert all(before.end < after.start for before, after in pairwise(events))
    assert all(event.start <= event.peak_discharge <= event.end for event in events)
    assert all(discharge[event.peak_discharge] == discharge[event.start : event.end + 1].max() for event in events)


def test_options_choose_the_peaks():
    discharge, rain = storm()
    assert find_events(discharge, rain, 3600, Segmentation(peak_discharge=52)) == []
    assert len(find_events(discharge, rain, 3600, Segmentation(peak_discharge=50))) == 1
    (short,) = find_events(discharge, rain, 3600, Segmentation(max_duration=30))
    assert short.end - short.start <= 30


def test_of_peaks_that_are_not_apart_only_the_highest_counts():
    """Two waves on one crest, 4 h apart, and a second flood 50 h later: a separation makes one peak of the waves."""
    discharge, rain = storm(1500, peak=300, height=40)
    discharge[303] = discharge[299] + 5
    later = storm(1500, peak=350, height=60)
    discharge, rain = discharge + later[0] - 1, rain + later[1]
    (as_it_is,) = find_events(discharge, rain, 3600, Segmentation(peak_quantile=0.95))
    (apart,) = find_events(discharge, rain, 3600, Segmentation(peak_quantile=0.95, separation=12))
    (far,) = find_events(discharge, rain, 3600, Segmentation(peak_quantile=0.95, separation=60))
    assert [(event.peaks, event.multipeak) for event in (as_it_is, apart, far)] == [(3, True), (2, True), (1, False)]
    assert {event.peak_discharge for event in (as_it_is, apart, far)} == {349}


@pytest.mark.parametrize("discharge", [np.full(500, np.nan), np.full(500, 2.0), np.arange(500.0), np.zeros(500), []])
def test_a_gauge_without_a_flood_has_no_events(discharge):
    assert find_events(discharge, np.zeros(np.size(discharge)), 3600) == []


def test_gaps_in_the_discharge():
    discharge, rain = storm()
    (whole,) = find_events(discharge, rain, 3600)
    short_gap = discharge.copy()
    short_gap[310] = np.nan
    (event,) = find_events(short_gap, rain, 3600)
    assert (event.start, event.peak_discharge) == (whole.start, whole.peak_discharge)
    beside_peak = discharge.copy()
    beside_peak[whole.peak_discharge + 1] = np.nan
    assert find_events(beside_peak, rain, 3600) == []
    no_recession = discharge.copy()
    no_recession[320::40] = np.nan
    for series in (no_recession, discharge[:330]):
        (event,) = find_events(series, rain[: series.size], 3600)
        assert event.end == event.peak_discharge == whole.peak_discharge


def test_missing_rain_is_no_water_and_a_flood_without_rain_starts_where_the_search_does():
    discharge, rain = storm()
    holes = np.where(rain > 0, rain, np.nan)
    assert find_events(discharge, holes, 3600) == find_events(discharge, rain, 3600)
    (event,) = find_events(discharge, np.zeros(800), 3600)
    assert event.start == 299 - 72


@pytest.mark.parametrize("step", [900, 3600, 86400])
@pytest.mark.parametrize("peak", [1, 2, 3])
def test_a_peak_at_the_very_start_of_the_record(step, peak):
    discharge = np.ones(3000)
    discharge[peak:] += 9 * 0.7 ** np.arange(3000 - peak)
    (event,) = find_events(discharge, np.ones(3000), step)
    assert 0 <= event.start <= event.peak_discharge == peak <= event.end


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2019-12-01T01:00", "DJF"),
        ("2020-02-29T12:00", "DJF"),
        ("2020-03-01T00:00", "DJF"),
        ("2020-03-01T01:00", "MAM"),
        ("2020-06-15T00:00", "JJA"),
        ("2020-09-01T06:00", "SON"),
        ("2020-12-01T00:00", "SON"),
    ],
)
def test_a_season_is_that_of_the_step_that_ends_at_the_stamp(stamp, expected):
    assert season(np.datetime64(stamp, "s")) == expected


OPTIONS = [
    Segmentation(),
    Segmentation(peak_quantile=0.97),
    Segmentation(peak_quantile=0.9, max_duration=120),
    Segmentation(peak_quantile=0.0, peak_discharge=5.0, max_duration=200),
]


@pytest.mark.peer
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: f"{options.peak_quantile}-{options.max_duration}")
@pytest.mark.parametrize("by", ["obs", "sim"])
def test_events_on_cance_are_those_of_smash_one_step_later(peer, options, by):
    """It dates index i with start + i dt, but its series begin at start + dt: every date is one step early."""
    asked = {
        "peak_quant": options.peak_quantile,
        "peak_value": options.peak_discharge,
        "max_duration": options.max_duration,
    }
    table = peer.call(peer.smash.hydrograph_segmentation, peer.model, by=by, **asked)
    for code, discharge, rain in zip(
        peer.codes, peer.observed if by == "obs" else peer.simulated, peer.rain, strict=True
    ):
        theirs = table[table["code"] == code]
        stamps = theirs[["start", "end", "flood", "maxrainfall"]].to_numpy().astype("datetime64[s]") + peer.step
        ours = find_events(discharge, rain, peer.step, options)
        assert [(e.start, e.end, e.peak_discharge, e.peak_rain) for e in ours] == [
            tuple(np.searchsorted(peer.times, row).tolist()) for row in stamps
        ]
        assert [event.multipeak for event in ours] == theirs["multipeak"].tolist()


@pytest.mark.peer
def test_our_date_of_the_flood_of_november_2014_is_that_of_the_gauge_file(peer):
    """The file has one value a line after the date of the first, so the largest value dates itself."""
    from smash.factory import dataset

    (path,) = Path(dataset.__path__[0], "Cance").rglob("*V3524010*.csv")
    first, *values = path.read_text().split()
    begin = np.datetime64(f"{first[:4]}-{first[4:6]}-{first[6:8]}T{first[8:10]}:{first[10:]}", "s")
    stamps = begin + peer.step * np.arange(len(values))
    inside = (stamps >= peer.times[0]) & (stamps <= peer.times[-1])
    largest = stamps[inside][np.argmax(np.array(values, dtype=float)[inside])]
    gauge = peer.codes.index("V3524010")
    (event,) = find_events(peer.observed[gauge], peer.rain[gauge], peer.step)
    table = peer.call(peer.smash.hydrograph_segmentation, peer.model, gauge="V3524010")
    assert peer.times[event.peak_discharge] == largest
    assert table["flood"].to_numpy()[0] == largest - np.timedelta64(1, "h")
