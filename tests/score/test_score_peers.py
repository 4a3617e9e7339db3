"""Metrics and terms against independent implementations, on the Cance and on random series with gaps."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from hydrocli.score import metrics
from hydrocli.score.cost import Cost, Term

Pair = tuple[np.ndarray, np.ndarray]


def random_pairs() -> list[Pair]:
    """Flashy, quiet and intermittent rivers, a tenth of the observations missing."""
    random = np.random.default_rng(17)
    pairs = []
    for shape, scale, dry in ((0.4, 20.0, 0.0), (5.0, 0.02, 0.0), (0.8, 3.0, 0.3)):
        observed = random.gamma(shape, scale, 700) * (random.random(700) >= dry)
        simulated = 0.8 * observed + 0.3 * scale * random.random(700)
        observed[random.random(700) < 0.1] = np.nan
        pairs.append((observed, simulated))
    return pairs


@pytest.fixture(params=["random", "cance"])
def pairs(request: pytest.FixtureRequest) -> list[Pair]:
    if request.param == "random":
        return random_pairs()
    peer = request.getfixturevalue("peer")
    return list(zip(peer.observed, peer.simulated, strict=True))


def complete(pair: Pair) -> Pair:
    there = ~np.isnan(pair[0])
    return pair[0][there], pair[1][there]


@pytest.mark.peer
def test_metrics_agree_with_hydroeval(pairs: list[Pair]) -> None:
    """It counts bias as observed less simulated, and adds a hundredth of the mean observation before a logarithm too.

    All is float64: sums of a thousand terms in another order keep 1e-12.
    """
    hydroeval = pytest.importorskip("hydroeval")
    for pair in pairs:
        q, s = complete(pair)
        for name, sign in (("nse", 1), ("rmse", 1), ("pbias", -1)):
            (theirs,) = hydroeval.evaluator(getattr(hydroeval, name), s, q)
            assert metrics.METRICS[name](*pair) == pytest.approx(sign * theirs, rel=1e-10), name
        efficiency, r, alpha, beta = hydroeval.evaluator(hydroeval.kge, s, q).ravel()
        assert metrics.kge(*pair) == pytest.approx(efficiency, rel=1e-10)
        assert 1 - metrics.kge(*pair) == pytest.approx(np.linalg.norm([r - 1, alpha - 1, beta - 1]), rel=1e-10)
        (theirs,) = hydroeval.evaluator(hydroeval.nse, s, q, transform="log")
        assert metrics.log_nse(*pair) == pytest.approx(theirs, rel=1e-10)


@pytest.mark.peer
def test_metrics_agree_with_permetrics(pairs: list[Pair]) -> None:
    """Its KGE is that of 2012 (the ratio of the coefficients of variation), so only what both have is compared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regression = pytest.importorskip("permetrics.regression")
    for pair in pairs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = regression.RegressionMetric(*complete(pair))
            found = {name: getattr(theirs, name.upper())() for name in ("nse", "nnse", "rmse", "mae", "mse")}
        for name in ("nse", "nnse", "rmse", "mae"):
            assert metrics.METRICS[name](*pair) == pytest.approx(found[name], rel=1e-10), name


TRANSFORMED = {"none": lambda q, e: q, "sqrt": lambda q, e: np.sqrt(q + e), "inverse": lambda q, e: 1 / (q + e)}


@pytest.mark.peer
@pytest.mark.parametrize("transform", TRANSFORMED)
def test_terms_agree_with_hydroeval(transform: str, pairs: list[Pair]) -> None:
    """A cost of one gauge and one term is one less the efficiency of the transformed series."""
    hydroeval = pytest.importorskip("hydroeval")
    for pair in pairs:
        q, s = complete(pair)
        q, s = (TRANSFORMED[transform](series, 0.01 * np.mean(complete(pair)[0])) for series in (q, s))
        theirs: dict[str, Any] = {
            "nse": 1 - hydroeval.evaluator(hydroeval.nse, s, q)[0],
            "kge": 1 - hydroeval.evaluator(hydroeval.kge, s, q)[0].item(),
            "rmse": hydroeval.evaluator(hydroeval.rmse, s, q)[0] / q.mean(),
        }
        for name, value in theirs.items():
            terms = [Term(name, 1.0, transform)]
            cost = Cost.of(pair[0][np.newaxis], np.ones(pair[0].size, bool), ["A"], None, terms)
            assert cost.value(pair[1][np.newaxis]) == pytest.approx(value, rel=1e-9), name


@pytest.mark.peer
def test_costs_agree_with_smash_on_cance(peer: Any) -> None:
    """The value that it minimises, mean of three gauges; float32, so 1e-5 of it.

    It adds a hundredth of the mean observation before a square root or an inverse, as we do.
    """
    window = np.ones(peer.observed.shape[1], bool)
    words = {"none": "keep", "sqrt": "sqrt", "inverse": "inv"}
    for name, transform in [("nnse", "none"), *((name, transform) for name in ("nse", "kge") for transform in words)]:
        options = {"jobs_cmpt": name, "jobs_cmpt_tfm": words[transform], "gauge": "all", "wgauge": "mean"}
        ours = Cost.of(peer.observed, window, peer.codes, None, [Term(name, 1.0, transform)]).value(peer.simulated)
        found = peer.call(peer.smash.forward_run, peer.model, cost_options=options, return_options={"jobs": True})
        assert ours == pytest.approx(float(found[1].jobs), rel=1e-5), (name, transform)
