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

from openenv.errors import RuntimeFailure
from openenv.sandbox import Ended, Limits, Sandbox, python_paths
from openenv_coding.server.capture import Capture
from openenv_coding.server.frames import HELLO, TOKEN_BYTES, Request, fields_of

__all__ = ["Interpreter", "Progress"]

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


class Progress(Enum):
    """How far a request has come."""

    ANSWERED = "answered"
    LATE = "late"
    """Time is up; it goes on."""
    LOST = "lost"
    """The interpreter is gone, or will not answer any more."""


class Interpreter:
    """A fresh interpreter; it starts while the caller does something else, and runs one request at a time.

    Args:
        sandbox: Where it is started.
        limits: What it may take.
        max_answer_bytes: Longest answer that makes sense.

    Raises:
        RuntimeFailure: The sandbox could not be set up.
    """

    def __init__(self, sandbox: Sandbox, limits: Limits, max_answer_bytes: int) -> None:
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
        self._sending = bytearray(_inside())
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
        self._sending = bytearray(request.encode(self._token))
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
            if self._complete():
                return Progress.ANSWERED
            poller.register(control, select.POLLIN | (select.POLLOUT if self._sending else 0))
            ready = poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
            for descriptor, events in ready:
                if descriptor in (self._out, self._err):
                    if not self._read(descriptor):
                        poller.unregister(descriptor)
                elif descriptor == control:
                    if not self._talk(events):
                        return Progress.LOST
                elif self._process.poll() is not None:
                    return Progress.LOST
            if not self._complete() and time.monotonic() >= deadline:
                return Progress.LATE

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
def _inside() -> bytes:
    """The code of ``inside``, compiled, behind its length: this Python is the one inside."""
    source = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
    code: CodeType = compile(source, "<interpreter>", "exec", dont_inherit=True)
    data = marshal.dumps(code)
    return len(data).to_bytes(4, "big") + data
