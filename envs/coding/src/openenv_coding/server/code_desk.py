"""Between a tool environment and the code that calls its tools."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from openenv.errors import InputNeeded
from openenv.tools import BadArguments, CallCancelled, NoJSONForm, Tool, ToolContext, ToolResult
from openenv.tools.identifiers import function_names
from openenv_coding.models import CodeResult, CodingAction, Image
from openenv_coding.server.calls import Kept, ToolFailed, plain
from openenv_coding.server.environment import CodingEnvironment
from openenv_coding.server.frames import Called, Reply
from openenv_coding.server.inline import InlineInterpreter
from openenv_coding.server.linking import FIXED_NAMES, listed, offered

__all__ = ["CodeDesk", "ToolError", "ToolOwner"]

_MAX_ARGUMENTS = 4 * 1024 * 1024
_MAX_RESULT = 64 * 1024 * 1024

Functions = dict[str, Callable[..., Any]]


class ToolError(Exception):
    """A tool could not be called from code, or failed; the message says why."""


ToolError.__module__ = "__main__"  # as code knows it


class ToolOwner(Protocol):
    """The environment, as far as code needs it."""

    @property
    def code_calls(self) -> list[dict[str, Any]]:
        """What the functions were called with."""

    def callables(self) -> Functions:
        """The tools that there are now as functions."""

    def tools_in_code(self) -> list[Tool]:
        """The tools that code can call now."""


class CodeDesk:
    """Runs the code of one environment, in a sandbox or beside it, and makes the calls that the code makes.

    It is the ``Link`` of its interpreter.

    Args:
        environment: Whose tools are called.
        sandbox: Level of the sandbox, or ``inline``.
        options: Other arguments of ``CodingEnvironment``.
        max_calls_bytes: How much of the calls of a run is kept.

    Attributes:
        is_over: Whether the episode has ended; then nothing can be called.
    """

    def __init__(self, environment: ToolOwner, sandbox: str, options: Mapping[str, Any], max_calls_bytes: int) -> None:
        self.is_over = False
        self._environment, self._sandbox, self._options = environment, sandbox, options
        self._max_calls_bytes = max_calls_bytes
        self._python: CodingEnvironment | None = None
        self._inline: InlineInterpreter | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = ToolContext()
        self._kept = Kept([], 0)
        self._deadline = 0.0
        self._begun = self._gives_up = self._was_late = False
        self._seed = 0
        self._there: list[Tool] | None = None
        self._functions: Functions = {}
        self._told = ""

    def begin(self, seed: int | None) -> None:
        """Forget what the code of the last episode left behind."""
        self._seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        self._begun, self._inline, self.is_over = False, None, False

    def close(self) -> None:
        """End the interpreter; safe to call twice."""
        if self._python is not None:
            self._python.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    async def run_aside(self, code: str, timeout_s: float, context: ToolContext) -> ToolResult:
        """``run`` on a thread, while the tools run in this loop."""
        self._loop = asyncio.get_running_loop()
        self._pool = self._pool or ThreadPoolExecutor(1, "openenv-code")
        running = self._loop.run_in_executor(self._pool, self.run, code, timeout_s, context)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._gives_up = True
            await asyncio.wait([running])
            raise

    def run(self, code: str, timeout_s: float, context: ToolContext) -> ToolResult:
        """Run code, and tell what came of it.

        Raises:
            CallCancelled: Nobody waits for it any more.
            ConfigurationError, RuntimeFailure: There is no sandbox.
        """
        self._context, self._deadline, self._there = context, time.monotonic() + timeout_s, None
        self._gives_up = self._was_late = False
        self._kept = Kept(self._environment.code_calls, self._max_calls_bytes)
        images: list[Image] = []
        if self._sandbox == "inline":
            told = self._run_inline(code)
        else:
            told, images = self._run_sandboxed(code, timeout_s)
        calls = self._kept.take(is_last=True)
        if self.is_cancelled():
            raise CallCancelled("the call was cancelled")
        structured = told.model_dump(mode="json")
        return ToolResult(
            content=[
                _text(told),
                *({"type": "image", "data": one.data, "mimeType": one.media_type} for one in images),
            ],
            structured_content=structured,
            data={**structured, "calls": calls, "calls_left_out": self._kept.left_out},
        )

    # The interpreter's link -----------------------------------------------------------------------

    def tools(self) -> str:
        """The tools that there are now, as ``frames.offer`` takes them."""
        self._look()
        return self._told

    def call(self, called: Called) -> Reply:
        """Make a call from inside, and tell what came of it."""
        try:
            self._look()
            function = self._functions.get(called.name)
            if function is None:
                raise ToolError(f"the tool {called.name} is not there now; list_tools() tells which are")
            arguments = json.loads(called.arguments)
            if not isinstance(arguments, dict):
                raise ToolError(f"{called.name}: arguments come by name")
            text = json.dumps(function(**arguments))
            if len(text) > _MAX_RESULT:
                raise ToolError(f"{called.name}: the result has {len(text)} bytes; code can take {_MAX_RESULT}")
            return Reply(text)
        except ToolError as error:
            return Reply(str(error), failed=True)
        except (ValueError, TypeError, RecursionError) as error:  # arguments that nobody inside has checked
            return Reply(f"{called.name}: {error}", failed=True)

    def is_cancelled(self) -> bool:
        """Whether nobody waits for the step any more."""
        return self._gives_up or self._context.is_cancelled

    # What both kinds of interpreter need ----------------------------------------------------------

    def _look(self) -> bool:
        """Look which tools there are now; whether they are others than before."""
        there = self._on_its_thread(self._environment.tools_in_code)
        if there == self._there:
            return False
        self._there = there
        found = self._environment.callables()
        by_tool = {getattr(function, "tool").name: function for function in found.values()}  # noqa: B009
        self._functions = {one.name: self._guarded(one, by_tool[one.name]) for one in there if one.name in by_tool}
        self._told = offered([one.listed() for one in there], _MAX_ARGUMENTS)
        return True

    def _guarded(self, tool: Tool, function: Callable[..., Any]) -> Callable[..., Any]:
        """A tool as code may call it: while the episode goes on, and failing with ``ToolError`` alone."""

        @functools.wraps(function)
        def guarded(*positional: Any, **keywords: Any) -> Any:
            if self.is_over:
                raise ToolError(f"{tool.name}: the episode has ended, so no tool can be called any more")
            if self._sandbox == "inline" and time.monotonic() >= self._deadline:  # nothing else can end that
                self._was_late = True
                raise ToolError(f"{tool.name}: the time of this call of run_code is up")
            try:
                made = self._on_its_thread(functools.partial(function, *positional, **keywords))
                if self._sandbox == "inline":
                    return made
                return plain(made, has_schema=tool.output_schema is not None, wraps=tool.wraps)
            except ToolError:
                raise
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a tool raises is for the code to know
                raise ToolError(f"{tool.name}: {_why(error)}") from None
            finally:
                self._after_call()

        return guarded

    def _on_its_thread(self, work: Callable[[], Any]) -> Any:
        """What work returns, done in the loop of an asynchronous environment, and awaited if that is to be."""
        if self._loop is None:
            return work()

        async def done() -> Any:
            made = work()
            return await made if inspect.isawaitable(made) else made

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    def _after_call(self) -> None:
        if self._inline is None:  # else code may still be about to read what a tool gave it
            self._kept.take()
        if self._inline is not None and self._look():
            self._inline.offer(self._in_namespace())

    # The two kinds --------------------------------------------------------------------------------

    def _run_sandboxed(self, code: str, timeout_s: float) -> tuple[CodeResult, list[Image]]:
        if self._python is None:
            options = {"max_step_timeout_s": 86400.0, "warm_spare": False, **self._options}
            self._python = CodingEnvironment(self._sandbox, **options)
            self._python.link = self
        if not self._begun:
            self._python.reset(seed=self._seed)
            self._begun = True
        seen = self._python.step(CodingAction(code=code, timeout_s=timeout_s))
        fields = {name: getattr(seen, name) for name in CodeResult.model_fields if name != "exit_code"}
        return CodeResult(exit_code=seen.exit_code or 0, **fields), seen.images

    def _run_inline(self, code: str) -> CodeResult:
        if self._inline is None:
            bounds = (self._options.get("max_output_bytes", 65536), self._options.get("max_value_chars", 16384))
            self._inline = InlineInterpreter(*bounds)
        self._look()
        self._inline.offer(self._in_namespace())
        ran = self._inline.run(code)
        return CodeResult(
            stdout=ran.stdout.text(),
            stderr=ran.stderr.text(),
            value=ran.value,
            exit_code=ran.exit_code,
            timed_out=self._was_late,
        )

    def _in_namespace(self) -> Functions:
        names = function_names(self._functions, FIXED_NAMES)
        return {names[name]: function for name, function in self._functions.items()} | {
            "ToolError": ToolError,
            "list_tools": self._list_tools,
        }

    def _list_tools(self) -> list[dict[str, Any]]:
        """The tools that can be called now: name, description and input_schema of each."""
        self._look()
        return listed([one.listed() for one in self._there or ()])


def _why(error: BaseException) -> str:
    """Why a call failed, for whoever wrote the code."""
    match error:
        case BadArguments() | CallCancelled() | ToolFailed():
            return str(error)
        case InputNeeded():
            return "it asks its caller something first, which code cannot answer; call it as a tool"
        case NoJSONForm():
            return f"it returned {error}"
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _text(told: CodeResult) -> str:
    """What a model reads of a run."""
    parts = [told.stdout, told.stderr]
    if told.value is not None:
        parts.insert(1, f"{told.value}\n")
    if told.timed_out:
        parts.append("The time was up before the code ended.\n")
    if told.restart_reason:
        parts.append(f"{told.restart_reason}\n")
    if told.exit_code not in (0, 1):
        parts.append(f"exit code {told.exit_code}\n")
    return "".join(part if not part or part.endswith("\n") else f"{part}\n" for part in parts) or "(no output)"
