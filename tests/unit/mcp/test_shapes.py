"""What an agent sees of a call: content and whether it failed, never what it was worth."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from openenv.mcp import shapes
from openenv.mcp.messages import McpError
from openenv.mcp.versions import Era

TEXT = [{"type": "text", "text": "3"}]


def observation(**result: Any) -> dict[str, Any]:
    found = {"content": TEXT, "structured_content": None, "meta": None, "data": 3, "is_error": False, **result}
    return {"tool_name": "add", "result": found, "error": None, "reward": 1.0, "done": True, "metadata": {"secret": 1}}


@pytest.mark.parametrize("era", Era)
def test_the_result_of_a_call(era: Era) -> None:
    assert shapes.call_result(observation(), era) == {"content": TEXT}
    structured = {"result": 3}
    found = shapes.call_result(observation(structured_content=structured, meta={"a": 1}), era)
    assert found == {"content": TEXT, "structuredContent": structured, "_meta": {"a": 1}}


@pytest.mark.parametrize("value", [[1], "x", 0, False])
def test_what_is_no_object_is_structured_in_the_stateless_era_alone(value: Any) -> None:
    given = observation(structured_content=value)
    assert shapes.call_result(given, Era.OLDER) == {"content": TEXT}
    assert shapes.call_result(given, Era.STATELESS) == {"content": TEXT, "structuredContent": value}


@pytest.mark.parametrize("era", Era)
def test_a_tool_that_says_that_it_failed(era: Era) -> None:
    assert shapes.call_result(observation(is_error=True), era) == {"content": TEXT, "isError": True}


@pytest.mark.parametrize("kind", ["execution_error", "invalid_args", "timeout", "transport_error", "cancelled"])
def test_a_failure_is_a_result_that_a_model_reads(kind: str) -> None:
    given = {"tool_name": "add", "result": None, "error": {"error_type": kind, "message": "b is missing"}}
    found = shapes.call_result(given, Era.OLDER)
    assert found == {"content": [{"type": "text", "text": "b is missing"}], "isError": True}
    assert found == shapes.error_result("b is missing")


def test_an_unknown_tool_is_an_error_of_the_request() -> None:
    given = {"tool_name": "x", "result": None, "error": {"error_type": "tool_not_found", "message": "no tool 'x'"}}
    with pytest.raises(McpError, match="no tool 'x'") as caught:
        shapes.call_result(given, Era.STATELESS)
    assert caught.value.code == -32602


@pytest.mark.parametrize("given", [{"tool_name": "x"}, {"result": None, "error": None}, {"result": {}}])
def test_nothing_is_an_empty_result(given: dict[str, Any]) -> None:
    assert shapes.call_result(given, Era.OLDER) == {"content": []}


@pytest.mark.parametrize(("era", "code"), [(Era.OLDER, -32002), (Era.STATELESS, -32602)])
def test_a_resource_that_is_not_there(era: Era, code: int) -> None:
    found = shapes.resource_not_found("a://b", era)
    assert (found.code, found.data) == (code, {"uri": "a://b"})


AUDIO = {"type": "audio", "data": "AAECAw==", "mimeType": "audio/wav", "annotations": {"audience": ["user"]}}
LINK = {"type": "resource_link", "uri": "https://x.test/a.pdf", "name": "a.pdf", "mimeType": "text/pdf", "size": 12}
AUDIO_TOLD = {
    "type": "text",
    "text": "[audio left out: audio/wav, 4 bytes]",
    "annotations": {"audience": ["user"]},
}
LINK_TOLD = {"type": "text", "text": "[link: a.pdf, https://x.test/a.pdf, text/pdf, 12 bytes]"}


@pytest.mark.parametrize(
    ("version", "audio", "link"),
    [
        ("2024-11-05", AUDIO_TOLD, LINK_TOLD),
        ("2025-03-26", AUDIO, LINK_TOLD),
        ("2025-06-18", AUDIO, LINK),
        ("2025-11-25", AUDIO, LINK),
    ],
)
def test_content_that_a_version_does_not_have_is_told_in_words(version: str, audio: Any, link: Any) -> None:
    others = [*TEXT, {"type": "image", "data": "AA==", "mimeType": "image/png"}, {"type": "resource", "resource": {}}]
    result = {"content": [*others, AUDIO, LINK], "structuredContent": {"a": 1}, "isError": False}
    given = copy.deepcopy(result)
    assert shapes.for_version(given, version) == {**result, "content": [*others, audio, link]}
    assert given == result, "it is not changed"
    messages = [{"role": "user", "content": LINK}, {"role": "user", "content": [AUDIO, *TEXT]}, "?"]
    told = [{"role": "user", "content": link}, {"role": "user", "content": [audio, *TEXT]}, "?"]
    assert shapes.for_version({"description": "d", "messages": messages}, version) == {
        "description": "d",
        "messages": told,
    }


@pytest.mark.parametrize("bytes_", [b"", b"a", b"ab", b"abc", b"abcd"])
def test_the_size_of_audio_is_told(bytes_: bytes) -> None:
    audio = {"type": "audio", "data": base64.b64encode(bytes_).decode(), "mimeType": "audio/wav"}
    [block] = shapes.for_version({"content": [audio]}, "2024-11-05")["content"]
    assert block["text"] == f"[audio left out: audio/wav, {len(bytes_)} bytes]"


@pytest.mark.parametrize("told", [{}, {"tools": []}, {"contents": [LINK]}, {"content": LINK}, {"content": ["?", None]}])
def test_what_has_no_content_is_left_as_it_is(told: dict[str, Any]) -> None:
    assert shapes.for_version(told, "2024-11-05") == told
