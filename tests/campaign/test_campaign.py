"""Campaigns on the embedded sample: done once, whatever is killed, broken, held or asked for twice meanwhile."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from runs_harness import ROOT, SAMPLE, assert_readable, assert_same_bits, call, command, configuration, manifest

from hydrocli.campaign import worker
from hydrocli.campaign.batch import Options, _Call, campaign_run_specs
from hydrocli.campaign.worker import RunService, RunTask, perform
from hydrocli.config import load_campaign
from hydrocli.errors import InputError
from hydrocli.execution.pool import TaskResult
from hydrocli.execution.worker import serve
from hydrocli.results.campaign import FAILED_STEP, RunLocation, mark, rows_of, run_locations, steps_lacking
from hydrocli.results.folder import RunFolder
from hydrocli.results.lock import Lock

STOPPED, PARTIAL, HELD = 75, 5, 6
QUICK: dict[str, Any] = {
    "first_guess": {"kind": "screening", "samples": 8, "descents": 1, "iterations": 2},
    "gauges.calibration": None,
    "gauges.validation": None,
}
LONGER = {"kind": "lbfgsb", "iterations": 60, "cost_tolerance": 0.0, "gradient_tolerance": 0.0}
CODES = ("S0003", "S0004")
MODELS: dict[str, Any] = {
    "few": {"optimiser": {"kind": "lbfgsb", "iterations": 3}},
    "many": {"optimiser": LONGER},
}


def campaign(folder: Path, store: Path, data: Path = SAMPLE, **changes: Any) -> Path:
    """A campaign of two small gauges and two models in an empty folder."""
    configuration(folder / "base.yaml", store, data, QUICK)
    values = {
        "name": "trial",
        "folder": "trial",
        "base": "base.yaml",
        "catchments": {"codes": list(CODES)},
        "models": MODELS,
        "execution": {"workers": 2},
    }
    file = folder / "campaign.yaml"
    file.write_text(yaml.safe_dump(values | changes, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def done(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a campaign that nobody disturbed, in two shares and with one worker each."""
    file = campaign(tmp_path_factory.mktemp("done"), store)
    for share, left in (("1/2", "waiting"), ("2/2", "done")):
        call("batch", file, "--shard", share, "-q", "--workers", "1")
        assert states(file) == {f"{m}/{c}": left if c == "S0004" else "done" for m in MODELS for c in CODES}
    return file


def folders(file: Path) -> dict[str, Path]:
    return {f"{p.model}/{p.item}": p.folder for p in run_locations(file.parent / "trial")}


def states(file: Path) -> dict[str, str]:
    return {
        key: rows_of(run_locations(file.parent / "trial"), ["validate"])[n]["state"]
        for n, key in enumerate(folders(file))
    }


def assert_same_campaign(one: Path, other: Path) -> None:
    for key, folder in folders(one).items():
        assert_same_bits(folder, folders(other)[key])


def test_every_run_is_done_and_the_table_says_so(done: Path) -> None:
    rows = pq.read_table(done.parent / "trial" / "campaign.parquet").to_pylist()
    assert [(row["model"], row["item"]) for row in rows] == [(m, c) for m in MODELS for c in CODES]
    assert {(row["state"], row["attempts"], row["steps"]) for row in rows} == {("done", 1, 1800)}
    assert [row["cells"] for row in rows] == [12, 7, 12, 7]
    for row in rows:
        folder = done.parent / "trial" / row["model"] / row["item"]
        assert row["cost"] == pq.read_table(folder / "convergence.parquet")["cost"].to_pylist()[-1]
        assert row["cost"] == pytest.approx(1 - row["nse"])
        assert (folder / "scores.parquet").exists()
    shown = call("status", done, "--json")
    assert [json.loads(line)["state"] for line in shown.stdout.splitlines()] == ["done"] * 4
    assert "4 done" in call("status", done.parent / "trial", "--all").stdout


def test_a_run_is_that_of_calibrate_alone(done: Path, store: Path, tmp_path: Path) -> None:
    changes = QUICK | {"gauges.calibration": ["S0004"], "optimiser": LONGER}
    call("calibrate", configuration(tmp_path / "alone.yaml", store, changes=changes))
    assert_same_bits(folders(done)["many/S0004"], tmp_path / "alone")


def test_what_is_done_is_not_done_again(done: Path) -> None:
    before = {key: manifest(folder) for key, folder in folders(done).items()}
    assert "nothing to do" in call("batch", done).stderr
    assert {key: manifest(folder) for key, folder in folders(done).items()} == before


def test_steps_after_the_calibration_for_all_runs(done: Path) -> None:
    call("signatures", done, "-q", "--set", "execution.workers=1")
    assert all((folder / "signatures.parquet").exists() for folder in folders(done).values())


