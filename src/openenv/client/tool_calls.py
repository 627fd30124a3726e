"""What clients of tools ask, and what the answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openenv.client.asking import check_time
from openenv.client.values import Values, observation_as
from openenv.errors import ExecutionFailed, LocalProtocolError, RemoteProtocolError
from openenv.protocol import Observed, Step
from openenv.tools import CallToolObservation, ListToolsObservation, ToolInfo
from openenv.types import StepResult

__all__ = ["KnownTools", "ToolValues", "call_request", "called", "list_request", "listed", "named", "value_of"]


@dataclass
class KnownTools:
    """The tools that there are; ``None`` while they are asked for. A client lets go of it with each move."""

    tools: list[ToolInfo] | None = None


class ToolValues(Values[Any, Any, Any]):
    """Observations of tools as their models; all others as the client's type, if it has one, or as dictionaries."""

    def decode_observation(self, reply: Observed) -> Any:
        match reply.observation:
            case {"tool_name": str(), "result": _}:
                return observation_as(CallToolObservation, reply)
            case {"tools": list()} if self.observation_type is None:
                return observation_as(ListToolsObservation, reply)
        return super().decode_observation(reply)


def list_request() -> Step:
    """The question which tools there are."""
    return Step(action={"type": "list_tools"})


def named(tools: list[ToolInfo], name: str) -> ToolInfo | None:
    """The tool of that name; ``None`` if there is none."""
    return next((tool for tool in tools if tool.name == name), None)


def call_request(
    name: str,
    arguments: Mapping[str, Any] | None,
    timeout_s: float | None,
    inputs: Mapping[str, Any] | None,
    capabilities: Mapping[str, Any] | None,
) -> Step:
    """A call of a tool.

    Raises:
        LocalProtocolError: The name or the time is none.
    """
    check_time(timeout_s)
    if not isinstance(name, str) or not name:
        raise LocalProtocolError(f"the name of a tool is a text, not {name!r}")
    action: dict[str, Any] = {"type": "call_tool", "tool_name": name, "arguments": dict(arguments or {})}
    for key, value in (("inputs", inputs), ("capabilities", capabilities)):
        if value:  # else it is left out: older servers do not know it
            action[key] = dict(value)
    return Step(action=action, timeout_s=timeout_s)


def listed(reply: Observed) -> list[ToolInfo]:
    """The tools that an answer lists."""
    tools: list[ToolInfo] = observation_as(ListToolsObservation, reply).tools
    if not isinstance(reply.observation, dict) or "tools" not in reply.observation:
        raise RemoteProtocolError("the server did not say which tools there are; is it an environment of tools?")
    return tools


def called(reply: Observed) -> StepResult[CallToolObservation]:
    """What came of a call, with reward and done."""
    if not isinstance(reply.observation, dict) or "tool_name" not in reply.observation:
        raise RemoteProtocolError("the server did not answer the call of a tool; is it an environment of tools?")
    return Values[Any, CallToolObservation, Any](None, CallToolObservation, None).decode_result(reply)


def value_of(name: str, observation: CallToolObservation) -> Any:
    """What the tool returned: its value, or else its text or its content blocks.

    Raises:
        ExecutionFailed: It failed, or could not be called; ``details["error_type"]`` says how.
    """
    error, result = observation.error, observation.result
    if error is not None:
        raise _failed(name, error.message, error.error_type.value)
    if not isinstance(result, dict) or "content" not in result:
        return result
    content = result["content"] or []
    texts = [block["text"] for block in content if isinstance(block, dict) and block.get("type") == "text"]
    if result.get("is_error"):
        raise _failed(name, "\n".join(texts) or "it says no more", "execution_error")
    if result.get("data") is not None:
        return result["data"]
    if result.get("structured_content") is not None:
        return result["structured_content"]
    if not content:
        return None
    return "\n".join(texts) if len(texts) == len(content) else content


def _failed(name: str, why: str, error_type: str) -> ExecutionFailed:
    return ExecutionFailed(f"Tool {name!r} failed: {why}", details={"tool": name, "error_type": error_type})
