"""A journal's entries as events of episodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openenv.errors import RecordError
from openenv.record.entries import Answered, Began, Entry, SessionEnded
from openenv.record.events import EndStatus, Event, Kind
from openenv.record.payload import UNDECODABLE, payload_of
from openenv.record.segments import read_segment, segments_of

__all__ = ["EpisodeFollower", "JournalEpisode", "journal_events"]

_ENVELOPE = ("type", "session", "id", "ack")  # of a frame, beside what it says
_OBSERVED: dict[str, Any] = {
    "observation": None,
    "reward": None,
    "done": False,
    "terminated": False,
    "truncated": False,
    "metadata": {},
}


class JournalEpisode:
    """One episode in a journal: which event comes next, and how it ends.

    Attributes:
        name: Unique in the journal: the session's id of it, with a number behind it where several have the same.
        is_over: Whether nothing more can come: its session began another or ended.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_over = False
        self._index = 0
        self._is_done = self._has_failed = False
        self._last_at = 0.0

    def event(self, run: str, entry: Answered) -> Event:
        """The next event.

        Raises:
            RecordError: Its request or reply is damaged.
        """
        kind: Kind = "reset" if entry.kind == "reset" else "step" if entry.kind == "step" else "error"
        try:
            request, reply = payload_of(entry.request.decode()), payload_of(entry.reply.decode())
        except UNDECODABLE as error:
            raise RecordError(
                f"event {self._index} of episode {self.name!r} in the journal is damaged ({error}); "
                "restore the journal from a copy"
            ) from error
        request = _without_envelope(request)
        reply = _without_envelope(reply) if kind == "error" else _observed(reply)
        event = Event(run, self.name, self._index, kind, entry.at, entry.duration_s, request, reply)
        self._index += 1
        self._last_at = entry.at + entry.duration_s
        self._has_failed = kind == "error"
        self._is_done = self._is_done or (isinstance(reply, dict) and reply.get("done") is True)
        return event

    def end(self, run: str) -> Event | None:
        """Its last event; None if it may still go on. It is ``failed`` if its last answer was an error."""
        if not self._is_done and not self.is_over:
            return None
        status: EndStatus = "done" if self._is_done else "failed" if self._has_failed else "interrupted"
        return Event(run, self.name, self._index, "end", self._last_at, 0.0, {}, {"status": status})


class EpisodeFollower:
    """Tells to which episode each entry belongs. Takes them in the journal's order.

    Args:
        names: Those that are given already, if another journal is read with this one; new ones are added.
    """

    def __init__(self, names: dict[str, int] | None = None) -> None:
        self.current: dict[str, JournalEpisode] = {}  # by session
        self._names = {} if names is None else names

    def follow(self, entry: Entry) -> tuple[JournalEpisode | None, JournalEpisode | None]:
        """The episode that the entry ends, and the one whose next event it is; None where there is none."""
        if isinstance(entry, SessionEnded):
            return self._over(entry.session), None
        if not isinstance(entry, Answered) or entry.kind == "close":
            return None, None
        current = self.current.get(entry.session)
        if current is not None and entry.kind != "reset":
            return None, current
        over = self._over(entry.session)
        begun = self.current[entry.session] = JournalEpisode(self._name(entry.episode))
        return over, begun

    def _over(self, session: str) -> JournalEpisode | None:
        episode = self.current.pop(session, None)
        if episode is not None:
            episode.is_over = True
        return episode

    def _name(self, episode: str) -> str:
        name = wanted = episode or "episode"
        while name in self._names:
            self._names[wanted] += 1
            name = f"{wanted}-{self._names[wanted]}"
        self._names[name] = 1
        return name


def journal_events(directory: str | os.PathLike[str]) -> Iterator[Event]:
    """The events of a journal in the order in which they were written, read as they are asked for.

    The episodes of several sessions alternate. An episode that was done, or whose session began another or ended, has
    an ``end``; the others may go on.

    Raises:
        RecordError: A file cannot be read or is damaged before its end, or an event is (raised when it is reached).
    """
    follower, run = EpisodeFollower(), ""
    for entry in _entries(Path(directory)):
        if isinstance(entry, Began):
            run = entry.run
        over, episode = follower.follow(entry)
        if over is not None and (end := over.end(run)) is not None:
            yield end
        if episode is not None and isinstance(entry, Answered):
            yield episode.event(run, entry)
    for episode in follower.current.values():
        if (end := episode.end(run)) is not None:
            yield end


def _entries(directory: Path) -> Iterator[Entry]:
    for segment in segments_of(directory):
        for _, entry in read_segment(segment):
            yield entry


def _observed(value: Any) -> Any:
    """The reply of a reset or step; what a frame leaves out because it is usual is put in again."""
    if not isinstance(value, dict):
        return value
    reply = {**_OBSERVED, **_without_envelope(value)}
    seed, episode = reply.pop("seed", None), reply.pop("episode_id", None)
    told = {name: one for name, one in (("seed", seed), ("episode_id", episode)) if one is not None}
    reply["metadata"] = {**told, **(reply["metadata"] or {})}
    return reply


def _without_envelope(value: Any) -> Any:
    return {name: one for name, one in value.items() if name not in _ENVELOPE} if isinstance(value, dict) else value
