"""The interpreter inside the sandbox: runs steps and answers for them. Standard library only.

It is sent to a fresh Python as compiled code, and executed with builtins of its own, so that code which changes
``builtins`` changes nothing here; for the same reason functions of modules are taken by name at the start. Frames both
ways are those of ``frames``; this side has them written out, because nothing of the host can be imported here.
"""

from __future__ import annotations

import ast
import io
import linecache
import os
import sys
import traceback
import types
import warnings
from fcntl import F_DUPFD_CLOEXEC, fcntl
from io import BytesIO, FileIO, TextIOWrapper
from os import O_RDWR, _exit, close, dup2, getpid, read, sysconf, write
from signal import SIGINT
from time import monotonic, sleep
from typing import Any

_OURS = "<interpreter>"
_HIGH = 16  # our descriptors are that far below the limit, out of the way of those that code closes by habit
_SETTLE_S = 1.0
_FLAGS = 0
for _feature in __import__("__future__").all_feature_names:
    _FLAGS |= getattr(__import__("__future__"), _feature).compiler_flag

_signal = __import__("_signal").signal  # that of signal is wrapped in Python, which asks builtins
_settrace, _setprofile = sys.settrace, sys.setprofile
_TracebackException = traceback.TracebackException
_only_ast = ast.PyCF_ONLY_AST
_Expr, _Expression = ast.Expr, ast.Expression
_modules = sys.modules
_sources = linecache.cache


