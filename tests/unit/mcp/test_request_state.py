"""What a client carries between the rounds of a call: it comes back as it was, or it is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openenv.mcp.messages import McpError, Request
from openenv.mcp.request_state import inputs_so_far, sealed, state_of, unsealed

KEY = b"k" * 32
STATES = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text())
CALL = Request(1, "tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}, "_meta": {"x": 1}})


@given(STATES, st.binary(min_size=1))
def test_a_state_comes_back(state: dict[str, Any], key: bytes) -> None:
    assert unsealed(sealed(state, key), key) == state


@given(STATES, st.data())
def test_no_character_can_be_changed(state: dict[str, Any], data: st.DataObject) -> None:
    text = sealed(state, KEY)
    where = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="latin-1").filter(lambda found: found != text[where]))
    with pytest.raises(McpError):
        unsealed(text[:where] + other + text[where + 1 :], KEY)


@given(st.text())
def test_no_text_is_taken(text: str) -> None:
    with pytest.raises(McpError) as caught:
        unsealed(text, KEY)
    assert caught.value.code == -32602


def test_what_is_added_or_cut_is_refused() -> None:
    text = sealed({"a": 1}, KEY)
    for changed in (f"{text}-TAMPERED", text[:-1], f"x{text}", text.partition(".")[0], f"{text}=", f"{text}\n", ""):
        with pytest.raises(McpError):
            unsealed(changed, KEY)


def test_another_key_is_refused() -> None:
    with pytest.raises(McpError):
        unsealed(sealed({}, KEY), b"other")


def test_answers_are_gathered_over_the_rounds() -> None:
    first = inputs_so_far(CALL, None, {"one": {"action": "accept"}}, KEY)
    assert first == {"one": {"action": "accept"}}
    text = sealed(state_of(CALL, first), KEY)
    again = Request(2, "tools/call", {**CALL.params, "arguments": {"b": 2, "a": 1}, "requestState": text, "_meta": {}})
    assert inputs_so_far(again, text, {"two": {}}, KEY) == {**first, "two": {}}
    assert inputs_so_far(again, text, {}, KEY) == first


OTHERS = [
    Request(2, "tools/call", {"name": "sub", "arguments": {"a": 1, "b": 2}}),
    Request(2, "tools/call", {"name": "add", "arguments": {"a": 1, "b": 3}}),
    Request(2, "tools/call", {"name": "add"}),
    Request(2, "prompts/get", {"name": "add", "arguments": {"a": 1, "b": 2}}),
]


@pytest.mark.parametrize("other", OTHERS)
def test_a_state_of_another_call_is_refused(other: Request) -> None:
    text = sealed(state_of(CALL, {}), KEY)
    with pytest.raises(McpError, match="another call") as caught:
        inputs_so_far(other, text, {}, KEY)
    assert (caught.value.code, caught.value.id) == (-32602, 2)


def test_a_state_of_another_episode_is_refused() -> None:
    text = sealed(state_of(CALL, {"a": {}}, "session 1"), KEY)
    assert inputs_so_far(CALL, text, {}, KEY, "session 1") == {"a": {}}
    with pytest.raises(McpError, match="another call"):
        inputs_so_far(CALL, text, {}, KEY, "session 2")


def test_a_resource_is_told_by_its_uri() -> None:
    first, other = (Request(1, "resources/read", {"uri": uri}) for uri in ("a://b", "a://c"))
    text = sealed(state_of(first, {}), KEY)
    assert inputs_so_far(first, text, {}, KEY) == {}
    with pytest.raises(McpError):
        inputs_so_far(other, text, {}, KEY)


def test_a_refusal_names_its_request() -> None:
    with pytest.raises(McpError) as caught:
        inputs_so_far(CALL, "nonsense", {}, KEY)
    assert caught.value.id == 1


def test_a_state_sealed_for_something_else_is_refused() -> None:
    text = sealed({"unrelated": True}, KEY)
    assert base64.urlsafe_b64decode(text.partition(".")[0] + "==") == b'{"unrelated":true}'
    with pytest.raises(McpError, match="another call"):
        inputs_so_far(CALL, text, {}, KEY)
