"""The server's end of one session's socket: what is asked goes out, what is answered comes back in that order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from openenv.errors import RemoteProtocolError
from openenv.session.hosting.notes import MOST_NOTES
from openenv.session.isolation.death import WorkerDied
from openenv.session.isolation.frames import HEAD, LARGEST_NOTE, NOTE, Frame
from openenv.session.isolation.reader import FrameReader

__all__ = ["Line"]

_JOINED = 64 * 1024
_LAST_WORDS_S = 1.0


class Line(asyncio.BufferedProtocol):
    """One session's way to its worker. A caller that goes away does not disturb the order of the others' answers.

    Args:
        on_broken: Called once if the worker breaks the rules; told how, as in ``WorkerDied``.
        on_end: Called once if its end was closed, most likely since it is dead.

    Attributes:
        beginning: What the worker says first, unasked.
        asked: How many requests were sent.
        on_note: Called with each note, which answers nothing; ``None``: nobody listens. It raises
            ``RemoteProtocolError`` where a note cannot be read.
    """

    def __init__(self, on_broken: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self._on_broken = on_broken
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._waiting: deque[asyncio.Future[Frame]] = deque()
        self._transport: asyncio.Transport | None = None
        self._over = False  # nothing more comes
        self._died: str | None = None
        self._is_final = False
        self.asked = 0
        self.on_note: Callable[[Frame], None] | None = None
        self._noted = 0  # in this turn of the loop
        self.beginning = self._expect()  # from the start: it may come before anybody looks

    @property
    def died(self) -> str | None:
        """How the worker died; ``None``: it lives, as far as is known."""
        return self._died

    def ask(self, frame: Frame) -> asyncio.Future[Frame]:
        """Send a request; the answer comes, or ``WorkerDied``."""
        answer = self._expect()
        self.asked += 1
        self.say(frame)
        return answer

    def say(self, frame: Frame) -> None:
        """Send what is not answered."""
        kind, body = frame
        if self._transport is not None and not self._is_final:
            head = HEAD.pack(len(body), kind)
            if len(body) > _JOINED:
                self._transport.write(head)
                self._transport.write(body)
            else:
                self._transport.write(head + body)

    def _expect(self) -> asyncio.Future[Frame]:
        answer: asyncio.Future[Frame] = self._loop.create_future()
        if self._is_final:
            answer.set_exception(WorkerDied(self._died))
        else:
            self._waiting.append(answer)
        return answer

    def fail(self, reason: str) -> None:
        """The worker is dead: what it had answered by then still counts, and then nothing comes any more."""
        if self._died is not None:
            return
        self._died = reason
        if self._over or self._transport is None:
            self._finish()
        else:  # something that the worker started may hold its end
            self._loop.call_later(_LAST_WORDS_S, self._finish)

    def close(self) -> None:
        """Let go of the session; the worker closes its environment if it has not."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()

    def _finish(self) -> None:
        self._is_final = True
        self.close()
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(WorkerDied(self._died))

    def _break(self, how: str) -> None:
        self.close()
        self._on_broken(f"its process was killed: {how}")

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._died is not None:
            self._finish()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.space()

    def buffer_updated(self, nbytes: int) -> None:
        if self._over:
            return
        try:
            frames = self._reader.filled(nbytes)
        except RemoteProtocolError as error:
            self._break(f"it sent what cannot be read ({error})")
            return
        for frame in frames:
            if frame[0] == NOTE:
                if not self._heard(frame):
                    return
                continue
            if not self._waiting:
                self._break("it sent what was not asked for")
                return
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_result(frame)

    def _heard(self, note: Frame) -> bool:
        """Pass on a note; whether the worker is still to be trusted."""
        if not self._noted:
            self._loop.call_soon(self._next_turn)
        self._noted += 1
        try:
            if len(note[1]) > LARGEST_NOTE:
                raise RemoteProtocolError(f"a note of {len(note[1])} bytes is larger than {LARGEST_NOTE}")
            if self.on_note is not None and self._noted <= MOST_NOTES:
                self.on_note(note)
        except RemoteProtocolError as error:
            self._break(f"it sent what cannot be read ({error})")
            return False
        return True

    def _next_turn(self) -> None:
        self._noted = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._died is not None:
            self._finish()
        elif not self._over:
            self._over = True
            self._on_end()
