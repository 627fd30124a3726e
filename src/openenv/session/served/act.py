"""The one tool that an environment without tools offers to agents: ``act``, which takes its action."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, structs

from openenv.errors import ActionInvalid, InvalidRequest
from openenv.protocol import Observed, Step, encodable_part, fields_beside, to_json
from openenv.protocol.encoding import UNENCODABLE
from openenv.protocol.plain import observation_text
from openenv.schema import json_schema
from openenv.session.served.spec import EnvironmentSpec
from openenv.tools import CallToolObservation, ToolError, ToolErrorType
from openenv.types import EnvironmentMetadata

__all__ = ["ACT", "ActOffers", "acted", "acting", "as_result", "not_acted", "unknown"]

ACT = "act"

_EMPTY: Mapping[str, Mapping[str, Any]] = {
    "resources/list": {"resources": []},
    "resources/templates/list": {"resourceTemplates": []},
    "prompts/list": {"prompts": []},
}


class ActOffers:
    """What is offered beside calls.

    Args:
        spec: What is served.
        about: Tells what the environment says of itself.
    """

    def __init__(self, spec: EnvironmentSpec, about: Callable[[], Any]) -> None:
        self._spec, self._about = spec, about

    def offer(self, method: str) -> dict[str, Any]:
        """The answer, in MCP's shapes.

        Raises:
            InvalidRequest: There is no such thing.
        """
        if method == "tools/list":
            return {"tools": [self._tool]}
        if method == "about":
            about = self._about()
            words = about.description if isinstance(about, EnvironmentMetadata) else ""
            none = {"resources": False, "prompts": False, "completions": False}
            return {"instructions": words or None, "capabilities": none}
        if method in _EMPTY:
            return dict(_EMPTY[method])
        raise InvalidRequest(f"{self._spec.name} offers one tool, {ACT}, and nothing else: there is no {method}")

    @functools.cached_property
    def _tool(self) -> dict[str, Any]:
        schema = json_schema(self._spec.action_type)
        properties = schema.get("properties")
        if isinstance(properties, dict):
            properties.pop("metadata", None)
        if schema.get("type") != "object":  # such as one of several models
            schema = {"type": "object", **schema} if "type" not in schema else {"type": "object"}
        return {"name": ACT, "description": f"Act in {self._spec.name}.", "inputSchema": schema}


def acting(arguments: Mapping[str, Any], timeout_s: float | None = None) -> Step:
    """The step that a call of ``act`` is.

    Raises:
        ActionInvalid: The arguments have no JSON form.
    """
    try:
        return Step(action=Raw(msgspec.json.encode(arguments)), timeout_s=timeout_s)
    except UNENCODABLE as error:
        raise ActionInvalid(f"the arguments of {ACT} cannot be read: {error}") from error


def acted(answer: Observed) -> Observed:
    """What is told of the step: the observation as the result of a call."""
    result = as_result(answer.observation)
    return structs.replace(answer, observation=CallToolObservation(tool_name=ACT, result=result), metadata={})


def as_result(observation: Any) -> dict[str, Any]:
    """An observation as the result of a call, without what travels beside it: no reward, no metadata."""
    text = observation_text(observation)
    if text is None:
        beside = fields_beside(type(observation))
        try:
            text = to_json(observation, beside)
        except UNENCODABLE:
            part = encodable_part(observation)
            text = to_json({name: one for name, one in part.items() if name not in beside})
    value = msgspec.json.decode(text)
    return {
        "content": [{"type": "text", "text": text.decode()}],
        "structured_content": value if isinstance(value, dict) else None,
        "meta": None,
        "data": value,
        "is_error": False,
    }


def not_acted(error: ActionInvalid) -> Observed:
    """What is told of a call whose arguments are no action; it is no step."""
    return _refused(ACT, ToolErrorType.INVALID_ARGS, error.message)


def unknown(name: str) -> Observed:
    """What is told of a call of another tool; it is no step."""
    return _refused(name, ToolErrorType.TOOL_NOT_FOUND, f"there is no tool {name!r}; there is: {ACT}")


def _refused(name: str, kind: ToolErrorType, message: str) -> Observed:
    return Observed(observation=CallToolObservation(tool_name=name, error=ToolError(error_type=kind, message=message)))
