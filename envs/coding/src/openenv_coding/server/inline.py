"""Trusted code in the process of its owner: one namespace from run to run, and nothing between it and the tools."""

from __future__ import annotations

import ast
import builtins
import linecache
import os
import sys
import traceback
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openenv_coding.server.capture import Capture
from openenv_coding.server.output import caught

__all__ = ["InlineInterpreter", "InlineRun"]

_OURS = os.path.dirname(__file__)


@dataclass(frozen=True)
class InlineRun:
    """What came of code.

    Attributes:
        exit_code: 0, 1 after an exception, N after ``sys.exit(N)``.
        value: ``repr`` of the last expression, cut; ``None`` if there is none.
        value_chars: Length of the whole.
        stdout, stderr: What was written.
    """

    exit_code: int
    value: str | None
    value_chars: int
    stdout: Capture
    stderr: Capture


class InlineInterpreter:
    """Runs code where it is called. Nothing holds the code: not the time it takes, and not what it does.

    Args:
        max_output_bytes: How much of each stream is kept.
        max_value_chars: How much of a value is kept.
    """

    def __init__(self, max_output_bytes: int, max_value_chars: int) -> None:
        self._max_output_bytes, self._max_value_chars = max_output_bytes, max_value_chars
        self._main = types.ModuleType("__main__")
        self.namespace: dict[str, Any] = self._main.__dict__
        self.namespace["__builtins__"] = builtins
        self._ours: dict[str, Any] = {}
        self._steps = 0
        self._sources: dict[str, list[str]] = {}

    def offer(self, functions: Mapping[str, Any]) -> None:
        """Put functions where code finds them, except over what it has put there itself."""
        for name, function in self._ours.items():
            if self.namespace.get(name) is function:
                del self.namespace[name]
        self._ours = dict(functions)
        for name, function in self._ours.items():
            self.namespace.setdefault(name, function)

    def run(self, source: str) -> InlineRun:
        """Run code as the interpreter in a sandbox does; an interrupt, and what ends the process, goes through."""
        self._steps += 1
        name = f"<step {self._steps}>"
        out, err = Capture(self._max_output_bytes), Capture(self._max_output_bytes)
        self._sources[name] = [line + "\n" for line in source.splitlines()]
        with caught(out, err):
            code, value = self._execute(source, name)
        return InlineRun(code, None if value is None else value[: self._max_value_chars], len(value or ""), out, err)

    def _execute(self, source: str, name: str) -> tuple[int, str | None]:
        try:
            tree = ast.parse(source, name)
            final = tree.body[-1] if tree.body else None
            last = ast.Expression(final.value) if isinstance(final, ast.Expr) else None
            if last is not None:
                tree.body.pop()
            exec(compile(tree, name, "exec", dont_inherit=True), self.namespace)  # noqa: S102 - our job
            if last is None:
                return 0, None
            value = eval(compile(last, name, "eval", dont_inherit=True), self.namespace)  # noqa: S307 - our job
            return 0, None if value is None else repr(value)
        except SystemExit as error:
            if error.code is None or isinstance(error.code, int):
                return (error.code or 0) & 0xFF, None
            print(error.code, file=sys.stderr)
            return 1, None
        except Exception as error:  # noqa: BLE001 - whatever the code raises is shown
            self._report(error)
            return 1, None

    def _report(self, error: BaseException) -> None:
        """Write a traceback as Python does, without our frames."""
        for name, lines in self._sources.items():  # others use these names too
            linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
        shown = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
        seen: list[traceback.TracebackException | None] = [shown]
        while seen:
            one = seen.pop()
            if one is not None:
                one.stack[:] = [frame for frame in one.stack if not frame.filename.startswith(_OURS)]
                if not one.stack:
                    one.stack = None  # type: ignore[assignment]  # no heading either, as for a syntax error
                seen += [one.__cause__, one.__context__, *(one.exceptions or ())]
        for name in self._sources:
            linecache.cache.pop(name, None)
        print("".join(shown.format()), file=sys.stderr, end="")
