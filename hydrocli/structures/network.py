"""The flux network over a strip of cells: dense layers as loops over units, each of which is one SIMD pass over cells.

The weights of all layers lie in one vector, layer by layer: matrix [outputs, inputs] by rows, then biases [outputs].
Hidden layers have SiLU or LeakyReLU, the last one tanh (P1 2.2.3, P2 2.3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import loop, reduction
from hydrocli.structures.rows import STRIP
from hydrocli.water.flux_correction import (
    correction,
    correction_adjoint,
    leaky_relu,
    leaky_relu_adjoint,
    silu,
    silu_adjoint,
)

SILU, LEAKY_RELU = 0, 1
ACTIVATIONS = {"silu": SILU, "leaky_relu": LEAKY_RELU}


class Network(NamedTuple):
    """A network and rows to work in, for one thread.

    weights: [w], the scale of the inputs included. widths: int64[layers + 1], units from the inputs to the outputs.
    activation: SILU or LEAKY_RELU. values, slopes, bars: [layers + 1, widest, STRIP], what each layer gives (the first
    are the inputs), derivatives of its activations, bars. tangents: [2, layers + 1, widest, STRIP], derivatives by the
    first two inputs. products: [2, units of the second layer, of the first], weights of both layers multiplied, for
    these derivatives.
    """

    weights: NDArray[np.floating]
    widths: NDArray[np.int64]
    activation: int
    values: NDArray[np.floating]
    slopes: NDArray[np.floating]
    bars: NDArray[np.floating]
    tangents: NDArray[np.floating]
    products: NDArray[np.floating]


def network_of(
    widths: NDArray[np.int64], activation: str, weights: NDArray[np.floating], real: type, tangents: bool = False
) -> Network:
    """A network with empty rows; those of the tangents only where they are wanted."""
    shape = (len(widths), int(widths.max()), STRIP)
    rows: NDArray[np.floating] = np.zeros((3, *shape), real)
    by_inputs: NDArray[np.floating] = np.zeros((2, *shape) if tangents else (0, 0, 0, 0), real)
    products: NDArray[np.floating] = np.zeros((0, 0, 0), real)
    if tangents:
        inputs, hidden, above = (int(width) for width in widths[:3])
        first = weights[: hidden * inputs].reshape(hidden, inputs)[:, :2]
        second = weights[hidden * (inputs + 1) :][: above * hidden].reshape(above, hidden)
        products = np.ascontiguousarray(second * first.T[:, np.newaxis], real)
    return Network(weights, widths, ACTIVATIONS[activation], rows[0], rows[1], rows[2], by_inputs, products)


@loop
def _weighted_sum(values, weights, bias, inputs, out, n):
    """out = bias + sum of weights[i] values[i]; four inputs in a pass."""
    whole = inputs - inputs % 4
    if whole == 0:
        out[:n] = bias
    for i in range(0, whole, 4):
        v0, v1, v2, v3 = values[i], values[i + 1], values[i + 2], values[i + 3]
        w0, w1, w2, w3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        if i == 0:
            for c in range(n):
                out[c] = (bias + w0 * v0[c]) + w1 * v1[c] + (w2 * v2[c] + w3 * v3[c])
        else:
            for c in range(n):
                out[c] += (w0 * v0[c] + w1 * v1[c]) + (w2 * v2[c] + w3 * v3[c])
    for i in range(whole, inputs):
        v0, w0 = values[i], weights[i]
        for c in range(n):
            out[c] += w0 * v0[c]


@loop
def _activate(z, activation, n):
    if activation == SILU:
        for c in range(n):
            z[c] = silu(z[c])
    else:
        for c in range(n):
            z[c] = leaky_relu(z[c])


@loop
def _activate_with_slopes(z, slope, activation, n):
    one = z.dtype.type(1)
    if activation == SILU:
        for c in range(n):
            slope[c], z[c] = silu_adjoint(z[c], one), silu(z[c])
    else:
        for c in range(n):
            slope[c], z[c] = leaky_relu_adjoint(z[c], one), leaky_relu(z[c])


@loop
def _correct(z, n):
    for c in range(n):
        z[c] = correction(z[c])


@loop
def _correct_with_slopes(z, slope, n):
    one = z.dtype.type(1)
    for c in range(n):
        slope[c], z[c] = correction_adjoint(z[c], one), correction(z[c])


@loop
def network(net, n, with_slopes):
    """Fill values[1:] of a `Network` from the inputs values[0] of n cells; with_slopes: slopes[1:] too."""
    weights, widths, values, slopes = net.weights, net.widths, net.values, net.slopes
    at = 0
    last = widths.size - 1
    for layer in range(last):
        inputs, outputs = widths[layer], widths[layer + 1]
        for j in range(outputs):
            row = at + j * inputs
            z, slope = values[layer + 1, j], slopes[layer + 1, j]
            _weighted_sum(values[layer], weights[row : row + inputs], weights[at + outputs * inputs + j], inputs, z, n)
            if layer + 1 < last:
                if with_slopes:
                    _activate_with_slopes(z, slope, net.activation, n)
                else:
                    _activate(z, net.activation, n)
            elif with_slopes:
                _correct_with_slopes(z, slope, n)
            else:
                _correct(z, n)
        at += outputs * (inputs + 1)


@reduction
def _through_slope(bar, slope, n):
    """bar *= slope; returns its sum, the bar of the bias."""
    total = bar.dtype.type(0)
    for c in range(n):
        bar[c] *= slope[c]
        total += bar[c]
    return total


@reduction
def _back_one(value, b0, w0, bar, n):
    """bar += w0 b0; returns the sum of b0 value, the bar of w0."""
    s0 = bar.dtype.type(0)
    for c in range(n):
        s0 += b0[c] * value[c]
        bar[c] += w0 * b0[c]
    return s0


@reduction
def _back_four(value, b0, b1, b2, b3, w0, w1, w2, w3, bar, n):
    """The same for four units of the layer above at once."""
    s0 = s1 = s2 = s3 = bar.dtype.type(0)
    for c in range(n):
        v, x0, x1, x2, x3 = value[c], b0[c], b1[c], b2[c], b3[c]
        s0 += x0 * v
        s1 += x1 * v
        s2 += x2 * v
        s3 += x3 * v
        bar[c] += (w0 * x0 + w1 * x1) + (w2 * x2 + w3 * x3)
    return s0, s1, s2, s3


@loop
def network_adjoint(net, weights_bar, n):
    """Transpose of `network` with slopes: from bars[-1] (of f) to bars[0] (of the inputs); weights_bar is summed."""
    weights, widths, values, slopes, bars = net.weights, net.widths, net.values, net.slopes, net.bars
    at = weights.size
    for layer in range(widths.size - 2, -1, -1):
        inputs, outputs = widths[layer], widths[layer + 1]
        at -= outputs * (inputs + 1)
        for j in range(outputs):
            weights_bar[at + outputs * inputs + j] += _through_slope(bars[layer + 1, j], slopes[layer + 1, j], n)
        for i in range(inputs):
            bar = bars[layer, i]
            for c in range(n):
                bar[c] = 0
            _back(weights, weights_bar, at + i, inputs, outputs, values[layer, i], bars[layer + 1], bar, n)


@loop
def _back(weights, weights_bar, first, inputs, outputs, value, bars, bar, n):
    """One input of a layer: its bar from all units above, and the bars of their weights."""
    whole = outputs - outputs % 4
    for j in range(0, whole, 4):
        w = first + j * inputs
        s0, s1, s2, s3 = _back_four(
            value, bars[j], bars[j + 1], bars[j + 2], bars[j + 3],
            weights[w], weights[w + inputs], weights[w + 2 * inputs], weights[w + 3 * inputs], bar, n,
        )  # fmt: skip
        weights_bar[w] += s0
        weights_bar[w + inputs] += s1
        weights_bar[w + 2 * inputs] += s2
        weights_bar[w + 3 * inputs] += s3
    for j in range(whole, outputs):
        w = first + j * inputs
        weights_bar[w] += _back_one(value, bars[j], weights[w], bar, n)


@loop
def _scale(factor, row, n):
    for c in range(n):
        row[c] *= factor[c]


@loop
def network_tangent(net, direction, n):
    """Derivative of f by input `direction`, 0 or 1, in tangents[direction, -1], from the slopes of `network`."""
    weights, widths, slopes, tangents = net.weights, net.widths, net.slopes, net.tangents[direction]
    at = widths[1] * (widths[0] + 1)
    zero = slopes.dtype.type(0)
    for layer in range(1, widths.size - 1):
        inputs, outputs = widths[layer], widths[layer + 1]
        for j in range(outputs):
            row = at + j * inputs
            t = tangents[layer + 1, j]
            if layer == 1:
                _weighted_sum(slopes[1], net.products[direction, j], zero, inputs, t, n)
            else:
                _weighted_sum(tangents[layer], weights[row : row + inputs], zero, inputs, t, n)
            _scale(slopes[layer + 1, j], t, n)
        at += outputs * (inputs + 1)
