"""Requests that arrive more than once: by number and by key, finished, running, failed, and with callers that go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openenv.errors import InvalidRequest, SessionBusy, StaleRequest
from openenv.protocol import GetState, Request
from openenv.session.once import KeyedRequests, NumberedRequests


class Work:
    """Something to do, counted, that waits until it is let go."""

    def __init__(self) -> None:
        self.runs = 0
        self.go = asyncio.Event()

    async def __call__(self) -> str:
        self.runs += 1
        run = self.runs
        await self.go.wait()
        return f"answer {run}"


def asked(number: int, ack: int = 0) -> Request:
    return GetState(id=number, ack=ack)


async def test_a_numbered_request_runs_once_whatever_comes() -> None:
    numbered: NumberedRequests[str] = NumberedRequests()
    work = Work()
    running = [asyncio.create_task(numbered.answer(asked(1), work)) for _ in range(3)]
    await asyncio.sleep(0)
    assert numbered.highest == 1
    work.go.set()
    assert await asyncio.gather(*running) == ["answer 1"] * 3
    assert await numbered.answer(asked(1), work) == "answer 1"
    with pytest.raises(StaleRequest):
        await numbered.answer(asked(1, ack=1), work)
    assert await numbered.answer(asked(2, ack=1), work) == "answer 2"
    assert work.runs == 2


async def test_one_who_waits_for_a_run_may_go_without_ending_it() -> None:
    numbered: NumberedRequests[str] = NumberedRequests()
    work = Work()
    running = asyncio.create_task(numbered.answer(asked(1), work))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(numbered.answer(asked(1), work))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    work.go.set()
    assert await running == "answer 1"
    assert await numbered.answer(asked(1), work) == "answer 1"


async def test_a_run_that_was_broken_off_is_neither_repeated_nor_waited_for() -> None:
    numbered: NumberedRequests[str] = NumberedRequests()
    work = Work()
    running = asyncio.create_task(numbered.answer(asked(1), work))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    work.go.set()
    with pytest.raises(Exception, match="ended together with the server"):
        await numbered.answer(asked(1), work)
    assert work.runs == 1
    assert await numbered.answer(asked(2), work) == "answer 2"


async def test_the_window_of_numbered_requests_is_bounded() -> None:
    numbered: NumberedRequests[str] = NumberedRequests()
    work = Work()
    work.go.set()
    for number in range(1, 33):
        await numbered.answer(asked(number), work)
    with pytest.raises(SessionBusy):
        await numbered.answer(asked(33), work)
    assert await numbered.answer(asked(1), work) == "answer 1"
    assert await numbered.answer(asked(33, ack=1), work) == "answer 33"


# By key ------------------------------------------------------------------------------------------


async def test_the_same_key_has_the_same_answer() -> None:
    keyed: KeyedRequests[str] = KeyedRequests()
    work = Work()
    running = [asyncio.create_task(keyed.answer("k", b"body", work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(*running) == ["answer 1"] * 3
    assert await keyed.answer("k", b"body", work) == "answer 1"
    assert await keyed.answer("another", b"body", work) == "answer 2"


@pytest.mark.parametrize("finished", [False, True])
async def test_a_key_is_for_one_request(finished: bool) -> None:
    keyed: KeyedRequests[str] = KeyedRequests()
    work = Work()
    running = asyncio.create_task(keyed.answer("k", b"body", work))
    await asyncio.sleep(0)
    if finished:
        work.go.set()
        await running
    with pytest.raises(InvalidRequest, match="Idempotency-Key"):
        await keyed.answer("k", b"another body", work)
    work.go.set()
    assert await running == "answer 1"
    assert work.runs == 1


async def test_a_caller_that_goes_does_not_end_the_run() -> None:
    keyed: KeyedRequests[str] = KeyedRequests()
    work = Work()
    gone = asyncio.create_task(keyed.answer("k", b"", work))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert gone.cancelled()
    back = asyncio.create_task(keyed.answer("k", b"", work))
    await asyncio.sleep(0)
    work.go.set()
    assert await back == "answer 1"
    assert work.runs == 1


async def test_a_run_that_raises_may_be_tried_again() -> None:
    keyed: KeyedRequests[str] = KeyedRequests()
    runs = 0

    async def fails() -> str:
        nonlocal runs
        runs += 1
        raise ArithmeticError(str(runs))

    for run in (1, 2):
        with pytest.raises(ArithmeticError, match=str(run)):
            await keyed.answer("k", b"", fails)


async def test_the_last_answers_are_kept_and_what_runs_is_too() -> None:
    keyed: KeyedRequests[Any] = KeyedRequests()
    slow, quick = Work(), Work()
    quick.go.set()
    running = asyncio.create_task(keyed.answer("slow", b"", slow))
    for number in range(40):
        await keyed.answer(str(number), b"", quick)
    assert quick.runs == 40
    for number in range(39, 7, -1):
        assert await keyed.answer(str(number), b"", quick) == f"answer {number + 1}"
    assert quick.runs == 40
    assert await keyed.answer("7", b"", quick) == "answer 41"
    slow.go.set()
    assert await running == "answer 1"
    assert await keyed.answer("slow", b"", slow) == "answer 1"
    assert slow.runs == 1
