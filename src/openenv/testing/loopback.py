"""A real server on loopback, in this process or in one of its own, for the time of a test."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any

import uvicorn

from openenv.errors import RuntimeFailure

__all__ = ["serving", "serving_command"]

_GRACE_S = 5
_END_S = 30  # for a server that ends its own children
_URL = re.compile(r"http://(?:127\.0\.0\.1|\[::1\]):\d+")


@contextmanager
def serving(app: Callable[..., Awaitable[Any]]) -> Iterator[str]:
    """Serve an ASGI application on a free port of 127.0.0.1 and give its URL; stop and wait for it at the end.

    It runs on a thread of this process, so classes that are local to a test can be served too.
    """
    listener = socket.create_server(("127.0.0.1", 0))  # it listens from here on: who connects early waits
    config = uvicorn.Config(
        app, log_config=None, access_log=False, ws_ping_timeout=None, timeout_graceful_shutdown=_GRACE_S
    )
    config.load()  # here: imports on two threads at once can lock each other out
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="openenv-testing", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def serving_command(command: Sequence[str | PathLike[str]]) -> Iterator[str]:
    """Start a server as a process of its own and give the URL that it prints; stop and wait for it at the end.

    The server chooses its port, as ``openenv serve NAME --port 0`` does, and prints where it listens on loopback.
    It is stopped with SIGTERM, and killed if it does not heed that.

    Args:
        command: The program and its arguments.

    Raises:
        RuntimeFailure: It ended without printing a URL; the message has what it printed instead.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        reader = None
        try:
            said = []
            for line in server.stdout:
                said.append(line)
                if found := _URL.search(line):
                    break
            else:
                raise RuntimeFailure(f"{' '.join(map(str, command))} ended before it served: {''.join(said).strip()}")
            # what it prints later is of no interest, but a full pipe would stop it
            reader = threading.Thread(target=server.stdout.read, name="openenv-testing-output", daemon=True)
            reader.start()
            yield found[0]
        finally:
            server.terminate()
            try:
                server.wait(_END_S)
            except subprocess.TimeoutExpired:
                server.kill()
            if reader is not None:
                reader.join()
