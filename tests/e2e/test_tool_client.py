"""Clients of tools against real servers, of today and of 0.10: their calls, and the outcome of an episode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.e2e.tool_calling import Kind, calling, old_server, over_mcp
from tests.unit.client.raw_servers import raw_server
from tests.unit.client.servers import KINDS, play_server, playing, serving
from tests.unit.client.tool_worlds import Dying, Guessing

from openenv import (
    CallToolAction,
    CallToolObservation,
    GenericEnvClient,
    ListToolsAction,
    MCPToolClient,
    SyncEnvClient,
    create_app,
)
from openenv.core import mcp_client as core
from openenv.errors import (
    EpisodeDone,
    EpisodeLost,
    ExecutionFailed,
    InputNeeded,
    LocalProtocolError,
    ResetNeeded,
)

pytestmark = pytest.mark.e2e

CLIENTS = pytest.mark.parametrize("cls", [MCPToolClient, core.MCPToolClient], ids=["today", "older"])
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
ALL = {"guess", "hint", "fail", "late", "ask"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of ``Guessing``."""
    with serving(lambda: create_app(Guessing)) as server:
        yield server.url


@CLIENTS
@EVERY_KIND
def test_an_episode_of_calls(kind: str, cls: Kind, url: str) -> None:
    with calling(kind, url, cls) as env:
        assert {tool.name for tool in env.list_tools()} == ALL - {"late"}
        env.reset(seed=1)
        tools = {tool.name: tool for tool in env.list_tools()}
        assert set(tools) == ALL  # an episode has tools of its own
        assert tools["guess"].description == "Guess the number."
        assert tools["guess"].input_schema["properties"]["number"]["description"] == "From 1 to 100."
        assert env.has_tool("guess")
        assert not env.has_tool("gues")
        assert env.get_tool("hint") == tools["hint"]
        assert env.get_tool("gues") is None

        assert env.call_tool("guess", number=10) == "higher"
        assert env.call_tool("hint") == {"low": 30, "high": 40}
        assert env.call_tool("late") is None
        low = env.call("guess", {"number": 50})
        assert (low.reward, low.done, low.observation.result["data"]) == (-0.25, False, "lower")
        last = env.call("guess", {"number": 37})
        assert (last.reward, last.done, last.terminated) == (1.0, True, True)
        assert isinstance(last.observation, CallToolObservation)
        told = env.outcome()
        assert (told.phase, told.steps, told.reward, told.total_reward, told.done) == ("done", 5, 1.0, 0.5, True)
        with pytest.raises(EpisodeDone):
            env.call_tool("guess", number=1)
        assert set(tools) == {tool.name for tool in env.list_tools(use_cache=False)}  # legal at any time


@CLIENTS
@EVERY_KIND
@pytest.mark.parametrize(
    ("name", "arguments", "error_type", "message"),
    [
        ("gues", {"number": 1}, "tool_not_found", "guess"),
        ("guess", {"number": 101}, "invalid_args", "less than or equal to 100"),
        ("guess", {}, "invalid_args", "number"),
        ("fail", {"name": "all"}, "execution_error", "all is broken"),  # an argument may have any name
    ],
)
def test_a_call_that_fails_raises_and_counts(
    kind: str, cls: Kind, url: str, name: str, arguments: dict[str, Any], error_type: str, message: str
) -> None:
    with calling(kind, url, cls) as env:
        env.reset()
        with pytest.raises(ExecutionFailed, match=f"Tool '{name}' failed: .*{message}") as caught:
            env.call_tool(name, **arguments)
        assert caught.value.details["error_type"] == error_type
        result = env.call(name, arguments)  # which does not raise
        assert result.observation.error.error_type == error_type
        assert (env.outcome().steps, env.outcome().done) == (2, False)


@EVERY_KIND
def test_actions_of_tools_are_typed_too(kind: str, url: str) -> None:
    with calling(kind, url) as env:
        env.reset()
        assert [tool.name for tool in env.step(ListToolsAction()).observation.tools]
        result = env.step(CallToolAction(tool_name="guess", arguments={"number": 1}))
        assert (result.observation.result["data"], result.reward) == ("higher", -0.25)
        assert env.step({"type": "call_tool", "tool_name": "hint"}).observation.result["data"]["low"] == 30
        assert env.outcome().steps == 2


@EVERY_KIND
def test_before_an_episode(kind: str, url: str) -> None:
    with calling(kind, url) as env:
        assert env.outcome().phase == "fresh"
        with pytest.raises(ResetNeeded):
            env.call_tool("hint")
        env.reset()
        assert env.outcome().phase == "running"


