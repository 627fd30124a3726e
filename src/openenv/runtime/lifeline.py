"""What ties a server process to the process that started it: one socket, for what to serve, the report and the end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from openenv.errors import OpenEnvError, RuntimeFailure, error_from_code

__all__ = ["Lifeline", "read_report"]

_POLL_MS = 1000


class Lifeline:
    """The server's end. The other end is closed by the parent, or by the kernel when the parent dies.

    The socket alone is not enough: a fork of the parent that outlives it holds a copy of the other end. So the
    parent itself is watched too, as a process; a signal on its death would come with the end of a mere thread.

    Args:
        fd: File descriptor of this end, inherited from the parent.
        parent: Process id of the parent.
    """

    def __init__(self, fd: int, parent: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)  # programs that the environment starts must not hold it
        self._parent = parent

    def receive(self) -> dict[str, Any]:
        """What the parent wants served. To be called first, and once.

        Raises:
            SystemExit: The parent is gone already.
        """
        told = b""
        while not told.endswith(b"\n"):
            received = self._socket.recv(65536)
            if not received:
                raise SystemExit(1)
            told += received
        arguments: dict[str, Any] = json.loads(told)
        return arguments

    def report_ready(self, url: str) -> None:
        """Tell the parent that the server takes connections at that URL."""
        self._report({"url": url})

    def report_error(self, error: OpenEnvError) -> None:
        """Tell the parent why there will be no server; it raises the same class."""
        self._report(
            {"code": type(error).code, "message": error.message, "details": _encodable(error.details)},
        )

    def watch(self, let_go: Callable[[], None], grace_s: float) -> None:
        """Call a function, once and on a thread of its own, when the parent closed its end or is gone.

        Args:
            let_go: Asks the server to stop.
            grace_s: Seconds until this process, and what it started in its process group, is killed if it has
                not ended by then.
        """
        threading.Thread(target=self._watch, args=(let_go, grace_s), name="openenv-lifeline", daemon=True).start()

    def _report(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # a parent that is gone is the other thread's business
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _watch(self, let_go: Callable[[], None], grace_s: float) -> None:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        timeout_ms: int | None = _POLL_MS
        if hasattr(os, "pidfd_open"):
            try:
                poller.register(os.pidfd_open(self._parent), select.POLLIN)
                timeout_ms = None
            except ProcessLookupError:  # gone already; the comparison below says so
                pass
            except OSError:  # not offered by this kernel or sandbox: ask every second
                pass
        # the comparison comes after the pidfd, which could be that of a stranger with the same number
        while os.getppid() == self._parent and not poller.poll(timeout_ms):
            pass
        let_go()
        threading.Event().wait(grace_s)
        kill_own_group()


def kill_own_group() -> NoReturn:
    """End this process at once, with everything it started in its process group."""
    if os.getpgid(0) == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def read_report(raw: bytes) -> str:
    """The URL in a report, given as the line that was sent.

    Raises:
        OpenEnvError: The error that was reported, as its own class.
    """
    try:
        report = json.loads(raw)
        if "url" in report:
            return str(report["url"])
        code, message, details = report["code"], report["message"], report["details"]
    except (ValueError, KeyError, TypeError) as error:
        raise RuntimeFailure(f"the server's report cannot be read: {raw[:200]!r}") from error
    raise error_from_code(code, message, details)


def _encodable(details: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(details)
    except (TypeError, ValueError):
        return {}
    return details
