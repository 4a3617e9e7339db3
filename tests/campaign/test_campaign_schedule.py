"""The order of a campaign's runs, and what becomes of those whose worker dies, with an executor that only pretends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hydrocli.campaign import schedule
from hydrocli.campaign.schedule import Limits, Queue
from hydrocli.campaign.slurm import shard_of_environment
from hydrocli.campaign.worker import RunTask
from hydrocli.errors import ConfigurationError
from hydrocli.execution import resources
from hydrocli.execution.pool import Executor, RemoteWorker, Service, TaskResult
from hydrocli.experiment.estimate import BYTES_OF_PROCESS

KILLED = -signal.SIGKILL
GB = 1e9


def task(key: str, seconds: float = 1.0, size: float = 0.0, threads: int = 1, kind: str = "") -> RunTask:
    return RunTask(key, "", {}, (), kind=kind, seconds=seconds, bytes=size, threads=threads)


@dataclass
class Pretence:
    """Ends the task that was started first, one at a call, with the statuses prescribed for its key (else 0)."""

    size: int = 2
    statuses: dict[str, list[int]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    running: list[RunTask] = field(default_factory=list)
    most: int = 0
    idle_looks: int = 0
    stopped: bool = False

    def submit(self, task: RunTask) -> None:
        self.log.append(task.key)
        self.running.append(task)
        self.most = max(self.most, len(self.running))

    def wait(self, seconds: float) -> list[TaskResult]:
        if not self.running or self.idle_looks:
            self.idle_looks = max(0, self.idle_looks - 1)
            return []
        key = self.running.pop(0).key
        status = self.statuses[key].pop(0) if self.statuses.get(key) else 75 if self.stopped else 0
        return [TaskResult(key, status)]

    def ask_to_stop(self) -> None:
        self.stopped = True

    def start_workers(self, services: Sequence[Service]) -> list[RemoteWorker]:
        raise AssertionError

    @property
    def n_workers(self) -> int:
        raise AssertionError

    def close(self) -> None:
        assert not self.running


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "is_warm", lambda kind: False)


def work(
    tasks: list[RunTask], pretence: Pretence, memory: float = 100 * GB, stop: Callable[[], bool] = lambda: False
) -> dict[str, TaskResult]:
    endings: dict[str, TaskResult] = {}
    executor: Executor = pretence
    Queue(tasks, executor, Limits(memory, 3), lambda ending: endings.update({ending.key: ending})).work(stop)
    pretence.close()
    return endings


def test_the_longest_go_first_and_no_more_than_there_is_room_for() -> None:
    pretence = Pretence(2)
    endings = work([task("short", 1), task("long", 9), task("middle", 5)], pretence)
    assert pretence.log == ["long", "middle", "short"]
    assert pretence.most == 2
    assert {ending.status for ending in endings.values()} == {0}


def test_memory_is_never_overbooked_and_small_ones_go_meanwhile() -> None:
    pretence = Pretence(3)
    work([task("a", 9, 3 * GB), task("b", 8, 3 * GB), task("c", 7, 1 * GB)], pretence, 4 * GB + 2 * BYTES_OF_PROCESS)
    assert pretence.log == ["a", "c", "b"]
    assert pretence.most == 2


def test_threads_count_as_workers() -> None:
    pretence = Pretence(2)
    work([task("two", 9, threads=2), task("one", 5), task("other", 4)], pretence)
    assert pretence.most == 2
    assert pretence.log[0] == "two"
    alone = Pretence(2)
    work([task("wide", 9, threads=8), task("one", 5)], alone)
    assert alone.most == 1


def test_one_run_compiles_for_those_that_need_the_same() -> None:
    pretence = Pretence(3)
    work([task("a1", 9, kind="a"), task("a2", 8, kind="a"), task("b1", 7, kind="b"), task("a3", 6, kind="a")], pretence)
    assert pretence.log == ["a1", "b1", "a2", "a3"]


def test_a_run_whose_worker_was_killed_is_started_again() -> None:
    pretence = Pretence(2, {"a": [KILLED, KILLED], "b": [KILLED, KILLED, KILLED]})
    endings = work([task("a", 2), task("b", 1)], pretence)
    assert endings["a"].status == 0
    assert endings["b"].status == KILLED
    assert endings["b"].reason.startswith("its worker was ended by SIGKILL, 3 times: did the machine run out of memory")
    assert pretence.log.count("a") == pretence.log.count("b") == 3


def test_failures_do_not_stop_the_others_and_are_not_tried_again() -> None:
    pretence = Pretence(1, {"a": [3], "c": [1]})
    endings = work([task("a", 3), task("b", 2), task("c", 1)], pretence)
    assert {key: ending.status for key, ending in endings.items()} == {"a": 3, "b": 0, "c": 1}
    assert pretence.log == ["a", "b", "c"]


def test_a_run_that_its_dead_worker_still_holds_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held by others it is left alone; held after its worker died, it waits for that one's last iteration."""
    monkeypatch.setattr(schedule, "HELD_PAUSE", 0.001)
    pretence = Pretence(1, {"a": [KILLED, 6, 6], "b": [6]})
    endings = work([task("a", 2), task("b", 1)], pretence)
    assert (endings["a"].status, endings["b"].status) == (0, 6)


