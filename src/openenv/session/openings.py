"""Opening a session by a nonce: the same nonce is the same session, on whatever connection it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from openenv.session.engine import SessionEngine
from openenv.session.lifetime.leases import UNCLAIMED_S
from openenv.session.session import Session

__all__ = ["Openings"]

ABANDONED_AFTER_S = 10.0
"""Seconds that an opening keeps its position in the queue while its client is gone: it may be connecting anew."""


@dataclass(eq=False)
class _Opening:
    task: asyncio.Task[Session]
    listeners: list[Callable[[int], None]] = field(default_factory=list)
    position: int = 0
    giving_up: asyncio.TimerHandle | None = None  # set while nobody listens


class Openings:
    """Makes ``open`` idempotent, so that an answer that was lost orphans nothing.

    A session that is opened is kept for a short lease until somebody holds it. An opening that still waits for a
    place goes on waiting without its client for a while; then it gives up its position.

    Args:
        engine: Where the sessions live.
        make_room: Awaited before an environment is built.
        abandoned_after_s: Seconds that a position in the queue is kept for a client that is gone.
    """

    def __init__(
        self,
        engine: SessionEngine,
        make_room: Callable[[], Awaitable[None]],
        abandoned_after_s: float = ABANDONED_AFTER_S,
    ) -> None:
        self._abandoned_after_s = abandoned_after_s
        self._engine = engine
        self._make_room = make_room
        self._openings: dict[str, _Opening] = {}
        self._sessions: dict[str, Session] = {}

    async def open(
        self,
        nonce: str,
        queue_timeout_s: float,
        on_position: Callable[[int], None],
        source: Session | None = None,
    ) -> Session:
        """The session of a nonce, made unless it is there or under way.

        Args:
            nonce: What the client names it.
            queue_timeout_s: Seconds to wait for a place.
            on_position: Told the position in the queue.
            source: A session that it is to begin where it stands.

        Raises:
            EpisodeLost: It was there and is gone.
            CapacityReached, ServerDraining, FactoryFailed: It could not be made; asked again, it is tried again.
        """
        known = self._sessions.get(nonce)
        if known is not None:
            return self._engine.sessions.get(known.id)
        gone = self._engine.sessions.why_gone(nonce)
        if gone is not None:
            raise gone
        woken = await self._engine.recovery.of_nonce(nonce)
        if woken is not None:
            return woken
        opening = self._openings.get(nonce)
        if opening is None:
            opening = self._openings[nonce] = _Opening(asyncio.create_task(self._open(nonce, queue_timeout_s, source)))
            opening.task.add_done_callback(_taken_note_of)
        elif opening.position:
            on_position(opening.position)
        if opening.giving_up is not None:
            opening.giving_up.cancel()
        opening.listeners.append(on_position)
        try:
            return await asyncio.shield(opening.task)
        finally:
            opening.listeners.remove(on_position)
            if not opening.listeners:
                self._give_up_later(nonce, opening)

    def _give_up_later(self, nonce: str, opening: _Opening) -> None:
        loop = asyncio.get_running_loop()
        opening.giving_up = loop.call_later(self._abandoned_after_s, self._give_up, nonce, opening)

    def _give_up(self, nonce: str, opening: _Opening) -> None:
        """End an opening that waits for a place which nobody is there to take; one under way is let finish."""
        if opening.task.done():
            return
        if opening.position:
            del self._openings[nonce]  # first: who comes now begins anew
            opening.task.cancel()
        else:
            self._give_up_later(nonce, opening)

    async def _open(self, nonce: str, queue_timeout_s: float, source: Session | None) -> Session:
        opening = self._openings[nonce]

        def moved(position: int) -> None:
            opening.position = position
            for listener in opening.listeners:
                listener(position)

        async def ready() -> None:
            opening.position = 0
            await self._make_room()

        try:
            session = await self._engine.open(
                make_room=ready, queue_timeout_s=queue_timeout_s, on_position=moved, nonce=nonce, source=source
            )
            self._engine.leases.begin(session, min(UNCLAIMED_S, self._engine.leases.lease_s))
            self._sessions[nonce] = session
            session.when_closed(lambda _: self._sessions.__delitem__(nonce))
            return session
        finally:
            if self._openings.get(nonce) is opening:
                del self._openings[nonce]


def _taken_note_of(opening: asyncio.Task[Session]) -> None:
    """It may fail when nobody waits for it any more."""
    if not opening.cancelled():
        opening.exception()
