"""A stream of events outlives its connection, loses no answer, and drops only notes that nobody reads."""

from __future__ import annotations

import asyncio

from tests.unit.server.mcp.asgi import Exchange

from openenv.mcp.sse import EventLog
from openenv.server.mcp import streams
from openenv.server.mcp.streams import Stream


async def test_what_was_said_before_a_connection_is_carried_by_the_first() -> None:
    stream, client = Stream(), Exchange()
    await client.receive()
    stream.put(b"one")
    stream.put(b"two")
    stream.end()
    assert await stream.carry(client.receive, client.send, [(b"x-more", b"1")])
    assert client.said == ["one", "two"]
    assert (client.status, client.headers["x-more"], client.is_complete) == (200, "1", True)


async def test_a_kept_stream_begins_with_an_id_to_come_back_with() -> None:
    stream, client = Stream(EventLog("a"), is_primed=True), Exchange()
    carrying = asyncio.create_task(stream.carry(client.receive, client.send))
    await client.until(lambda: client.events)
    assert client.events[0].data == ""
    assert client.events[0].id == "a.0"
    assert client.events[0].retry is not None
    stream.put(b"answer")
    stream.end()
    await carrying
    assert [one.id for one in client.events] == ["a.0", "a.1"]


async def test_who_comes_back_gets_what_was_said_meanwhile_and_what_comes() -> None:
    stream, first = Stream(EventLog("a"), is_primed=True), Exchange()
    await first.receive()
    carrying = asyncio.create_task(stream.carry(first.receive, first.send))
    stream.put(b"one")
    await first.until(lambda: first.said == ["one"])
    first.hang_up()
    assert not await carrying
    assert not stream.is_carried
    stream.put(b"two")
    second = Exchange(method="GET")
    await second.receive()
    carrying = asyncio.create_task(stream.carry(second.receive, second.send, (), first.events[-1].id))
    stream.put(b"three")
    stream.end()
    assert await carrying
    assert second.said == ["two", "three"]


async def test_a_later_connection_takes_over_from_one_that_does_not_know_that_it_is_dead() -> None:
    stream, first, second = Stream(EventLog("a")), Exchange(), Exchange()
    for one in (first, second):
        await one.receive()
    old = asyncio.create_task(stream.carry(first.receive, first.send))
    stream.put(b"one")
    await first.until(lambda: first.said == ["one"])
    new = asyncio.create_task(stream.carry(second.receive, second.send, (), first.events[-1].id))
    await second.until(lambda: second.status)
    stream.put(b"two")
    stream.end()
    await asyncio.gather(old, new)
    assert (first.said, second.said) == (["one"], ["two"])


async def test_notes_are_dropped_where_the_client_does_not_keep_up_and_answers_are_not(monkeypatch) -> None:
    monkeypatch.setattr(streams, "_MOST_WAITING_BYTES", 100)
    stream, client = Stream(), Exchange()
    await client.receive()
    for _ in range(50):
        stream.offer(b"note " * 10)
    stream.put(b"answer")
    stream.end()
    await stream.carry(client.receive, client.send)
    assert client.said[-1] == "answer"
    assert len(client.said) < 5


async def test_notes_for_nobody_are_not_kept() -> None:
    stream, client = Stream(EventLog("a")), Exchange()
    await client.receive()
    client.hang_up()
    await stream.carry(client.receive, client.send)
    stream.offer(b"note")
    stream.put(b"answer")
    assert stream.log is not None
    assert len(stream.log.after("a.0") or []) == 0  # the answer has the first number: the note got none


async def test_a_quiet_stream_shows_signs_of_life(monkeypatch) -> None:
    monkeypatch.setattr(streams, "_KEEP_ALIVE_S", 0.01)
    stream, client = Stream(), Exchange()
    await client.receive()
    carrying = asyncio.create_task(stream.carry(client.receive, client.send))
    await client.until(lambda: b": alive" in client.body)
    assert client.events == []
    stream.end()
    assert await carrying
