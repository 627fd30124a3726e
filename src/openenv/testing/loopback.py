"""A real server on loopback, for the time of a test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

__all__ = ["serving"]

_GRACE_S = 5


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
