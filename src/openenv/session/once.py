"""Requests that arrive more than once and run once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from openenv.errors import InvalidRequest, SessionClosed
from openenv.protocol import Admission, Request
from openenv.protocol.window import WINDOW, ReplyWindow

__all__ = ["KeyedRequests", "NumberedRequests"]

T = TypeVar("T")


class NumberedRequests(Generic[T]):
    """The numbered requests of one session, whatever connections they come on.

    What is kept of an answer is what ``run`` returns: bytes rather than objects, which the environment could still
    change.
    """

    def __init__(self) -> None:
        self._window: ReplyWindow[T] = ReplyWindow()
        self._running: dict[int, asyncio.Future[T]] = {}
        self._followers = 0

    @property
    def highest(self) -> int:
        """Highest id that was asked."""
        return self._window.highest

    def restore(self, highest: int, answers: dict[int, T]) -> None:
        """Go on where a session stood whose server ended."""
        self._window.restore(highest, answers)

    def begin(self, request: Request) -> bool:
        """Take in a request that is answered at once, with ``finish``; whether it is new.

        Raises:
            StaleRequest, SessionBusy: As ``ReplyWindow.admit`` does.
        """
        return self._window.admit(request.id, request.ack) is Admission.FRESH

    def begin_long(self, request: Request) -> bool:
        """``begin`` where the answer takes a while: whoever asks again meanwhile waits for it."""
        if not self.begin(request):
            return False
        self._running[request.id] = asyncio.get_running_loop().create_future()
        return True

    def finish(self, number: int, answer: T) -> None:
        """Keep the answer of a request that was taken in."""
        self._window.finish(number, answer)
        running = self._running.pop(number, None)
        if running is not None:
            running.set_result(answer)

    def abandon(self, number: int) -> None:
        """There will be no answer: the run was ended together with the server."""
        running = self._running.pop(number, None)
        if running is not None:
            running.cancel()

    async def answer(self, request: Request, run: Callable[[], Awaitable[T]]) -> T:
        """Run the request, or give the answer of the run that was.

        Raises:
            StaleRequest, SessionBusy: As ``ReplyWindow.admit`` does.
        """
        number = request.id
        match self._window.admit(number, request.ack):
            case Admission.ANSWERED:
                return self._window.reply(number)
            case Admission.RUNNING:
                return await self._follow(number)
        running = self._running[number] = asyncio.get_running_loop().create_future()
        try:
            answer = await run()
        except BaseException:
            running.cancel()
            raise
        finally:
            del self._running[number]
        self._window.finish(number, answer)
        running.set_result(answer)
        return answer

    async def quiet(self) -> None:
        """Wait until everybody has an answer. To be called when the session has ended and runs nothing more."""
        while self._followers or self._running:  # noqa: ASYNC110 - they are woken in the next turns of the loop
            await asyncio.sleep(0)

    async def _follow(self, number: int) -> T:
        running = self._running.get(number)
        if running is None:
            raise SessionClosed("the run of this request was ended together with the server")
        self._followers += 1
        try:
            return await asyncio.shield(running)
        finally:
            self._followers -= 1


class KeyedRequests(Generic[T]):
    """Requests that carry a key of the client's choice, such as HTTP's ``Idempotency-Key``.

    The answers of the last ``most`` keys are kept. A failure that ``run`` returns is an answer too.
    """

    def __init__(self, most: int = WINDOW) -> None:
        self._most = most
        self._known: dict[str, tuple[bytes, asyncio.Task[T]]] = {}  # oldest first

    async def answer(self, key: str, content: bytes, run: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the request, or give the answer of the run that was. A caller that is cancelled does not end the run.

        Args:
            key: Names the request.
            content: What is asked, or its digest; the same key must not ask for something else.
            run: Does it.

        Raises:
            InvalidRequest: The key was used for something else.
        """
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = content, asyncio.create_task(run())
            known[1].add_done_callback(lambda task: self._finished(key, task))
        elif known[0] != content:
            raise InvalidRequest("this Idempotency-Key was used for another request; use a new key for a new one")
        return await asyncio.shield(known[1])

    def _finished(self, key: str, task: asyncio.Task[T]) -> None:
        known = self._known.pop(key)
        if not task.cancelled() and task.exception() is None:
            self._known[key] = known  # as the newest
        finished = [key for key, (_, task) in self._known.items() if task.done()]
        for key in finished[: max(0, len(finished) - self._most)]:
            del self._known[key]
