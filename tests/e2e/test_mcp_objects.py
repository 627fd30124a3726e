"""Server objects of the real MCP libraries, in environments that are served; skipped where they cannot be installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from tests.e2e.mcp_programs import python_with
from tests.e2e.mcp_raw import Older, Stateless

import openenv
from openenv import SyncMCPToolClient
from openenv.testing import serving_command

pytestmark = [pytest.mark.e2e, pytest.mark.agents, pytest.mark.timeout(240)]

WORLDS = Path(__file__).with_name("mcp_object_worlds.py")
# What the library brings comes first: an author's versions, not those of these tests.
OURS = [str(Path(module.__file__).resolve().parents[1]) for module in (openenv, msgspec) if module.__file__]
CLI = f"import sys; sys.path += {OURS!r}; from openenv.cli import main; sys.exit(main(sys.argv[1:]))"
LIBRARIES = ("fastmcp==3.4.10", "fastmcp==4.1.2", "mcp==1.30.0", "mcp==2.3.0")
WAYS = ("Objects", "Stepped")


@pytest.fixture(scope="module", params=[(library, way) for library in LIBRARIES for way in WAYS], ids="-".join)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """One of the libraries, served; the environment awaits its steps, or does not."""
    library, way = request.param
    options = ("--port", "0", "--journal-mode", "off")
    with serving_command([python_with(library), "-c", CLI, "serve", f"{WORLDS}:{way}", *options]) as found:
        yield found


@pytest.fixture
def trainer(url: str) -> Iterator[SyncMCPToolClient]:
    """Who holds an episode."""
    with SyncMCPToolClient(url) as client:
        client.reset()
        yield client


@pytest.fixture
def place(trainer: SyncMCPToolClient) -> tuple[str, str, str]:
    """Where an agent plays it."""
    access = trainer.agent_access()
    path = urlsplit(access.mcp_url).path
    return access.mcp_url.removesuffix(path), path, access.token


def test_tools_are_listed_and_called(trainer: SyncMCPToolClient) -> None:
    listed = {tool.name: tool for tool in trainer.list_tools()}
    assert set(listed) == {"add", "tell", "greet", "wait", "visits", "sent", "overdraw", "fail", "read"}
    assert set(listed["tell"].input_schema["properties"]) == {"words"}  # the context is the library's
    assert trainer.call_tool("add", a=1) == 3
    assert trainer.call_tool("tell", words="hello") == "told"
    assert trainer.call_tool("read") == "be kind"
    assert trainer.state().step_count == 3


@pytest.mark.parametrize("tool", ["add", "fail"])
def test_arguments_that_do_not_fit_are_told_apart(trainer: SyncMCPToolClient, tool: str) -> None:
    for arguments in ({"a": "x"}, {"amount": "x"}, {}):
        error = trainer.call(tool, arguments).observation.error
        assert error is not None
        assert error.error_type == "invalid_args"
    assert trainer.state().step_count == 3


def test_a_tool_that_fails_says_so(trainer: SyncMCPToolClient) -> None:
    error = trainer.call("overdraw", {"amount": 7}).observation.error
    assert error is not None
    assert (error.error_type, error.message) == ("execution_error", "ValueError: 7 is too much")
    error = trainer.call("fail", {"amount": 7}).observation.error
    assert error is not None
    assert error.error_type == "execution_error"
    assert "fail" in error.message  # mcp 2.x keeps the rest to itself
    assert trainer.call_tool("add", a=1) == 3


def test_what_a_call_says_goes_to_its_caller(place: tuple[str, str, str]) -> None:
    agent = Older(*place)
    agent.ask("logging/setLevel", {"level": "debug"})
    *notes, last = agent.begin("tell", {"words": "hello"}, wants_progress=True).messages()
    assert last["result"]["content"][0]["text"] == "told"
    progressed, logged = (one["params"] for one in notes)
    assert (progressed["progress"], progressed["total"]) == (1, 2)
    assert (logged["level"], "hello" in json.dumps(logged["data"])) == ("info", True)


def test_a_tool_that_asks_is_answered_and_acts_once(trainer: SyncMCPToolClient, place: tuple[str, str, str]) -> None:
    agent = Stateless(*place)
    able = {"_meta": {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}}
    asked = agent.ask("tools/call", {"name": "greet", "arguments": {}, **able})["result"]
    [(name, question)] = asked["inputRequests"].items()
    assert (question["method"], question["params"]["message"]) == ("elicitation/create", "Who?")
    again = {
        "inputResponses": {name: {"action": "accept", "content": {"name": "Ada"}}},
        "requestState": asked["requestState"],
    }
    done = agent.ask("tools/call", {"name": "greet", "arguments": {}, **able, **again})["result"]
    assert done["content"][0]["text"] == "hello Ada 1"
    assert trainer.state().step_count == 1
    assert agent.text("greet") == (False, "decline")  # a client that cannot be asked


def test_a_call_that_is_cancelled_ends(place: tuple[str, str, str]) -> None:
    agent = Older(*place)
    waiting = agent.begin("wait", wants_progress=True)
    assert waiting.next()["method"] == "notifications/progress"
    agent.notify("notifications/cancelled", {"requestId": agent.last_request})
    assert agent.text("sent") == (False, "stopped")
    assert agent.text("tell", words="on") == (False, "told")


def test_an_episode_has_a_connection_of_its_own(trainer: SyncMCPToolClient) -> None:
    assert [trainer.call_tool("visits") for _ in range(2)] == [1, 2]
    trainer.reset()
    assert trainer.call_tool("visits") == 1


def test_what_asked_begins_anew_when_it_is_called_and_when_it_is_replayed(trainer: SyncMCPToolClient) -> None:
    """A call that is answered is all that a journal has: the one that asked has not been."""
    assert trainer.call_tool("visits") == 1
    inputs = {"elicitation-1": {"action": "accept", "content": {"name": "Ada"}}}
    assert trainer.call("greet", inputs=inputs).observation.result["data"] == "hello Ada 1"
    assert trainer.call_tool("visits") == 1
