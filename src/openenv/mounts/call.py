"""One call of an outside tool: what its server says and asks meanwhile, and what came of it."""

from __future__ import annotations

import asyncio
from typing import Any, get_args

from openenv.errors import InputNeeded
from openenv.mcp.happenings import Answer, Asked, InputWanted, Told
from openenv.mcp.messages import METHOD_NOT_FOUND, McpError
from openenv.mcp.versions import Era
from openenv.mounts.link import QUESTIONS, Link, Listener, Outcome
from openenv.mounts.listing import Mounted
from openenv.schema import misfit
from openenv.tools import CallCancelled, ToolContext
from openenv.tools.asking import Question
from openenv.tools.notes import LogLevel

__all__ = ["called", "error_result"]

_LOOK_EVERY_S = 0.2
_MOST_ROUNDS = 20
_AGAIN_AFTER_S = 0.2
_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)


class _Forwarded:
    """A question of the server, as tools ask one."""

    def __init__(self, method: str, params: Any) -> None:
        self.method = method
        self.capability = QUESTIONS[method]
        self._params: dict[str, Any] = params if isinstance(params, dict) else {}

    def params(self) -> dict[str, Any]:
        return self._params


class _Caller(Listener):
    """The caller of a tool, as the server of the tool sees it."""

    def __init__(self, context: ToolContext) -> None:
        self.needed: asyncio.Future[InputNeeded] = asyncio.get_running_loop().create_future()
        self._context = context
        self._count = 0

    async def asked(self, asked: Asked) -> dict[str, Any] | McpError:
        self._count += 1
        found = self.answers(
            {f"{QUESTIONS[asked.method]}-{self._count}": {"method": asked.method, "params": asked.params}}
        )
        [answer] = (*found.values(), None)[:1]
        if isinstance(answer, dict):
            return answer
        if asked.method == "elicitation/create":
            return {"action": "cancel" if self.needed.done() else "decline"}
        return McpError(METHOD_NOT_FOUND, f"nobody here answers {asked.method}")

    def answers(self, questions: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The answers that the caller gives; sets ``needed`` if it can give them, and has yet to be asked."""
        able: dict[str, Question] = {
            name: _Forwarded(one["method"], one.get("params"))
            for name, one in questions.items()
            if name in self._context.inputs or QUESTIONS[one["method"]] in self._context.capabilities
        }
        try:
            return self._context.ask(**able) if able else {}
        except InputNeeded as error:
            if not self.needed.done():
                self.needed.set_result(error)
            return {}

    def told(self, told: Told) -> None:
        params, method = told.params, told.method
        if method == "notifications/progress" and _is_number(params.get("progress")):
            total, message = params.get("total"), params.get("message")
            self._context.progress(
                params["progress"], total if _is_number(total) else None, message if isinstance(message, str) else None
            )
        elif method == "notifications/message":
            told_level, logger = params.get("level"), params.get("logger")
            level: LogLevel = told_level if told_level in _LEVELS else "info"
            self._context.log(params.get("data"), level, logger if isinstance(logger, str) else None)


async def called(link: Link, mounted: Mounted, arguments: dict[str, Any], context: ToolContext) -> dict[str, Any]:
    """Call a tool; its ``result``.

    Raises:
        InputNeeded: The server asks something that its caller can be asked.
        CallCancelled: The caller has given up.
        ToolsetUnavailable: The server is gone.
    """
    caller = _Caller(context)
    running = asyncio.ensure_future(_answered(link, mounted, arguments, caller))
    try:
        while not running.done() and not caller.needed.done():
            waited: set[asyncio.Future[Any]] = {running, caller.needed}
            await asyncio.wait(waited, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            if context.is_cancelled and not running.done():
                raise CallCancelled("the call was cancelled")
        if caller.needed.done():
            raise caller.needed.result()
        outcome = running.result()
    finally:
        if not running.done():
            running.cancel()
            await asyncio.wait([running])
        elif not running.cancelled():
            running.exception()  # nobody may have asked for it
    if isinstance(outcome, Answer):
        return _result(outcome.result, mounted)
    if isinstance(outcome, InputWanted):
        return error_result("the server asks again and again before it does anything")
    return error_result(outcome.error.message)


async def _answered(link: Link, mounted: Mounted, arguments: dict[str, Any], caller: _Caller) -> Outcome:
    params: dict[str, Any] = {"name": mounted.name, "arguments": arguments}
    if link.opened.era is Era.STATELESS:
        params["_meta"] = {"io.modelcontextprotocol/logLevel": "info"}
    outcome = await link.request("tools/call", params, caller, input_schema=dict(mounted.tool.input_schema))
    for _ in range(_MOST_ROUNDS):
        if not isinstance(outcome, InputWanted):
            break
        answers = caller.answers(outcome.questions)
        if caller.needed.done():
            break
        for name, one in outcome.questions.items():
            if name not in answers and one["method"] == "elicitation/create":
                answers[name] = {"action": "decline"}
        if set(outcome.questions) - set(answers):
            return _cannot(outcome)
        if not outcome.questions:
            await asyncio.sleep(_AGAIN_AFTER_S)
        outcome = await link.retry(outcome, answers, caller)
    return outcome


def _cannot(wanted: InputWanted) -> Answer:
    asked = ", ".join(sorted({one["method"] for one in wanted.questions.values()}))
    result = {"content": [{"type": "text", "text": f"the server asks {asked}, and nobody answers"}], "isError": True}
    return Answer(wanted.id, wanted.method, result)


def error_result(message: str) -> dict[str, Any]:
    """The result of a call that its server refused."""
    content = [{"type": "text", "text": message}]
    return {"content": content, "structured_content": None, "meta": None, "data": None, "is_error": True}


def _result(told: dict[str, Any], mounted: Mounted) -> dict[str, Any]:
    """MCP's result of a call as ours; an error where it does not fit the schema that the server told of it."""
    content, structured, meta = told.get("content"), told.get("structuredContent"), told.get("_meta")
    blocks = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
    data: Any = structured
    if isinstance(structured, dict) and mounted.wraps and "result" in structured:
        data = structured["result"]
    elif structured is None and blocks:
        is_text = len(blocks) == 1 and blocks[0].get("type") == "text"
        data = blocks[0].get("text") if is_text else blocks
    schema, is_error = mounted.tool.output_schema, told.get("isError") is True
    if schema is not None and not is_error:  # clients of MCP end where it does not fit
        said = "there is no structured content" if structured is None else misfit(schema, structured)
        if said is not None:
            return error_result(f"its result does not fit its output schema: {said}")
    return {
        "content": blocks,
        "structured_content": structured,
        "meta": meta if isinstance(meta, dict) and meta else None,
        "data": data,
        "is_error": is_error,
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
