"""What a worker and a server say about tools: read as it was written, bounded, and meant for the right request."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import Any

import msgspec
import pytest
from tests.unit.session.tool_worlds import Hearing, Tools, call_of, playing, value_of

from openenv.environment import EnvironmentPlan
from openenv.errors import ExecutionFailed, InputNeeded, InvalidRequest, RemoteProtocolError
from openenv.protocol import Observed, StateIs
from openenv.session.hosting.notes import MOST_NOTES
from openenv.session.isolation import frames, tool_frames
from openenv.session.isolation.frames import HEAD, LARGEST_NOTE, NOTE, Frame
from openenv.session.isolation.line import Line
from openenv.session.isolation.ways import AwaitedWay, BlockingWay
from openenv.tools import Changed, Logged, Progressed


def packed(*given: Frame) -> bytes:
    return b"".join(HEAD.pack(len(body), kind) + body for kind, body in given)


def test_offers_come_back_as_they_are() -> None:
    asked = tool_frames.reading_offer(tool_frames.offer_frame("resources/read", {"uri": "x", "deep": [{"a": None}]}))
    assert asked == ("resources/read", {"uri": "x", "deep": [{"a": None}]})
    told = {"tools": [{"name": "a"}], "nothing": None}
    assert tool_frames.reading_offered(tool_frames.offered_frame(told)) == told
    failed = frames.reply_frame(InputNeeded("who", details={"requests": {"name": {}}}))
    found = tool_frames.reading_offered(failed)
    assert not isinstance(found, dict)
    assert isinstance(found.to_error(), InputNeeded)


def test_what_is_no_offer_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        tool_frames.offer_frame("x", {"object": object()})
    for offered in ({"object": object()}, [], None):
        with pytest.raises(ExecutionFailed, match="cannot be sent"):
            tool_frames.offered_frame(offered)
    observed, state = Observed(observation={}), StateIs(state={})
    for frame in ((frames.OFFER, b"[]"), (frames.OFFER, b"{"), *map(frames.reply_frame, (observed, state))):
        with pytest.raises(RemoteProtocolError):
            tool_frames.reading_offered(frame)


@pytest.mark.parametrize(
    "note",
    [Progressed(1.0, 2.0, "half"), Logged({"deep": [1]}, "error", "me"), Changed("tools"), Changed("resource", "x")],
)
def test_notes_come_back_as_they_are(note: Any) -> None:
    frame = tool_frames.note_frame(note)
    assert frame is not None
    assert tool_frames.reading_note(frame) == note


def test_notes_without_a_form_are_left_out() -> None:
    assert tool_frames.note_frame(Logged(object())) is None
    assert tool_frames.note_frame(Logged("x" * LARGEST_NOTE)) is None
    for body in (b"", b"{}", b'{"type":"evil"}', b"\xff"):
        with pytest.raises(RemoteProtocolError):
            tool_frames.reading_note((NOTE, body))


def test_a_plan_tells_of_tools_and_deadlines() -> None:
    frame = frames.built_frame(EnvironmentPlan.of(Tools), {"slow": 1.5})
    plan = frames.reading_plan(frame)
    assert isinstance(plan, EnvironmentPlan)
    assert plan.tools
    assert frames.reading_deadlines(frame) == {"slow": 1.5}
    assert frames.reading_deadlines(frames.built_frame(EnvironmentPlan.of(Tools), {"never": -1.0})) == {}


class Standing(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_gone = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.is_gone = True


def line_of(broken: list[str]) -> tuple[Line, Standing]:
    line, transport = Line(broken.append, lambda: None), Standing()
    line.connection_made(transport)
    return line, transport


def fed(line: Line, data: bytes) -> None:
    while data:
        space = line.get_buffer(-1)
        count = min(len(space), len(data))
        space[:count], data = data[:count], data[count:]
        line.buffer_updated(count)


async def test_notes_answer_nothing_and_come_before_the_answer() -> None:
    broken: list[str] = []
    line, transport = line_of(broken)
    heard: list[Any] = []
    line.on_note = lambda frame: heard.append(tool_frames.reading_note(frame))
    first, second = line.ask((1, b"a")), line.ask((1, b"b"))
    line.say(tool_frames.cancel_frame(line.asked))
    assert transport.written.endswith(packed(tool_frames.cancel_frame(2)))
    note = tool_frames.note_frame(Progressed(1.0))
    assert note is not None
    fed(line, packed((3, b"plan"), note, (2, b"A"), note))
    assert (await line.beginning, await first, len(heard)) == ((3, b"plan"), (2, b"A"), 2)
    fed(line, packed((2, b"B")))
    assert await second == (2, b"B")
    assert broken == []


async def test_a_flood_of_notes_is_not_taken_in() -> None:
    line, _ = line_of([])
    heard: list[Any] = []
    line.on_note = heard.append
    note = tool_frames.note_frame(Progressed(1.0))
    assert note is not None
    fed(line, packed(*[note] * (MOST_NOTES + 50)))
    assert len(heard) == MOST_NOTES
    await asyncio.sleep(0)
    fed(line, packed(note))
    assert len(heard) == MOST_NOTES + 1


@pytest.mark.parametrize("body", [b"{}", b"nonsense", b"x" * (LARGEST_NOTE + 1)])
async def test_a_worker_whose_notes_cannot_be_read_is_trusted_no_further(body: bytes) -> None:
    broken: list[str] = []
    line, transport = line_of(broken)
    line.on_note = lambda frame: [tool_frames.reading_note(frame)].clear()
    fed(line, packed((NOTE, body)))
    assert transport.is_gone
    assert "it sent what cannot be read" in broken[0]


def test_a_cancellation_is_of_one_request() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        way = BlockingWay(theirs)
        ours.sendall(packed((1, b"first"), (1, b"second"), tool_frames.cancel_frame(2)))
        assert way.next() == (1, b"first")
        assert not way.is_cancelled()
        assert way.next() == (1, b"second")
        assert way.is_cancelled()
        ours.sendall(packed((1, b"third")))
        assert way.next() == (1, b"third")
        assert not way.is_cancelled()
        ours.sendall(packed(tool_frames.cancel_frame(3)))
        found: list[bool] = []
        thread = threading.Thread(target=lambda: found.append(way.is_cancelled()))
        thread.start()
        thread.join()
        assert found == [True]
        ours.sendall(packed(tool_frames.cancel_frame(3), (1, b"x" * 200_000)))
        assert way.next() == (1, b"x" * 200_000)
        assert not way.is_cancelled()
        ours.close()
        assert way.is_cancelled()  # nobody is there to want it
        assert way.next() is None


def test_who_asks_while_a_request_is_waited_for_waits_for_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        way = BlockingWay(theirs)
        taken: list[Any] = []
        thread = threading.Thread(target=lambda: taken.append(way.next()))
        thread.start()
        while not way._reading.locked():
            os.sched_yield()
        assert not way.is_cancelled()
        ours.sendall(packed((1, b"")))
        thread.join()
        assert taken == [(1, b"")]


async def test_a_loop_reads_while_it_works_and_writes_notes_at_once() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        way, cancelled = AwaitedWay(theirs), list[int]()
        way.on_cancel = lambda: cancelled.append(1)
        ours.sendall(packed((1, b"first"), tool_frames.cancel_frame(2)))
        assert await way.next() == (1, b"first")
        assert cancelled == []
        ours.sendall(packed((1, b"second")))
        assert await way.next() == (1, b"second")
        assert way.is_unwanted
        ours.sendall(packed((1, b"third")))
        assert await way.next() == (1, b"third")
        ours.sendall(packed(tool_frames.cancel_frame(3)))
        way.look()  # as an environment does that holds up the loop
        assert cancelled == [1]
        note = Progressed(1.0)
        way.note(note)
        expected = tool_frames.note_frame(note)
        assert expected is not None
        assert ours.recv(1 << 16) == packed(expected)
        way.note(Logged(object()))
        for _ in range(3 * MOST_NOTES):  # nobody reads: what is too much is lost, and the rest is whole
            way.note(Logged("x" * 1000))
        sending = asyncio.create_task(way.send((2, b"answer")))
        data = b""
        while not data.endswith(packed((2, b"answer"))):
            await asyncio.sleep(0)
            try:
                data += ours.recv(1 << 20)
            except BlockingIOError:
                continue
        await sending
        one = packed((NOTE, msgspec.json.encode(Logged("x" * 1000))))
        count = data.count(one)
        assert data == one * count + packed((2, b"answer"))
        assert MOST_NOTES <= count < 3 * MOST_NOTES
        ours.close()
        assert await way.next() is None
        way.close()


async def test_a_worker_that_dies_is_heard_again_from_another_one() -> None:
    async with playing(Tools, "process") as session:
        hearing = Hearing()
        await session.call_tool("speak", {"words": 1}, hearing.call)
        host: Any = session.episode.host
        await host.kill()
        assert value_of(await session.step(call_of("add"))) == 1
        assert session.episode.host is not host
        heard = len(hearing.notes)
        await session.call_tool("speak", {"words": 1}, hearing.call)
        assert len(hearing.notes) == 2 * heard
