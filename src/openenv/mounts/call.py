"""One call of an outside tool: what its server says and asks meanwhile, and what came of it."""

from __future__ import annotations

import asyncio
from typing import Any

from openenv.mcp.happenings import Answer, Asked, InputWanted, Told
from openenv.mcp.messages import McpError
from openenv.mcp.versions import Era
from openenv.mounts.link import Link, Listener, Outcome
from openenv.mounts.listing import Mounted
from openenv.schema import misfit
from openenv.tools import ToolContext
from openenv.tools.forwarding import Forwarding
from openenv.tools.results import told_result

__all__ = ["called", "error_result"]

_MOST_ROUNDS = 20
_AGAIN_AFTER_S = 0.2


class _Caller(Listener):
    """The caller of a tool, as the server of the tool sees it."""

    def __init__(self, forwarding: Forwarding) -> None:
        self._forwarding = forwarding

    async def asked(self, asked: Asked) -> dict[str, Any] | McpError:
        answer = self._forwarding.asked(asked.method, asked.params)
        return await super().asked(asked) if answer is None else answer

    def told(self, told: Told) -> None:
        self._forwarding.told(told.method, told.params)


async def called(link: Link, mounted: Mounted, arguments: dict[str, Any], context: ToolContext) -> dict[str, Any]:
    """Call a tool; its ``result``.

    Raises:
        InputNeeded: The server asks something that its caller can be asked.
        CallCancelled: The caller has given up.
        ToolsetUnavailable: The server is gone.
    """
    forwarding = Forwarding(context)
    outcome = await forwarding.result(asyncio.ensure_future(_answered(link, mounted, arguments, forwarding)))
    if isinstance(outcome, Answer):
        return _result(outcome.result, mounted)
    if isinstance(outcome, InputWanted):
        return error_result("the server asks again and again before it does anything")
    return error_result(outcome.error.message)


async def _answered(link: Link, mounted: Mounted, arguments: dict[str, Any], forwarding: Forwarding) -> Outcome:
    caller = _Caller(forwarding)
    params: dict[str, Any] = {"name": mounted.name, "arguments": arguments}
    if link.opened.era is Era.STATELESS:
        params["_meta"] = {"io.modelcontextprotocol/logLevel": "info"}
    outcome = await link.request("tools/call", params, caller, input_schema=dict(mounted.tool.input_schema))
    for _ in range(_MOST_ROUNDS):
        if not isinstance(outcome, InputWanted):
            break
        answers = forwarding.answers(outcome.questions)
        if forwarding.needed.done():
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
    return told_result([{"type": "text", "text": message}], None, None, is_error=True)


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
    return told_result(blocks, structured, data, is_error, meta if isinstance(meta, dict) and meta else None)
