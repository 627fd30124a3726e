"""Servers behind a URL, of both eras."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from tests.unit.mounts.living import begun, called, noting, text_of
from tests.unit.mounts.outside_http import OutsideHttp, served

from openenv.errors import ConfigurationError, InputNeeded, ToolsetUnavailable
from openenv.mounts import OutsideServer
from openenv.tools import Progressed, ToolContext


@pytest.fixture(params=["older", "stateless"])
def http(request: pytest.FixtureRequest) -> Iterator[OutsideHttp]:
    with served(request.param) as state:
        yield state


def mounted(state: OutsideHttp, **more: object) -> OutsideServer:
    return OutsideServer("desk", url=state.url, **more)


async def test_tools_are_listed_and_called(http: OutsideHttp) -> None:
    async with begun(mounted(http, prefix="d.")) as toolset:
        assert [tool.name for tool in toolset.tools()][:2] == ["d.echo", "d.events"]
        assert json.loads(text_of(await called(toolset, "d.echo", a=1))) == {"a": 1}
        assert text_of(await called(toolset, "d.events")) == "by events"
    if http.era == "older":
        assert http.sessions == set()
        assert http.seen[-1][0] == "DELETE"
        assert all("mcp-method" not in headers for headers in http.told("tools/call"))
    else:
        assert [headers["mcp-name"] for headers in http.told("tools/call")] == ["echo", "events"]
        assert http.told("initialize") == []


async def test_arguments_that_go_into_headers() -> None:
    with served("stateless") as state:
        async with begun(mounted(state)) as toolset:
            await called(toolset, "region", region="eu west")
        assert state.told("tools/call")[0]["mcp-param-region"] == "eu west"


async def test_headers_with_credentials(http: OutsideHttp) -> None:
    toolset = mounted(http, headers={"Authorization": "Bearer ${TOKEN}"}, credentials=["TOKEN"])
    async with begun(toolset, {"TOKEN": "t0ken"}):
        await called(toolset, "echo")
    assert {headers["authorization"] for _, headers, _ in http.seen} == {"Bearer t0ken"}
    assert "Bearer" not in repr(toolset)
    assert "Bearer" not in repr(toolset.description)


async def test_progress_of_the_call_alone_is_passed_on(http: OutsideHttp) -> None:
    context, notes = noting()
    async with begun(mounted(http)) as toolset:
        assert text_of(await called(toolset, "progress", context)) == "done"
    assert notes == [Progressed(0.5)]


async def test_a_cancelled_call_is_cancelled_there(http: OutsideHttp) -> None:
    begins, loop = asyncio.Event(), asyncio.get_running_loop()

    def sink(note: object) -> None:
        loop.call_soon_threadsafe(begins.set)

    async with begun(mounted(http)) as toolset:
        call = asyncio.create_task(called(toolset, "hang", ToolContext(sink=sink)))
        await begins.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(http.cancelled.wait, 20)
        await called(toolset, "echo")
    assert len(http.told("notifications/cancelled")) == (1 if http.era == "older" else 0)


async def test_a_question_is_passed_on(http: OutsideHttp) -> None:
    async with begun(mounted(http)) as toolset:
        assert json.loads(text_of(await called(toolset, "ask"))) == {"action": "decline"}
        with pytest.raises(InputNeeded) as needed:
            await called(toolset, "ask", ToolContext(capabilities={"elicitation": {}}))
        [name] = needed.value.details["requests"]
        context = ToolContext({name: {"action": "cancel"}}, {"elicitation": {}})
        assert json.loads(text_of(await called(toolset, "ask", context))) == {"action": "cancel"}


async def test_an_answer_that_breaks_off_is_fetched_again() -> None:
    with served("older") as state:
        async with begun(mounted(state)) as toolset:
            assert text_of(await called(toolset, "broken")) == "mended"
        assert [method for method, _, _ in state.seen][-2:] == ["GET", "DELETE"]


async def test_an_answer_that_is_lost(http: OutsideHttp) -> None:
    async with begun(mounted(http)) as toolset:
        with pytest.raises(ToolsetUnavailable, match="MCP server desk broke off its answer"):
            await called(toolset, "lost")
        await toolset.begin({})
        await called(toolset, "echo")
        with pytest.raises(ToolsetUnavailable, match="sent what is no MCP message"):
            await called(toolset, "nonsense")


async def test_a_session_that_is_forgotten_is_begun_anew_at_the_next_reset() -> None:
    with served("older") as state:
        async with begun(mounted(state)) as toolset:
            state.sessions.clear()
            with pytest.raises(ToolsetUnavailable, match="does not know its session any more"):
                await called(toolset, "echo")
            await toolset.begin({})
            await called(toolset, "echo")
            state.sessions.clear()
            await toolset.begin({})
            await called(toolset, "echo")


@pytest.mark.parametrize(
    ("status", "said"), [(401, "credentials right"), (307, "points to 'http://other/'"), (500, "HTTP status 500")]
)
async def test_refusals(http: OutsideHttp, status: int, said: str) -> None:
    http.refuse, http.location = status, "http://other/"
    with pytest.raises(ToolsetUnavailable, match=said):
        await mounted(http).begin({})


async def test_nobody_there() -> None:
    with served("older") as state:
        pass
    with pytest.raises(ToolsetUnavailable, match="MCP server desk cannot be reached at http"):
        await mounted(state).begin({})


async def test_a_missing_tool_is_an_error_of_the_configuration(http: OutsideHttp) -> None:
    with pytest.raises(ConfigurationError, match="has no tool 'x'"):
        async with begun(mounted(http, allow=["x"])):
            pass
