"""Properties of the time-skewed order, on random basins of all shapes."""

from __future__ import annotations

import numpy as np
import pytest
from model_harness import forest

from hydrocli.engine import order as order_module
from hydrocli.engine.order import order_forcing, wavefront_order
from hydrocli.jit import VECTOR

SHAPES = (
    ("tree", 90, 40, 2048),
    ("tree", 400, 7, 32),  # fewer steps than levels
    ("tree", 400, 300, 64),
    ("wide", 500, 25, 32),  # levels wider than chunks
    ("wide", 300, 1, 48),
    ("chain", 70, 5, 16),
    ("chain", 40, 90, 2048),
    ("tree", 1, 6, 2048),  # one cell
    ("tree", 2, 1, 2048),
)


@pytest.fixture(params=SHAPES, ids=str)
def order(request, monkeypatch):
    """Skew, downstream and level of one basin."""
    kind, cells, steps, chunk = request.param
    monkeypatch.setattr(order_module, "CHUNK", chunk)
    downstream, level = forest(cells, np.random.default_rng(cells + steps), kind)
    return wavefront_order(downstream, level, steps), downstream, level


def chunk_of(order, slots):
    """Chunk of each slot, in whichever block it lies."""
    borders = order.borders
    block = (slots >= order.n_headwater).astype(int)
    return np.array([np.searchsorted(borders[b, 1:-1], s, "right") for b, s in zip(block, slots, strict=True)], int)


def test_slots_hold_every_cell_once_by_level_in_two_padded_blocks(order):
    order, downstream, level = order
    assert order.slots % VECTOR == order.n_headwater % VECTOR == 0
    np.testing.assert_array_equal(np.sort(order.cell[order.cell >= 0]), np.arange(len(level)))
    np.testing.assert_array_equal(order.cell[order.slot], np.arange(len(level)))
    np.testing.assert_array_equal(order.level[order.slot], level)
    assert (np.diff(order.level[: order.n_headwater]) >= 0).all()
    assert (np.diff(order.level[order.n_headwater :]) >= 0).all()
    is_routed = np.isin(np.arange(len(level)), downstream)
    np.testing.assert_array_equal(order.slot >= order.n_headwater, is_routed)


def test_edges_are_those_of_the_basin(order):
    order, downstream, _ = order
    expected = np.where(downstream >= 0, order.slot[downstream], order.slots)
    np.testing.assert_array_equal(order.downstream[order.slot], expected)
    idle = order.cell < 0
    assert (order.downstream[idle] == order.slots).all()
    first, start, into, further = order.upstream
    assert start[0] == 0
    assert start[-1] == len(into) == len(further)
    for routed in range(order.slots - order.n_headwater):
        others = slice(start[routed], start[routed + 1])
        assert (into[others] == routed).all()
        found = [first[routed], *further[others]] if order.cell[order.n_headwater + routed] >= 0 else []
        cell = order.cell[order.n_headwater + routed]
        expected = order.slot[downstream == cell] if cell >= 0 else []
        np.testing.assert_array_equal(np.sort(found), np.sort(expected))


def test_windows_compute_every_step_of_every_slot_once_and_upstream_the_wave_before(order):
    order, downstream, level = order
    computed = np.full((order.slots, order.steps), -1)
    for wave in range(order.waves):
        for block in range(2):
            low, high = order.low[block, wave], order.high[block, wave]
            first, last = order.active_low[block, wave], order.active_high[block, wave]
            assert low % VECTOR == high % VECTOR == 0
            assert (low <= first < last <= high) if low < high else first == last
            assert (low > first - VECTOR and high < last + VECTOR) or low == high
            for s in range(first, last):
                t = wave - order.level[s]
                assert 0 <= t < order.steps
                assert computed[s, t] == -1
                computed[s, t] = wave
    assert (computed >= 0).all()
    assert order.waves == order.steps + level.max(initial=0)
    upper = np.flatnonzero(downstream >= 0)
    np.testing.assert_array_equal(computed[order.slot[upper]] + 1, computed[order.slot[downstream[upper]]])


def test_ragged_forcing_has_one_place_for_every_slot_and_step(order):
    order, _, level = order
    places = np.concatenate(
        [
            np.arange(order.offset[block, wave], order.offset[block, wave] + high - low)
            for wave in range(order.waves)
            for block, (low, high) in enumerate(zip(order.low[:, wave], order.high[:, wave], strict=True))
        ]
    )
    np.testing.assert_array_equal(places, np.arange(order.forcing_size))
    net = np.random.default_rng(0).normal(size=(order.steps, len(level))).astype(np.float32)
    out = np.zeros(order.forcing_size, np.float32)
    half = order.steps // 2
    assert order.forcing_size >= order.steps * order.slots
    for first, part in ((0, net[:half]), (half, net[half:])):
        order_forcing(part, first, order, out)
    for s in range(order.slots):
        block, waves = int(s >= order.n_headwater), order.level[s] + np.arange(order.steps)
        place = order.offset[block, waves] + s - order.low[block, waves]
        found = out[place]
        out[place] = 0
        np.testing.assert_array_equal(found, net[:, order.cell[s]] if order.cell[s] >= 0 else np.zeros(order.steps))
    assert not out.any()


def test_chunks_cover_all_slots_in_whole_vectors_and_follow_the_water(order):
    order, downstream, _ = order
    assert (order.borders % VECTOR == 0).all()
    assert (np.diff(order.borders, axis=1) >= 0).all()
    assert order.borders[0, 0] == 0
    assert order.borders[0, -1] == order.borders[1, 0] == order.n_headwater
    assert order.borders[1, -1] == order.slots
    upper = np.flatnonzero(downstream >= 0)
    assert (chunk_of(order, order.slot[upper]) <= chunk_of(order, order.slot[downstream[upper]])).all()


def test_some_shapes_have_several_chunks(monkeypatch):
    """Else the property above would say nothing."""
    monkeypatch.setattr(order_module, "CHUNK", 32)
    downstream, level = forest(500, np.random.default_rng(0), "wide")
    assert wavefront_order(downstream, level, 10).chunks > 8


def test_spread_puts_cells_at_their_slots(order):
    order, _, level = order
    spread = order.spread(np.arange(2.0 * len(level)).reshape(2, -1), -1.0)
    np.testing.assert_array_equal(spread[:, order.slot], np.arange(2.0 * len(level)).reshape(2, -1))
    assert (spread[:, order.cell < 0] == -1.0).all()
