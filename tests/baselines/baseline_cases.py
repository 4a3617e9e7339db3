"""Catchments with random weather, and the LSTM written once more in plain NumPy, which also takes complex numbers."""

from __future__ import annotations

import numpy as np

from hydrocli.baselines.baseline import Arrays, Baseline, Catchments, Observations

STEP = 3600


def catchments(gauges: int, steps: int, seed: int = 1, step: int = STEP) -> Catchments:
    random = np.random.default_rng(seed)
    rain = np.where(random.random((gauges, steps)) < 0.2, random.gamma(0.7, 3.0, (gauges, steps)), 0.0)
    pet = 0.2 * random.random((gauges, steps))
    return Catchments(
        tuple(f"G{number}" for number in range(gauges)),
        rain,
        pet,
        random.uniform(2e7, 3e8, gauges),
        {"slope": random.uniform(0.0, 30.0, gauges)},
        np.datetime64("2019-09-01", "s") + step * np.arange(1, steps + 1),
        step,
    )


def observations(here: Catchments, seed: int = 2) -> Observations:
    """Slow and fast stores of the rain, with gaps; the first tenth is warm-up."""
    random, discharge = np.random.default_rng(seed), np.zeros(here.rain.shape)
    for constant in (5.0, 60.0):
        store = np.zeros(len(here.codes))
        for t in range(here.rain.shape[1]):
            store = store + here.rain[:, t] - store / constant
            discharge[:, t] += 0.3 * store / constant
    discharge *= here.cubic_metres[:, np.newaxis] * random.uniform(0.9, 1.1, discharge.shape)
    discharge[random.random(discharge.shape) < 0.1] = np.nan
    scored = np.arange(discharge.shape[1]) >= discharge.shape[1] // 10
    return Observations(here, discharge, scored, np.full(len(here.codes), 1 / len(here.codes)))


def lstm(baseline: Baseline, here: Catchments, arrays: Arrays, owners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Discharge [g, t] by the equations of the module, one gauge after the other."""
    hidden, names = baseline.hidden, (("log_area", *baseline.attributes) if len(arrays["lowest"]) else ())
    size = weights.size // len(arrays["flow"])
    known = {**here.attributes, "log_area": np.log(here.area)}
    discharge = np.zeros(here.rain.shape, weights.dtype)
    for g, owner in enumerate(owners):
        vector = weights[owner * size : (owner + 1) * size]
        parts, at = [], 0
        for rows in (2, hidden, len(names)):
            parts.append(vector[at : at + rows * 4 * hidden].reshape(rows, 4 * hidden))
            at += rows * 4 * hidden
        bias, v, d = vector[at : at + 4 * hidden], vector[at + 4 * hidden : -1], vector[-1]
        span = arrays["highest"] - arrays["lowest"]
        a = [
            (known[name][g] - low) / (width or 1.0)
            for name, low, width in zip(names, arrays["lowest"], span, strict=True)
        ]
        a = np.clip(np.array(a), 0.0, 1.0)
        h, c = np.zeros((2, hidden), weights.dtype)
        for t in range(here.rain.shape[1]):
            u = [np.log(1 + here.rain[g, t] / arrays["scale"][0]), here.pet[g, t] / arrays["scale"][1]]
            z = np.array(u) @ parts[0] + h @ parts[1] + a @ parts[2] + bias
            i, f, o = (1 / (1 + np.exp(-z[k * hidden : (k + 1) * hidden])) for k in range(3))
            c = f * c + i * np.tanh(z[3 * hidden :])
            h = o * np.tanh(c)
            discharge[g, t] = np.log(1 + np.exp(v @ h + d))
        discharge[g] *= arrays["flow"][owner] * here.area[g] * 1e-3 / here.step
    return discharge
