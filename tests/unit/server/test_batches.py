"""Arrays of requests on one connection: as if each had come alone, in order, and each run once."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.unit.server.carried import JSON, MSGPACK, Carried
from tests.unit.session.scripted import until
from tests.unit.session.worlds import Seen, World, step_of, world

from openenv.protocol import (
    Close,
    Closed,
    Failed,
    GetState,
    Observed,
    Open,
    Opened,
    Reply,
    Reset,
    StateIs,
    is_batch,
)
from openenv.server import carrier as carrier_module
from openenv.session import prompt as prompt_module

each_form = pytest.mark.parametrize("form", [JSON, MSGPACK])
each_place = pytest.mark.parametrize("isolation", ["thread", "inline"])


def value(reply: Reply) -> Any:
    return reply.observation["value"] if isinstance(reply, Observed) else reply


def told(replies: list[Reply]) -> dict[tuple[str, int], Any]:
    """By session and id: what was seen, or the code of the failure, or the kind of answer."""
    return {
        (one.session, one.id): value(one)
        if isinstance(one, Observed)
        else one.code
        if isinstance(one, Failed)
        else type(one)
        for one in replies
    }


@each_form
@each_place
async def test_one_array_may_ask_anything_of_several_sessions(form: str, isolation: str) -> None:
    cls = world(isolation=isolation)
    async with Carried(cls) as carried:
        wire = carried.connect(form)
        first, second = await wire.open(2)
        found = await wire.ask(
            step_of(session=first, id=2),
            Open(nonce="another"),
            step_of("raise", session=second, id=2),
            step_of(session=first, id=3),
            GetState(session=second, id=3),
            Reset(session=first, id=4),
            step_of(session=first, id=5),
            Close(session=second, id=4),
            step_of(session="nobody", id=1),
        )
        (opened,) = (one for one in found if isinstance(one, Opened))
        assert told([one for one in found if one is not opened]) == {
            (first, 2): 1,
            (first, 3): 2,
            (first, 4): 0,
            (first, 5): 1,
            (second, 2): "EXECUTION_ERROR",
            (second, 3): StateIs,
            (second, 4): Closed,
            ("nobody", 1): "SESSION_NOT_FOUND",
        }
        # answers of one session come in the order of its requests
        assert [one.id for one in found if one.session == first] == [2, 3, 4, 5]
        assert [one.id for one in found if one.session == second] == [2, 3, 4]
        assert opened.nonce == "another"


@each_form
async def test_what_came_alone_is_answered_alone_until_an_array_comes(form: str) -> None:
    async with Carried(world(isolation="inline")) as carried:
        wire = carried.connect(form)
        (name,) = [one.session for one in await wire.ask(Open(nonce="a"), array=False)]
        for number in (1, 2):
            await wire.ask(Reset(session=name, id=number), array=False)
        assert not any(is_batch(frame) for frame in wire.frames)
        found = await wire.ask(step_of(session=name, id=3), step_of(session=name, id=4), step_of(session=name, id=5))
        assert [value(one) for one in found] == [1, 2, 3]
        assert [is_batch(frame) for frame in wire.frames] == [False] * 3 + [True]


@each_form
async def test_what_cannot_be_read_spoils_only_its_own_place(form: str) -> None:
    async with Carried(world(isolation="inline")) as carried:
        wire = carried.connect(form)
        names = await wire.open(2)
        encode = msgspec.json.encode if form == JSON else msgspec.msgpack.encode
        bad: list[Any] = [
            {"type": "step", "session": names[0], "id": "two", "action": {}},
            {"type": "fly", "session": names[0], "id": 2},
            {"type": "step", "session": names[1], "id": 3},
            7,
        ]
        raw = [encode(one).decode() if form == JSON else encode(one) for one in bad]
        asked = [step_of(session=names[1], id=2), *raw[:2], step_of(session=names[0], id=3), *raw[2:]]
        (alone,) = await wire.ask(raw[3], array=False)
        assert isinstance(alone, Failed)
        found = await wire.ask(*asked)
        codes = sorted((one.session, one.id, one.code) for one in found if isinstance(one, Failed))
        assert codes == sorted(
            [
                ("", 0, "INVALID_REQUEST"),  # its id cannot be told
                (names[0], 2, "UNKNOWN_TYPE"),
                (names[1], 3, "INVALID_REQUEST"),
                ("", 0, alone.code),
            ]
        )
        assert told([one for one in found if isinstance(one, Observed)]) == {(names[1], 2): 1, (names[0], 3): 1}


@each_form
async def test_an_array_that_is_none_is_one_failure(form: str) -> None:
    async with Carried(world()) as carried:
        wire = carried.connect(form)
        empty, open_ended = ("[]", "[1,") if form == JSON else (b"\x90", b"\x92\x01")
        too_long: Any = "[" + ",".join(["1"] * 4097) + "]" if form == JSON else b"\xdc\x10\x01" + b"\x01" * 4097
        for frame in (empty, open_ended, too_long):
            (failed,) = await wire.ask(frame, array=False)
            assert isinstance(failed, Failed)
            assert failed.code == ("INVALID_JSON" if (form, frame) == (JSON, "[1,") else "INVALID_REQUEST")
        assert "not 4097" in failed.message  # type: ignore[union-attr]


@each_place
async def test_an_array_that_is_sent_again_runs_nothing_again(isolation: str) -> None:
    cls = world(isolation=isolation)
    async with Carried(cls) as carried:
        wire, other = carried.connect(), carried.connect()
        names = await wire.open(3)
        asked = [step_of(session=name, id=number) for number in (2, 3) for name in names]
        first = told(await wire.ask(*asked))
        assert set(first.values()) == {1, 2}
        assert told(await wire.ask(*asked)) == first
        await other.ask(*(carried.resume(name) for name in names))
        assert told(await other.ask(*asked)) == first
        assert cls.ledger.count("step") == 6
        for name in names:
            state = await carried.session(name).state()
            assert state.state.step_count == 2


class Large(World):
    def step(self, action: Any, bonus: int = 0) -> Seen:
        super().step(action)
        return Seen(value="x" * 300_000)


@each_form
@each_place
async def test_large_answers_leave_in_several_frames(form: str, isolation: str) -> None:
    async with Carried(world(Large, isolation=isolation)) as carried:
        wire = carried.connect(form)
        names = await wire.open(8)
        before = len(wire.frames)
        found = await wire.ask(*(step_of(session=name, id=2) for name in names))
        assert {(one.session, one.id) for one in found} == {(name, 2) for name in names}
        sizes = [len(frame) for frame in wire.frames[before:]]
        assert max(sizes) <= (1 << 20) + 100
        if isolation == "inline":
            assert len(sizes) == 3


async def test_nothing_overtakes_a_request_that_has_not_begun() -> None:
    cls = world(isolation="inline")
    async with Carried(cls) as carried:
        wire = carried.connect()
        first, second = await wire.open(2)
        # who asks for a state is answered by a task, which has not run when the next frame is taken
        wire.take(GetState(session=first, id=2), array=False)
        wire.take(step_of(session=first, id=3), array=False)
        wire.take(GetState(session=first, id=4), step_of(session=first, id=5), GetState(session=first, id=6))
        wire.take(step_of(session=second, id=2), array=False)
        found = await wire.replies(6)
        assert [one.id for one in found if one.session == first] == [2, 3, 4, 5, 6]
        counts = [one.state["step_count"] for one in found if isinstance(one, StateIs)]
        assert counts == [0, 1, 2]
        assert found[0].session == second  # nothing came before it in its session


async def test_a_session_is_busy_from_the_moment_that_a_request_is_taken() -> None:
    async with Carried(world()) as carried:
        wire = carried.connect()
        names = await wire.open(2)
        assert not any(carried.session(name).is_busy for name in names)  # leases end nothing that is busy
        wire.take(GetState(session=names[0], id=2), array=False)
        wire.take(step_of(session=names[1], id=2))
        assert all(carried.session(name).is_busy for name in names)
        await wire.replies(2)
        await until(lambda: not any(carried.session(name).is_busy for name in names))


async def test_no_answer_of_a_session_overtakes_one_that_waits_to_leave() -> None:
    async with Carried(world(isolation="inline")) as carried:
        wire = carried.connect()
        (name,) = await wire.open(1)
        for first in (2, 5):
            wire.take(GetState(session=name, id=first), array=False)
            await until(lambda: bool(wire.carrier._gathered))  # answered, and about to leave in an array
            wire.take(step_of(session=name, id=first + 1), array=first == 2)
            wire.take(step_of(session=name, id=first + 2), array=False)
            assert [one.id for one in await wire.replies(3)] == [first, first + 1, first + 2]


@each_place
async def test_a_step_after_a_close_does_not_run(isolation: str) -> None:
    cls = world(isolation=isolation)
    async with Carried(cls) as carried:
        wire = carried.connect()
        names = await wire.open(2)
        wire.take(Close(session=names[0], id=2), array=False)
        wire.take(step_of(session=names[0], id=3), array=False)
        wire.take(Close(session=names[1], id=2), step_of(session=names[1], id=3))
        found = told(await wire.replies(4))
        assert {found.pop((name, 2)) for name in names} == {Closed}
        assert set(found.values()) <= {"EPISODE_LOST", "SESSION_CLOSED", "SESSION_NOT_FOUND"}
        assert cls.ledger.count("step") == 0


async def test_a_client_that_does_not_read_is_not_read_from() -> None:
    async with Carried(world(isolation="inline")) as carried:
        wire = carried.connect()
        names = await wire.open(2)
        wire.gate = asyncio.Event()
        under_way = wire.take(*(step_of(session=name, id=2) for name in names))
        assert under_way is not None
        waits = asyncio.ensure_future(under_way)
        await asyncio.sleep(0)
        assert not waits.done()
        wire.gate.set()
        await waits
        assert [value(one) for one in await wire.replies(2)] == [1, 1]


async def test_no_more_is_read_while_very_much_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier_module, "_MOST_UNANSWERED", 3)
    cls = world()
    async with Carried(cls) as carried:
        wire = carried.connect()
        names = await wire.open(5)
        await until(lambda: not wire.carrier._tasks)
        assert wire.take(*(step_of("wait", session=name, id=2) for name in names[:2])) is None
        under_way = wire.take(*(step_of("wait", session=name, id=2) for name in names[2:]))
        assert under_way is not None
        waits = asyncio.ensure_future(under_way)
        await asyncio.to_thread(cls.ledger.wait, "waiting", 5)
        assert not waits.done()
        cls.ledger.gate.set()
        async with asyncio.timeout(20):
            await waits
        assert len(await wire.replies(5)) == 5


async def test_a_connection_that_ends_while_an_array_runs_leaves_its_sessions_to_be_resumed() -> None:
    cls = world()
    async with Carried(cls) as carried:
        wire, other = carried.connect(), carried.connect()
        names = await wire.open(2)
        tokens = [carried.resume(name) for name in names]
        wire.take(*(step_of("wait", session=name, id=2) for name in names), step_of(session=names[0], id=3))
        await asyncio.to_thread(cls.ledger.wait, "waiting", 2)
        leaving = asyncio.create_task(wire.carrier.leave())
        await other.ask(*tokens)
        cls.ledger.gate.set()
        await leaving
        again = [step_of("wait", session=name, id=2) for name in names]
        assert told(await other.ask(*again, step_of(session=names[0], id=3))) == {
            (names[0], 2): 1,
            (names[1], 2): 1,
            (names[0], 3): 2,
        }
        assert cls.ledger.count("step") == 3


async def test_who_waits_for_fewer_requests_goes_on_also_when_all_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier_module, "_MOST_UNANSWERED", 2)
    async with Carried(world()) as carried:
        wire = carried.connect()
        waits = wire.take(*(step_of(session="nobody", id=number) for number in range(1, 5)))
        assert waits is not None
        assert len(await wire.replies(4)) == 4
        await until(lambda: not wire.carrier._tasks)
        async with asyncio.timeout(20):
            await waits


async def test_other_connections_have_their_turn_in_the_middle_of_a_long_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_module, "AT_ONCE_S", -1.0)  # one step is long already
    async with Carried(world(isolation="inline")) as carried:
        wire, other = carried.connect(), carried.connect()
        names = await wire.open(2)
        [beside] = await other.open(1, first=2)
        wire_frames = len(wire.frames)
        waits = wire.take(*(step_of(session=name, id=number) for number in (2, 3) for name in names))
        assert waits is not None
        assert len(wire.frames) == wire_frames + 1
        assert other.take(step_of(session=beside, id=2)) is None, "answered while the array is under way"
        async with asyncio.timeout(20):
            await waits
        found = await wire.replies(4)
        assert [(one.session, one.id, value(one)) for one in found] == [
            (name, number, number - 1) for number in (2, 3) for name in names
        ]
