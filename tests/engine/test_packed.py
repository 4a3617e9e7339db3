"""The row loops became SIMD: packed arithmetic of the full width, that runs; no mask, no call, no double in single."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from packed_probe import rows

from hydrocli.jit import cpu
from hydrocli.structures.structure import variants

SHORT = {
    "structures.network._weighted_sum": 9,
    "structures.network._through_slope": 1,
    "structures.network._back_one": 2,
    "structures.network._back_four": 8,
    "structures.network._scale": 1,
    "linear_reservoir.route_row": 3,
    "linear_reservoir.route_row_adjoint": 4,
    "structures.implicit_euler.corrected_terms": 3,
    "structures.implicit_euler.corrected_terms_adjoint": 4,
}
"""Loops of few products, as many as stand here; of their scalar remainder there may be several copies."""
MOST_CHECKS = 9
"""Comparisons of addresses before a loop: rows that are arguments need none."""


@pytest.fixture(scope="module", params=["avx2", "native"])
def loops(request, tmp_path_factory):
    """What each row loop became, by `module.name precision`: for AVX2, and for AVX-512 where the machine has it."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("reads x86 assembly")
    if request.param == "native" and "+avx512f" not in (cpu()[1] or ""):
        pytest.skip("the widest registers of this machine are those of AVX2")
    probe = Path(__file__).with_name("packed_probe.py")
    environment = {**os.environ, "HYDROCLI_CACHE": str(tmp_path_factory.mktemp("cache"))}
    environment |= {"HYDROCLI_ISA": "avx2"} if request.param == "avx2" else {}
    # All structures where a mask costs most; the classical one suffices to see that wider registers are used.
    only = [] if request.param == "avx2" else ["gr"]
    done = subprocess.run([sys.executable, probe, *only], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), request.param


def test_every_row_of_the_sweep_was_compiled_in_both_precisions(loops):
    found, isa = loops
    if isa == "avx2":
        assert found.keys() == {f"{row} {precision}" for row in rows() for precision in ("double", "single")}
    else:
        assert {f"gr.{loop} {kind}" for loop in ("advance", "advance_adjoint") for kind in ("double", "single")} <= (
            found.keys()
        )


def test_rows_are_packed(loops):
    """Scalar arithmetic remains for the last cells of a row, each operation once: packed ones are about as many.

    A step that a network corrects holds the loops of the network too, whose scalar remainders are unrolled.
    """
    corrected = {model.name for model in variants() if model.corrections}
    for name, loop in loops[0].items():
        share = 0.5 if name.split(".")[0] in corrected else 0.75
        least = SHORT.get(name.split()[0], max(10, share * loop["scalar"]))
        assert loop["packed"] >= least, (name, loop)


def test_packed_rows_run(loops):
    """LLVM guards a packed loop by comparisons of addresses: few of them, and none that always fails."""
    assert {name: loop["never"] for name, loop in loops[0].items() if loop["never"]} == {}
    assert {name: loop["checks"] for name, loop in loops[0].items() if loop["checks"] > MOST_CHECKS} == {}


def test_rows_store_whole_vectors(loops):
    assert {name: loop["masked"] for name, loop in loops[0].items() if loop["masked"]} == {}


def test_rows_call_no_library(loops):
    assert {name: loop["calls"] for name, loop in loops[0].items() if loop["calls"]} == {}


def test_single_precision_rows_compute_in_single_precision(loops):
    assert [name for name, loop in loops[0].items() if name.endswith(" single") and loop["double"]] == []
