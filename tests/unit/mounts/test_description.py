"""What may be said of an outside server, and how."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openenv.errors import ConfigurationError
from openenv.mounts import OutsideServer, ServerDescription


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("files=npx server 'my dir'", {"command": ["npx", "server", "my dir"]}),
        ("desk=http://localhost:1/mcp?a=b", {"url": "http://localhost:1/mcp?a=b"}),
        ("a=b=c", {"command": ["b=c"]}),
    ],
)
def test_on_a_command_line(text: str, expected: dict[str, Any]) -> None:
    found = ServerDescription.parsed(text)
    assert {key: found.described()[key] for key in expected} == expected
    assert found.name == text.partition("=")[0]


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ({"command": "npx -y server"}, ("npx", "-y", "server")),
        ({"command": "my program", "args": ["a b", 3]}, ("my program", "a b", "3")),
        ({"command": ["x", "y z"], "args": ["w"]}, ("x", "y z", "w")),
        ("x 'y z'", ("x", "y z")),
    ],
)
def test_commands_in_a_file(given: Any, command: tuple[str, ...]) -> None:
    assert ServerDescription.of("it", given).command == command


def test_it_comes_through_json_as_it_is() -> None:
    whole = {
        "command": ["a", "b"],
        "prefix": "p_",
        "allow": ["x*"],
        "deny": ["xy"],
        "pinned": {"x": "sha256:" + "0" * 64},
        "env": {"A": "b", "N": 3},
        "credentials": ["TOKEN"],
        "timeout_s": 3,
        "start_timeout_s": 0.5,
    }
    found = ServerDescription.of("it", whole)
    again = ServerDescription.of("it", json.loads(json.dumps(found.described())))
    assert again == found
    assert found.env == {"A": "b", "N": "3"}
    assert OutsideServer.of(found).description is found
    nothing = ServerDescription.of("it", {"command": ["a"], "allow": []})
    assert ServerDescription.of("it", nothing.described()).allow == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give either its command or its url"),
        ({"command": ["a"], "url": "http://x"}, "give either"),
        ({"command": []}, "its command is empty"),
        ({"command": "'"}, "cannot be read"),
        ({"command": {"a": 1}}, "command must be a list of texts"),
        ({"url": "ftp://x"}, "must begin with http"),
        ({"url": 3}, "url must be a text"),
        ({"url": "http://x", "args": ["a"]}, "args without a command"),
        ({"url": "http://x", "env": {"A": "b"}}, "env is for a command"),
        ({"command": ["a"], "headers": {"A": "b"}}, "headers are for a url"),
        ({"command": ["a"], "env": ["A"]}, "env must be names with texts"),
        ({"command": ["a"], "prefix": "a b"}, "a prefix has letters"),
        ({"command": ["a"], "pinned": {"x": "123"}}, "pinned x: a hash looks like sha256"),
        ({"command": ["a"], "allow": {"x": 1}}, "allow must be a list"),
        ({"command": ["a"], "timeout_s": 0}, "timeout_s must be above 0"),
        ({"command": ["a"], "timeout_s": True}, "timeout_s must be a number"),
        ({"command": ["a"], "start_timeout_s": "soon"}, "start_timeout_s must be a number"),
        ({"command": ["a"], "timeout": 3}, "unknown timeout; known are allow, args"),
        (3, "give a command or a url"),
    ],
)
def test_what_does_not_fit(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ServerDescription.of("it", given)


@pytest.mark.parametrize("text", ["", "x", "x=", "=y", "a b=c", "x= "])
def test_what_does_not_fit_on_a_command_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match="MCP server"):
        ServerDescription.parsed(text)


def test_a_command_in_one_text() -> None:
    with pytest.raises(ConfigurationError, match=r"command is a list, such as \['npx', 'x'\]"):
        OutsideServer("it", command="npx x")


def test_secrets_are_not_shown() -> None:
    found = ServerDescription.of("it", {"command": ["a"], "env": {"KEY": "s3cret"}})
    assert "s3cret" not in repr(found)


def test_one_text_in_place_of_a_list_is_one() -> None:
    server = OutsideServer("x", command=["a"], allow="read_*", deny="write", credentials="KEY")
    found = server.description
    assert (found.allow, found.deny, found.credentials) == (("read_*",), ("write",), ("KEY",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"timeout_s": "3"}, "timeout_s must be a number of seconds"),
        ({"env": ["A=1"]}, "env must be names with texts"),
        ({"allow": 3}, "allow must be a list of texts"),
        ({"prefix": 3}, "prefix must be a text"),
    ],
)
def test_what_does_not_fit_in_a_class(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        OutsideServer("x", command=["a"], **given)
