"""Servers under measurement: started as a user starts them, and ended by process id."""

from __future__ import annotations

import http.client
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.sides import APPS, Side

__all__ = ["CREATE_APP", "SERVE", "Server", "Way", "free_port", "serving"]

_START_S = 120.0
_POLL_S = 0.002


@dataclass(frozen=True)
class Way:
    """How an application is served.

    Attributes:
        app: ``module:attribute`` in the folder of the sample programs.
        serve: Options of ``openenv serve``; ``None``: plain uvicorn with its own defaults, which both sides have.
        extras: A folder of packages to import from beside the side's own.
    """

    app: str = "echo_app:app"
    serve: tuple[str, ...] | None = None
    extras: Path | None = None

    def command(self, side: Side, port: int) -> tuple[str | Path, ...]:
        """What the side's interpreter is to run."""
        if self.serve is None:
            place = ("--app-dir", APPS, "--port", str(port), "--log-level", "warning")
            return "-m", "uvicorn", self.app, *place
        module, _, attribute = self.app.partition(":")
        target = f"{APPS / module}.py:{attribute}"
        return side.folder / "bin" / "openenv", "serve", target, "--port", str(port), *self.serve


CREATE_APP = Way()
"""uvicorn serving the echo."""
SERVE = Way(serve=())
"""``openenv serve`` with its defaults, its journal included."""


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
def serving(side: Side, way: Way = CREATE_APP) -> Iterator[Server]:
    """Serve an application, from the first healthy answer on. What it writes, it writes into a folder of its own.

    Raises:
        RuntimeError: It ended by itself or did not answer within two minutes.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        port, begun = free_port(), time.perf_counter()
        command = way.command(side, port)
        process = side.start(*command, output=log, errors=log, folder=Path(folder), extras=way.extras)
        try:
            while not _is_healthy(port):
                if process.poll() is not None or time.perf_counter() - begun > _START_S:
                    log.seek(0)
                    raise RuntimeError(f"the server of {side.name} did not start: {log.read()[-2000:].strip()}")
                time.sleep(_POLL_S)
            yield Server(port, process.pid, time.perf_counter() - begun)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _is_healthy(port: int) -> bool:
    """Ask once. Until the server listens this is refused by the kernel and costs the server nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (ConnectionError, http.client.BadStatusLine):
        return False
    finally:
        connection.close()