def test_one_data_set_of_all_runs(done: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    call("collect", done, "--output", tmp_path / "given", "-q")
    call("collect", done, "--output", tmp_path / "given", "-q")
    given = tmp_path / "given"
    found = duckdb.sql(
        f"select model, item, value from read_parquet('{given}/scores/**/*.parquet', hive_partitioning=true) "
        "where metric = 'nse' and scenario = 'calibration' order by all"
    ).fetchall()
    rows = pq.read_table(given / "campaign.parquet").to_pylist()
    assert [(m, i, pytest.approx(v)) for m, i, v in found] == [(r["model"], r["item"], r["nse"]) for r in rows]
    summary = {(r["model"], r["parameter"]): r for r in pq.read_table(given / "summary.parquet").to_pylist()}
    cp = [pq.read_table(folder / "parameters.parquet")["cp"][0].as_py() for folder in list(folders(done).values())[:2]]
    told = summary["few", "cp"]
    assert told["mean"] == told["median"] == pytest.approx(sum(cp) / 2, rel=1e-14)
    assert told["deviation"] == pytest.approx(abs(cp[0] - cp[1]) / 2**0.5, rel=1e-12)
    discharge = pq.read_table(given / "discharge" / "model=few" / "data.parquet")
    assert discharge.num_rows == 2 * 1800
    assert discharge.schema.field("simulated").metadata[b"unit"] == b"m3/s"
    assert "4 hydrological calibrations of 2 catchments" in (given / "README.md").read_text()
    error = call("collect", done, "--output", done.parent, status=3).stderr
    assert "is not empty" in error


def test_a_copy_of_a_campaign_is_a_campaign_of_its_own(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands act on the copy, as a folder, as its file and from inside, and name what is damaged in it."""
    copy = shutil.copytree(done.parent / "trial", tmp_path / "copy")
    before = {path: path.stat().st_mtime_ns for path in (done.parent / "trial").rglob("*")}
    (copy / "few" / "S0003" / "states.parquet").unlink()
    for target in (copy, copy / "campaign.yaml", Path("campaign.yaml")):
        with monkeypatch.context() as patch:
            patch.chdir(copy)
            shown = [json.loads(line) for line in call("status", target, "--json").stdout.splitlines()]
        damaged = {f"{row['model']}/{row['item']}": row["reason"] for row in shown if row["state"] == "failed"}
        assert list(damaged) == ["few/S0003"]
        assert "states.parquet is missing" in damaged["few/S0003"]
    call("collect", copy)
    assert (copy / "collected" / "README.md").exists()
    assert "few/S0003" in (copy / "collected" / "README.md").read_text()
    content = bytearray((copy / "few" / "S0004" / "parameters.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "few" / "S0004" / "parameters.parquet").write_bytes(content)
    assert "parameters.parquet" in call("collect", copy, status=3).stderr
    assert {path: path.stat().st_mtime_ns for path in (done.parent / "trial").rglob("*")} == before


def started(file: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command("batch", file, *arguments), stderr=subprocess.PIPE, text=True, cwd=ROOT)


def wait_for(condition: Callable[[], object], running: subprocess.Popen[str]) -> None:
    while running.poll() is None and not condition():
        time.sleep(0.005)


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def test_workers_killed_at_random_moments(done: Path, store: Path, tmp_path: Path) -> None:
    """Each time one of the workers; the batch starts others and ends with the bits of the undisturbed campaign."""
    file = campaign(tmp_path, store, execution={"workers": 2, "attempts": 20})
    rng, killed = random.Random(5), []
    with started(file, "-q") as running:

        def kill() -> None:
            while running.poll() is None and len(killed) < 5:
                time.sleep(rng.uniform(0.3, 1.2))
                victims = children(running.pid)
                if victims:
                    killed.append(rng.choice(victims))
                    os.kill(killed[-1], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        told = running.communicate()[1]
        killer.join()
    assert running.returncode == 0, told
    assert killed
    assert_same_campaign(done, file)


def test_stopped_and_killed_batches_go_on(done: Path, store: Path, tmp_path: Path) -> None:
    """A signal to the batch or to all of its processes: the workers save their runs. SIGKILL: they notice that nobody
    is left, and do the same. Nothing has failed, and the same command goes on."""
    file = campaign(tmp_path, store)
    journals = lambda: list((tmp_path / "trial").glob("*/*/journal.bin"))  # noqa: E731
    for ask, everyone, status in (
        (signal.SIGINT, True, STOPPED),
        (signal.SIGTERM, False, STOPPED),
        (signal.SIGKILL, False, -signal.SIGKILL),
    ):
        with started(file) as running:
            wait_for(lambda child=running: journals() and children(child.pid), running)
            workers = children(running.pid)
            for pid in (*workers, running.pid) if everyone else (running.pid,):  # a worker may hear of it first
                os.kill(pid, ask)
            told = running.communicate()[1]
        assert running.returncode == status, told
        assert "Traceback" not in told
        while any(Path(f"/proc/{pid}/stat").exists() for pid in workers):
            time.sleep(0.01)
        assert_readable(tmp_path / "trial")
        assert not {"running", "failed"} & set(states(file).values())
    call("batch", file, "-q")
    assert_same_campaign(done, file)


def test_one_with_broken_data_fails_alone(done: Path, store: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for item in SAMPLE.iterdir():
        (data / item.name).symlink_to(item)
    (data / "qobs").unlink()
    shutil.copytree(SAMPLE / "qobs", data / "qobs")
    broken = next((data / "qobs").glob("*S0003*"))
    sound = broken.read_text()
    broken.write_text(sound.replace("\n", "\nnonsense\n", 1))
    file = campaign(tmp_path, store, data, models={"few": MODELS["few"]})
    for arguments, attempts in (((), 1), ((), 1), (("--retry",), 2)):
        error = call("batch", file, *arguments, "--workers", "1", status=PARTIAL).stderr
        assert "1 of 2 runs have failed" in error
        assert "few/S0003" in error
        assert "nonsense" in error
        assert states(file) == {"few/S0003": "failed", "few/S0004": "done"}
        assert manifest(tmp_path / "trial" / "few" / "S0003")["counts"]["starts"] == attempts
    broken.write_text(sound)
    call("batch", file, "--retry", "-q", "--workers", "1")
    assert_same_bits(folders(done)["few/S0003"], folders(file)["few/S0003"])


def test_another_configuration_is_refused_before_anything_starts(done: Path) -> None:
    error = call("batch", done, "--set", "models.few.optimiser.iterations=4", status=2).stderr
    assert error.count("is a calibration with different optimiser.0.iterations") == 2


def test_two_campaigns_at_once(done: Path) -> None:
    held = Lock(done.parent / "trial" / "lock.json")
    held.acquire()
    try:
        assert f"process {os.getpid()}" in call("batch", done, status=HELD).stderr
    finally:
        held.release()


def test_a_run_that_another_process_holds_is_left_to_it(store: Path, tmp_path: Path) -> None:
    file = campaign(tmp_path, store, models={"few": MODELS["few"]})
    with RunFolder.open(tmp_path / "trial" / "few" / "S0004", "other") as folder:
        folder.start()
        error = call("batch", file, "--workers", "1", status=HELD).stderr
        assert "another process works on few/S0004" in error
        assert states(file) == {"few/S0003": "done", "few/S0004": "running"}
    call("batch", file, "-q", "--workers", "1")
    assert set(states(file).values()) == {"done"}


def test_too_large_for_the_memory(store: Path, tmp_path: Path) -> None:
    file = campaign(tmp_path, store, execution={"memory": "100MB"}, models={"few": MODELS["few"]})
    error = call("batch", file, status=PARTIAL).stderr
    assert "needs about 0.4 GB of memory; 0.1 GB are available" in error
    assert set(states(file).values()) == {"failed"}


def test_force_sets_another_run_aside_but_not_its_own_start(done: Path, tmp_path: Path) -> None:
    shutil.copytree(folders(done)["few/S0004"], tmp_path / "run")
    task = plain_task(done, tmp_path / "run", "calibrate")
    other = RunTask(**{**asdict(task), "values": task.values | {"seed": 7}, "force": True})
    for _ in range(2):
        assert perform(other).status == 0
    assert manifest(tmp_path / "run")["seed"] == 7
    assert manifest(tmp_path / "run.1")["seed"] == 1
    assert not (tmp_path / "run.2").exists()


def plain_task(done: Path, folder: Path, *steps: str) -> RunTask:
    from hydrocli.config import load, to_dict

    values = to_dict(load(folders(done)["few/S0004"])) | {"folder": str(folder)}
    return RunTask("few/S0004", str(folder), values, steps)


def test_out_of_memory_is_the_end_of_one_run_only(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("hydrocli.experiment.fit.opened", too_much)
    ending = perform(plain_task(done, tmp_path / "run", "calibrate"))
    assert (ending.status, ending.reason[:26]) == (7, "memory: not enough memory ")
    assert manifest(tmp_path / "run")["state"] == "failed"
    monkeypatch.undo()
    assert perform(plain_task(done, tmp_path / "run", "calibrate")).status == 0
    assert_same_bits(folders(done)["few/S0004"], tmp_path / "run")


def test_a_step_that_fails_is_kept_with_its_reason(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    shutil.copytree(folders(done)["few/S0004"], folder)
    (folder / "scores.parquet").unlink()

    def fails(*_: object) -> None:
        raise InputError("somewhere", "is wrong")

    monkeypatch.setattr("hydrocli.experiment.scores.Evaluation", fails)
    assert perform(plain_task(done, folder, "validate")).status == 3
    (row,) = rows_of([RunLocation("few", "S0004", folder)], ["validate"])
    assert (row["state"], row["reason"]) == ("failed", FAILED_STEP.format(step="validate") + "somewhere: is wrong")
    monkeypatch.undo()
    assert perform(plain_task(done, folder, "validate")).status == 0
    assert rows_of([RunLocation("few", "S0004", folder)], ["validate"])[0]["state"] == "done"


def test_a_worker_killed_after_the_calibration_costs_no_calibration(done: Path, tmp_path: Path) -> None:
    """The journal of a finished calibration is gone: marked as failed, it would be done again from the start."""
    folder = tmp_path / "run"
    shutil.copytree(folders(done)["few/S0004"], folder)
    (folder / "scores.parquet").unlink()
    for started_already in (True, False):
        mark(folder, "few-S0004", ["validate"], "its worker was ended by SIGKILL", started=started_already)
        assert manifest(folder)["state"] == "finished"
    (row,) = rows_of([RunLocation("few", "S0004", folder)], ["validate"])
    assert (row["state"], row["reason"]) == ("failed", "validate failed: its worker was ended by SIGKILL")
    assert steps_lacking(folder, ["validate"]) == ["validate"]


def test_what_another_process_did_meanwhile_has_not_failed(done: Path) -> None:
    file = load_campaign(done)
    call = _Call(file, campaign_run_specs(file), Options())
    call.results["few/S0004"] = TaskResult("few/S0004", HELD, "held by another process")
    assert {row["state"] for row in call.rows()} == {"done"}
    call.results["few/S0004"] = TaskResult("few/S0004", 1, "a bug")
    assert {row["state"] for row in call.rows()} == {"done", "failed"}


def test_a_table_of_somebody_else_names_no_place_outside(done: Path, tmp_path: Path) -> None:
    table = pq.read_table(done.parent / "trial" / "campaign.parquet")
    models = pa.array(["../../elsewhere"] * table.num_rows)
    pq.write_table(
        table.set_column(table.schema.get_field_index("model"), "model", models), tmp_path / "campaign.parquet"
    )
    with pytest.raises(InputError, match="not a valid folder name"):
        run_locations(tmp_path)


def test_a_folder_with_metadata_of_another_kind_is_left_alone(done: Path, tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text('{"title": "thesis"}')
    assert "is not empty" in call("collect", done, "--output", tmp_path, status=3).stderr
    assert (tmp_path / "metadata.json").exists()


def test_a_worker_leaves_after_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_do", lambda task: 1 / 0)
    ours, theirs = Pipe()
    for request in (RunService(), RunTask("a", "", {}, ()), RunTask("b", "", {}, ())):
        ours.send(request)
    before = signal.getsignal(signal.SIGINT)
    try:
        serve(theirs)
    finally:
        signal.signal(signal.SIGINT, before)
    result = ours.recv()
    assert (result.key, result.reason) == ("a", "a bug of hydrocli: ZeroDivisionError: division by zero")
    assert not ours.poll()


@pytest.mark.parametrize(("status", "queued"), [(STOPPED, True), (0, False), (PARTIAL, False)])
def test_the_script_for_slurm_hands_the_signal_on(
    status: int, queued: bool, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the shell does of it; SLURM itself is not here."""
    stub = tmp_path / "python"
    stub.write_text(f"#!/bin/bash\ntrap 'exit {status}' USR1\necho ready\nfor _ in {{1..500}}; do sleep 0.01; done\n")
    queue = tmp_path / "scontrol"
    queue.write_text('#!/bin/bash\necho "$@" > "$0.called"\n')
    for script in (stub, queue):
        script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stub))
    text = call("slurm-script", done, "--set", "slurm.jobs=7", "--set", "slurm.options=[--exclusive]").stdout
    assert "#SBATCH --array=1-7\n" in text
    assert "#SBATCH --exclusive\n" in text
    names = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen(["bash", "-c", text], stdout=subprocess.PIPE, env=os.environ | names, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGUSR1)
    assert running.returncode == status
    called = tmp_path / "scontrol.called"
    assert (called.read_text() == "requeue 12_3\n") if queued else not called.exists()