class Interpreter:
    """Runs the code of steps in one namespace, on the main thread."""

    def __init__(self) -> None:
        floor = max(3, min(sysconf("SC_OPEN_MAX"), 1024) - _HIGH)
        null = os.open(os.devnull, O_RDWR)
        self.control, self.out, self.err, self.null = (fcntl(fd, F_DUPFD_CLOEXEC, floor) for fd in (0, 1, 2, null))
        close(null)
        self.pid = getpid()
        self.active = False
        self.interrupts = 0
        self.flags = 0
        self.desk: Any = None  # of ``inside_tools``, where code may call tools
        self.max_value = self.max_images = self.max_image_bytes = 0
        main = types.ModuleType("__main__")
        main.__dict__["__builtins__"] = __import__("builtins")
        _modules["__main__"] = main
        self.namespace = main.__dict__
        sys.argv = [""]
        sys.path.insert(0, "")
        os.register_at_fork(after_in_child=self.forget_control)
        self.restore_streams()

    def forget_control(self) -> None:
        """A copy of this process has nothing to say."""
        close(self.control)

    def on_interrupt(self, number: int, frame: object) -> None:
        """Raise KeyboardInterrupt in code, and nowhere else."""
        self.interrupts += 1
        if self.active and getpid() == self.pid and not (self.desk is not None and self.desk.talking):
            raise KeyboardInterrupt

    def restore_streams(self) -> None:
        """Whatever was closed or replaced: the three streams, and who is told of SIGINT, as at the start."""
        for descriptor, number in (self.null, 0), (self.out, 1), (self.err, 2):
            dup2(descriptor, number)
        kept = [getattr(self, name, None) for name in ("stdin", "stdout", "stderr")]
        if any(stream is None or not _sound(stream) for stream in kept):
            self.stdin, self.stdout, self.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")
        sys.stdin, sys.stdout, sys.stderr = self.stdin, self.stdout, self.stderr
        _signal(SIGINT, self.on_interrupt)

    def flush(self) -> None:
        """Have everything written that was printed."""
        streams: tuple[Any, ...] = (
            getattr(sys, "stdout", None),
            getattr(sys, "stderr", None),
            self.stdout,
            self.stderr,
        )
        for stream in streams:
            try:
                stream.flush()
            except BaseException:  # noqa: BLE001, S112 - it may be anything by now
                continue

    def run(self, source: str, name: str) -> tuple[int, bytes | None, int, list[bytes], int]:
        """Run one step.

        Returns:
            The exit code; the value's beginning as UTF-8 and its length in characters; images; how many were dropped.
        """
        self.interrupts = 0
        self.restore_streams()
        images: list[bytes] = []
        code, value, length, dropped = 1, None, 0, 0
        try:
            self.active = True
            code, value, length = self._execute(source, name)
            if "matplotlib.pyplot" in _modules:
                images, dropped = self._figures()
        except BaseException as error:  # noqa: BLE001 - an interrupt that came late, or a figure that cannot be drawn
            code = code or 1
            self._report(error)
        finally:
            self.active = False
        if getpid() != self.pid:  # a fork that returned from its code
            self.flush()
            _exit(code)
        self.flush()
        return code, value, length, images, dropped

    def passes(self, tests: str) -> bool:
        """Whether the tests run to their end in a copy of the namespace."""
        self.interrupts = 0
        self.restore_streams()
        passed = False
        try:
            self.active = True
            exec(compile(tests, "<tests>", "exec", dont_inherit=True), dict(self.namespace))  # noqa: S102 - our job
            passed = getpid() == self.pid
        except BaseException as error:  # noqa: BLE001 - whatever it is, they do not pass
            self._report(error)
        finally:
            self.active = False
        if getpid() != self.pid:
            _exit(1)
        self.flush()
        return passed

    def _execute(self, source: str, name: str) -> tuple[int, bytes | None, int]:
        # Python places its carets by lines that all end; only these line ends are Python's
        lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        _sources[name] = (len(source), None, [line + "\n" for line in lines], name)
        try:
            body, last = self._compile(source, name)
        except BaseException as error:  # noqa: BLE001 - any of: no syntax, too deep, too large, null bytes
            self._report(error.with_traceback(None))
            return 1, None, 0
        try:
            exec(body, self.namespace)  # noqa: S102 - our job
            value = None if last is None else eval(last, self.namespace)  # noqa: S307 - our job
            text = "" if value is None else repr(value)
            _untrace()
            if value is None:
                return 0, None, 0
            return 0, text[: self.max_value].encode("utf-8", "backslashreplace"), len(text)
        except SystemExit as error:
            _untrace()
            return self._exit_code(error.code), None, 0
        except BaseException as error:  # noqa: BLE001 - it is shown
            _untrace()
            self._report(error)
            return 1, None, 0

    def _compile(self, source: str, name: str) -> tuple[types.CodeType, types.CodeType | None]:
        """Compile the step; the last expression by itself."""
        tree = compile(source, name, "exec", self.flags | _only_ast, dont_inherit=True)
        last = None
        if tree.body and type(tree.body[-1]) is _Expr:
            last = _Expression(tree.body.pop().value)
        body = compile(tree, name, "exec", self.flags, dont_inherit=True)
        self.flags |= body.co_flags & _FLAGS
        return body, None if last is None else compile(last, name, "eval", self.flags, dont_inherit=True)

    def _exit_code(self, code: object) -> int:
        """What a process would end with."""
        if code is None:
            return 0
        if isinstance(code, int):
            return int(code) & 0xFF
        self._say(f"{code}\n")
        return 1

    def _figures(self) -> tuple[list[bytes], int]:
        pyplot = _modules["matplotlib.pyplot"]
        images: list[bytes] = []
        numbers = pyplot.get_fignums()
        left = self.max_image_bytes
        for number in numbers[: self.max_images]:
            file = BytesIO()
            pyplot.figure(number).savefig(file, format="png")
            if len(image := file.getvalue()) <= left:
                images.append(image)
                left -= len(image)
        pyplot.close("all")
        return images, len(numbers) - len(images)

    def _report(self, error: BaseException) -> None:
        """Write a traceback as Python does, without our frames."""
        try:
            shown = _TracebackException(type(error), error, _skip(error.__traceback__), compact=True)
            _strip(shown)
            text = "".join(shown.format())
        except BaseException:  # noqa: BLE001 - the code may have changed what formats tracebacks, or interrupts come
            text = _plainly(error)
        self._say(text)

    def _say(self, text: str) -> None:
        self.flush()
        dup2(self.err, 2)
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[write(2, data) :]

    def receive(self, count: int) -> bytes:
        """That many bytes from the host; the end of them is the end of this process."""
        data = bytearray()
        while len(data) < count:
            piece = read(self.control, count - len(data))
            if not piece:
                _exit(0)
            data += piece
        return bytes(data)

    def send(self, token: bytes, *fields: bytes) -> None:
        """Answer a request."""
        body = token + b"".join(len(field).to_bytes(4, "big") + field for field in fields)
        data = len(body).to_bytes(4, "big") + body
        while data:
            data = data[write(self.control, data) :]

    def serve(self) -> None:
        """Answer requests until the host hangs up."""
        while True:
            header = self.receive(21)
            kind, token = header[:1], header[1:17]
            body = self.receive(int.from_bytes(header[17:], "big"))
            if kind == b"B":
                self._begin(body)
                self.send(token)
            elif kind == b"P":
                scope: dict[str, Any] = {"__name__": "openenv_inside_tools", "__builtins__": __builtins__}
                exec(__import__("marshal").loads(body), scope)  # noqa: S102 - of the host
                self.desk = scope["Desk"](self)
            elif kind == b"O":
                self.desk.offer(body.decode())
            elif kind == b"R":
                if self.desk is not None:
                    self.desk.open(token)
                step, source = int.from_bytes(body[:4], "big"), body[4:].decode("utf-8", "surrogatepass")
                code, value, length, images, dropped = self.run(source, f"<step {step}>")
                if self.desk is not None:
                    self.desk.shut()
                seen = self.interrupts > 0
                numbers = (code, value is not None, length, dropped, seen)
                self.send(token, *(int(n).to_bytes(8, "big") for n in numbers), value or b"", *images)
            elif kind == b"T":
                passed = self.passes(body.decode("utf-8", "surrogatepass"))
                self.send(token, bytes([passed]), bytes([self.interrupts > 0]))
            else:  # an interrupt is under way that must not hit the next step
                until = monotonic() + _SETTLE_S
                while not self.interrupts and monotonic() < until:
                    sleep(0.001)
                self.send(token)

    def _begin(self, body: bytes) -> None:
        numbers = [int.from_bytes(body[at : at + 8], "big") for at in range(0, 32, 8)]
        self.max_value, self.max_images, self.max_image_bytes, seed = numbers
        __import__("random").seed(seed)


