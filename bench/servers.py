"""Servers under measurement: plain uvicorn on the sample application, started and ended by process id."""

from __future__ import annotations

import http.client
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.sides import Side

__all__ = ["Server", "serving"]

_START_S = 120.0
_POLL_S = 0.002


@dataclass(frozen=True)
class Server:
    """A server that has answered.

    Attributes:
        port: Where it listens on 127.0.0.1.
        pid: Its process; workers, if it has any, are children of it.
        started_in_s: Seconds from its start to its first healthy answer.
    """

    port: int
    pid: int
    started_in_s: float

    @property
    def url(self) -> str:
        """Its address for clients."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(side: Side) -> Iterator[Server]:
    """Serve the sample application, from the first healthy answer on, with nothing but uvicorn's own defaults.

    Raises:
        RuntimeError: It ended by itself or did not answer within two minutes.
    """
    with tempfile.TemporaryFile("w+") as log:
        port, begun = _free_port(), time.perf_counter()
        process = side.start(
            "-m", "uvicorn", "echo_app:app", "--port", str(port), "--log-level", "warning", output=log, errors=log
        )
        try:
            while not _is_healthy(port):
                if process.poll() is not None or time.perf_counter() - begun > _START_S:
                    log.seek(0)
                    raise RuntimeError(f"the server of {side.name} did not start: {log.read()[-2000:]}")
                time.sleep(_POLL_S)
            yield Server(port, process.pid, time.perf_counter() - begun)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _is_healthy(port: int) -> bool:
    """Ask once. Until the server listens this is refused by the kernel and costs the server nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except ConnectionError:
        return False
    finally:
        connection.close()
