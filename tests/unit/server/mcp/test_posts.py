"""An answer is JSON where nothing is to be said before it, and a stream where something is, or it takes long."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.unit.server.mcp.asgi import Exchange

from openenv.errors import CapacityReached, EpisodeLost, Forbidden, SessionNotFound, Unauthorized
from openenv.mcp.messages import INTERNAL_ERROR, McpError
from openenv.mcp.sse import EventLog
from openenv.server.mcp import posts
from openenv.server.mcp.posts import Final, deliver, final_error, told
from openenv.server.mcp.streams import Stream


async def _now(data: bytes = b'{"answer":1}', status: int = 200) -> Final:
    return data, status


async def _client(**headers: str) -> Exchange:
    found = Exchange(headers=headers) if headers else Exchange()
    await found.receive()
    return found


@pytest.mark.parametrize("is_quick", [True, False])
async def test_an_answer_with_nothing_before_it_is_json(is_quick: bool) -> None:
    client = await _client()
    assert await deliver(client.post, Stream(), _now(status=404), headers=[(b"x-id", b"7")], is_quick=is_quick) is None
    assert (client.status, client.body, client.headers["x-id"]) == (404, b'{"answer":1}', "7")
    assert client.headers["content-type"] == "application/json"


@pytest.mark.parametrize("is_quick", [True, False])
async def test_what_is_said_before_makes_it_a_stream(is_quick: bool) -> None:
    client, stream = await _client(), Stream()

    async def run() -> Final:
        stream.offer(b"half")
        return await _now(b"whole")

    await deliver(client.post, stream, run(), is_quick=is_quick)
    assert client.said == ["half", "whole"]
    assert client.is_complete


async def test_a_client_that_takes_no_stream_gets_json_whatever_was_said() -> None:
    client, stream = await _client(accept="application/json"), Stream()

    async def run() -> Final:
        stream.offer(b"half")
        return await _now()

    await deliver(client.post, stream, run())
    assert client.body == b'{"answer":1}'


async def test_an_answer_that_takes_long_becomes_a_stream(monkeypatch) -> None:
    monkeypatch.setattr(posts, "STREAM_AFTER_S", 0.001)
    client, stream, go = await _client(), Stream(EventLog("a"), is_primed=True), asyncio.Event()

    async def run() -> Final:
        await go.wait()
        return await _now()

    delivering = asyncio.create_task(deliver(client.post, stream, run()))
    await client.until(lambda: client.events)
    go.set()
    assert await delivering is None
    assert client.said == ['{"answer":1}']


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/event-stream"])
async def test_a_client_that_hangs_up_is_told_of_and_the_work_goes_on(monkeypatch, accept: str) -> None:
    monkeypatch.setattr(posts, "STREAM_AFTER_S", 0.001)
    client, stream, go, cut = await _client(accept=accept), Stream(EventLog("a")), asyncio.Event(), []

    async def run() -> Final:
        await go.wait()
        return await _now()

    delivering = asyncio.create_task(deliver(client.post, stream, run(), when_cut=lambda: cut.append(1)))
    client.hang_up()
    work = await delivering
    assert cut == [1]
    assert work is not None
    go.set()
    assert (await work)[0] == b'{"answer":1}'
    if "event-stream" in accept:  # who comes back for it finds it
        await asyncio.wait({asyncio.ensure_future(_settled(stream))}, timeout=5)
        assert stream.is_over


async def _settled(stream: Stream) -> None:
    while not stream.is_over:  # noqa: ASYNC110 - it looks at what others do
        await asyncio.sleep(0)


async def test_errors_of_ours_and_of_nobody_are_answers(caplog) -> None:
    data, status = final_error(McpError(-32601, "no"), 5, lambda error: 404)
    assert (json.loads(data)["error"]["code"], json.loads(data)["id"], status) == (-32601, 5, 404)
    data, _ = final_error(EpisodeLost("gone"), 5, lambda error: 200)
    assert "no more tool calls" in json.loads(data)["error"]["message"]
    data, _ = final_error(RuntimeError("secret"), 5, lambda error: 200)
    assert json.loads(data)["error"] == {"code": INTERNAL_ERROR, "message": "Internal error"}
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (Unauthorized("show a token"), 401, ("www-authenticate", "Bearer")),
        (Forbidden("no"), 403, None),
        (SessionNotFound("none"), 404, None),
        (CapacityReached("full", details={"retry_after_s": 2.4}), 503, ("retry-after", "2")),
        (McpError(-32600, "no", http_status=405), 405, None),
    ],
)
async def test_refusals_have_the_status_of_their_kind(error, status, header) -> None:
    client = Exchange()
    await told(error).send(client.send)
    assert client.status == status
    assert json.loads(client.body)["error"]["message"]
    if header:
        assert client.headers[header[0]] == header[1]


@pytest.mark.parametrize("is_quick", [True, False])
async def test_several_messages_are_one_array_or_an_event_each(is_quick: bool) -> None:
    async def run(stream: Stream, before: bytes = b"") -> Final:
        if before:
            stream.offer(before)
        return (b"1", b"2"), 200

    plain, stream = await _client(), Stream()
    await deliver(plain.post, stream, run(stream), is_quick=is_quick)
    assert plain.body == b"[1,2]"
    streamed, stream = await _client(), Stream()
    await deliver(streamed.post, stream, run(stream, b"half"), is_quick=is_quick)
    assert streamed.said == ["half", "1", "2"]
