"""The server as a child process that cannot outlive whoever started it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from openenv.errors import RuntimeFailure
from openenv.runtime.lifeline import read_report

__all__ = ["EmbeddedRuntime", "EmbeddedServer"]

# The child imports what this process would import, wherever it was started; -P keeps it from anything else until then.
_BOOT = """import importlib, json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
sys.exit(importlib.import_module(sys.argv.pop(1)).main())"""

_LOOK_EVERY_S = 0.1
_TERMINATE_S = 1.0
_MAX_REPORT_BYTES = 1024 * 1024


class EmbeddedRuntime:
    """Starts a server in a child process of this one.

    The child leaves when it is told to, and also when this process ends in any way, ``kill -9`` included. It is in
    a session of its own, so Ctrl-C in the terminal reaches this process only, which then stops it in order. What
    it prints goes to this process's standard error.

    Args:
        module: Module whose ``main`` is called, with the import path of this process. It finds two arguments in
            ``sys.argv``: the file descriptor of its lifeline, and the process id of this process.
        arguments: What to serve and how; JSON-compatible. The child gets them with ``Lifeline.receive``, and not in
            its command line, which others can read.
        name: What the server is called in errors.
        start_timeout_s: Seconds until it must take connections; imports of the environment count.
        stop_timeout_s: Seconds it is given to end by itself before it is terminated, then killed.
        pass_fds: File descriptors that it is to have too, under the same numbers.
    """

    def __init__(
        self,
        module: str,
        arguments: Mapping[str, Any],
        *,
        name: str,
        start_timeout_s: float = 120.0,
        stop_timeout_s: float = 10.0,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._module = module
        self._arguments = dict(arguments)
        self._name = name
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._pass_fds = tuple(pass_fds)

    def start(self, given_up: threading.Event | None = None) -> EmbeddedServer:
        """Start one server. Safe to call from any thread, which may end afterwards.

        Args:
            given_up: Set it from another thread to end a start that nobody waits for any more, and its child.

        Raises:
            RuntimeFailure: It ended before it was listening, did not listen in time, or was given up.
            OpenEnvError: The error that the child reported, as its own class.
        """
        ours, theirs = socket.socketpair()  # neither is inherited by other programs that are started meanwhile
        try:
            with theirs:
                process = subprocess.Popen(
                    self._command(theirs.fileno()),
                    pass_fds=[theirs.fileno(), *self._pass_fds],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    **_output(),
                )
        except BaseException:
            ours.close()
            raise
        try:
            self._tell(ours)
            url = self._wait(ours, process, given_up or threading.Event())
        except BaseException:  # also Ctrl-C while waiting
            _stop(os.getpid(), ours, process, 0.0)
            raise
        return EmbeddedServer(url, ours, process, self._stop_timeout_s)

    def _command(self, fd: int) -> list[str]:
        path = json.dumps([os.path.abspath(entry) for entry in sys.path])
        ours = [self._module, str(fd), str(os.getpid())]
        return [sys.executable, "-P", "-c", _BOOT, path, *ours]

    def _tell(self, ours: socket.socket) -> None:
        ours.settimeout(self._start_timeout_s)
        with contextlib.suppress(OSError):  # it has died, or does not read: it will be waited for in vain
            ours.sendall(json.dumps(self._arguments).encode() + b"\n")

    def _wait(self, ours: socket.socket, process: subprocess.Popen[bytes], given_up: threading.Event) -> str:
        """The URL that the child reports."""
        deadline = time.monotonic() + self._start_timeout_s
        ours.settimeout(_LOOK_EVERY_S)
        report = b""
        while not report.endswith(b"\n"):
            ended = process.poll() is not None  # asked before reading: what it said last is still there
            try:
                received = ours.recv(65536)
            except TimeoutError:
                received = None
            except OSError:  # reset: it died with something unread
                received = b""
            if received:
                report += received
            elif received == b"" or ended:
                raise RuntimeFailure(f"the server of {self._name} {_told(process)} before it was listening")
            if given_up.is_set():
                raise RuntimeFailure(f"the start of the server of {self._name} was given up")
            if len(report) > _MAX_REPORT_BYTES:
                raise RuntimeFailure(f"the server of {self._name} reports without end")
            if time.monotonic() > deadline:
                raise RuntimeFailure(
                    f"the server of {self._name} was not listening after {self._start_timeout_s:g} s; "
                    "a larger start_timeout_s gives it more time"
                )
        return read_report(report)


class EmbeddedServer:
    """A running child. One that is forgotten is stopped when it is collected, or when the program ends."""

    def __init__(
        self, url: str, lifeline: socket.socket, process: subprocess.Popen[bytes], stop_timeout_s: float
    ) -> None:
        self._url = url
        self._process = process
        self._unasked = threading.Lock()  # taken once, by who asks it to stop
        self._stop = weakref.finalize(self, _stop, os.getpid(), lifeline, process, stop_timeout_s)

    @property
    def url(self) -> str:
        """Address of the server."""
        return self._url

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the server has ended, by itself or because it was stopped."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """Wait for its end, and end what it left behind in its process group, which may hold its sockets.

        Returns:
            Its exit code, negative if a signal ended it.
        """
        _ends_whole(self._process, None)
        return self._process.wait()

    def drain(self, timeout_s: float) -> bool:
        """Ask it to stop as SIGTERM does, ``wait`` for its end, and ``close`` it if that does not come in time.

        Called again meanwhile, from another thread, it only waits: to be asked twice is to stop at once.

        Returns:
            Whether it ended in time.
        """
        if self._unasked.acquire(blocking=False):
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()  # without effect where it has ended
        in_time = _ends_whole(self._process, timeout_s)
        self.close()
        return in_time

    def kill(self) -> None:
        """End it and what it started in its process group at once."""
        _kill(self._process)

    def close(self) -> None:
        """Stop the server and wait for its end; safe to call twice. Without effect in a fork of its starter."""
        self._stop()


def _stop(owner: int, lifeline: socket.socket, process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Let the child go: ask, wait, terminate, kill."""
    if os.getpid() != owner:  # the copy in a fork: the server is still in use by its starter
        lifeline.close()
        process.returncode = 0  # not ours to wait for; its destructor would complain
        return
    with lifeline, contextlib.suppress(OSError):
        # not close alone: a fork may hold a copy, and the child would see no end
        lifeline.shutdown(socket.SHUT_RDWR)
    try:
        if not _ends_within(process, timeout_s):
            process.terminate()
            if not _ends_within(process, _TERMINATE_S):
                _kill(process)
    except BaseException:  # a second Ctrl-C while waiting
        _kill(process)
        raise


def _ends_within(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _ends_whole(process: subprocess.Popen[bytes], timeout_s: float | None) -> bool:
    """Whether it ends in time; what it left behind is then ended while the number of its group is still its own."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while process.returncode is None:
        try:
            found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | (0 if deadline is None else os.WNOHANG))
        except ChildProcessError:  # another thread was first
            break
        if found is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            break
        if deadline is not None and time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY_S / 5)
    process.wait()
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:  # not reaped, so the number is still its own
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _told(process: subprocess.Popen[bytes]) -> str:
    """How it ended, for a message."""
    if not _ends_within(process, _TERMINATE_S):
        return "hung up"
    if process.returncode < 0:
        return f"was killed by {signal.Signals(-process.returncode).name}"
    return f"ended with exit code {process.returncode}"


def _output() -> dict[str, Any]:
    """Both of the child's outputs go to our standard error; standard output is the program's own."""
    try:
        os.fstat(2)
    except OSError:  # a daemon without one
        return {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return {"stdout": 2}
