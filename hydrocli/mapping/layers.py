"""Layers of a network that is applied in every cell: x <- a(W g(x) + b), without a in the last layer.

g gathers the input of a layer: the units of the cell itself, or those of its `Neighbourhood`. The activation a is ReLU,
SiLU x / (1 + exp(-x)) or tanh. Weights W start uniform in [-limit, limit], limit = sqrt(6 / (fan_in + fan_out))
(glorot: Glorot & Bengio 2010) or sqrt(6 / fan_in) (he: He et al. 2015), where fan counts units times cells of the
neighbourhood. Biases b start at zero, and so do the weights of the last layer: in every cell the network then returns
its last bias, a uniform map.

A neighbourhood has size x size cells (size odd), counted row by row from the north-west. No raster is laid out: cells
outside the basin and outside the grid read as zero ("same" padding, and a mask before every convolution).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.mapping.bounds import sigmoid, sigmoid_derivative
from hydrocli.mapping.mapping import WeightIndex


class Activation(NamedTuple):
    """A function and its derivative, both of what comes in."""

    value: Callable[[Floats], Floats]
    derivative: Callable[[Floats], Floats]


ACTIVATIONS = {
    "relu": Activation(lambda x: np.where(x.real > 0, x, 0.0), lambda x: (x > 0).astype(np.float64)),
    "silu": Activation(lambda x: x * sigmoid(x), lambda x: sigmoid(x) + x * sigmoid_derivative(x)),
    "tanh": Activation(np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
}


@dataclass(frozen=True)
class Layers:
    """The form of a network of some layers.

    Attributes:
        units: from the inputs to the outputs, one more than layers.
        neighbourhoods: what each layer reads; None: the cell itself.
        activation: of `ACTIVATIONS`.
    """

    units: tuple[int, ...]
    neighbourhoods: tuple[Neighbourhood | None, ...]
    activation: str

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Outputs, inputs and cells of the neighbourhood of every layer."""
        cells = [neighbourhood.size if neighbourhood else 1 for neighbourhood in self.neighbourhoods]
        return list(zip(self.units[1:], self.units[:-1], cells, strict=True))

    @property
    def number(self) -> int:
        """Weights and biases of all layers."""
        return sum(outputs * inputs * cells + outputs for outputs, inputs, cells in self.shapes)

    @property
    def weight_indices(self) -> tuple[WeightIndex, ...]:
        """Of every weight and bias, in their order in the control."""
        weight_indices = list[WeightIndex]()
        for layer, shape in enumerate(self.shapes, start=1):
            convolves = self.neighbourhoods[layer - 1] is not None
            for unit, source, cell in np.ndindex(shape):
                weight_indices.append(WeightIndex(layer, "weight", unit, source, cell if convolves else None))
            weight_indices += [WeightIndex(layer, "bias", unit) for unit in range(shape[0])]
        return tuple(weight_indices)

    def first_guess(self, scheme: str, seed: int, last_bias: Floats) -> Floats:
        """Weights and biases, [m], after the scheme `glorot` or `he`; see the module."""
        random, parts = np.random.default_rng([seed, 2]), list[Floats]()
        for outputs, inputs, cells in self.shapes[:-1]:
            fan = inputs * cells + (outputs * cells if scheme == "glorot" else 0)
            parts += [random.uniform(-1.0, 1.0, outputs * inputs * cells) * np.sqrt(6.0 / fan), np.zeros(outputs)]
        last = np.zeros(np.prod(self.shapes[-1]))
        return np.concatenate([*parts, last, last_bias])

    def outputs(self, control: Floats, inputs: Floats) -> Floats:
        """What the last layer gives, [outputs, n], for inputs [inputs, n]."""
        return self._sums(control, inputs)[-1]

    def transpose(self, control: Floats, inputs: Floats, outputs_bar: Floats) -> Floats:
        """d cost / d control, [m], from d cost / d outputs, [outputs, n]."""
        value, derivative = ACTIVATIONS[self.activation]
        sums, bar, parts = self._sums(control, inputs), outputs_bar, list[Floats]()
        matrices = self._split(control)
        for layer in reversed(range(len(sums))):
            # sum = W g(x) + b
            x, neighbourhood = value(sums[layer - 1]) if layer else inputs, self.neighbourhoods[layer]
            gathered = neighbourhood.gathered(x) if neighbourhood else x
            parts += [bar.sum(axis=1), (bar @ gathered.T).ravel()]
            if layer:
                # x = a(sum of the layer before)
                gathered_bar = matrices[layer][0].T @ bar
                x_bar = neighbourhood.transpose(gathered_bar) if neighbourhood else gathered_bar
                bar = x_bar * derivative(sums[layer - 1])
        return np.concatenate(parts[::-1])

    def _sums(self, control: Floats, inputs: Floats) -> list[Floats]:
        """W g(x) + b of every layer."""
        value, sums, x = ACTIVATIONS[self.activation].value, list[Floats](), inputs
        for (matrix, bias), neighbourhood in zip(self._split(control), self.neighbourhoods, strict=True):
            sums.append(matrix @ (neighbourhood.gathered(x) if neighbourhood else x) + bias[:, np.newaxis])
            x = value(sums[-1])
        return sums

    def _split(self, control: Floats) -> Sequence[tuple[Floats, Floats]]:
        """Matrix [outputs, inputs x cells] and bias [outputs] of every layer."""
        parts, at = list[tuple[Floats, Floats]](), 0
        for outputs, inputs, cells in self.shapes:
            end = at + outputs * inputs * cells
            parts.append((control[at:end].reshape(outputs, -1), control[end : end + outputs]))
            at = end + outputs
        return parts


class Neighbourhood:
    """Neighbours of n cells.

    Args:
        row: of every cell in its grid, [n].
        column: likewise.
        width: rows and columns of the neighbourhood, an odd number.

    Attributes:
        size: cells of the neighbourhood.
    """

    def __init__(self, row: NDArray[np.integer], column: NDArray[np.integer], width: int) -> None:
        self.size, reach, n = width * width, width // 2, row.size
        row, column = row - row.min() + reach, column - column.min() + reach
        number = np.full((row.max() + reach + 1, column.max() + reach + 1), n)
        number[row, column] = np.arange(n)
        steps = range(-reach, reach + 1)
        # [size, n]: the neighbour, or n where there is none.
        self._neighbour = np.stack([number[row + down, column + right] for down in steps for right in steps])

    def gathered(self, x: Floats) -> Floats:
        """The units of the whole neighbourhood, [units x size, n], of every cell's units, [units, n]."""
        return _zero_padded(x)[:, self._neighbour].reshape(-1, x.shape[1])

    def transpose(self, gathered_bar: Floats) -> Floats:
        """d cost / d x, [units, n], from d cost / d gathered, [units x size, n].

        A cell reads its neighbour at position t, and is read by it at the opposite position. Summing over the positions
        in their order therefore needs no scatter.
        """
        bars = gathered_bar.reshape(-1, self.size, gathered_bar.shape[1])
        x_bar = np.zeros((bars.shape[0], bars.shape[2]))
        for place, neighbour in enumerate(self._neighbour[::-1]):
            x_bar += _zero_padded(bars[:, place])[:, neighbour]
        return x_bar


def _zero_padded(x: Floats) -> Floats:
    """Values [units, n] with a zero behind them, for cells that are not there."""
    return np.concatenate([x, np.zeros((len(x), 1), x.dtype)], axis=1)
