"""Baselines in the configuration: their defaults, and what is refused because they have no cells."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hydrocli.config import Experiment, load, resolved

Read = Callable[..., Experiment]
Complaint = Callable[..., str]


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        ("lstm", {"kind": "adam", "iterations": 240, "learning_rate": 0.003, "schedule": "cosine"}),
        ("linear", {"kind": "closed_form"}),
        ("climatology", {"kind": "closed_form"}),
    ],
)
def test_defaults(kind: str, stage: dict[str, object], read: Read, minimal: str) -> None:
    """What a run keeps as its configuration is read as the same."""
    experiment = read(minimal + f"structure: {{kind: {kind}}}\n")
    assert stage.items() <= experiment.optimiser[0].model_dump().items()
    assert experiment.first_guess.kind == "given"
    assert experiment.baseline is not None
    assert not experiment.initial.given()
    assert not experiment.parameters.given()
    with open("again.yaml", "w") as file:  # noqa: PTH123
        file.write(resolved(experiment))
    assert load("again.yaml") == experiment


def test_keys_of_a_stage_without_kind(read: Read, minimal: str) -> None:
    experiment = read(minimal + "structure: {kind: lstm}\noptimiser: {iterations: 7}\n")
    assert (experiment.optimiser[0].iterations, experiment.optimiser[0].max_gradient_norm) == (7, 1.0)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("lstm", "mapping: {kind: distributed}", "mapping.kind: the structure lstm has no parameters of cells to map"),
        ("linear", "first_guess: {kind: screening}", "first_guess.kind: the structure linear has no parameters"),
        ("lstm", "parameters: {cp: {value: 100}}", "parameters.cp: the structure lstm has no such quantity\n  remove"),
        ("lstm", "initial: {hp: {value: 0.3}}", "initial.hp: the structure lstm has no such quantity\n  remove"),
        ("lstm", "initial: {from: runs/a}", "initial.from: the structure lstm starts from nothing"),
        ("lstm", "initial_weights: {from: runs/a}", "initial_weights.from: the structure lstm has no network"),
        ("lstm", "objective: {regularisation: {prior: 1}}", "objective.regularisation: the structure lstm has no maps"),
        ("lstm", "outputs: {series: [hp]}", "outputs.series: the structure lstm has no hp\n  remove the key"),
        ("lstm", "outputs: {cells: [[1, 2]]}", "outputs.cells: the structure lstm has no cells"),
        ("lstm", "regional: {basins: [b.yaml]}", "regional.basins: the structure lstm learns from the gauges of one"),
        ("lstm", "optimiser: {kind: lbfgsb}", "optimiser.kind: lstm is trained by adam"),
        ("climatology", "optimiser: {kind: adam}", "optimiser.kind: climatology is solved in closed form"),
        ("lstm", "optimiser: {kind: adam, mapping: uniform}", "optimiser.mapping: lstm has no such choice"),
        ("gr", "optimiser: {kind: closed_form}", "optimiser.kind: is the optimiser of linear and climatology"),
    ],
)
def test_what_has_no_meaning_is_refused(kind: str, text: str, words: str, minimal: str, complaint: Complaint) -> None:
    assert words in complaint(minimal + f"structure: {{kind: {kind}}}\n{text}\n")


def test_attributes_are_descriptors(minimal: str, complaint: Complaint) -> None:
    words = complaint(minimal + "structure: {kind: lstm, attributes: [slope]}\n")
    assert "structure.attributes: slope is not in basin.descriptors" in words
