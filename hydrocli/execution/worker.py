"""A process that hosts a service and answers its requests one after the other, see `hydrocli.execution.pool`.

It keeps its libraries, its compiled code and whatever its service holds from request to request. The end of the
connection is the end of its parent: the request that goes on is asked to end early, and the process ends.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection

from hydrocli.execution.pool import Service
from hydrocli.processes import ignore_stop_signals, let_signals_through


def serve(connection: Connection) -> None:
    """Take a service, then answer requests until the connection ends or the service is spent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    try:
        service: Service = connection.recv()
    except EOFError:
        return
    if service.ignores_signals:
        ignore_stop_signals()
    let_signals_through()
    with service.session():
        for request in _requests(connection, service):
            answer = service.handle(pickle.loads(request))
            with suppress(OSError):  # the parent has ended
                connection.send(answer)
            if service.is_spent:
                return


def _requests(connection: Connection, service: Service) -> Iterator[bytes]:
    """Requests, received in a thread of its own so that their end is seen while one is being answered."""
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    busy, over = threading.Event(), threading.Event()

    def listen() -> None:
        with suppress(EOFError, OSError):
            while True:
                request = connection.recv_bytes()
                busy.set()
                waiting.put(request)
        waiting.put(b"")
        if not busy.is_set() or over.is_set():
            return
        if service.ignores_signals:
            os._exit(0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()
    try:
        while request := waiting.get():
            yield request
            busy.clear()
    finally:
        over.set()


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