def test_after_a_signal_nothing_new_begins() -> None:
    pretence = Pretence(1)
    asked = iter([False, True, True, True, True])
    endings = work([task("a", 2), task("b", 1)], pretence, stop=lambda: next(asked))
    assert pretence.log == ["a"]
    assert pretence.stopped
    assert set(endings) == {"a"}


def test_a_worker_that_dies_while_it_stops_has_stopped() -> None:
    asked = iter([False, True, True])
    pretence = Pretence(1, {"a": [-signal.SIGTERM]}, idle_looks=1)
    assert work([task("a")], pretence, stop=lambda: next(asked))["a"].status == 75


def test_a_worker_that_hears_of_the_signal_first_has_not_failed() -> None:
    """The signal to this process comes while it waits for its workers: nothing is started again, nothing has failed."""
    for status in (75, -signal.SIGTERM, -signal.SIGINT):
        heard = iter([False, True, True])
        pretence = Pretence(1, {"a": [status]})
        endings = work([task("a", 2), task("b", 1)], pretence, stop=lambda asked=heard: next(asked))
        assert {key: ending.status for key, ending in endings.items()} == {"a": 75}
        assert pretence.log == ["a"]


def test_a_worker_that_somebody_stops_goes_on_in_another_one() -> None:
    pretence = Pretence(1, {"a": [75, -signal.SIGTERM], "b": [75, 75, 75]})
    endings = work([task("a", 2), task("b", 1)], pretence)
    assert (endings["a"].status, endings["b"].status) == (0, 75)
    assert pretence.log.count("a") == pretence.log.count("b") == 3


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        ({}, (1, 1)),
        ({"ID": "3", "COUNT": "4", "MIN": "1"}, (3, 4)),
        ({"ID": "0", "COUNT": "4", "MIN": "0"}, (1, 4)),
        ({"ID": "9", "COUNT": "3", "MIN": "5", "STEP": "2"}, (3, 3)),
    ],
)
def test_the_share_of_a_job_of_an_array(
    variables: dict[str, str], shard: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ID", "COUNT", "MIN", "STEP"):
        monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert shard_of_environment() == shard


def test_variables_of_an_array_that_make_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "4")
    with pytest.raises(ConfigurationError, match="not a shard of a job array"):
        shard_of_environment()


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Control groups as a container or a job has them; 8 cores, 64 GB free of 128."""
    monkeypatch.setattr(resources, "ROOT", tmp_path)
    monkeypatch.setattr(resources, "MEMBERSHIP", tmp_path / "self")
    monkeypatch.setattr(resources, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    (tmp_path / "meminfo").write_text("MemTotal: 125000000 kB\nMemAvailable: 62500000 kB\n")
    return tmp_path


def test_without_groups_the_machine_and_the_mask_count(groups: Path) -> None:
    assert resources.usable_cores() == 8
    assert (resources.usable_memory(), resources.whole_memory()) == (64_000_000_000, 128_000_000_000)


def test_limits_of_version_2_count_those_of_the_groups_above_too(groups: Path) -> None:
    (groups / "self").write_text("0::/job/step\n")
    (groups / "job" / "step").mkdir(parents=True)
    (groups / "job" / "cpu.max").write_text("250000 100000\n")
    (groups / "job" / "step" / "cpu.max").write_text("max 100000\n")
    (groups / "job" / "step" / "memory.max").write_text("max\n")
    for name, value in (
        ("max", "16000000000"),
        ("current", "6000000000"),
        ("stat", "anon 1\ninactive_file 2000000000"),
    ):
        (groups / "job" / f"memory.{name}").write_text(value + "\n")
    assert resources.usable_cores() == 3
    assert (resources.usable_memory(), resources.whole_memory()) == (12_000_000_000, 16_000_000_000)


def test_limits_of_version_1_mounted_at_the_top_as_in_containers(groups: Path) -> None:
    (groups / "self").write_text("4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n")
    for name in ("memory", "cpu"):
        (groups / name).mkdir()
    (groups / "cpu" / "cpu.cfs_quota_us").write_text("200000\n")
    (groups / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (groups / "memory" / "memory.limit_in_bytes").write_text("4000000000\n")
    (groups / "memory" / "memory.usage_in_bytes").write_text("1000000000\n")
    (groups / "memory" / "memory.stat").write_text("total_inactive_file 0\n")
    assert resources.usable_cores() == 2
    assert resources.usable_memory() == 3_000_000_000
