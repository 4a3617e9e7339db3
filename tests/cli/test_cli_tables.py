"""Tables: 80 columns, aligned points, units, no word or number split; JSON lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hydrocli.cli.tables import show_rows, table

SCORES = {"nse": 0.85552, "kge": 0.9, "rmse": 2.298, "mae": 1.354, "pbias": -24.973, "peak_ratio": 0.6}


def scores() -> list[dict[str, Any]]:
    texts = {"scenario": "spatio-temporal", "gauge": "Y3204040", "period": "calibration"}
    second = {name: value / 10 for name, value in SCORES.items()}
    return [texts | SCORES | {"n_valid": 1056}, texts | {"scenario": "temporal"} | second | {"n_valid": None}]


def test_a_table() -> None:
    rows = [
        {"gauge": "A", "nse": 0.9, "rmse": 12.3456, "n_valid": 12},
        {"gauge": "B", "nse": None, "rmse": 0.5, "n_valid": 7},
    ]
    assert table(rows).splitlines() == [
        "                rmse      n",
        "gauge    nse  [m3/s]  valid",
        "───────────────────────────",
        "A      0.900   12.35     12",
        "B          -    0.50      7",
    ]


def test_a_wide_table_goes_on_below_with_the_names_of_its_rows() -> None:
    lines = table(scores(), width=60).splitlines()
    assert max(map(len, lines)) <= 60
    heads = [line for line in lines if line.startswith("scenario")]
    assert len(heads) == 3
    assert sum(line.startswith("spatio-temporal  Y3204040  calibration  ") for line in lines) == 3
    words = {word for line in lines for word in line.split()}
    assert {"-24.97", "-2.50", "0.856", "0.086", "1056", "[m3/s]", "[%]"} <= words


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_word_and_no_number_is_split(width: int) -> None:
    whole = {word for line in table(scores(), width=10**4).splitlines() for word in line.split() if "─" not in word}
    found = {word for line in table(scores(), width=width).splitlines() for word in line.split() if "─" not in word}
    assert found == whole


def test_points_stand_below_one_another() -> None:
    rows = [{"value": value} for value in (0.9, 0.814, 61.25, -3.0)]
    lines = table(rows).splitlines()[2:]
    assert [line.strip() for line in lines] == ["0.90", "0.81", "61.25", "-3.00"]
    assert len({line.index(".") for line in lines}) == 1


def test_tiny_numbers_and_wide_ranges_keep_their_digits() -> None:
    rows = [{"error": 1.2345e-11, "x": 773500.0}, {"error": 0.5, "x": 6275500.0}]
    assert [line.split() for line in table(rows).splitlines()[-2:]] == [["1.23e-11", "773500"], ["0.500", "6275500"]]


def test_points_of_unlike_numbers_stand_below_one_another_too() -> None:
    lines = table([{"value": value} for value in (338.0, -0.6123, 1e-6)]).splitlines()[2:]
    assert [line.split() for line in lines] == [["338.0"], ["-0.612"], ["1.00e-06"]]
    assert len({line.index(".") for line in lines}) == 1


def test_a_long_text_is_broken_at_blanks_and_a_path_never() -> None:
    path = "/data/runs/a-very-long-name/of-a-folder/config.yaml"
    rows = [{"item": "Y1", "reason": f"{path} cannot be read because it is not there"}]
    lines = table(rows, width=60).splitlines()
    assert any(path in line for line in lines)
    assert "cannot be read because it is not there" in " ".join(" ".join(lines).split())


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"a": float("nan"), "b": [1, None]}, {"a": 2.5, "b": []}], as_json=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"a": None, "b": [1, None]},
        {"a": 2.5, "b": []},
    ]
