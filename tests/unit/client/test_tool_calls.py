"""What clients of tools ask, and what they make of the answers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from openenv.client.tool_calls import ToolValues, call_request, called, list_request, listed, value_of
from openenv.errors import ExecutionFailed, LocalProtocolError, RemoteProtocolError
from openenv.protocol import Observed
from openenv.protocol.v1 import V1ClientCodec
from openenv.tools import CallToolObservation, ListToolsObservation
from openenv.types import Observation

TEXT = {"type": "text", "text": "a"}
IMAGE = {"type": "image", "data": "", "mimeType": "image/png"}


def outcome(**result: Any) -> CallToolObservation:
    """The observation of a call, of which only what is named is told."""
    nothing = {"content": [], "structured_content": None, "meta": None, "data": None, "is_error": False}
    return CallToolObservation(tool_name="t", result={**nothing, **result})


@pytest.mark.parametrize(
    ("observation", "value"),
    [
        (outcome(data=3, content=[TEXT]), 3),
        (outcome(data=0), 0),
        (outcome(data=False), False),
        (outcome(structured_content={"x": 1}, content=[TEXT]), {"x": 1}),
        (outcome(content=[TEXT, {"type": "text", "text": "b"}]), "a\nb"),
        (outcome(content=[TEXT, IMAGE]), [TEXT, IMAGE]),
        (outcome(), None),
        (outcome(content=None), None),
        (CallToolObservation(tool_name="t", result="plain"), "plain"),
        (CallToolObservation(tool_name="t", result={"own": 1}), {"own": 1}),
    ],
)
def test_the_value_of_a_call(observation: CallToolObservation, value: Any) -> None:
    found = value_of("t", observation)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("observation", "message", "kind"),
    [
        (
            CallToolObservation(tool_name="t", error={"error_type": "invalid_args", "message": "x: needed"}),
            "Tool 't' failed: x: needed",
            "invalid_args",
        ),
        (outcome(is_error=True, content=[TEXT]), "Tool 't' failed: a", "execution_error"),
        (outcome(is_error=True), "Tool 't' failed: it says no more", "execution_error"),
    ],
)
def test_a_call_that_failed_raises(observation: CallToolObservation, message: str, kind: str) -> None:
    with pytest.raises(ExecutionFailed) as caught:
        value_of("t", observation)
    assert isinstance(caught.value, RuntimeError)  # which is what older code catches
    assert str(caught.value) == message
    assert caught.value.details == {"tool": "t", "error_type": kind}


def test_what_older_servers_do_not_know_is_left_out() -> None:
    frame = V1ClientCodec().encode(call_request("t", {"x": 1}, None, {}, None))
    assert msgspec.json.decode(frame)["data"] == {"type": "call_tool", "tool_name": "t", "arguments": {"x": 1}}
    frame = V1ClientCodec().encode(call_request("t", None, 2.0, {"q": {"action": "accept"}}, {"elicitation": {}}))
    assert msgspec.json.decode(frame)["data"] == {
        "type": "call_tool",
        "tool_name": "t",
        "arguments": {},
        "inputs": {"q": {"action": "accept"}},
        "capabilities": {"elicitation": {}},
    }
    assert msgspec.json.decode(V1ClientCodec().encode(list_request()))["data"] == {"type": "list_tools"}


@pytest.mark.parametrize(("name", "timeout_s"), [("", None), (3, None), ("t", 0)])
def test_a_call_that_cannot_be_asked(name: Any, timeout_s: float | None) -> None:
    with pytest.raises(LocalProtocolError):
        call_request(name, {}, timeout_s, None, None)


def test_answers_of_an_environment_without_tools() -> None:
    for observation in ({"text": "hi"}, "text", None):
        with pytest.raises(RemoteProtocolError, match=r"is it an environment of tools\?|is no ListToolsObservation"):
            listed(Observed(observation=observation))
        with pytest.raises(RemoteProtocolError, match=r"is it an environment of tools\?"):
            called(Observed(observation=observation))


def test_reward_and_done_of_a_call() -> None:
    result = called(Observed(observation={"tool_name": "t", "result": None}, reward=0.5, done=True, truncated=True))
    assert (result.reward, result.done, result.truncated) == (0.5, True, True)
    assert isinstance(result.observation, CallToolObservation)


def test_observations_have_their_kinds() -> None:
    values = ToolValues(None, None, None)
    assert isinstance(
        values.decode_observation(Observed(observation={"tool_name": "t", "result": None})), CallToolObservation
    )
    assert isinstance(values.decode_observation(Observed(observation={"tools": []})), ListToolsObservation)
    assert values.decode_observation(Observed(observation={"text": "hi"})) == {"text": "hi"}
    typed = ToolValues(None, Observation, None)
    assert type(typed.decode_observation(Observed(observation={}))) is Observation
