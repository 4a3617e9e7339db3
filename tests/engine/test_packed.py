"""The row loops became SIMD: packed arithmetic, no call into a mathematical library, no double precision in single."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from packed_probe import rows

from hydrocli.structures.structure import variants

SHORT = {
    "structures.network._weighted_sum": 9,
    "structures.network._through_slope": 1,
    "structures.network._back_one": 2,
    "structures.network._back_four": 8,
    "structures.implicit_euler.corrected_terms": 3,
    "structures.implicit_euler.corrected_terms_adjoint": 4,
}
"""Loops of few products, as many as stand here; of their scalar remainder there may be several copies."""


@pytest.fixture(scope="module")
def loops(tmp_path_factory):
    """What each row loop became, by `module.name precision`."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("reads x86 assembly")
    probe = Path(__file__).with_name("packed_probe.py")
    environment = {**os.environ, "HYDROCLI_CACHE": str(tmp_path_factory.mktemp("cache"))}
    done = subprocess.run([sys.executable, probe], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_row_of_the_sweep_was_compiled_in_both_precisions(loops):
    assert loops.keys() == {f"{row} {precision}" for row in rows() for precision in ("double", "single")}


def test_rows_are_packed(loops):
    """Scalar arithmetic remains for the last cells of a row, each operation once: packed ones are about as many.

    A step that a network corrects holds the loops of the network too, whose scalar remainders are unrolled.
    """
    corrected = {model.name for model in variants() if model.corrections}
    for name, loop in loops.items():
        share = 0.5 if name.split(".")[0] in corrected else 0.75
        least = SHORT.get(name.split()[0], max(10, share * loop["scalar"]))
        assert loop["packed"] >= least, (name, loop)
        assert loop["wide"] > 0, (name, loop)


def test_rows_call_no_library(loops):
    assert {name: loop["calls"] for name, loop in loops.items() if loop["calls"]} == {}


def test_single_precision_rows_compute_in_single_precision(loops):
    assert [name for name, loop in loops.items() if name.endswith(" single") and loop["double"]] == []
