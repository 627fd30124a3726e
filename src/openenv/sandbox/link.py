"""The owner's end of the way to its keeper, which is started when the first sandbox is."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence

from openenv.errors import ConfigurationError, RuntimeFailure

__all__ = ["Link", "link"]

_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from openenv.sandbox.keeper import main; main()"
_START_S = 30.0
_MAX_DESCRIPTORS = 198  # beside the job and its control socket
_STOP_S = 30.0


class Link:
    """The way to a running keeper.

    Raises:
        RuntimeFailure: It could not be started.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._scratch = tempfile.mkdtemp(prefix="openenv-sandbox-")
        os.chmod(self._scratch, 0o711)  # noqa: S103 - passed through, not looked into: by users of sandboxes
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        packages = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 2))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, packages, str(theirs.fileno()), self._scratch],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        self._socket.settimeout(_START_S)
        if self._socket.recv(16) != b"ready":
            self.close()
            raise RuntimeFailure("the keeper of sandboxes does not start; what it said is on standard error")
        self._socket.settimeout(None)

    @property
    def alive(self) -> bool:
        """Whether the keeper still runs."""
        return self._process.poll() is None

    def place(self) -> tuple[str, str]:
        """A directory that all sandboxes mount on, each for itself, and one that does not exist yet for one of them."""
        return self._scratch, f"{self._scratch}/{next(self._numbers)}"

    def send(self, job: bytes, control: int, descriptors: Sequence[int]) -> None:
        """Have a sandbox started.

        Args:
            job: What to start, encoded.
            control: Descriptor of the sandbox's end of its control socket.
            descriptors: What the program is to have, in the order of the job's targets.

        Raises:
            ConfigurationError: There are too many descriptors.
            OSError: The keeper is gone.
        """
        if len(descriptors) > _MAX_DESCRIPTORS:
            raise ConfigurationError(f"a sandboxed program takes at most {_MAX_DESCRIPTORS} descriptors")
        job_fd = os.memfd_create("job")
        try:
            with open(job_fd, "wb", closefd=False) as file:
                file.write(job)
            os.lseek(job_fd, 0, os.SEEK_SET)
            with self._lock:
                socket.send_fds(self._socket, [b"job"], [job_fd, control, *descriptors])
        finally:
            os.close(job_fd)

    def close(self) -> None:
        """End the keeper and everything in its sandboxes, and wait for that."""
        self._socket.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):
            os.rmdir(self._scratch)

    def forget(self) -> None:
        """Let go of a keeper that belongs to the process this one was forked from."""
        self._socket.close()
        self._process.returncode = 0  # not this process's child: nothing to wait for


_lock = threading.Lock()
_current: Link | None = None


def link() -> Link:
    """The link of this process; a keeper is started if there is none, or it was killed."""
    global _current
    with _lock:
        if _current is not None and not _current.alive:
            _current.close()
            _current = None
        if _current is None:
            _current = Link()
        return _current


def _close() -> None:
    global _current
    with _lock:
        if _current is not None:
            _current.close()
            _current = None


def _forget() -> None:
    global _current, _lock
    _lock = threading.Lock()  # the other may be held by a thread that does not exist here
    if _current is not None:
        _current.forget()
        _current = None


atexit.register(_close)
os.register_at_fork(after_in_child=_forget)
