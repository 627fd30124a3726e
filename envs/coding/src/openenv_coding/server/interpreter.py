"""One Python interpreter in a sandbox, as its owner sees it."""

from __future__ import annotations

import functools
import marshal
import os
import secrets
import select
import socket
import sys
import time
from enum import Enum
from pathlib import Path
from types import CodeType
from typing import Protocol

from openenv.errors import RuntimeFailure
from openenv.sandbox import Ended, Limits, Sandbox, python_paths
from openenv_coding.server.capture import Capture
from openenv_coding.server.frames import HELLO, RUN, TOKEN_BYTES, Broken, Called, Reply, Request, fields_of, offer, plug

__all__ = ["Interpreter", "Link", "Progress"]

# Reads the code of ``inside`` from standard input, which is a socket, and gives it builtins of its own.
_BOOT = """\
import marshal, os
def receive(count):
    data = b""
    while len(data) < count:
        data += os.read(0, count - len(data)) or os._exit(0)
    return data
code = marshal.loads(receive(int.from_bytes(receive(4), "big")))
exec(code, {"__name__": "openenv_inside", "__builtins__": dict(vars(__import__("builtins")))})
"""
_ENVIRONMENT = {
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108 - inside
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",  # the order of sets is part of what a seed fixes
    # libraries that start a thread for each processor of the host would not get them
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
# Where programs that draw look up fonts; without it they say so at every first figure.
_FONTS = {path: path for path in ("/etc/fonts",) if os.path.isdir(path)}
_START_S = 60.0
_LAST_WORDS_S = 1.0
_PIECE = 1 << 18
_STDERR_SHOWN = 2000
_LOOK_S = 0.1


class Progress(Enum):
    """How far a request has come."""

    ANSWERED = "answered"
    LATE = "late"
    """Time is up; it goes on."""
    LOST = "lost"
    """The interpreter is gone, or will not answer any more."""


class Link(Protocol):
    """What code may call. It is asked on the thread that sees a request through."""

    def tools(self) -> str:
        """The tools that there are now, as ``frames.offer`` takes them."""

    def call(self, called: Called) -> Reply:
        """Make a call from inside, and tell what came of it."""

    def is_cancelled(self) -> bool:
        """Whether nobody waits for the step any more."""


class Interpreter:
    """A fresh interpreter; it starts while the caller does something else, and runs one request at a time.

    Args:
        sandbox: Where it is started.
        limits: What it may take.
        max_answer_bytes: Longest answer that makes sense.
        link: Tools that its code may call, if any.

    Raises:
        RuntimeFailure: The sandbox could not be set up.
    """

    def __init__(self, sandbox: Sandbox, limits: Limits, max_answer_bytes: int, link: Link | None = None) -> None:
        self._link, self._offered, self._is_cancelled = link, "", True
        self._max_answer_bytes = max_answer_bytes
        self._control, theirs = socket.socketpair()
        self._out, out = os.pipe2(os.O_CLOEXEC)
        self._err, err = os.pipe2(os.O_CLOEXEC)
        self._open = True
        try:
            self._process = sandbox.spawn(
                [sys.executable, "-P", "-s", "-c", _BOOT],
                limits=limits,
                read_only={**python_paths(), **_FONTS},
                env=_ENVIRONMENT,
                stdin=theirs.fileno(),
                stdout=out,
                stderr=err,
            )
        except BaseException:
            self._close_ways()
            raise
        finally:
            theirs.close()
            os.close(out)
            os.close(err)
        self._control.setblocking(False)
        os.set_blocking(self._out, False)
        os.set_blocking(self._err, False)
        self._sending = bytearray(len(_compiled("inside")).to_bytes(4, "big") + _compiled("inside"))
        self._received = bytearray()
        self._token = HELLO
        self.capture(4096, 4096)
        self._progress(0.0)  # it fits into the socket: the start goes on by itself

    def capture(self, stdout_bytes: int, stderr_bytes: int) -> None:
        """Begin anew to take down what is written, within these bounds."""
        self.stdout = Capture(stdout_bytes)
        self.stderr = Capture(stderr_bytes)

    def wait_ready(self) -> None:
        """Wait until it has started.

        Raises:
            RuntimeFailure: It does not; the message holds what it said.
        """
        if self.progress(_START_S) is not Progress.ANSWERED:
            self.close()
            said = " ".join(self.stderr.text().split())[-_STDERR_SHOWN:]
            raise RuntimeFailure(f"Python does not start in the sandbox: {said or 'it said nothing'}")

    def ask(self, request: Request) -> None:
        """Send a request; ``progress`` sees it through."""
        self._token = secrets.token_bytes(TOKEN_BYTES)
        self._is_cancelled = request.kind != RUN  # nothing else is worth an interrupt
        self._sending = bytearray()
        if self._link is not None:
            if not self._offered:
                self._sending += plug(_compiled("inside_tools")).encode(HELLO)
            if tools := self._news():
                self._sending += offer(tools).encode(HELLO)
        self._sending += request.encode(self._token)
        self._received.clear()

    def progress(self, timeout_s: float) -> Progress:
        """See the request through for that long at most, taking in what is written meanwhile."""
        how = self._progress(timeout_s)
        self._drain()
        return how

    def fields(self) -> list[bytes]:
        """The fields of the answer.

        Raises:
            Broken: They make no sense.
        """
        return fields_of(bytes(self._received[4:]), self._token)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the code, soon."""
        self._process.interrupt()

    def end(self, timeout_s: float = _LAST_WORDS_S) -> tuple[Ended, bool]:
        """How it ended, and whether it did so by itself; if not, it is killed."""
        try:
            ended, itself = self._process.wait(timeout_s), True
        except TimeoutError:
            ended, itself = self._process.kill(), False
        self._drain()
        self._close_ways()
        return ended, itself

    def close(self) -> None:
        """Kill it with all that it started; safe to call twice."""
        if self._open:
            self.end(0.0)

    def _close_ways(self) -> None:
        if self._open:
            self._open = False
            self._control.close()
            os.close(self._out)
            os.close(self._err)

    def _progress(self, timeout_s: float) -> Progress:
        deadline = time.monotonic() + timeout_s
        poller = select.poll()
        for descriptor in (self._out, self._err):
            poller.register(descriptor, select.POLLIN)
        control, process = self._control.fileno(), self._process.fileno()
        if process >= 0:
            poller.register(process, select.POLLIN)
        while True:
            if self._complete() and not self._has_called(deadline):
                return Progress.ANSWERED
            poller.register(control, select.POLLIN | (select.POLLOUT if self._sending else 0))
            left_s = max(0.0, deadline - time.monotonic())
            ready = poller.poll((left_s if self._link is None else min(left_s, _LOOK_S)) * 1000)
            for descriptor, events in ready:
                if descriptor in (self._out, self._err):
                    if not self._read(descriptor):
                        poller.unregister(descriptor)
                elif descriptor == control:
                    if not self._talk(events):
                        return Progress.LOST
                elif self._process.poll() is not None:
                    return Progress.LOST
            if not self._complete() and (time.monotonic() >= deadline or self._is_given_up()):
                return Progress.LATE

    def _has_called(self, deadline: float) -> bool:
        """Whether what came is a call; then it is answered by now."""
        if self._link is None:
            return False
        try:
            called = Called.of(self.fields())
        except Broken:  # which the owner finds too
            called = None
        if called is None:
            return False
        self._received.clear()
        reply = self._link.call(called)
        is_late = time.monotonic() >= deadline
        self._sending += reply.request(self._news(), is_late=is_late).encode(self._token)
        return True

    def _news(self) -> str:
        """The tools that there are now, if they are others than the interpreter was told; empty if not."""
        tools = "" if self._link is None else self._link.tools()
        if tools == self._offered:
            return ""
        self._offered = tools
        return tools

    def _is_given_up(self) -> bool:
        """Whether nobody waits any more; told once for each request, for the end takes time too."""
        if self._link is None or self._is_cancelled or not self._link.is_cancelled():
            return False
        self._is_cancelled = True
        return True

    def _complete(self) -> bool:
        return len(self._received) >= 4 and len(self._received) - 4 == int.from_bytes(self._received[:4], "big")

    def _talk(self, events: int) -> bool:
        """Send and receive what can be; whether there is still somebody to talk to."""
        try:
            if self._sending and events & select.POLLOUT:
                del self._sending[: self._control.send(self._sending)]
            if events & ~select.POLLOUT:
                data = self._control.recv(_PIECE)
                self._received += data
                return bool(data) and self._plausible()
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _plausible(self) -> bool:
        if len(self._received) < 4:
            return True
        length = int.from_bytes(self._received[:4], "big")
        return length <= self._max_answer_bytes and len(self._received) - 4 <= length

    def _read(self, descriptor: int) -> bool:
        """Take in what was written; whether more can come."""
        try:
            data = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return True
        (self.stdout if descriptor == self._out else self.stderr).feed(data)
        return bool(data)

    def _drain(self) -> None:
        """Take in what is in the pipes by now, though not what a thread goes on to write."""
        for descriptor in (self._out, self._err):
            capture = self.stdout if descriptor == self._out else self.stderr
            before = capture.total
            while True:
                seen = capture.total
                if not self._read(descriptor) or capture.total == seen or seen - before > 4 * _PIECE:
                    break


@functools.cache
def _compiled(name: str) -> bytes:
    """The code of a module beside this one, as ``marshal`` writes it: this Python is the one inside."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    code: CodeType = compile(source, "<interpreter>", "exec", dont_inherit=True)
    return marshal.dumps(code)
