"""hydrocli as a contestant: its simulator, and its reading of an archive."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from bench_cases import Case, open_case, random_layers

from hydrocli.engine import simulator as simulator_module
from hydrocli.engine.order import order_forcing, wavefront_order
from hydrocli.engine.simulator import Simulator, State
from hydrocli.structures.structure import GR, HYDROLOGICAL_FORCINGS, Structure


class HydrocliRun:
    """Forward and gradient of one case.

    Args:
        precision, memory, threads: as `Simulator` has them.
        structure: fields of `Structure`; a network has random weights.
        which: the case, as `open_case` has it.
    """

    def __init__(
        self,
        precision: str = "double",
        memory: float = 1e9,
        threads: int = 1,
        structure: dict[str, object] | None = None,
        **which: object,
    ) -> None:
        self.case = case = open_case(**which)
        self.structure = Structure(**structure) if structure else GR
        layers = random_layers(tuple(self.structure.widths)) if self.structure.has_network else []
        self.weights = np.concatenate([np.zeros(0), *(part.ravel() for layer in layers for part in layer)])
        self._compile(precision)
        self.simulator = self._simulator(case, precision=precision, memory=memory, threads=threads)
        self.parameters, self.state = parameters_of(self.structure, case), state_of(self.structure, case)
        order = self.simulator.order
        self.about = {"cells": case.cells, "steps": case.steps, "levels": order.waves - case.steps + 1}
        self.about |= {"kept": min(self.simulator.segment, order.waves) / order.waves, "chunks": order.chunks}
        self.about |= {"forcing": sum(values.nbytes for values in self.simulator.forcing)}
        row = simulator_module.bytes_per_row(order, self.structure, self.simulator.real)
        self.about |= {"row bytes": row / case.cells, "bar bytes": float(np.dtype(self.simulator.real).itemsize)}

    def _simulator(self, case: Case, **options: object) -> Simulator:
        order = wavefront_order(case.downstream, case.level, case.steps)
        forcing = []
        for values in forcing_of(self.structure, case):
            forcing.append(np.zeros(order.forcing_size, np.float32))
            order_forcing(values, 0, order, forcing[-1])
        capacity = np.ones((len(self.structure.model.attributes), case.cells))
        shape = (case.cell_area, case.cell_width, case.gauges, case.step)
        return Simulator(order, tuple(forcing), *shape, structure=self.structure, attributes=capacity, **options)

    def forward(self) -> dict[str, object]:
        discharge, _ = self.simulator.simulate(self.parameters, self.state, self.weights)
        return {"value": self.case.cost(discharge)[0]}

    def gradient(self) -> dict[str, object]:
        value, gradient, _ = self.simulator.gradient(self.parameters, self.state, self.case.cost, self.weights)
        return {"value": value, "bits": float(np.sum(gradient.parameters)).hex()}

    def distance(self, path: str) -> dict[str, object]:
        """Largest difference of discharge from that in a file, relative to its peak."""
        discharge, _ = self.simulator.simulate(self.parameters, self.state, self.weights)
        other = np.load(path)
        return {"distance": float(np.abs(discharge - other).max() / other.max())}

    def newton(self) -> dict[str, object]:
        """Statistics of the solver in one forward run."""
        self.forward()
        iterations, most, retried, failed = self.simulator.newton
        mean = float(iterations.sum()) / self.case.cells / self.case.steps
        return {"mean": mean, "largest": int(most.max()), "retried": int(retried.sum()), "failed": int(failed.sum())}

    def parts(self) -> dict[str, object]:
        """CPU seconds of each part of one gradient; run last, since watching costs a little."""
        parts = _Parts(whole=self.about["kept"] == 1.0)
        began = time.process_time()
        self.gradient()
        parts.seconds["the rest"] = time.process_time() - began - sum(parts.seconds.values())
        return {"parts": parts.seconds}

    def _compile(self, precision: str) -> None:
        """Load or compile all loops on a basin of a few cells, so that no measurement pays for it."""
        case = open_case(cells=9, steps=5)
        start = parameters_of(self.structure, case), state_of(self.structure, case)
        self._simulator(case, precision=precision).gradient(*start, case.cost, self.weights)


def parameters_of(structure: Structure, case: Case) -> np.ndarray:
    """Parameters [p, n]: those that the case has, the others at their defaults."""
    known = dict(zip(("cp", "ct", "kexc", "akw", "bkw"), case.parameters, strict=True))
    declared = (*structure.model.parameters, *structure.river.parameters)
    default = {one.symbol: np.full(case.cells, one.default) for one in declared}
    return np.stack([(default | known)[symbol] for symbol in structure.all_parameters])


def state_of(structure: Structure, case: Case) -> State:
    """The levels that the case has, other states at their defaults; a dry river."""
    known = dict(zip(("hp", "ht"), case.levels, strict=True))
    default = {state.quantity.symbol: np.full(case.cells, state.quantity.default) for state in structure.model.states}
    levels = np.stack([(default | known)[symbol] for symbol in structure.states])
    return State(levels, np.zeros(case.cells), np.zeros(case.cells))


def forcing_of(structure: Structure, case: Case) -> tuple[np.ndarray, ...]:
    """What the structure asks for [steps, n]; above interception: the parts of the net forcing, half of it in frost."""
    if structure.model.forcings == HYDROLOGICAL_FORCINGS:
        return (case.net,)
    season = 10.0 * np.cos(2.0 * np.pi * np.arange(case.steps) / case.steps)
    warmth = np.broadcast_to(season[:, np.newaxis], case.net.shape).astype(np.float32)
    return np.maximum(case.net, 0.0), np.maximum(-case.net, 0.0), warmth


class _Parts:
    """Puts clocks around the tiles and the routing in them; `Simulator._stream` is where rows are computed first."""

    def __init__(self, whole: bool) -> None:
        self.seconds: Counter[str] = Counter()
        self.phase = "forward" if whole else "recompute"
        self._watch(Simulator, "_stream", phase="forward")
        for tiles, phase in ((simulator_module._Forward, ""), (simulator_module._Reverse, "reverse")):
            self._watch(tiles, "run_cells", part="cells", phase=phase)
            self._watch(tiles, "route", part="routing", phase=phase)

    def _watch(self, owner: object, name: str, part: str = "", phase: str = "") -> None:
        function = getattr(owner, name)

        def watched(*arguments: object) -> object:
            outer, self.phase = self.phase, phase or self.phase
            began = time.thread_time()
            result = function(*arguments)
            spent = time.thread_time() - began
            if part:
                self.seconds[f"{self.phase}: {part}"] += spent
            self.phase = outer
            return result

        setattr(owner, name, watched)


class HydrocliReading:
    """Cold ingestion of Cance up to a date: no store, archive in the page cache.

    Args:
        folder: of the archive, in the peer's layout.
    """

    def __init__(self, folder: str) -> None:
        from hydrocli.basin.ingest import open_basin

        self.folder, self.open_basin = Path(folder), open_basin

    def read(self, end: str, workers: int) -> dict[str, object]:
        with tempfile.TemporaryDirectory() as store:
            basin = self.open_basin(self._source(end), Path(store), workers)
            return {"steps": len(basin.times), "cells": len(basin.network)}

    def _source(self, end: str):
        from hydrocli.basin.discharge_formats import DischargeSource
        from hydrocli.basin.readers import ForcingSource
        from hydrocli.basin.source import BasinSource, DescriptorSource

        folder = self.folder
        return BasinSource(
            start=np.datetime64("2014-09-15", "s"),
            end=np.datetime64(end, "s"),
            step=3600,
            flow_directions=folder.parent / "France_flwdir.tif",
            encoding="smash",
            gauges=folder / "gauge_attributes.csv",
            precipitation=ForcingSource(folder / "prcp", scale_factor=0.1),
            pet=ForcingSource(folder / "pet"),
            pet_kind="interannual",
            discharge=DischargeSource(folder / "qobs"),
            descriptors={name: DescriptorSource(folder / "descriptor" / f"{name}.tif") for name in ("slope", "dd")},
        )