@EVERY_KIND
def test_a_tool_that_asks(kind: str, url: str) -> None:
    with calling(kind, url) as env:
        env.reset()
        with pytest.raises(InputNeeded) as caught:
            env.call("ask", capabilities={"elicitation": {}})
        assert caught.value.details["requests"]["name"]["method"] == "elicitation/create"
        answers = {"name": {"action": "accept", "content": {"name": "Ada"}}}
        result = env.call("ask", inputs=answers, capabilities={"elicitation": {}})
        assert result.observation.result["data"] == "hello Ada"
        assert env.outcome().steps == 1  # what was asked back is no step


@EVERY_KIND
def test_schemas_for_the_apis_of_models(kind: str, url: str) -> None:
    with calling(kind, url) as env:
        env.reset()
        names = [tool.name for tool in env.list_tools()]
        assert [tool["function"]["name"] for tool in env.as_openai_tools()] == names
        assert [tool["name"] for tool in env.as_openai_tools(api="responses")] == names
        assert [tool["name"] for tool in env.as_anthropic_tools()] == names


@EVERY_KIND
def test_an_agent_plays_the_same_episode(kind: str, url: str) -> None:
    with calling(kind, url) as env:
        env.reset()
        access = env.agent_access()
        assert access.mcp_url.startswith(f"{url}/sessions/")
        answer = over_mcp(access.mcp_url, access.token, "tools/call", {"name": "guess", "arguments": {"number": 37}})
        assert answer.json()["result"]["content"] == [{"type": "text", "text": "right"}]
        told = env.outcome()
        assert (told.steps, told.reward, told.done) == (1, 1.0, True)
        env.reset()
        assert env.outcome().steps == 0
        assert env.agent_access().token != access.token


@EVERY_KIND
def test_the_outcome_of_an_episode_that_was_lost(kind: str) -> None:
    """Its session goes on, and tells, whether an agent lost it or the client."""
    with serving(lambda: create_app(Dying, isolation="process")) as server, calling(kind, server.url) as env:
        env.reset()
        access = env.agent_access()
        over_mcp(access.mcp_url, access.token, "tools/call", {"name": "die", "arguments": {}})
        assert (env.outcome().phase, env.outcome().steps) == ("lost", 0)
        for ask in (lambda: env.call_tool("die"), env.state):
            with pytest.raises(EpisodeLost) as caught:
                ask()
            assert caught.value.details["reason"] == "worker_died"
            assert (env.outcome().phase, env.outcome().steps) == ("lost", 0)
        env.reset()
        assert env.outcome().phase == "running"
        with pytest.raises(EpisodeLost):
            env.call_tool("die")
        assert env.outcome().phase == "lost"


@EVERY_KIND
def test_a_client_of_another_kind_asks_it_too(kind: str) -> None:
    """An environment without tools has an outcome, and an endpoint for agents."""
    with play_server() as (server, _), playing(kind, server.url, GenericEnvClient) as env:
        env.reset()
        env.step({"text": "a"})
        assert (env.outcome().steps, env.outcome().total_reward) == (1, 1.0)
        access = env.agent_access()
        answer = over_mcp(access.mcp_url, access.token, "tools/list", {})
        assert [tool["name"] for tool in answer.json()["result"]["tools"]] == ["act", "observe"]


# Older servers -------------------------------------------------------------------------------------


@CLIENTS
@EVERY_KIND
def test_a_server_of_protocol_v1(kind: str, cls: Kind) -> None:
    with raw_server(old_server) as url, calling(kind, url, cls) as env:
        assert [tool.name for tool in env.list_tools()] == ["add"]
        env.reset()
        assert env.call_tool("add", a=1) == 3
        with pytest.raises(RuntimeError, match="Tool 'add' failed: Unknown tool"):
            env.call_tool("add", a=2)
        ask: Callable[[], Any]
        for ask in (env.outcome, env.agent_access):
            with pytest.raises(LocalProtocolError, match="this server speaks protocol v1 and has no"):
                ask()
        assert env.call_tool("add", a=1) == 3  # nothing is lost by that


def test_a_client_of_dictionaries_too() -> None:
    with raw_server(old_server) as url, SyncEnvClient(url) as env, pytest.raises(LocalProtocolError):
        env.outcome()


def test_what_older_code_gets(url: str) -> None:
    with core.MCPToolClient(url).sync() as env:
        first = env.reset()
        assert isinstance(first.observation, core.GenericMCPObservation)
        result = env.step(core.CallToolAction(tool_name="hint"))
        assert isinstance(result.observation, core.CallToolObservation)
        assert isinstance(env.step(core.ListToolsAction()).observation, core.ListToolsObservation)
        assert env.state().step_count == 1
