"""Workers on this machine: long-lived processes, each given one task at a time through its standard input.

A worker that is killed takes nothing with it but its run, which goes on from its journal; a new one takes its place.
Processes are started anew (not forked: threads of a library do not survive that), and only as many as are needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import time
from dataclasses import asdict, dataclass, field
from typing import Protocol

from hydrocli.campaign.worker import Ending, Task, command, environment

PATIENCE = 10.0
"""Seconds that an idle worker has to leave."""
CHUNK = 1 << 16


class Crew(Protocol):
    """Whoever does tasks: processes here, or Dask."""

    @property
    def size(self) -> int:
        """How many tasks of one thread can go on at once; may change."""
        ...

    def start(self, task: Task) -> None:
        """Begin a task; to be called only while there is room."""
        ...

    def wait(self, seconds: float) -> list[Ending]:
        """Tasks that have ended, as soon as one has; none after so many seconds."""
        ...

    def ask_to_stop(self) -> None:
        """Let every run save itself and end."""
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...


@dataclass(eq=False)
class Worker:
    """One process; `task` is what it does, if anything."""

    process: subprocess.Popen[bytes]
    task: Task | None = None
    began: float = 0.0
    received: bytes = b""

    @classmethod
    def begin(cls) -> Worker:
        """Start one, outside the group of this process: Ctrl-C is the master's to hand on."""
        return cls(
            subprocess.Popen(
                command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), start_new_session=True
            )
        )

    def send(self, task: Task) -> None:
        """Give it a task."""
        self.task, self.began = task, time.perf_counter()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has just died, which its output will tell
            self.process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
            self.process.stdin.flush()

    def hear(self) -> Ending | None:
        """What it says, to be called when there is something: the ending of its task, or that of itself."""
        assert self.process.stdout is not None
        chunk = os.read(self.process.stdout.fileno(), CHUNK)
        self.received += chunk
        line, newline, rest = self.received.partition(b"\n")
        if newline:
            self.received, self.task = rest, None
            return Ending(**json.loads(line))
        if chunk:
            return None
        return self._died()

    def _died(self) -> Ending | None:
        task, self.task = self.task, None
        status = self.process.wait()
        if task is None:
            return None
        return Ending(task.key, status if status < 0 else -256 - status, "", time.perf_counter() - self.began)

    @property
    def is_alive(self) -> bool:
        """Whether its process goes on."""
        return self.process.poll() is None

    def leave(self) -> None:
        """Let it go: it ends when its input does; one that does not is killed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@dataclass
class Processes:
    """A crew of processes on this machine."""

    size: int
    workers: list[Worker] = field(default_factory=list)

    def start(self, task: Task) -> None:
        """See `Crew`."""
        idle = next((worker for worker in self.workers if worker.task is None and worker.is_alive), None)
        if idle is None:
            idle = Worker.begin()
            self.workers.append(idle)
        idle.send(task)

    def wait(self, seconds: float) -> list[Ending]:
        """See `Crew`."""
        endings = []
        with selectors.DefaultSelector() as selector:
            for worker in self.workers:
                if worker.process.stdout is not None:
                    selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
            for key, _ in selector.select(seconds):
                ending = key.data.hear()
                if ending is not None:
                    endings.append(ending)
        for worker in [worker for worker in self.workers if not worker.is_alive and worker.task is None]:
            worker.leave()
            self.workers.remove(worker)
        return endings

    def ask_to_stop(self) -> None:
        """See `Crew`."""
        for worker in self.workers:
            if worker.task is not None:
                worker.process.terminate()

    def close(self) -> None:
        """See `Crew`."""
        for worker in self.workers:
            if worker.task is not None:
                worker.process.terminate()
        for worker in self.workers:
            worker.leave()
        self.workers.clear()
