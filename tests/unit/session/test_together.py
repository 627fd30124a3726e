"""Steps that come together, of a class that steps several of its environments in one call."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.unit.server.carried import JSON, MSGPACK, Carried, Together
from tests.unit.session.worlds import PROOF_STEPS, Seen, open_inline, step_of, threads_left, world

from openenv.environment import EnvironmentPlan
from openenv.errors import ActionInvalid, ConfigurationError, RecordError
from openenv.protocol import Close, Failed, Observed, Open, Opened, Reply, Reset
from openenv.record import Answered, Journal
from openenv.session import JournalOptions, Placement
from openenv.session.hosting.hosted import HostedEnvironment


def together(**attributes: Any) -> type[Together]:
    return world(Together, sizes=[], **attributes)  # type: ignore[return-value]


def values(replies: list[Reply]) -> dict[str, Any]:
    """By session the value that was seen, or the code of the failure."""
    return {
        one.session: one.observation["value"] if isinstance(one, Observed) else one.code
        for one in replies
        if isinstance(one, Observed | Failed)
    }


@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_what_comes_together_is_one_call(form: str) -> None:
    cls = together()
    async with Carried(cls) as carried:
        wire = carried.connect(form)
        names = await wire.open(5)
        for number in (2, 3):
            found = await wire.ask(*(step_of(session=name, id=number) for name in names))
            assert values(found) == dict.fromkeys(names, number - 1)
            assert {one.id for one in found} == {number}
        assert cls.sizes == [5, 5]
        assert len({thread for _, number, thread in cls.ledger.entries if number}) == 1
        await wire.ask(*(Close(session=name, id=4) for name in names))
        assert not threads_left()  # the thread ends with the last session
        assert values(await wire.ask(*(step_of(session=name, id=2) for name in await wire.open(2, 5)))).keys()
        assert cls.sizes == [5, 5, 2]


async def test_a_class_proven_fast_is_stepped_together_in_the_servers_thread() -> None:
    cls = together()
    async with Carried(cls, 8) as carried:
        proven = await open_inline(carried.engine)
        await proven.close()
        wire = carried.connect()
        names = await wire.open(4)
        assert {carried.session(name).placement for name in names} == {Placement.INLINE}
        steps = [step_of(session=name, id=2) for name in names]
        assert values(await wire.ask(*steps)) == dict.fromkeys(names, 1)
        assert cls.sizes == [4]
        again = await wire.ask(*steps)
        assert values(again) == dict.fromkeys(names, 1)
        assert cls.sizes == [4]
        assert cls.ledger.count("step") % PROOF_STEPS != 0


async def test_a_step_without_an_id_may_be_asked_together_too() -> None:
    async with Carried(together()) as carried:
        wire = carried.connect()
        names = await wire.open(2)
        assert values(await wire.ask(*(step_of(session=name) for name in names))) == dict.fromkeys(names, 1)


async def test_what_is_wrong_with_one_is_told_of_that_one() -> None:
    cls = together()
    async with Carried(cls) as carried:
        wire = carried.connect()
        refused, nothing, nan, over, done, fresh, good = names = await wire.open(7)
        await wire.ask(step_of("done", session=over, id=2))
        await wire.ask(Close(session=fresh, id=2))
        fresh = names[5] = _opened((await wire.ask(Open(nonce="fresh")))[0])
        hows = {nothing: "none", nan: "nan", done: "done"}
        asked = [step_of(hows.get(name, "ok"), n=101 * (name == refused), session=name, id=3) for name in names]
        found = await wire.ask(*asked)
        assert values(found) == {
            refused: "VALIDATION_ERROR",
            nothing: "OBSERVATION_INVALID",
            nan: "REWARD_INVALID",
            over: "EPISODE_DONE",
            fresh: "RESET_NEEDED",
            done: 1,
            good: 1,
        }
        assert cls.sizes == [1, 4]
        assert cls.ledger.count("step") == 5
        assert {one.session for one in found if isinstance(one, Observed) and one.done} == {done}
        after = values(await wire.ask(*(step_of(session=name, id=4) for name in names)))
        assert after == {
            refused: 1,  # it had not moved
            nothing: 2,
            nan: 2,
            over: "EPISODE_DONE",
            fresh: "RESET_NEEDED",
            done: "EPISODE_DONE",
            good: 2,
        }


def _raise(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("answers", "code", "says"),
    [
        (lambda *_: _raise(RuntimeError("boom")), "EXECUTION_ERROR", "RuntimeError: boom"),
        (lambda *_: _raise(SystemExit(3)), "EXECUTION_ERROR", "SystemExit: 3"),
        (lambda *_: _raise(asyncio.CancelledError()), "EXECUTION_ERROR", "CancelledError"),
        (lambda *_: _raise(ActionInvalid("not here")), "VALIDATION_ERROR", "not here"),
        (lambda *_: [Seen()] * 2, "OBSERVATION_INVALID", "returned 2 observations for 3"),
        (lambda *_: None, "EXECUTION_ERROR", "NoneType"),
    ],
)
@pytest.mark.parametrize("isolation", ["thread", "inline"])
async def test_what_is_wrong_with_the_call_is_told_of_all(
    answers: Any, code: str, says: str, isolation: Literal["thread", "inline"]
) -> None:
    cls = together(isolation=isolation)
    async with Carried(cls) as carried:
        wire = carried.connect()
        names = await wire.open(3)
        cls.answers = staticmethod(answers)  # type: ignore[method-assign]
        for _ in range(2):  # kept, as any answer is
            found = await wire.ask(*(step_of(session=name, id=2) for name in names))
            assert values(found) == dict.fromkeys(names, code)
            assert all(says in one.message for one in found if isinstance(one, Failed))
        assert cls.sizes == [3]
        cls.answers = Together.answers  # type: ignore[method-assign]
        assert values(await wire.ask(*(step_of(session=name, id=3) for name in names))) == dict.fromkeys(names, 1)


async def test_a_step_that_asks_for_more_goes_alone() -> None:
    cls = together()
    async with Carried(cls) as carried:
        wire = carried.connect()
        names = await wire.open(4)
        more: list[dict[str, Any]] = [{"options": {"bonus": 10}}, {"timeout_s": 60.0}, {}, {}]
        steps = [step_of(session=name, id=2, **each) for name, each in zip(names, more, strict=True)]
        found = await wire.ask(*steps, step_of(session=names[2], id=3))
        assert values([one for one in found if one.id == 2]) == dict(zip(names, (11, 1, 1, 1), strict=True))
        assert values([one for one in found if one.id == 3]) == {names[2]: 2}
        assert cls.sizes == [2]
        await wire.ask(*(step_of(session=name, id=4) for name in names))
        assert cls.sizes == [2, 3]  # one with a deadline has left the common thread: it may hang
        threads = {len(cls.ledger.threads(number)) for number in range(1, 5)}
        assert threads == {1, 2}


@pytest.mark.parametrize("where", ["a frame", "an array"])
async def test_who_asks_again_while_it_runs_gets_the_answer_of_that_run(where: str) -> None:
    cls = together()
    async with Carried(cls) as carried:
        wire, other = carried.connect(), carried.connect()
        names = await wire.open(2)
        await other.ask(*(carried.resume(name) for name in names))
        steps = [step_of("wait", session=name, id=2) for name in names]
        wire.take(*steps)
        await asyncio.to_thread(cls.ledger.wait, "waiting")
        if where == "an array":
            other.take(*steps)
        else:
            for one in steps:
                other.take(one, array=False)
        assert not other.frames[2:]
        cls.ledger.gate.set()
        assert values(await wire.replies(2)) == values(await other.replies(2)) == dict.fromkeys(names, 1)
        assert cls.sizes == [2]


async def test_two_connections_that_share_sessions_send_groups_at_once() -> None:
    cls = together()
    async with Carried(cls) as carried:
        wire, other = carried.connect(), carried.connect()
        names = await wire.open(3)
        await other.ask(*(carried.resume(name) for name in names))
        for number in range(2, 12):
            wire.take(*(step_of(session=name, id=number) for name in names))
            other.take(*(step_of(session=name, id=number) for name in reversed(names)))
            assert values(await wire.replies(3)) == values(await other.replies(3)) == dict.fromkeys(names, number - 1)
        assert cls.ledger.count("step") == 30


async def test_a_request_that_takes_the_turn_first_neither_locks_nor_lets_a_reset_overtake_a_step() -> None:
    cls = together()
    async with Carried(cls) as carried:
        wire, other = carried.connect(), carried.connect()
        first, second = sorted(await wire.open(2))
        await other.ask(*(carried.resume(name) for name in (first, second)))
        alone = asyncio.create_task(carried.session(first).step(step_of("wait")))  # as HTTP asks it
        steps = [step_of(session=name, id=2) for name in (first, second)]
        wire.take(*steps, Reset(session=second, id=3))
        other.take(steps[0], array=False)
        await asyncio.to_thread(cls.ledger.wait, "waiting")
        cls.ledger.gate.set()
        async with asyncio.timeout(20):
            await alone
        found = await wire.replies(3)
        assert values([one for one in found if one.id == 2]) == {first: 1, second: 1}
        assert values(await other.replies(1)) == {first: 1}
        reset_last = [number for what, number, _ in cls.ledger.entries if what == "reset"][-1]
        assert [what for what, number, _ in cls.ledger.entries if number == reset_last][-2:] == ["step", "reset"]


@pytest.mark.parametrize("mode", ["relaxed", "durable"])
@pytest.mark.parametrize("isolation", ["thread", "inline"])
async def test_the_journal_has_every_answer_and_where_it_fails_that_is_the_answer(
    tmp_path: Path, mode: Literal["relaxed", "durable"], isolation: Literal["thread", "inline"]
) -> None:
    cls = together(isolation=isolation, deterministic=True)
    async with Carried(cls, journal=JournalOptions(tmp_path, mode), breaks=RecordError) as carried:
        wire = carried.connect()
        names = await wire.open(3)
        found = await wire.ask(*(step_of("nan" * (name == names[2]) or "ok", session=name, id=2) for name in names))
        assert values(found) == dict(zip(names, (1, 1, "REWARD_INVALID"), strict=True))
        kept = {
            (entry.session, entry.id): entry.kind for _, entry in Journal.scan(tmp_path) if isinstance(entry, Answered)
        }
        assert kept == {(name, 1): "reset" for name in names} | dict.fromkeys([(name, 2) for name in names], "step") | {
            (names[2], 2): "error"
        }
        carried.write = lambda *_: _raise(OSError(errno.ENOSPC, "no space"))
        for number in (3, 4):
            found = await wire.ask(*(step_of(session=name, id=number) for name in names))
            assert values(found) == dict.fromkeys(names, "RECORD_ERROR")
        assert cls.sizes == [3, 3]  # what cannot be kept is not begun


async def test_what_nobody_foresaw_is_the_answer_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Carried(together()) as carried:
        wire = carried.connect()
        names = await wire.open(2)
        steps = [step_of(session=name, id=2) for name in names]
        with monkeypatch.context() as broken:
            broken.setattr(HostedEnvironment, "step_together", lambda *_: _raise(RuntimeError("a bug of ours")))
            found = await wire.ask(*steps)
        assert all("a bug of ours" in one.message for one in found if isinstance(one, Failed))
        assert len(values(found)) == 2
        assert values(await wire.ask(*steps)) == values(found)  # kept
        assert values(await wire.ask(*(step_of(session=name, id=3) for name in names))) == dict.fromkeys(names, 1)


async def test_a_class_that_can_be_played_again_can_be_branched_after_steps_together() -> None:
    cls = together(deterministic=True)
    async with Carried(cls) as carried:
        wire = carried.connect()
        names = await wire.open(2)
        for number in (2, 3):
            await wire.ask(*(step_of(session=name, id=number) for name in names))
        source = carried.session(names[1])
        (opened,) = await wire.ask(Open(nonce="branch", fork=source.id, token=source.token))
        branch = _opened(opened)
        found = await wire.ask(step_of(session=branch, id=1), step_of(session=names[1], id=4))
        assert values(found) == {branch: 3, names[1]: 3}
        assert cls.sizes == [2, 2, 2]


def _opened(reply: Reply) -> str:
    assert isinstance(reply, Opened), reply
    return reply.session


async def _awaited(cls: Any, environments: Any, actions: Any) -> Any: ...


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"step_batch": lambda self, actions: []}, "must be a class method"),
        ({"step_batch": classmethod(_awaited)}, "must be a class method that is not async"),
        ({"step_async": _awaited}, "step_batch and step_async"),
        ({"REQUIRES_SINGLE_THREAD_EXECUTOR": True}, "step_batch and REQUIRES_SINGLE_THREAD_EXECUTOR"),
    ],
)
def test_a_class_that_cannot_be_stepped_together_is_refused(attributes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        EnvironmentPlan.of(together(**attributes))
    assert EnvironmentPlan.of(together()).batches
    assert not EnvironmentPlan.of(world()).batches
