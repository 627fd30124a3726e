"""Golden frames: what both ends write and read, one file a message.

``frame`` is the JSON on the wire, ``message`` the same as the library's message (its fields, with defaults left out).
``read_by`` names the end that knows the message, where not both do. Numbers keep their kind: 1, 1.0 and true differ.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ConfigDict

from openenv import Observation
from openenv.protocol import Failed, Observed, Reply, Request, http_observation, messages
from openenv.protocol.v1 import V1ClientCodec, V1ServerCodec
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec

GOLDEN = Path(__file__).parent / "golden"
CLIENTS = {"v1": V1ClientCodec, "v2": V2ClientCodec}
SERVERS = {"v1": V1ServerCodec, "v2": V2ServerCodec}
OPENING = messages.Open | messages.Resume
ASKED = messages.GetState | messages.GetOutcome | messages.GrantAgent
REQUESTS = OPENING | messages.Reset | messages.Step | ASKED | messages.Close | messages.Mcp
NOTICES = messages.Hello | messages.Queued | messages.Progress | messages.Ended
TOLD = messages.StateIs | messages.OutcomeIs | messages.AgentGranted
ANSWERS = messages.Opened | messages.Resumed | Observed | TOLD | messages.Closed | messages.McpReply
REPLIES = NOTICES | ANSWERS | Failed


class Anything(Observation):
    """An observation as authors make them: with the fields that travel beside it still in it."""

    model_config = ConfigDict(extra="allow")


def golden(*folders: str, unless: tuple[str, str] | None = None) -> list[Any]:
    """The golden frames of some folders, without those of a direction that an end does not know."""
    found = []
    for path in sorted(path for folder in folders for path in (GOLDEN / folder).glob("*.json")):
        file = json.loads(path.read_text())
        if unless is None or file["direction"] != unless[0] or unless[1] in file.get("read_by", unless[1]):
            found.append(pytest.param(path.parent.name, file, id=f"{path.parent.name}-{path.stem}"))
    assert found
    return found


def strict(value: Any) -> str:
    """JSON text that differs where a value or its kind differs, whatever the order of keys."""
    return json.dumps(value, sort_keys=True)


def plain(message: Any) -> str:
    return strict(json.loads(msgspec.json.encode(message)))


def read(message: dict[str, Any], kind: Any) -> Any:
    return msgspec.json.decode(json.dumps(message), type=kind)


def on_the_server(message: dict[str, Any]) -> Reply:
    reply: Reply = read(message, REPLIES)
    if isinstance(reply, Observed):
        beside = {name: getattr(reply, name) for name in ("reward", "done", "terminated", "truncated", "metadata")}
        reply.observation = Anything.model_validate({**reply.observation, **beside})
    return reply


@pytest.mark.parametrize(("version", "file"), golden("v1", "v2", unless=("reply", "client")))
def test_a_frame_is_read_as_its_message(version: str, file: dict[str, Any]) -> None:
    text = json.dumps(file["frame"])
    if file["direction"] == "request":
        expected, got = read(file["message"], REQUESTS), SERVERS[version]().decode(text)
    else:
        expected, got = read(file["message"], REPLIES), CLIENTS[version]().decode(text)
    assert isinstance(got, type(expected))
    assert plain(got) == plain(expected)
    assert plain((SERVERS if isinstance(got, Request) else CLIENTS)[version]().decode(text.encode())) == plain(expected)


@pytest.mark.parametrize(("version", "file"), golden("v1", "v2", unless=("request", "client")))
def test_a_message_is_written_as_its_frame(version: str, file: dict[str, Any]) -> None:
    if file["direction"] == "reply":
        frame = SERVERS[version]().encode(on_the_server(file["message"]))
    else:
        frame = CLIENTS[version]().encode(read(file["message"], REQUESTS))
    assert frame is not None
    assert strict(json.loads(frame)) == strict(file["frame"])


@pytest.mark.parametrize(("version", "file"), golden("http"))
def test_an_observation_as_http_body(version: str, file: dict[str, Any]) -> None:
    reply = on_the_server(file["message"])
    assert isinstance(reply, Observed)
    assert strict(json.loads(http_observation(reply, omit_empty=False))) == strict(file["body"])


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_message_has_a_golden_frame(version: str) -> None:
    shown = {(param.values[1]["direction"], param.values[1]["message"]["type"]) for param in golden(version)}
    every = {
        *(("request", kind.__struct_config__.tag) for kind in Request.__subclasses__()),
        *(("reply", kind.__struct_config__.tag) for kind in Reply.__subclasses__()),
    }
    only_in = {
        "v1": {("request", "mcp"), ("reply", "mcp")},
        "v2": {
            *(("request", name) for name in ("open", "resume", "outcome", "grant_agent")),
            *(("reply", name) for name in ("hello", "opened", "resumed", "queued", "progress", "ended", "closed")),
            *(("reply", name) for name in ("outcome", "agent_granted")),
        },
    }
    other = {"v1": "v2", "v2": "v1"}[version]
    assert shown == every - only_in[other]


@pytest.mark.parametrize("message", [messages.Closed(), messages.Progress(elapsed_s=5.0)])
def test_v1_says_nothing_where_it_has_no_message(message: Reply) -> None:
    assert V1ServerCodec().encode(message) is None
