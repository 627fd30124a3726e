"""The sessions of one server by their ids, those that are gone included."""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from openenv.errors import SessionError, SessionNotFound
from openenv.session.episode.chronicle import digest
from openenv.session.episode.departed import Departed, Ending, gone
from openenv.session.session import Session

__all__ = ["SessionTable"]


class SessionTable:
    """Finds sessions, and tells of those that are gone why."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._departed = Departed()

    def __iter__(self) -> Iterator[Session]:
        """Those that live or are ending, as they are now."""
        return iter([*self._sessions.values()])

    def add(self, session: Session) -> None:
        """Take in a session."""
        self._sessions[session.id] = session

    def remove(self, session: Session, *names: str) -> None:
        """The session has ended, which is remembered under its id and these names."""
        del self._sessions[session.id]
        self._departed.note(session.ending or Ending.CLOSED, session.id, *names)

    def get(self, session_id: str) -> Session:
        """The session with that id.

        Raises:
            EpisodeLost: It is gone, and why.
            SessionNotFound: There never was one, or that was forgotten.
        """
        session = self._sessions.get(session_id)
        if session is not None and session.ending is None:
            return session
        ending = session.ending if session is not None else self._departed.why(session_id)
        if ending is not None:
            raise gone(ending)
        raise SessionNotFound(
            f"no session {session_id!r}; it was never opened here, or the server was started anew since"
        )

    def owned(self, session_id: str, token: str) -> Session:
        """The session with that id, for somebody who shows its token.

        Raises:
            EpisodeLost: It is gone, and why.
            SessionNotFound: There is none, or the token is another one's.
        """
        session = self.get(session_id)
        if not hmac.compare_digest(session.token_digest, digest(token)):
            raise SessionNotFound(f"no session {session_id!r} with that token")
        return session

    def note_gone(self, name: str, ending: Ending) -> None:
        """Take note of a session that ended before it was here."""
        self._departed.note(ending, name)

    def why_gone(self, name: str) -> SessionError | None:
        """The error for a session that is gone, by its id or another name; ``None`` if not known."""
        ending = self._departed.why(name)
        return None if ending is None else gone(ending)
