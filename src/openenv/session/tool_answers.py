"""What came of a tool call, for those who speak JSON-RPC: MCP clients, and older OpenEnv clients."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from openenv.errors import (
    EpisodeDone,
    EpisodeLost,
    ObservationInvalid,
    OpenEnvError,
    ResetNeeded,
    RewardInvalid,
    StepTimeout,
)
from openenv.mcp.legacy import LegacyRequest, answer, call_answer, created_result, read_legacy, refusal, tools_result
from openenv.mcp.messages import INTERNAL_ERROR, McpError
from openenv.protocol import Observed
from openenv.session.episode.calls import Call
from openenv.session.served.act import as_result
from openenv.session.session import Session
from openenv.tools import CallToolObservation

__all__ = ["for_agents", "frame_answer", "legacy_answer", "observation_json"]

log = logging.getLogger("openenv.session")

_BADLY_ANSWERED = "The call was made, but what the environment gave back cannot be used."
_FOR_AGENTS: Mapping[type[OpenEnvError], str] = {
    ResetNeeded: "No episode is running. Whoever controls it has to begin one; the tools are there then.",
    EpisodeDone: "The episode is over: no more tool calls are taken.",
    EpisodeLost: "The episode is gone: no more tool calls are taken.",
    ObservationInvalid: _BADLY_ANSWERED,
    RewardInvalid: _BADLY_ANSWERED,
}


def for_agents(error: OpenEnvError) -> str:
    """What an agent is told of an error: nothing of rewards, and nothing that only who controls the episode can do."""
    if isinstance(error, ObservationInvalid | RewardInvalid):
        log.warning("a call was made, but its answer cannot be used: %s", error.message)
    if isinstance(error, StepTimeout):
        rest = "" if error.details.get("usable") else " The episode is gone: no more tool calls are taken."
        return f"The tool took longer than it may.{rest}"
    return next((told for kind, told in _FOR_AGENTS.items() if isinstance(error, kind)), error.message)


def observation_json(observed: Observed) -> dict[str, Any]:
    """The ``tool_name``, ``result`` and ``error`` of a ``CallToolObservation``, as JSON has them.

    Any other observation, of an environment that answers in its own way, is a result with its JSON as the content,
    without reward and metadata.
    """
    found = observed.observation
    if isinstance(found, CallToolObservation):
        error = found.error
        told = None if error is None else {"error_type": error.error_type.value, "message": error.message}
        return {"tool_name": found.tool_name, "result": found.result, "error": told}
    if isinstance(found, Mapping) and "tool_name" in found:
        return dict(found)
    return {"result": as_result(found)}


async def legacy_answer(session: Session, request: LegacyRequest, call: Call | None = None) -> dict[str, Any]:
    """The response to ``tools/list`` or ``tools/call``, which ``call`` names; errors are responses too."""
    try:
        if request.method == "tools/list":
            return answer(request.id, tools_result((await session.offer("tools/list", {"all": True}))["tools"]))
        arguments = request.params.get("arguments") or {}
        observed = await session.call_tool(request.params["name"], arguments, call or Call())
    except OpenEnvError as error:
        return refusal(McpError(INTERNAL_ERROR, for_agents(error), http_status=200, id=request.id))
    return call_answer(request.id, observation_json(observed))


async def frame_answer(session: Session, payload: bytes) -> dict[str, Any]:
    """The response to what an ``mcp`` frame carries. The session is that of its connection, and ends with it."""
    try:
        request = read_legacy(payload)
    except McpError as error:
        return refusal(error)
    if request.method.startswith("openenv/session/"):
        return answer(request.id, created_result(session.id))
    return await legacy_answer(session, request)
