"""A program that speaks MCP on its standard streams, with everything that it starts."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

from openenv.errors import ToolsetUnavailable

__all__ = ["ServerProcess"]

_GRACE_S = 2.0
_DIES_IN_S = 10.0  # of SIGKILL, which the kernel may hold up
_GONE_IN_S = 0.5
_LOOK_EVERY_S = 0.02
_WATCH = 'read -r _; kill -TERM -"$1" 2>/dev/null; sleep 2; kill -KILL -"$1" 2>/dev/null'
"""Ends a process group when the other end of its standard input is closed, which the kernel does when we die."""


class ServerProcess:
    """A running program in a session of its own. To be used in one event loop.

    It is told to end by the end of its standard input. Should this process die without a word, a shell that watches it
    ends the program's process group. What leaves that group, as a daemon does, is out of reach.

    Args:
        command: The program and its arguments.
        env: Its environment variables, all of them.
        on_exit: Called once, in the event loop, when the program has ended by itself or was killed.

    Raises:
        ToolsetUnavailable: It cannot be started.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], on_exit: Callable[[], None]) -> None:
        program = shutil.which(command[0], path=env.get("PATH"))
        if program is None:
            raise ToolsetUnavailable(f"there is no program {command[0]!r}; is it installed, and on PATH?")
        try:
            self._process = subprocess.Popen(
                [program, *command[1:]],
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolsetUnavailable(f"{command[0]} cannot be started: {error}") from error
        self._watch = _watched(self._process.pid)
        self._has_ended = False
        self._loop = asyncio.get_running_loop()
        self._exited = self._loop.create_future()
        self._exited.add_done_callback(lambda _: on_exit())
        self._looking = self._loop.create_task(self._look())

    @property
    def pid(self) -> int:
        """Its process id, which is that of its process group too."""
        return self._process.pid

    @property
    def streams(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        """Its standard input, output and error."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # as was asked
        return process.stdin, process.stdout, process.stderr

    async def told(self, wait_s: float) -> str:
        """How it ended, as the end of a sentence; ``has closed its output`` if it has not within that time."""
        await asyncio.wait([self._exited], timeout=wait_s)
        if not self._exited.done():
            return "has closed its output"
        code: int = self._exited.result()
        if code >= 0:
            return f"has ended with exit code {code}"
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
        return f"was killed by signal {-code}"

    async def end(self) -> None:
        """See it end, after its standard input was closed, and everything in its process group with it."""
        if self._has_ended:
            return
        self._has_ended = True
        await self._ends(_GRACE_S)
        if not self._exited.done():
            _signal(self._process, signal.SIGTERM)
            await self._ends(_GRACE_S)
        _signal(self._process, signal.SIGKILL)
        await self._ends(_DIES_IN_S)
        if self._watch is not None:
            self._watch.kill()
            self._watch.wait()
            if self._watch.stdin is not None:
                self._watch.stdin.close()
        self._looking.cancel()
        self._process.poll()
        for stream in self.streams:
            stream.close()
        await self._group_is_gone()

    async def _group_is_gone(self) -> None:
        """Wait for those that were killed with it; not for long, since their number stays while nobody reaps them."""
        with suppress(TimeoutError, ProcessLookupError, PermissionError):
            async with asyncio.timeout(_GONE_IN_S):
                while True:
                    os.killpg(self._process.pid, 0)
                    await asyncio.sleep(_LOOK_EVERY_S / 4)

    async def _ends(self, timeout_s: float) -> None:
        await asyncio.wait([self._exited], timeout=timeout_s)

    async def _look(self) -> None:
        """Wait for its end. It is not reaped, so that the number of its group stays its own."""
        await self._readable_pidfd()
        while True:
            found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)  # noqa: ASYNC222 - WNOHANG
            if found is not None:
                code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
                self._exited.set_result(code)
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _readable_pidfd(self) -> None:
        if not hasattr(os, "pidfd_open"):
            return
        try:
            descriptor = os.pidfd_open(self._process.pid)
        except OSError:  # not offered by this kernel or sandbox: it is looked at now and then
            return
        readable = asyncio.Event()
        self._loop.add_reader(descriptor, readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)


def _watched(group: int) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "openenv-watch", str(group)],
            env={"PATH": os.defpath},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # a Ctrl-C in a terminal must not end it first
        )
    except OSError:  # an image without a shell: the end of its standard input has to do
        return None


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)  # not reaped, so the number is still its own
