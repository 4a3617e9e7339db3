"""A long short-term memory network (LSTM) from rain and PET to discharge (Hochreiter & Schmidhuber 1997).

    u = [ln(1 + P / p0), E / e0]                          inputs of a step; the network is causal
    z = W u + S a + R h(t-1) + b                          rows of the gates i, f, o and of the candidate g
    i, f, o = sigmoid(z_i, z_f, z_o)     g = tanh(z_g)
    c(t) = f c(t-1) + i g                h(t) = o tanh(c(t))           0 before the first step
    Q(t) = ln(1 + exp(v h(t) + d)) s A                    above 0

| symbol | meaning | unit |
|---|---|---|
| P, E | mean rain and potential evapotranspiration of the catchment | mm/step |
| p0, e0 | standard deviations of both in the calibration period, over all calibration gauges | mm/step |
| a | attributes of the catchment, 0 to 1 between the calibration gauges: ln area, means of descriptors | - |
| h, c | output and state of the units | - |
| W, S, R, b, v, d | weights: of the inputs, of the attributes, recurrent, biases, of the discharge | - |
| s | scale of the discharge per area | mm/step |
| A | area of the catchment, in the unit that gives m3/s | m3/s per mm/step |

Attributes are seen by a regional LSTM of two gauges or more; those of other gauges are held between 0 and 1. Weights
start uniform in +-1/sqrt(units), biases at 0, that of f at 3 (Gers et al. 2000: remember at first), d at the mean
discharge.

Both loops are SIMD over the 4 x hidden rows of the gates, which are contiguous in memory: as fast for one gauge as for
many. Gauges are shared among threads, and their bars are summed in the order of the gauges. The reverse loop needs all
states: those at the start of every segment of sqrt(t) steps are kept, the others are computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import isqrt
from typing import NamedTuple, TypeVar

import numpy as np

from hydrocli.arrays import Floats, Indices
from hydrocli.baselines.baseline import Arrays, Baseline, Catchments, Observations, flow_scale, size_of
from hydrocli.jit import kernel, loop, reduction
from hydrocli.water.flux_correction import correction as tanh
from hydrocli.water.vector_math import exp

T = TypeVar("T")
INPUTS, AREA = ("precipitation", "pet"), "log_area"
REMEMBER = 3.0
"""First bias of the gate f."""
PARTS = 6
"""Rows of units that a step keeps for the reverse loop: four gates, c and h."""


@kernel
def sigmoid(z):
    """1 / (1 + e^-z)."""
    return 1.0 / (1.0 + exp(-z))


@reduction
def _dot(row, d, n):
    total = 0.0
    for j in range(n):
        total += row[j] * d[j]
    return total


@reduction
def _four_rows_adjoint(rows, x, d, rows_bar, x_bar):
    """The transpose of x rows for four rows: their bars are added to, those of x are set."""
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    w0, w1, w2, w3 = rows[0], rows[1], rows[2], rows[3]
    b0, b1, b2, b3 = rows_bar[0], rows_bar[1], rows_bar[2], rows_bar[3]
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    for j in range(d.size):
        b0[j] += x0 * d[j]
        b1[j] += x1 * d[j]
        b2[j] += x2 * d[j]
        b3[j] += x3 * d[j]
        s0 += w0[j] * d[j]
        s1 += w1[j] * d[j]
        s2 += w2[j] * d[j]
        s3 += w3[j] * d[j]
    x_bar[0], x_bar[1], x_bar[2], x_bar[3] = s0, s1, s2, s3


@loop
def _step(w, u, base, h, c, z, h_new, c_new):
    """One step of one gauge: w [inputs + hidden, 4 hidden], u [inputs], base [4 hidden] = S a + b; z are the gates."""
    hidden, n, inputs = h.size, base.size, u.size
    for j in range(n):
        z[j] = base[j]
    for k in range(inputs):
        x, row = u[k], w[k]
        for j in range(n):
            z[j] += x * row[j]
    whole = hidden - hidden % 4
    for k in range(0, whole, 4):
        x0, x1, x2, x3 = h[k], h[k + 1], h[k + 2], h[k + 3]
        w0, w1, w2, w3 = w[inputs + k], w[inputs + k + 1], w[inputs + k + 2], w[inputs + k + 3]
        for j in range(n):
            z[j] += (x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j])
    for k in range(whole, hidden):
        x, row = h[k], w[inputs + k]
        for j in range(n):
            z[j] += x * row[j]
    for j in range(3 * hidden):
        z[j] = sigmoid(z[j])
    for j in range(3 * hidden, n):
        z[j] = tanh(z[j])
    for j in range(hidden):
        c_new[j] = z[hidden + j] * c[j] + z[j] * z[3 * hidden + j]
    for j in range(hidden):
        h_new[j] = z[2 * hidden + j] * tanh(c_new[j])


@loop
def _step_adjoint(w, u, h, c, z, c_new, d, h_bar, c_bar, w_bar, base_bar):
    """The transpose: bars of h and c of after the step become those of before it; others are added to.

    d [4 hidden] is filled with the bars of the gates before their activation.
    """
    hidden, n, inputs = h.size, d.size, u.size
    for j in range(hidden):
        # h = o tanh(c)
        t = tanh(c_new[j])
        i, f, o, g = z[j], z[hidden + j], z[2 * hidden + j], z[3 * hidden + j]
        d[2 * hidden + j] = h_bar[j] * t * o * (1.0 - o)
        c_new_bar = c_bar[j] + h_bar[j] * o * (1.0 - t * t)
        # c = f c + i g
        d[j] = c_new_bar * g * i * (1.0 - i)
        d[hidden + j] = c_new_bar * c[j] * f * (1.0 - f)
        d[3 * hidden + j] = c_new_bar * i * (1.0 - g * g)
        c_bar[j] = c_new_bar * f
    # z = W u + base + R h
    for j in range(n):
        base_bar[j] += d[j]
    for k in range(inputs):
        x, row_bar = u[k], w_bar[k]
        for j in range(n):
            row_bar[j] += x * d[j]
    whole = hidden - hidden % 4
    for k in range(0, whole, 4):
        at = inputs + k
        _four_rows_adjoint(w[at : at + 4], h[k : k + 4], d, w_bar[at : at + 4], h_bar[k : k + 4])
    for k in range(whole, hidden):
        x, row_bar = h[k], w_bar[inputs + k]
        for j in range(n):
            row_bar[j] += x * d[j]
        h_bar[k] = _dot(w[inputs + k], d, n)


@loop
def forward(w, base, v, u, state, z, marks, segment, out):
    """All steps of one gauge: out [t] = v h.

    Args:
        w: [inputs + hidden, 4 hidden]. base: [4 hidden]. v: [hidden]. u: [t, inputs].
        state: [2, 2, hidden], to work in; state[0] is (h, c) before the first step.
        z: [4 hidden], to work in.
        marks: [segments, 2, hidden], filled with (h, c) before every `segment` steps.
        segment: steps.
        out: [t], filled.
    """
    hidden = v.size
    for t in range(u.shape[0]):
        old, new = state[t % 2], state[(t + 1) % 2]
        if t % segment == 0:
            mark = marks[t // segment]
            for j in range(hidden):
                mark[0, j], mark[1, j] = old[0, j], old[1, j]
        _step(w, u[t], base, old[0], old[1], z, new[0], new[1])
        out[t] = _dot(v, new[0], hidden)


@loop
def reverse(w, base, v, u, marks, segment, tape, out_bar, state_bar, w_bar, base_bar, v_bar):
    """The transpose of `forward`, segment by segment from the last one.

    Args:
        w, base, v, u, marks, segment: as `forward` had and filled them.
        tape: [segment + 2, 6 hidden], to work in: gates, c and h of the steps of a segment; bars of the gates.
        out_bar: [t].
        state_bar: [2, hidden], 0 at first; at the end bars of (h, c) before the first step.
        w_bar, base_bar, v_bar: added to.
    """
    hidden, steps = v.size, u.shape[0]
    n = 4 * hidden
    d = tape[segment + 1, :n]
    for number in range(marks.shape[0] - 1, -1, -1):
        first = number * segment
        count = min(segment, steps - first)
        for j in range(hidden):
            tape[0, n + hidden + j], tape[0, n + j] = marks[number, 0, j], marks[number, 1, j]
        for s in range(count):
            old, new = tape[s], tape[s + 1]
            _step(w, u[first + s], base, old[n + hidden :], old[n : n + hidden], new[:n], new[n + hidden :],
                  new[n : n + hidden])  # fmt: skip
        for s in range(count - 1, -1, -1):
            old, new, x = tape[s], tape[s + 1], out_bar[first + s]
            for j in range(hidden):
                v_bar[j] += x * new[n + hidden + j]
                state_bar[0, j] += x * v[j]
            _step_adjoint(w, u[first + s], old[n + hidden :], old[n : n + hidden], new[:n], new[n : n + hidden],
                          d, state_bar[0], state_bar[1], w_bar, base_bar)  # fmt: skip


def names_of(baseline: Baseline, gauges: int) -> tuple[str, ...]:
    """Attributes that it sees."""
    return (AREA, *baseline.attributes) if baseline.is_regional and gauges > 1 else ()


def first(baseline: Baseline, seen: Observations, seed: int) -> tuple[dict[str, Floats], Floats]:
    """Scales of the inputs and a first guess of the weights. See `baseline.Kind`."""
    catchments, scale, hidden = seen.catchments, flow_scale(baseline, seen), baseline.hidden
    attributes = _attributes(catchments, names_of(baseline, len(catchments.codes)))
    rain, pet = (values[:, seen.scored] for values in (catchments.rain, catchments.pet))
    arrays = {
        "flow": scale,
        "scale": np.array([float(np.std(values)) or 1.0 for values in (rain, pet)]),
        "lowest": attributes.min(axis=1, initial=np.inf),
        "highest": attributes.max(axis=1, initial=-np.inf),
    }
    depth = seen.depth / scale[baseline.owners(catchments.codes, catchments.codes)][:, np.newaxis]
    means = [np.nanmean(depth)] if baseline.is_regional else [float(np.nanmean(one)) for one in depth]
    width, random, parts = 1.0 / np.sqrt(hidden), np.random.default_rng(seed), list[Floats]()
    for mean in means:
        for name, shape in blocks(baseline, arrays).items():
            values = random.uniform(-width, width, shape)
            if name == "bias":
                values = np.repeat([0.0, REMEMBER, 0.0, 0.0], hidden)
            if name == "bias_of_discharge":
                values = np.log(np.expm1(np.array([max(float(mean), 1e-3)])))
            parts.append(values.ravel())
    return arrays, np.concatenate(parts)


def _attributes(catchments: Catchments, names: Sequence[str]) -> Floats:
    """Attributes [s, g] as they are."""
    known = {**catchments.attributes, AREA: np.log(catchments.area)}
    return np.array([known[name] for name in names]).reshape(len(names), len(catchments.codes))


def blocks(baseline: Baseline, arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """See `baseline.Kind`."""
    gates, attributes = 4 * baseline.hidden, len(arrays["lowest"])
    rows = {"input": len(INPUTS), "recurrent": baseline.hidden, "attribute": attributes}
    shapes: dict[str, tuple[int, ...]] = {name: (number, gates) for name, number in rows.items()}
    return shapes | {"bias": (gates,), "discharge": (baseline.hidden,), "bias_of_discharge": (1,)}


def model(baseline: Baseline, catchments: Catchments, arrays: Arrays, owners: Indices, threads: int = 1) -> Lstm:
    """See `baseline.Kind`."""
    return Lstm(baseline, catchments, arrays, owners, threads)


class Sets(NamedTuple):
    """Weights of one set, as the loops take them: views of one vector."""

    w: Floats
    attribute: Floats
    bias: Floats
    v: Floats
    d: Floats


class Trace(NamedTuple):
    """What the reverse loop needs of a run.

    out: v h + d [g, t]. marks: (h, c) before every segment [g, segments, 2, hidden]. begin: first step.
    """

    out: Floats
    marks: Floats
    begin: int


class Lstm:
    """The network on some catchments; see `baseline.Model`.

    Args:
        baseline: its options.
        catchments: g of them.
        arrays: of `first`.
        owners: set of weights of each gauge [g]; -1: none.
        threads: that share the gauges.
        segment: steps between the states that are kept; 0: the root of the number of steps.
    """

    def __init__(
        self, baseline: Baseline, catchments: Catchments, arrays: Arrays, owners: Indices, threads: int = 1,
        segment: int = 0,
    ) -> None:  # fmt: skip
        self._hidden, self._owners, self._threads = baseline.hidden, owners, threads
        self._shapes = blocks(baseline, arrays)
        self._size = size_of(self._shapes)
        rain, pet = arrays["scale"]
        self._inputs = np.ascontiguousarray(np.stack([np.log1p(catchments.rain / rain), catchments.pet / pet], axis=2))
        self._steps = self._inputs.shape[1]
        self._segment = segment or max(1, isqrt(self._steps))
        names = names_of(baseline, 2 if len(arrays["lowest"]) else 1)
        span = (arrays["highest"] - arrays["lowest"])[:, np.newaxis]
        moved = _attributes(catchments, names) - arrays["lowest"][:, np.newaxis]
        self._attributes = np.clip(np.divide(moved, span, out=np.zeros_like(moved), where=span > 0), 0.0, 1.0)
        self._scale = arrays["flow"][owners] * catchments.cubic_metres

    def run(self, weights: Floats) -> tuple[Floats, Trace]:
        """Discharge [g, t] [m3/s]; and what `pull_back` needs."""
        return self._run(weights, 0, self._steps, np.zeros((len(self._owners), 2, self._hidden)))

    def run_part(self, weights: Floats, whole: Trace, first: int, end: int) -> tuple[Floats, Trace]:
        """Discharge [g, end - begin] of some steps, from a state that a whole run has kept.

        Args:
            weights: [m], of this part.
            whole: of the run that gives the state at the beginning, with weights of its own.
            first: a step; the part begins there, or less than a segment before.
            end: step after the last one.
        """
        number = first // self._segment
        return self._run(weights, number * self._segment, end, whole.marks[:, number])

    def _run(self, weights: Floats, begin: int, end: int, before: Floats) -> tuple[Floats, Trace]:
        """Discharge of steps from the states [g, 2, hidden] before them."""
        sets, hidden = self._sets(weights), self._hidden
        marks = np.zeros((len(self._owners), -(-(end - begin) // self._segment), 2, hidden))
        out = np.full((len(self._owners), end - begin), np.nan)

        def one(g: int) -> None:
            own = sets[self._owners[g]]
            base = own.bias + self._attributes[:, g] @ own.attribute
            state, z = np.stack([before[g], before[g]]), np.zeros(4 * hidden)
            forward(own.w, base, own.v, self._inputs[g, begin:end], state, z, marks[g], self._segment, out[g])
            out[g] += own.d

        self._each(one)
        discharge, has_weights = np.full(out.shape, np.nan), self._owners >= 0
        discharge[has_weights] = np.logaddexp(0.0, out[has_weights]) * self._scale[has_weights, np.newaxis]
        return discharge, Trace(out, marks, begin)

    def pull_back(self, weights: Floats, trace: Trace, discharge_bar: Floats) -> Floats:
        """See `baseline.Model`; of a part the state at its beginning counts as given."""
        sets, hidden, (out, marks, begin) = self._sets(weights), self._hidden, trace
        inputs = self._inputs[:, begin : begin + out.shape[1]]

        def one(g: int) -> tuple[int, Sets]:
            own = sets[self._owners[g]]
            base = own.bias + self._attributes[:, g] @ own.attribute
            out_bar = discharge_bar[g] * self._scale[g] * np.exp(-np.logaddexp(0.0, -out[g]))
            tape = np.zeros((self._segment + 2, PARTS * hidden))
            w_bar, base_bar, v_bar = np.zeros_like(own.w), np.zeros(4 * hidden), np.zeros(hidden)
            reverse(own.w, base, own.v, inputs[g], marks[g], self._segment, tape, out_bar,
                    np.zeros((2, hidden)), w_bar, base_bar, v_bar)  # fmt: skip
            attribute_bar = np.outer(self._attributes[:, g], base_bar)
            return int(self._owners[g]), Sets(w_bar, attribute_bar, base_bar, v_bar, out_bar.sum(keepdims=True))

        total = np.zeros_like(weights)
        bars = self._sets(total)
        for owner, found in self._each(one):
            for bar, part in zip(bars[owner], found, strict=True):
                bar += part
        return total

    def _sets(self, weights: Floats) -> list[Sets]:
        """Views of the sets in a vector of weights [m]; W and R lie one below the other."""
        sets = []
        for vector in weights.reshape(-1, self._size):
            parts, at = list[Floats](), 0
            for shape in self._shapes.values():
                size = int(np.prod(shape))
                parts.append(vector[at : at + size].reshape(shape))
                at += size
            rows, gates = len(INPUTS) + self._hidden, 4 * self._hidden
            sets.append(Sets(vector[: rows * gates].reshape(rows, gates), *parts[2:]))
        return sets

    def _each(self, one: Callable[[int], T]) -> list[T]:
        """What a function gives for every gauge that has weights, in their order."""
        gauges = np.flatnonzero(self._owners >= 0).tolist()
        threads = min(self._threads, len(gauges))
        if threads <= 1:
            return [one(g) for g in gauges]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, gauges))
