"""The clients of tool environments under their older path, with the older constructor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from openenv.client import Closable, SyncMCPToolClient
from openenv.client import MCPToolClient as ToolClient
from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from openenv.tools import CallToolAction, CallToolObservation, ListToolsAction, ListToolsObservation, ToolError
from openenv.tools import ToolInfo as Tool
from openenv.types import Observation, State

__all__ = [
    "CallToolAction",
    "CallToolObservation",
    "GenericMCPObservation",
    "ListToolsAction",
    "ListToolsObservation",
    "MCPClientBase",
    "MCPToolClient",
    "Tool",
    "ToolError",
]


class GenericMCPObservation(Observation):
    """An observation that neither lists tools nor is the result of one, such as that of a reset."""

    model_config = ConfigDict(extra="allow")


class MCPClientBase(EnvClient[Any, Any, Any], ToolClient[Any, Any, Any]):
    """A client with the three hooks of older code, written for environments of tools.

    The arguments are those of ``openenv.core.EnvClient``, in the order that older code has them.
    """

    def __init__(
        self,
        base_url: str,
        connect_timeout_s: float = 10.0,
        message_timeout_s: float | None = None,
        websocket_ping_interval_s: float | None = 20.0,
        websocket_ping_timeout_s: float | None = 20.0,
        provider: object = None,
        mode: str | None = None,
        max_message_size_mb: float = 100.0,
        headers: Mapping[str, str] | None = None,
        *,
        owned: Closable | None = None,
    ) -> None:
        super().__init__(
            base_url,
            connect_timeout_s,
            message_timeout_s,
            max_message_size_mb,
            provider=provider,
            mode=mode,
            headers=headers,
            owned=owned,
        )

    def sync(self) -> SyncMCPToolClient[Any, Any, Any]:
        """A synchronous client of the same server, with a session of its own."""
        return SyncMCPToolClient(self)

    def _step_payload(self, action: Any) -> dict[str, Any]:
        if isinstance(action, BaseModel):
            found: dict[str, Any] = action.model_dump(mode="json")
            if not found.get("metadata"):
                found.pop("metadata", None)
            return found
        return dict(action)

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[Any]:
        observation = payload.get("observation", {})
        reward, done = payload.get("reward"), payload.get("done", False)
        metadata = payload.get("metadata")
        parsed: Any = observation
        if isinstance(observation, Mapping):
            beside = {"reward": reward, "done": bool(done), "metadata": metadata or observation.get("metadata") or {}}
            parsed = _kind_of(observation).model_validate({**observation, **beside})
        return StepResult(observation=parsed, reward=reward, done=done, metadata=metadata)

    def _parse_state(self, payload: dict[str, Any]) -> State:
        return State.model_validate(payload)


class MCPToolClient(MCPClientBase):
    """Lists and calls the tools of an environment; see ``openenv.client.MCPToolClient``."""


def _kind_of(observation: Mapping[str, Any]) -> type[Observation]:
    if "tool_name" in observation and "result" in observation:
        return CallToolObservation
    return ListToolsObservation if isinstance(observation.get("tools"), list) else GenericMCPObservation
