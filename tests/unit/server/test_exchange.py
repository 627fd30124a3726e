"""Paths with a name in them, and answers that are sent piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from openenv.server.exchange import Answer, Endpoint, Request, Streamed


async def named(request: Request) -> Answer:
    return Answer(request.named.encode())


@pytest.mark.parametrize(
    ("path", "asked", "found"),
    [
        ("/step", "/step", ""),
        ("/step", "/step/", None),
        ("/step", "/ste", None),
        ("/sessions/{id}", "/sessions/a-1", "a-1"),
        ("/sessions/{id}", "/sessions/", None),
        ("/sessions/{id}", "/sessions/a/state", None),
        ("/sessions/{id}/state", "/sessions/a-1/state", "a-1"),
        ("/sessions/{id}/state", "/sessions/a", None),
        ("/sessions/{id}/state", "/sessions//state", None),
        ("/sessions/{id}/state", "/sessions/state", None),
        ("/sessions/{id}/state", "/sessions/a/b/state", None),
        ("/sessions/{id}/state", "/sessions/a/stateful", None),
        ("/sessions/{id}/state", "/sessions/a/restate", None),
    ],
)
async def test_a_part_of_a_path_may_be_a_name(path: str, asked: str, found: str | None) -> None:
    endpoint = Endpoint("GET", path, named, "says")
    assert endpoint.named("GET", asked) == found
    assert endpoint.named("POST", asked) is None
    if found is not None:
        sent: list[Any] = []
        await endpoint({"path": asked, "headers": []}, _never, _kept(sent))
        assert sent[1]["body"] == found.encode()


async def _never() -> Any:
    await asyncio.Event().wait()


def _kept(sent: list[Any]) -> Any:
    async def send(message: Any) -> None:
        sent.append(message)

    return send


class Pieces:
    """Gives one piece, and the next once it is told; notes that it was closed."""

    def __init__(self) -> None:
        self.more, self.closed, self.waits = asyncio.Event(), False, asyncio.Event()

    async def run(self) -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            self.waits.set()
            await self.more.wait()
            yield b"two"
        finally:
            self.closed = True


async def test_pieces_are_sent_as_they_come_and_end() -> None:
    pieces, sent = Pieces(), []
    request = Request({}, _never, "", "")
    sending = asyncio.create_task(Streamed(request, pieces.run(), "text/plain").send(_kept(sent)))
    await pieces.waits.wait()
    assert [one.get("body") for one in sent] == [None, b"one"]
    assert (b"content-type", b"text/plain") in sent[0]["headers"]
    pieces.more.set()
    await sending
    assert [(one["body"], one.get("more_body", False)) for one in sent[1:]] == [
        (b"one", True),
        (b"two", True),
        (b"", False),
    ]
    assert pieces.closed


async def test_who_does_not_read_any_more_is_sent_no_more() -> None:
    pieces, gone, sent = Pieces(), asyncio.Event(), []

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    sending = asyncio.create_task(Streamed(Request({}, receive, "", ""), pieces.run(), "text/plain").send(_kept(sent)))
    await pieces.waits.wait()
    gone.set()
    await sending
    assert pieces.closed
    assert [one.get("body") for one in sent] == [None, b"one"]


async def test_an_error_while_sending_comes_out() -> None:
    pieces = Pieces()

    async def broken(_: Any) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await Streamed(Request({}, _never, "", ""), pieces.run(), "text/plain").send(broken)
