"""Presets: settings of a publication, which fill what a configuration leaves out.

What a paper does not say is as its code has it (smash, whose Adam corrects its moments by constants).
"""

from __future__ import annotations

from typing import Any

from hydrocli.config.base import raise_validation_errors

Data = dict[str, Any]

PUBLISHED = {"flux_limits": "as_published"}
NETWORK = {"hidden": [16], "input_scaling": "none", "initial_std": 0.01}
STRUCTURES: dict[str, dict[str, Data]] = {
    "huynh-2025": {"grnn": PUBLISHED | {"network": NETWORK | {"activation": "leaky_relu"}}, "gr": {}},
    "huynh-2026": {
        "node": PUBLISHED | {"network_coupling": "lagged", "network": NETWORK | {"activation": "silu"}},
        "ode": PUBLISHED | {"scheme": "implicit"},
        "grnn": PUBLISHED | {"network": NETWORK | {"activation": "silu"}},
        "gr": {},
    },
}
"""Options by preset and kind of structure; the first kind is that of the preset."""
MAPPINGS: dict[str, Data] = {
    "mlp": {"hidden": [96, 48, 16], "activation": "relu", "initialisation": "glorot"},
    "cnn": {"channels": [16, 8], "width": 3, "activation": "relu", "initialisation": "glorot"},
}
UNIFORM_GUESS = {"kind": "sbs", "mapping": "uniform", "train": ["parameters"]}
"""First guess of uniform and distributed parameters: a heuristic search (Huynh et al. 2026, 2.3)."""
MAIN = {"kind": "adam", "iterations": 240, "learning_rate": 0.003, "bias_correction": "constant"}
PRECALIBRATION = MAIN | {"iterations": 40, "learning_rate": 0.004, "train": ["parameters"]}
SMOOTH = {"kind": "lbfgsb", "iterations": 100}
"""Of classical structures with a mapping that is no network, as smash has it."""


def filled_by_preset(data: Data) -> Data:
    """Raw data of a configuration with what its preset says and the data do not.

    Args:
        data: of the whole configuration; its key `preset` is valid or absent.

    Raises:
        ValueError: the preset has no such structure.
    """
    name = data.get("preset")
    if not isinstance(name, str) or name not in STRUCTURES:
        return data
    structure, mapping = (_section(data, key) for key in ("structure", "mapping"))
    if structure is None or mapping is None:
        return data
    kinds = STRUCTURES[name]
    kind, mapped = structure.get("kind") or next(iter(kinds)), mapping.get("kind") or "uniform"
    if kind not in kinds:
        what = f"the preset {name} has no structure {kind}"
        raise_validation_errors([(("preset",), what, f"one of: {', '.join(kinds)}; or remove the preset")])
    defaults: Data = {
        "structure": {"kind": kind} | kinds[kind],
        "mapping": {"kind": mapped} | MAPPINGS.get(mapped, {}),
        "objective": {"metric": "nse"},
        "first_guess": {"kind": "given"},
        "optimiser": _stages(kind, mapped),
    }
    if isinstance(data.get("objective"), dict) and data["objective"].get("terms") is not None:
        del defaults["objective"]
    return _merged(defaults, data)


def _section(data: Data, key: str) -> Data | None:
    """A section, empty where it is left out; None where it is none."""
    section = {} if data.get(key) is None else data[key]
    return section if isinstance(section, dict) else None


def _stages(kind: str, mapping: str) -> list[Data]:
    """A first guess of the parameters alone, then all together."""
    if mapping in MAPPINGS:
        return [PRECALIBRATION, MAIN]
    if kind in ("grnn", "node"):
        return [UNIFORM_GUESS, MAIN]
    return [UNIFORM_GUESS] if mapping == "uniform" else [UNIFORM_GUESS, SMOOTH]


def _merged(defaults: Data, given: Data) -> Data:
    """Nested settings; what is given counts, lists as a whole."""
    merged = defaults | {key: value for key, value in given.items() if value is not None}
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(defaults.get(key), dict):
            merged[key] = _merged(defaults[key], value)
    return merged
