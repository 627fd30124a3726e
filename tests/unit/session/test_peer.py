"""One connection's sessions: resent requests, order, several sessions at once, and what the connection leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.unit.session.still import Plain
from tests.unit.session.worlds import World, engine_of, step_of, threads_left, world

from openenv.protocol import Close, Closed, Failed, GetState, Observed, Open, Opened, Reset, StateIs, Step
from openenv.session import Openings, Peer, Session, SessionEngine, SharedSession


async def _unheard(frame: object) -> None:
    pass


class Line:
    """A peer, its engine, and the ledger of what it serves."""

    def __init__(self, cls: type[World], capacity: int | None = None) -> None:
        self.ledger = cls.ledger
        self.engine: SessionEngine = engine_of(cls, capacity)
        self.shared = SharedSession(self.engine)
        self.openings = Openings(self.engine, self.shared.give_way)
        self.peer = self.connect()

    def connect(self) -> Peer:
        """A connection of its own."""
        return Peer(self.engine, self.openings, self.shared, Plain(), _unheard)  # type: ignore[arg-type]

    async def end(self) -> None:
        """Stop the server; nothing may be left."""
        self.ledger.gate.set()
        await self.peer.leave()
        await self.engine.aclose()
        assert self.engine.active == 0
        self.ledger.check_closed_once()
        assert not threads_left()

    async def open(self, nonce: str = "n", **more: Any) -> str:
        reply = await self.peer.answer(Open(nonce=nonce, **more))
        assert isinstance(reply, Opened), reply
        return reply.session

    async def waits(self, what: str = "waiting", times: int = 1) -> None:
        await asyncio.to_thread(self.ledger.wait, what, times)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    made = Line(world())
    yield made
    await made.end()


async def test_the_same_nonce_is_the_same_session(line: Line) -> None:
    ids = await asyncio.gather(*(line.open("a") for _ in range(3)), line.open("b"))
    assert len(set(ids)) == 2
    assert await line.open("a") == ids[0]
    assert line.ledger.count("made") == 2


async def test_a_nonce_stays_that_of_its_session(line: Line) -> None:
    first = await line.open("a")
    assert isinstance(await line.peer.answer(Close(session=first, id=1)), Closed)
    gone = await line.peer.answer(Open(nonce="a"))
    assert isinstance(gone, Failed)
    assert (gone.code, gone.details) == ("EPISODE_LOST", {"reason": "closed", "nonce": "a"})
    assert line.ledger.count("made") == 1


async def test_an_open_may_carry_an_id(line: Line) -> None:
    reply = await line.peer.answer(Open(nonce="a", id=3))
    assert isinstance(reply, Opened)
    assert reply.id == 3
    assert (await line.peer.answer(Open(nonce="a", id=3))).session == reply.session


async def test_a_failed_open_may_be_tried_again() -> None:
    cls = world(on_make="raise")
    line = Line(cls)
    for _ in range(2):
        failed = await line.peer.answer(Open(nonce="a"))
        assert isinstance(failed, Failed)
        assert failed.code == "FACTORY_ERROR"
    cls.on_make = "ok"
    await line.open("a")
    await line.end()


async def test_one_over_capacity_is_told_the_numbers() -> None:
    line = Line(world(), 1)
    await line.open("a")
    reply = await line.peer.answer(Open(nonce="b"))
    assert isinstance(reply, Failed)
    assert (reply.code, reply.retryable) == ("CAPACITY_REACHED", True)
    assert reply.details == {"active_sessions": 1, "max_sessions": 1, "retry_after_s": 1.0, "nonce": "b"}
    await line.end()


async def test_a_resent_request_gets_the_kept_reply(line: Line) -> None:
    session = await line.open()
    await line.peer.answer(Reset(session=session, id=1))
    first = await line.peer.answer(step_of(session=session, id=2, ack=1))
    again = await line.peer.answer(step_of(session=session, id=2, ack=1))
    assert first is again
    assert line.ledger.count("step") == 1


async def test_a_resent_failure_is_kept_too(line: Line) -> None:
    session = await line.open()
    await line.peer.answer(Reset(session=session, id=1))
    for _ in range(2):
        reply = await line.peer.answer(step_of("raise", session=session, id=2))
        assert isinstance(reply, Failed)
        assert (reply.code, reply.id, reply.session) == ("EXECUTION_ERROR", 2, session)
    assert line.ledger.count("step") == 1


async def test_a_resend_of_a_running_request_waits_for_it(line: Line) -> None:
    session = await line.open()
    await line.peer.answer(Reset(session=session, id=1))
    request = step_of("wait", session=session, id=2)
    running = [asyncio.create_task(line.peer.answer(request)) for _ in range(3)]
    await line.waits()
    line.ledger.gate.set()
    replies = await asyncio.gather(*running)
    assert all(isinstance(reply, Observed) and reply.id == 2 for reply in replies)
    assert line.ledger.count("step") == 1


@pytest.mark.parametrize(("request_id", "ack"), [(1, 1), (2, 2), (3, 9)])
async def test_a_stale_request_does_not_run(line: Line, request_id: int, ack: int) -> None:
    session = await line.open()
    await line.peer.answer(Reset(session=session, id=1))
    await line.peer.answer(step_of(session=session, id=2, ack=1))
    reply = await line.peer.answer(step_of(session=session, id=request_id, ack=ack))
    assert isinstance(reply, Failed)
    assert (reply.code, reply.id) == ("STALE_REQUEST", request_id)
    assert line.ledger.count("step") == 1


async def test_too_many_unacknowledged_requests_are_refused_until_some_are(line: Line) -> None:
    session = await line.open()
    for request_id in range(1, 33):
        assert isinstance(await line.peer.answer(Reset(session=session, id=request_id)), Observed)
    reply = await line.peer.answer(GetState(session=session, id=33))
    assert isinstance(reply, Failed)
    assert (reply.code, reply.retryable) == ("BUSY", True)
    assert isinstance(await line.peer.answer(GetState(session=session, id=33, ack=32)), StateIs)


async def test_requests_of_a_session_run_and_answer_in_the_order_they_came(line: Line) -> None:
    session = await line.open()
    answered: list[int] = []

    async def ask(request: Any) -> None:
        answered.append((await line.peer.answer(request)).id)

    requests = [Reset(session=session, id=1), step_of("wait", session=session, id=2)]
    requests += [step_of(session=session, id=i) for i in range(3, 8)] + [GetState(session=session, id=8)]
    tasks = [asyncio.create_task(ask(request)) for request in requests]
    await line.waits()
    line.ledger.gate.set()
    await asyncio.gather(*tasks)
    assert answered == list(range(1, 9))


async def test_a_slow_session_does_not_hold_up_another(line: Line) -> None:
    slow, fast = await line.open("slow"), await line.open("fast")
    for session in (slow, fast):
        await line.peer.answer(Reset(session=session, id=1))
    step = asyncio.create_task(line.peer.answer(step_of("wait", session=slow, id=2)))
    await line.waits()
    for request_id in range(2, 10):
        assert isinstance(await line.peer.answer(step_of(session=fast, id=request_id, ack=request_id - 1)), Observed)
    assert not step.done()
    line.ledger.gate.set()
    assert isinstance(await step, Observed)


async def test_an_unknown_session_is_refused(line: Line) -> None:
    for request in (Reset(session="x", id=1), GetState(session="x"), Close(session="x", id=2)):
        reply = await line.peer.answer(request)
        assert isinstance(reply, Failed)
        assert (reply.code, reply.session, reply.id) == ("SESSION_NOT_FOUND", "x", request.id)


async def test_a_connection_reaches_its_own_sessions_only(line: Line) -> None:
    session = await line.open()
    reply = await line.connect().answer(Reset(session=session, id=1))
    assert isinstance(reply, Failed)
    assert reply.code == "SESSION_NOT_FOUND"


async def test_the_end_of_the_connection_ends_nothing_and_waits_for_nobody(line: Line) -> None:
    running = await line.open("a")
    await line.open("b")  # stays idle
    await line.peer.answer(Reset(session=running, id=1))
    step = asyncio.create_task(line.peer.answer(step_of("wait", session=running, id=2)))
    await line.waits()
    await line.peer.leave()
    assert line.ledger.count("close") == 0
    line.ledger.gate.set()
    assert isinstance(await step, Observed)
    assert line.engine.active == 2


async def test_what_is_opening_when_the_connection_ends_is_there_for_who_comes_back() -> None:
    line = Line(world(on_make="wait"))
    opening = asyncio.create_task(line.peer.answer(Open(nonce="a")))
    await line.waits()
    await line.peer.leave()
    line.ledger.gate.set()
    other = line.connect()
    assert isinstance(await other.answer(Open(nonce="a")), Opened)
    await asyncio.gather(opening, return_exceptions=True)
    assert line.ledger.count("made") == 1
    await line.end()


async def test_the_only_session_of_an_old_connection_ends_with_it() -> None:
    line = Line(world(), 1)
    old = line.connect()
    assert await old.open_only() is None
    assert isinstance(await old.answer(Reset()), Observed)
    assert isinstance(await old.answer(step_of()), Observed)
    refused = await line.peer.answer(Open(nonce="a"))
    assert isinstance(refused, Failed)
    assert refused.code == "CAPACITY_REACHED"
    await old.leave()
    assert line.engine.active == 0
    assert isinstance(await line.peer.answer(Open(nonce="a")), Opened)
    await line.end()


async def test_a_close_that_fails_is_told_and_the_session_is_gone() -> None:
    line = Line(world(on_close="raise"))
    session = await line.open()
    reply = await line.peer.answer(Close(session=session, id=1))
    assert isinstance(reply, Failed)
    assert reply.code == "EXECUTION_ERROR"
    assert line.engine.active == 0
    await line.end()


async def test_what_nobody_foresaw_is_an_answer(
    line: Line, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def step(self: Session, request: Step, key: str = "") -> Any:
        raise ArithmeticError("neither true nor false")

    monkeypatch.setattr(Session, "step", step)
    session = await line.open()
    await line.peer.answer(Reset(session=session, id=1))
    for _ in range(2):  # kept like any other reply
        reply = await line.peer.answer(Step(session=session, id=2, action=msgspec.Raw(b"{}")))
        assert isinstance(reply, Failed)
        assert (reply.code, reply.id) == ("INTERNAL", 2)
        assert "neither true nor false" in reply.message
    await line.end()
    assert "failed inside the server" in caplog.text


async def test_an_open_waits_for_the_place_of_a_session_that_is_ending() -> None:
    line = Line(world(on_close="wait"), 1)
    session = await line.open()
    closing = asyncio.create_task(line.peer.answer(Close(session=session, id=1)))
    await line.waits()
    other = line.connect()
    opening = asyncio.create_task(other.answer(Open(nonce="b")))
    refused = await line.connect().open_only()  # at once, as old trainers expect
    assert isinstance(refused, Failed)
    assert refused.code == "CAPACITY_REACHED"
    assert not opening.done()
    line.ledger.gate.set()
    assert isinstance(await opening, Opened)
    assert isinstance(await closing, Closed)
    await line.end()
    assert line.ledger.most_alive() == 1
