"""One connection's frames, in and out, whatever carries them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from openenv.errors import MessageTooLarge, OpenEnvError
from openenv.protocol import MOST_IN_BATCH, Close, Hello, Request, ServerCodec, is_batch, joined
from openenv.session import LATER, Later, Peer

__all__ = ["Carrier", "Frame", "HangUp", "NewPeer", "Put"]

_MOST_UNANSWERED = 4096
"""Requests of one connection that may be under way before no more are read."""

_ARRAY_BYTES = 1 << 20
"""Answers leave in arrays up to about this size: a client takes only so much in one message."""

Frame = str | bytes
Put = Callable[[Frame], Awaitable[None] | None]
HangUp = Callable[[], Awaitable[None] | None]
NewPeer = Callable[[ServerCodec, Callable[[Frame], Awaitable[None]]], Peer]


class Carrier:
    """Takes the frames of one connection, asks its peer, and puts the answers.

    Args:
        codec: The version that is spoken.
        new_peer: Makes the peer, from the codec and a way to send notices.
        greeting: Makes the first frame of protocol v2.
        put: Sends a frame; what it returns is awaited, if anything.
        hang_up: Ends the connection in good order, after what was put.
    """

    def __init__(
        self, codec: ServerCodec, new_peer: NewPeer, greeting: Callable[[], Hello], put: Put, hang_up: HangUp
    ) -> None:
        self._codec, self._put, self._hang_up = codec, put, hang_up
        self._peer = new_peer(codec, self._send)
        self._prompt = self._peer.prompt
        self._greeting = greeting
        self._max_bytes = greeting().limits.max_message_bytes
        self._in_order = codec.subprotocol is None
        self._has_batched = False
        self._gathered: list[Frame] = []  # answers that leave in one frame
        self._leaving: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._less: asyncio.Event | None = None  # set once fewer are under way

    async def greet(self) -> bool:
        """Say hello, or open the only session of a connection of v1; whether there is one."""
        if not self._in_order:
            await self._send(self._codec.encode(self._greeting()))
            return True
        refused = await self._peer.open_only()
        if refused is not None:
            await self._send(refused)
            await _awaited(self._hang_up())
        return refused is None

    def take(self, frame: Frame) -> Awaitable[None] | None:
        """Handle one frame.

        Returns:
            ``None`` if the next frame may be taken now; else that is so when this was awaited.
        """
        try:
            if len(frame) > self._max_bytes // 4:
                self._weigh(frame)
            if not self._in_order and is_batch(frame):
                return self._take_all(self._codec.decode_all(frame))
            request = self._codec.decode(frame)
        except OpenEnvError as error:
            return self._later(self._peer.refuse(error))
        answer = self._prompt.answer(request)
        if answer is LATER:
            return self._take_slowly(request)
        if answer is None:
            return None
        return self._put(answer) if self._leaving is None else self._put_all_now([answer])

    async def leave(self) -> None:
        """The connection has ended."""
        # together: a slow session must not keep the others of this connection from being let go
        await asyncio.gather(self._peer.leave(), *self._tasks, return_exceptions=True)

    def _weigh(self, frame: Frame) -> None:
        size = len(frame) if isinstance(frame, bytes) or frame.isascii() else len(frame.encode())
        if size > self._max_bytes:
            raise MessageTooLarge(f"{size} bytes; at most {self._max_bytes} are taken")

    def _take_slowly(self, request: Request) -> Awaitable[None] | None:
        if self._in_order and isinstance(request, Close):
            return self._part()
        return self._later(self._peer.answer(request))

    async def _part(self) -> None:
        await self._peer.leave()  # first: who sees the close may come back at once and need the place
        await _awaited(self._hang_up())

    def _later(self, answer: Awaitable[Frame | None]) -> Awaitable[None] | None:
        if self._in_order:
            return self._answer(answer)
        self._begin(self._answer(answer))
        return self._room()

    def _begin(self, answering: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(answering)
        self._tasks.add(task)
        task.add_done_callback(self._answered)

    def _room(self) -> Awaitable[Any] | None:
        """What to wait for before more is read."""
        if len(self._tasks) < _MOST_UNANSWERED:
            return None
        if self._less is None:
            self._less = asyncio.Event()
        return self._less.wait()  # one for all: thousands may wait

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._less is not None:
            self._less.set()
            self._less = None
        if not task.cancelled():
            task.exception()  # the socket was gone; whoever reads it tells that too

    async def _answer(self, answer: Awaitable[Frame | None]) -> None:
        frame = await answer
        if not self._has_batched:
            await self._send(frame)
        elif frame is not None:
            self._gathered.append(frame)
            await asyncio.shield(self._gather())

    async def _put_all(self, answers: Awaitable[list[Frame]]) -> None:
        self._gathered += await answers
        await asyncio.shield(self._gather())

    def _put_all_now(self, answers: list[Frame]) -> Awaitable[None] | None:
        """Put what was answered at once; nothing overtakes what waits to leave, which may be of the same session."""
        first = None
        if self._leaving is None:
            first = self._put(_array(answers))
            if not answers:
                return first
        self._gathered += answers  # more than one frame takes
        return asyncio.shield(self._gather(first))

    async def _send_gathered(self, first: Awaitable[None] | None) -> None:
        try:
            await _awaited(first)
            while self._gathered:
                await self._send(_array(self._gathered))
        finally:
            self._leaving = None

    def _take_all(self, requests: Sequence[Request | OpenEnvError]) -> Awaitable[None] | None:
        self._has_batched = True
        waits, rest = self._take_some(requests)
        return self._take_rest(waits, rest) if rest else waits

    async def _take_rest(self, waits: Awaitable[None] | None, rest: Sequence[Request | OpenEnvError]) -> None:
        await _awaited(waits)
        while rest:
            await asyncio.sleep(0)  # other connections have their turn
            waits, rest = self._take_some(rest)
            await _awaited(waits)

    def _take_some(
        self, requests: Sequence[Request | OpenEnvError]
    ) -> tuple[Awaitable[None] | None, Sequence[Request | OpenEnvError]]:
        """What to wait for, and what is left because the others took so long."""
        answers: list[Frame] = []
        later: list[Request] = []
        found = self._prompt.answer_all(requests)
        for request, answer in zip(requests, found, strict=False):
            if isinstance(request, OpenEnvError):
                self._begin(self._answer(self._peer.refuse(request)))
            elif isinstance(answer, Later):
                later.append(request)
            elif answer is not None:
                answers.append(answer)
        groups, rest = self._peer.groups(later)
        for group in groups:
            self._begin(self._put_all(self._peer.answer_group(group)))
        for request in rest:
            self._begin(self._answer(self._peer.answer(request)))
        put = self._put_all_now(answers) if answers else None
        room = self._room()
        return put if room is None else _both(put, room), requests[len(found) :]

    def _gather(self, first: Awaitable[None] | None = None) -> asyncio.Task[None]:
        if self._leaving is None:  # what else is answered until this task runs leaves with it
            self._leaving = asyncio.create_task(self._send_gathered(first))
        return self._leaving

    async def _send(self, frame: Frame | None) -> None:
        if frame is not None:
            await _awaited(self._put(frame))


def _array(frames: list[Frame]) -> Frame:
    """One frame with the first of these, which are taken away; large ones leave alone."""
    count = size = 0
    for frame in frames[:MOST_IN_BATCH]:
        size += len(frame)
        if count and size > _ARRAY_BYTES:
            break
        count += 1
    first = frames[:count]
    del frames[:count]
    return joined(first)


async def _both(first: Awaitable[None] | None, second: Awaitable[None]) -> None:
    await _awaited(first)
    await second


async def _awaited(done: Awaitable[None] | None) -> None:
    if done is not None:
        await done
