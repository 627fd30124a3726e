"""Tools as functions inside the sandbox: what the interpreter is sent besides ``inside`` where code may call tools.

Standard library only, and compiled and sent as ``inside`` is. A call is a frame to the host while a step runs; the host
answers it before the step goes on. Threads may call too, one at a time, as long as a step runs.
"""

from __future__ import annotations

import types
from _thread import allocate_lock, get_ident
from json import dumps, loads
from os import getpid
from time import monotonic, sleep
from typing import Any

_OURS = "<interpreter>"
_CALL = b"call"
_LATE = b"\2"
_INTERRUPT_S = 1.0


class ToolError(Exception):
    """A tool could not be called, or failed; the message says why."""


ToolError.__module__ = "__main__"


class _Default:
    """Stands for an argument that is not given; ``help`` shows what the tool takes then."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Desk:
    """Makes functions of tools, and sends their calls to the host.

    Args:
        interpreter: The one of ``inside``.
    """

    def __init__(self, interpreter: Any) -> None:
        self.interpreter = interpreter
        self.lock = allocate_lock()
        self.main = get_ident()
        self.token = b""
        self.talking = False  # on the main thread: an interrupt has to wait for the end of the frame
        self.max_bytes = 0
        self.told = "[]"
        self.ours: dict[str, Any] = {}

        def list_tools() -> list[dict[str, Any]]:
            """The tools that can be called now: name, description and input_schema of each."""
            found: list[dict[str, Any]] = loads(self.told)
            return found

        list_tools.__module__ = "__main__"
        list_tools.__qualname__ = "list_tools"
        self.fixed: dict[str, Any] = {"list_tools": list_tools, "ToolError": ToolError}

    def offer(self, text: str) -> None:
        """Take the tools that there are now in place of those before."""
        offered = loads(text)
        self.max_bytes = offered["max_bytes"]
        self.told = dumps([one["told"] for one in offered["tools"]])
        before, self.ours = self.ours, dict(self.fixed)
        for one in offered["tools"]:
            self.ours[one["function"]] = self._function(one)
        namespace = self.interpreter.namespace
        for name, function in before.items():
            if namespace.get(name) is function:
                del namespace[name]
        self.place()

    def place(self) -> None:
        """Put the functions where code finds them, except over what it has put there itself."""
        namespace = self.interpreter.namespace
        for name, function in self.ours.items():
            namespace.setdefault(name, function)

    def open(self, token: bytes) -> None:
        """A step begins: calls are possible."""
        self.place()
        self.token = token

    def shut(self) -> None:
        """The step is over: the call of a thread is waited for, and there are no more."""
        with self.lock:
            self.token = b""

    def _function(self, tool: dict[str, Any]) -> Any:
        defaults = {f"_default_{index}": _Default(text) for index, text in enumerate(tool["defaults"])}
        scope: dict[str, Any] = {"_call": self.call, **defaults}
        exec(compile(tool["source"], _OURS, "exec", dont_inherit=True), scope)  # noqa: S102 - written by the host
        function: types.FunctionType = scope[tool["function"]]
        function.__doc__, function.__module__ = tool["doc"], "__main__"
        return function

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a tool and return what it does.

        Raises:
            ToolError: It failed, or nothing can be called now.
            TypeError: An argument is no plain data.
        """
        given = {key: value for key, value in arguments.items() if type(value) is not _Default}
        try:
            data = dumps(given).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"{name} takes plain data: {error}") from None
        if len(data) > self.max_bytes:
            raise ToolError(f"{name}: the arguments have {len(data)} bytes; at most {self.max_bytes} can be sent")
        if getpid() != self.interpreter.pid:
            raise ToolError(f"{name}: a copy of the process cannot call tools")
        is_main = get_ident() == self.main
        before = self.interpreter.interrupts
        if is_main:
            self.talking = True
        try:
            with self.lock:
                fields = self._exchange(name, data, before) if self.token else [b"\0", b"no step runs: nobody answers"]
            if is_main and fields is not None and fields[0] == _LATE:
                until = monotonic() + _INTERRUPT_S
                while self.interpreter.interrupts == before and monotonic() < until:
                    sleep(0.001)
        finally:
            if is_main:
                self.talking = False
        if fields is None or (is_main and self.interpreter.interrupts > before):
            raise KeyboardInterrupt
        if fields[0] != b"\1":
            raise ToolError(fields[1].decode("utf-8", "replace"))
        return loads(fields[1])

    def _exchange(self, name: str, data: bytes, interrupts: int) -> list[bytes] | None:
        """The fields of the answer; ``None``, and nothing sent, if an interrupt came while others were answered."""
        interpreter = self.interpreter
        if self.talking and get_ident() == self.main and interpreter.interrupts > interrupts:
            return None
        interpreter.send(self.token, _CALL, name.encode(), data)
        header = interpreter.receive(21)
        body = interpreter.receive(int.from_bytes(header[17:], "big"))
        fields, at = [], 0
        while at < len(body):
            end = at + 4 + int.from_bytes(body[at : at + 4], "big")
            fields.append(body[at + 4 : end])
            at = end
        if fields[2]:
            self.offer(fields[2].decode())
        return fields
