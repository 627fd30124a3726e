"""What happens in a session as a stream of server-sent events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec

from openenv.errors import OpenEnvError
from openenv.protocol import EncodingFailed, Observed, Reset, encodable_part, http_observation, to_json
from openenv.record import Event
from openenv.server.answers import encoded
from openenv.session import Moved, Session, events_of

__all__ = ["events"]

_HEARTBEAT_S = 15.0
_MOST_UNREAD_BYTES = 16 * 1024 * 1024
"""What is kept for a slow reader, before it is let go."""


async def events(session: Session, *, follows: bool) -> AsyncGenerator[bytes, None]:
    """The events of its running episode as far as the journal has them, and then those to come, each once.

    Each is one line of JSON with the fields of ``record.Event``. A comment comes where nothing happens for a while, so
    that proxies see traffic.

    Args:
        session: The session.
        follows: Whether to wait for those to come, until the session ends.
    """
    watching = _Watching(session)
    try:
        yield b": events of the running episode\n\n"
        seen: tuple[str, int] | None = None
        for event in await events_of(session):
            seen = event.episode, event.index
            yield _framed(event.index, encoded(_told(event)))
        while follows:
            news = await watching.next()
            if news is None:
                return
            for (episode, index), frame in news:
                if seen is None or seen[0] != episode or index > seen[1]:
                    yield frame
            if not news:
                yield b": still here\n\n"
    finally:
        watching.stop()


_News = list[tuple[tuple[str, int], bytes]]


class _Watching:
    """Keeps what happens until it is asked for."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: deque[tuple[tuple[str, int], bytes]] = deque()
        self._kept_bytes = 0
        self._is_over = False
        self._woken = asyncio.Event()
        self._stop = session.watch(self._heard)
        session.when_closed(self._ended)

    async def next(self) -> _News | None:
        """What has happened since; nothing after a while, ``None`` when nothing more can."""
        if not self._kept and not self._is_over:
            self._woken.clear()
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await self._woken.wait()
            except TimeoutError:
                return []
        news = [*self._kept]
        self._kept.clear()
        self._kept_bytes = 0
        return None if self._is_over and not news else news

    def stop(self) -> None:
        """Hear no more."""
        self._stop()
        self._session.forget(self._ended)

    def _heard(self, news: object) -> None:
        if not isinstance(news, Moved) or self._is_over:
            return
        frame = _framed(news.index, _move(news))
        self._kept.append(((news.episode, news.index), frame))
        self._kept_bytes += len(frame)
        if self._kept_bytes > _MOST_UNREAD_BYTES:  # nobody reads: to go on would take all memory
            self._is_over = True
        self._woken.set()

    def _ended(self, _: Session) -> None:
        self._is_over = True
        self._woken.set()


def _framed(index: int, line: bytes) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (index, line)


def _move(moved: Moved) -> bytes:
    """A move as the event that it is recorded as."""
    request: dict[str, Any]
    if isinstance(moved.request, Reset):
        kind = "reset"
        request = {"seed": moved.request.seed, "episode_id": moved.request.episode_id}
    else:
        kind, request = "step", {"action": moved.request.action}
    if moved.request.options:
        request["options"] = moved.request.options
    reply: Mapping[str, Any]
    if isinstance(moved.answer, OpenEnvError):
        kind = "error"
        error = moved.answer
        reply = {"code": error.code, "message": error.message, "details": encodable_part(error.details)}
    else:
        reply = _observed(moved.answer)
    told = {
        "episode": moved.episode,
        "index": moved.index,
        "kind": kind,
        "at": moved.at,
        "duration_s": moved.duration_s,
        "request": _sendable(request),
        "reply": reply,
    }
    return encoded(told)


def _observed(answer: Observed) -> dict[str, Any]:
    ended = {"terminated": answer.terminated, "truncated": answer.truncated}
    try:
        told: dict[str, Any] = msgspec.json.decode(http_observation(answer, omit_empty=False))
    except EncodingFailed:
        told = {"observation": None, "reward": answer.reward, "done": answer.done}
    return {**told, **ended}


def _told(event: Event) -> dict[str, Any]:
    """An event of the journal; the run is that of the journal, which tells an observer nothing."""
    return {
        "episode": event.episode,
        "index": event.index,
        "kind": event.kind,
        "at": event.at,
        "duration_s": event.duration_s,
        "request": _sendable(event.request),
        "reply": _sendable(event.reply),
    }


def _sendable(value: Any) -> Any:
    """A value as JSON, or what of it has a form there."""
    try:
        return msgspec.Raw(encoded(value) if _has_text(value) else to_json(value))
    except (EncodingFailed, TypeError, ValueError):
        return msgspec.Raw(to_json(encodable_part(value) if isinstance(value, dict) else None))


def _has_text(value: Any) -> bool:
    """Whether a request holds its action as the text that was sent."""
    return isinstance(value, dict) and isinstance(value.get("action"), msgspec.Raw)
