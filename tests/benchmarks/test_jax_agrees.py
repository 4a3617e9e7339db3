"""The benchmark compares the same model: JAX's value and gradient by automatic differentiation are hydrocli's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench_cases import Case, synthetic
from bench_hydrocli import HydrocliRun
from bench_worker import Contestant

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with rain that differs from cell to cell, two gauges on one river, and something to aim at."""
    rng = np.random.default_rng(1)
    tree = synthetic(150, 300, seed=2)
    net = np.where(
        rng.random((300, 1)) < 0.3, rng.gamma(1.0, 3.0, (300, tree.cells)), -0.3 * rng.random((300, tree.cells))
    )
    fields = {name: getattr(tree, name) for name in tree.__dataclass_fields__}
    fields |= {"net": net.astype(np.float32), "gauges": np.array([0, np.flatnonzero(tree.downstream == 0)[0]])}
    fields |= {"observed": rng.gamma(2.0, 5.0, (2, 300)), "weight": (rng.random((2, 300)) < 0.8) / 300.0}
    path = tmp_path_factory.mktemp("case") / "case.npz"
    Case(**fields).save(path)
    return path


# The two differ by rounding alone, 1e-16 or 6e-8, carried through hundreds of steps; a derivative is a sum of terms of
# both signs that are much larger than it.
@pytest.mark.parametrize(
    ("precision", "value_error", "gradient_error"), [("double", 1e-12, 1e-9), ("single", 1e-4, 1e-3)]
)
def test_value_and_gradient_are_those_of_jax(
    case: Path, tmp_path: Path, precision: str, value_error: float, gradient_error: float
):
    pytest.importorskip("jax")
    with Contestant("jax", path=case, precision=precision) as jax:
        jax.ask("save", path=tmp_path / "jax.npz")
    with np.load(tmp_path / "jax.npz") as stored:
        value, gradient = float(stored["value"]), stored["gradient"]
    run = HydrocliRun(precision, path=case)
    ours, bars, _ = run.simulator.gradient(run.parameters, run.state, run.case.cost)
    assert ours == pytest.approx(value, rel=value_error)
    rows = np.concatenate([bars.parameters, bars.levels])
    scale = np.abs(gradient).max(axis=1)
    assert (scale > 0).all()
    np.testing.assert_array_less(np.abs(rows - gradient).max(axis=1), gradient_error * scale)
