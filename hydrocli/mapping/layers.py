"""Layers of a network that is applied in every cell: x <- a(W g(x) + b), without a at the end.

g gathers what a layer reads: the cell's own units, or those of a window around it (`hydrocli.mapping.window`). The
activation a is ReLU, SiLU x / (1 + exp(-x)) or tanh. Weights W begin uniform in [-limit, limit], limit =
sqrt(6 / (fan_in + fan_out)) (glorot: Glorot & Bengio 2010) or sqrt(6 / fan_in) (he: He et al. 2015), where fan counts
units times cells of the window; biases b begin at zero, and so do the weights of the last layer: whatever the cell, the
network then gives its last bias, a uniform map, and the first iterations decide which way the cells part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.mapping.bounds import sigmoid, sigmoid_derivative
from hydrocli.mapping.mapping import Place
from hydrocli.mapping.window import Window

Array = NDArray[np.float64]


class Activation(NamedTuple):
    """A function and its derivative, both of what comes in."""

    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


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
        windows: what each layer reads; None: the cell itself.
        activation: of `ACTIVATIONS`.
    """

    units: tuple[int, ...]
    windows: tuple[Window | None, ...]
    activation: str

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Outputs, inputs and cells of the window of every layer."""
        cells = [window.size if window else 1 for window in self.windows]
        return list(zip(self.units[1:], self.units[:-1], cells, strict=True))

    @property
    def number(self) -> int:
        """Weights and biases of all layers."""
        return sum(outputs * inputs * cells + outputs for outputs, inputs, cells in self.shapes)

    @property
    def places(self) -> tuple[Place, ...]:
        """Of every weight and bias, in their order in the control."""
        places = list[Place]()
        for layer, shape in enumerate(self.shapes, start=1):
            windowed = self.windows[layer - 1] is not None
            for unit, source, cell in np.ndindex(shape):
                places.append(Place(layer, "weight", unit, source, cell if windowed else None))
            places += [Place(layer, "bias", unit) for unit in range(shape[0])]
        return tuple(places)

    def first_guess(self, scheme: str, seed: int, last_bias: Array) -> Array:
        """Weights and biases, [m], after the scheme `glorot` or `he`; see the module."""
        random, parts = np.random.default_rng([seed, 2]), list[Array]()
        for outputs, inputs, cells in self.shapes[:-1]:
            fan = inputs * cells + (outputs * cells if scheme == "glorot" else 0)
            parts += [random.uniform(-1.0, 1.0, outputs * inputs * cells) * np.sqrt(6.0 / fan), np.zeros(outputs)]
        last = np.zeros(np.prod(self.shapes[-1]))
        return np.concatenate([*parts, last, last_bias])

    def outputs(self, control: Array, inputs: Array) -> Array:
        """What the last layer gives, [outputs, n], for inputs [inputs, n]."""
        return self._sums(control, inputs)[-1]

    def transpose(self, control: Array, inputs: Array, outputs_bar: Array) -> Array:
        """d cost / d control, [m], from d cost / d outputs, [outputs, n]."""
        value, derivative = ACTIVATIONS[self.activation]
        sums, bar, parts = self._sums(control, inputs), outputs_bar, list[Array]()
        matrices = self._split(control)
        for layer in reversed(range(len(sums))):
            # sum = W g(x) + b
            x, window = value(sums[layer - 1]) if layer else inputs, self.windows[layer]
            gathered = window.gathered(x) if window else x
            parts += [bar.sum(axis=1), (bar @ gathered.T).ravel()]
            if layer:
                # x = a(sum of the layer before)
                gathered_bar = matrices[layer][0].T @ bar
                x_bar = window.transpose(gathered_bar) if window else gathered_bar
                bar = x_bar * derivative(sums[layer - 1])
        return np.concatenate(parts[::-1])

    def _sums(self, control: Array, inputs: Array) -> list[Array]:
        """W g(x) + b of every layer."""
        value, sums, x = ACTIVATIONS[self.activation].value, list[Array](), inputs
        for (matrix, bias), window in zip(self._split(control), self.windows, strict=True):
            sums.append(matrix @ (window.gathered(x) if window else x) + bias[:, np.newaxis])
            x = value(sums[-1])
        return sums

    def _split(self, control: Array) -> Sequence[tuple[Array, Array]]:
        """Matrix [outputs, inputs x cells] and bias [outputs] of every layer."""
        parts, at = list[tuple[Array, Array]](), 0
        for outputs, inputs, cells in self.shapes:
            end = at + outputs * inputs * cells
            parts.append((control[at:end].reshape(outputs, -1), control[end : end + outputs]))
            at = end + outputs
        return parts
