"""The same model in JAX, its gradient by automatic differentiation: the peer that a hand-written adjoint has to beat.

What a user could write in an afternoon: the papers' equations, a scan over waves, `jax.checkpoint` around each of them,
one `jit`. It is given what helps it: it sweeps hydrocli's time-skewed order (wave w: the cell of level l computes its
step w - l), since otherwise it would walk the basin cell by cell, and takes filling and drying of the production store
as one function. Of the ways to write it that were tried, this is the fastest: to keep all intermediates instead of
`jax.checkpoint` takes more than twice as long, to gather discharge from upstream instead of scattering it downstream a
tenth longer.

One thread. The precision is global to a process, so this module is run in one of its own.
"""

from __future__ import annotations

import os
from functools import partial
from typing import NamedTuple

import numpy as np
from bench_cases import open_case

LOWEST = 1e-6


class State(NamedTuple):
    """Of all cells [n]: relative levels, lateral inflow and discharge [m3/s]."""

    hp: object
    ht: object
    lateral: object
    flow: object


class JaxModel:
    """One case (as `open_case` has it), compiled for one precision, "double" or "single"."""

    def __init__(self, precision: str, **which: object) -> None:
        limit = {"avx2": " --xla_cpu_max_isa=AVX2", "sse2": " --xla_cpu_max_isa=SSE4_2"}
        here = limit.get(os.environ.get("HYDROCLI_ISA", ""), "")
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" + here
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", precision == "double")
        self.jax, self.np, self.case = jax, jnp, open_case(**which)
        case = self.case
        self.array = partial(jnp.asarray, dtype={"double": jnp.float64, "single": jnp.float32}[precision])
        self.downstream = jnp.asarray(np.where(case.downstream < 0, case.cells, case.downstream))
        self.is_head = jnp.asarray(~np.isin(np.arange(case.cells), case.downstream))
        self.to_discharge = self.array(1e-3 * case.cell_area / case.step)
        self.courant = self.array(case.step / case.cell_width)
        self.inverse_beta = 4.0 / 9.0 * (case.step / 86400.0) ** 0.25
        self.observed, self.weight = self.array(case.observed), self.array(case.weight)
        self.forcing = self._skewed()
        self.parameters, self.levels = self.array(case.parameters), self.array(case.levels)
        self._value = jax.jit(self._cost)
        self._value_and_gradient = jax.jit(jax.value_and_grad(self._cost, argnums=(0, 1)))

    def forward(self) -> float:
        """Cost, computed to its end."""
        return float(self._value(self.parameters, self.levels, self.forcing))

    def gradient(self) -> tuple[float, np.ndarray]:
        """Cost and its derivatives by parameters and initial levels [7, n], computed to their end."""
        value, bars = self.jax.block_until_ready(self._value_and_gradient(self.parameters, self.levels, self.forcing))
        return float(value), np.concatenate([np.asarray(bar) for bar in bars])

    def save(self, path: str) -> None:
        """Leave value and gradient in a file."""
        value, gradient = self.gradient()
        np.savez(path, value=value, gradient=gradient)

    def _skewed(self) -> tuple[object, object]:
        """Net forcing by wave [waves, n], and who is inside its period."""
        case = self.case
        time = np.arange(case.steps + case.level.max())[:, None] - case.level
        active = (time >= 0) & (time < case.steps)
        net = np.take_along_axis(case.net, np.clip(time, 0, case.steps - 1), axis=0)
        return self.array(np.where(active, net, 0.0)), self.np.asarray(active)

    def _runoff(self, cp, ct, kexc, hp, ht, net):
        """One step of production, percolation, exchange and transfer: new levels, runoff [mm]."""
        jnp = self.np
        rain = jnp.maximum(net, 0)
        intensity = jnp.tanh(jnp.abs(net) / cp)
        resisting = jnp.where(net > 0, hp, 1 - hp)
        moved = cp * (1 - resisting**2) * intensity / (1 + resisting * intensity)
        infiltrated = jnp.where(net > 0, moved, 0)
        hp = hp + (2 * infiltrated - moved) / cp
        drained = hp / jnp.sqrt(jnp.sqrt(1 + (hp * self.inverse_beta) ** 4))
        effective = rain - infiltrated + cp * (hp - drained)
        exchange = kexc * ht**3 * jnp.sqrt(ht)
        filled = jnp.maximum(ht + (0.9 * effective + exchange) / ct, LOWEST)
        ht = filled / jnp.sqrt(jnp.sqrt(1 + filled**4))
        return drained, ht, ct * (filled - ht) + jnp.maximum(0.1 * effective + exchange, 0)

    def _routed(self, akw, bkw, upstream, before, lateral_before, lateral):
        """Discharge after the kinematic wave [m3/s]."""
        jnp = self.np
        upstream, before = jnp.maximum(upstream, LOWEST), jnp.maximum(before, LOWEST)
        storage = akw * bkw * jnp.exp((bkw - 1) * jnp.log(0.5 * (upstream + before)))
        inflow = upstream + 0.5 * (jnp.maximum(lateral_before, LOWEST) + jnp.maximum(lateral, LOWEST))
        return (self.courant * inflow + storage * before) / (self.courant + storage)

    def _wave(self, parameters, old: State, net, active) -> State:
        jnp = self.np
        cp, ct, kexc, akw, bkw = parameters
        hp, ht, runoff = self._runoff(cp, ct, kexc, old.hp, old.ht, net)
        lateral = runoff * self.to_discharge
        upstream = jnp.zeros(self.case.cells + 1, lateral.dtype).at[self.downstream].add(old.flow)[:-1]
        routed = self._routed(akw, bkw, upstream, old.flow, old.lateral, lateral)
        new = State(hp, ht, lateral, jnp.where(self.is_head, lateral, routed))
        return State(*(jnp.where(active, after, before) for after, before in zip(new, old, strict=True)))

    def _cost(self, parameters, levels, forcing):
        """Weighted squares of the errors of discharge at the gauges."""
        case, dry = self.case, self.np.zeros_like(levels[0])

        @self.jax.checkpoint
        def wave(state, row):
            state = self._wave(parameters, state, *row)
            return state, state.flow[case.gauges]

        _, rows = self.jax.lax.scan(wave, State(*levels, dry, dry), forcing)
        windows = zip(case.level[case.gauges], rows.T, strict=True)
        flow = self.np.stack([series[first : first + case.steps] for first, series in windows])
        return self.np.sum(self.weight * (flow - self.observed) ** 2)
