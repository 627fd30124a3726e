"""What an environment without tools offers to agents: ``act``, which takes its action, and ``observe``."""

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
from openenv.tools.results import told_result
from openenv.types import EnvironmentMetadata

__all__ = [
    "ACT",
    "OBSERVATION_URI",
    "OBSERVE",
    "ActOffers",
    "acted",
    "acting",
    "as_result",
    "not_acted",
    "seen",
    "unknown",
]

ACT, OBSERVE = "act", "observe"
OBSERVATION_URI = "episode://observation"
"""Where agents that read resources find what ``observe`` tells."""

_HOW = f"Call `{OBSERVE}` to see where the episode stands, and `{ACT}` to act in it."
_TOLD = "the last observation of the running episode, from its reset on"
_NOTHING = "There is no observation yet, or none since the episode was brought back; act to see the next."
_OBSERVE = {
    "name": OBSERVE,
    "description": f"See {_TOLD}. Nothing moves by it.",
    "inputSchema": {"type": "object", "properties": {}},
    "annotations": {"readOnlyHint": True},
}
_OBSERVATION = {
    "uri": OBSERVATION_URI,
    "name": "observation",
    "description": f"{_TOLD.capitalize()}.",
    "mimeType": "application/json",
}
_FIXED: Mapping[str, Mapping[str, Any]] = {
    "resources/list": {"resources": [_OBSERVATION]},
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

    def offer(self, method: str, params: Mapping[str, Any], seen: Any) -> dict[str, Any]:
        """The answer, in MCP's shapes; to ``OBSERVE`` the result of a call.

        Args:
            method: What is asked.
            params: What about it.
            seen: The last observation; ``None`` if there is none.

        Raises:
            InvalidRequest: There is no such thing.
        """
        if method == "tools/list":
            return {"tools": [self._tool, _OBSERVE]}
        if method == OBSERVE:
            return _result(_NOTHING, None) if seen is None else as_result(seen)
        if method == "resources/read" and params.get("uri") == OBSERVATION_URI:
            text = "null" if seen is None else as_result(seen)["content"][0]["text"]
            return {"contents": [{"uri": OBSERVATION_URI, "mimeType": "application/json", "text": text}]}
        if method == "about":
            about = self._about()
            words = about.description if isinstance(about, EnvironmentMetadata) else ""
            capabilities = {"resources": True, "prompts": False, "completions": False}
            return {"instructions": f"{words}\n\n{_HOW}" if words else _HOW, "capabilities": capabilities}
        if method in _FIXED:
            return dict(_FIXED[method])
        what = params.get("uri") or params.get("name") or method
        there = f"the tools {ACT} and {OBSERVE}, and the resource {OBSERVATION_URI}"
        raise InvalidRequest(f"{self._spec.name} offers {there}: there is no {what}")

    @functools.cached_property
    def _tool(self) -> dict[str, Any]:
        schema = json_schema(self._spec.action_type)
        schema.pop("title", None)
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
    return _result(text.decode(), msgspec.json.decode(text))


def _result(text: str, value: Any) -> dict[str, Any]:
    return told_result([{"type": "text", "text": text}], value if isinstance(value, dict) else None, value)


def seen(result: dict[str, Any]) -> Observed:
    """What is told to who observes."""
    return Observed(observation=CallToolObservation(tool_name=OBSERVE, result=result))


def not_acted(error: ActionInvalid) -> Observed:
    """What is told of a call whose arguments are no action; it is no step."""
    return _refused(ACT, ToolErrorType.INVALID_ARGS, error.message)


def unknown(name: str) -> Observed:
    """What is told of a call of another tool; it is no step."""
    return _refused(name, ToolErrorType.TOOL_NOT_FOUND, f"there is no tool {name!r}; there are: {ACT}, {OBSERVE}")


def _refused(name: str, kind: ToolErrorType, message: str) -> Observed:
    return Observed(observation=CallToolObservation(tool_name=name, error=ToolError(error_type=kind, message=message)))
