"""A program that runs in a sandbox, as its owner sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from openenv.errors import RuntimeFailure
from openenv.sandbox.workdir import WorkDirectory

__all__ = ["Ended", "SandboxedProcess"]

_KILL_S = 30.0


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        exit_code: Its exit code, 0 to 255; as in a shell, 128 + n if signal n ended it, and 127 if it could not be
            started.
        out_of_memory: Whether something in the sandbox was killed for want of memory. Known where a control group
            counts it; without one a program meets the limit as a failed allocation.
    """

    exit_code: int
    out_of_memory: bool = False


class SandboxedProcess:
    """A running program and everything that it started; made by ``Sandbox.spawn``.

    The end of the program is the end of all of it: what it left behind is killed. All methods may be called from
    any thread. As a context manager it kills at the end.
    """

    def __init__(self, pid: int, control: socket.socket, workdir: WorkDirectory, path: str) -> None:
        self.pid = pid
        """Process id, as the host counts, of the process that holds the sandbox together. Send it no signals."""
        self.workdir = path
        """Path of the working directory as the program sees it."""
        self._control = control
        self._workdir = workdir
        self._ended: Ended | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def __del__(self) -> None:
        self._control.close()  # which ends the sandbox, should it still run
        self._workdir.close()

    def fileno(self) -> int:
        """A descriptor that is readable once ``poll`` has something new to say; -1 once the end was seen."""
        return self._control.fileno()

    def poll(self) -> Ended | None:
        """How the program ended, or ``None`` while it runs. Never waits."""
        return self._look(0.0)

    def wait(self, timeout_s: float | None = None) -> Ended:
        """Wait for the end of the program.

        Args:
            timeout_s: Seconds to wait at most; ``None`` waits for as long as it takes.

        Raises:
            TimeoutError: It still runs; nothing was done to it.
        """
        ended = self._look(timeout_s)
        if ended is None:
            raise TimeoutError(f"the program still runs after {timeout_s:g} s")
        return ended

    async def ended(self) -> Ended:
        """Wait for the end of the program without holding up the event loop."""
        loop = asyncio.get_running_loop()
        while (ended := self.poll()) is None:
            readable = asyncio.Event()
            descriptor = os.dup(self.fileno())  # one of its own: several tasks may wait, and the end closes it
            loop.add_reader(descriptor, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(descriptor)
                os.close(descriptor)
        return ended

    def interrupt(self) -> None:
        """Send SIGINT to the program and its process group; with a terminal, to what is in its foreground."""
        self._tell("interrupt")

    def kill(self) -> Ended:
        """End everything in the sandbox at once and wait until nothing of it is left; safe to call twice.

        Raises:
            RuntimeFailure: It did not end within half a minute, which no healthy kernel allows.
        """
        self._tell("kill")
        ended = self._look(_KILL_S)
        if ended is None:
            raise RuntimeFailure(f"the sandbox with process id {self.pid} does not end though it was killed")
        return ended

    def write_file(self, path: str, content: bytes) -> None:
        """Write a file in the working directory; directories on the way are made, an existing file is replaced.

        Args:
            path: Path relative to the working directory. No symbolic link on it is followed.
            content: The content.

        Raises:
            ValueError: The path is absolute or leads out.
            OSError: It cannot be written: a link or no directory on the way, or the directory is full.
            RuntimeFailure: The sandbox has ended, and its files with it.
        """
        with self._lock:
            self._workdir.write(path, content)

    def read_file(self, path: str, max_bytes: int = 16 * 1024 * 1024) -> bytes:
        """Read a file in the working directory.

        Args:
            path: Path relative to the working directory. No symbolic link on it is followed.
            max_bytes: How much to read at most.

        Returns:
            The first ``max_bytes`` bytes of it.

        Raises:
            ValueError: The path is absolute or leads out.
            OSError: It does not exist, is no regular file, or is reached through a link.
            RuntimeFailure: The sandbox has ended, and its files with it.
        """
        with self._lock:
            return self._workdir.read(path, max_bytes)

    def _tell(self, word: str) -> None:
        with self._lock, contextlib.suppress(OSError):  # it has ended meanwhile, which poll says
            if self._ended is None:
                self._control.send(word.encode())

    def _look(self, timeout_s: float | None) -> Ended | None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._ended is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            poller = select.poll()
            try:
                poller.register(self._control, select.POLLIN)
            except ValueError:  # another thread saw the end and closed it
                continue
            if not poller.poll(None if left is None else left * 1000):
                return None
            with self._lock:
                if self._ended is None:
                    self._receive()
        return self._ended

    def _receive(self) -> None:
        try:
            received = self._control.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return  # another thread was faster
        except OSError:
            received = b""
        # Silence means that whoever watched over it was killed; the kernel took the sandbox down with it.
        message: dict[str, Any] = json.loads(received) if received else {"exit_code": 137, "out_of_memory": False}
        self._ended = Ended(message["exit_code"], message["out_of_memory"])
        self._control.close()
        self._workdir.close()