def _untrace() -> None:
    """A trace function that the code has set is not for what comes after it."""
    _settrace(None)
    _setprofile(None)


def _stream(descriptor: int, mode: str) -> TextIOWrapper:
    raw = FileIO(descriptor, mode, closefd=False)
    buffer: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return TextIOWrapper(buffer, "utf-8", "backslashreplace" if mode == "w" else "surrogateescape", line_buffering=True)


def _sound(stream: TextIOWrapper) -> bool:
    try:
        return not stream.closed
    except ValueError:  # its buffer was taken away
        return False


def _skip(trace: types.TracebackType | None) -> types.TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename == _OURS:
        trace = trace.tb_next
    return trace


def _strip(shown: Any, depth: int = 0) -> None:
    """Take our frames out of a traceback and of what led to it."""
    if shown is None or depth > 50:
        return
    shown.stack[:] = [frame for frame in shown.stack if frame.filename != _OURS]
    if not shown.stack:
        shown.stack = None  # no heading either, as for a syntax error
    for other in (shown.__cause__, shown.__context__, *(shown.exceptions or ())):
        if other is not None and other.stack is not None:
            _strip(other, depth + 1)


def _plainly(error: BaseException) -> str:
    lines: list[str] = []
    trace = _skip(error.__traceback__)
    while trace is not None and len(lines) < 50:
        lines.append(f'  File "{trace.tb_frame.f_code.co_filename}", line {trace.tb_lineno}\n')
        trace = trace.tb_next
    head = "Traceback (most recent call last):\n" if lines else ""
    try:
        said = str(error)
    except BaseException:  # noqa: BLE001 - its own __str__ fails
        said = ""
    return head + "".join(lines) + type(error).__name__ + (f": {said}" if said else "") + "\n"


if __name__ == "openenv_inside":
    # the one backend there is cannot show a window, which is no news to anybody here
    warnings.filterwarnings("ignore", message=".*non-interactive, and thus cannot be shown")
    __import__("random")
    _interpreter = Interpreter()
    _interpreter.send(bytes(16))
    try:
        _interpreter.serve()
    except OSError:  # the code has closed our descriptor, which nothing but an exit code can tell
        _exit(113)  # ``CUT_OFF`` of frames
