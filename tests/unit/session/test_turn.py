"""Whose turn it is: in order, never to two, and taken as long as somebody is about to have it."""

from __future__ import annotations

import asyncio

import pytest

from openenv.session.turn import Turn


class Queue:
    """Tasks that take a turn one after the other and tell when they had it."""

    def __init__(self) -> None:
        self.turn = Turn()
        self.had: list[str] = []
        self.go_on = {name: asyncio.Event() for name in "abcd"}

    async def join(self, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._take(name))
        await asyncio.sleep(0)
        return task

    async def _take(self, name: str) -> None:
        async with self.turn:
            self.had.append(name)
            await self.go_on[name].wait()


async def test_turns_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    queue = Queue()
    tasks = [await queue.join(name) for name in "abc"]
    assert queue.had == ["a"]
    queue.go_on["a"].set()
    await tasks[0]
    tasks.append(await queue.join("d"))  # comes while b has it, or is about to
    for name in "dcb":
        queue.go_on[name].set()
    await asyncio.gather(*tasks)
    assert queue.had == ["a", "b", "c", "d"]
    assert not queue.turn.is_taken


async def test_it_is_taken_between_two_who_wait() -> None:
    queue = Queue()
    await queue.turn.__aenter__()
    second = await queue.join("b")
    await queue.turn.__aexit__()  # given to b, which has not run yet
    assert queue.turn.is_taken
    newcomer = asyncio.create_task(queue._take("c"))
    for name in "cb":
        queue.go_on[name].set()
    await asyncio.gather(second, newcomer)
    assert queue.had == ["b", "c"]
    assert not queue.turn.is_taken


async def test_who_is_cancelled_while_waiting_is_passed_over() -> None:
    queue = Queue()
    tasks = [await queue.join(name) for name in "abc"]
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    assert queue.turn.is_taken
    for name in "ac":
        queue.go_on[name].set()
    await asyncio.gather(tasks[0], tasks[2])
    assert queue.had == ["a", "c"]
    assert not queue.turn.is_taken


@pytest.mark.parametrize("somebody_waits", [True, False])
async def test_who_is_cancelled_in_the_moment_it_is_given_gives_it_on(somebody_waits: bool) -> None:
    queue = Queue()
    await queue.turn.__aenter__()
    second = await queue.join("b")
    third = await queue.join("c") if somebody_waits else None
    await queue.turn.__aexit__()  # given to b, which has not run yet
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    if third is not None:
        queue.go_on["c"].set()
        await third
    assert queue.had == ["c"] * somebody_waits
    assert not queue.turn.is_taken


async def test_who_raises_gives_it_back() -> None:
    turn = Turn()
    with pytest.raises(KeyError):
        async with turn:
            raise KeyError
    assert not turn.is_taken
