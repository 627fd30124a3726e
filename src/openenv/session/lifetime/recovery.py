"""Sessions that outlive their server: kept in a journal, and brought back when their clients are."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openenv.errors import EpisodeLost, FactoryFailed, OpenEnvError, RecordError
from openenv.session.episode.agent_key import AgentKey
from openenv.session.episode.chronicle import Chronicle, token_of
from openenv.session.episode.departed import Ending, gone, lost
from openenv.session.episode.history import Diverged
from openenv.session.isolation import WorkerDied
from openenv.session.lifetime.builder import Builder
from openenv.session.lifetime.rescue import Rescue
from openenv.session.lifetime.table import SessionTable
from openenv.session.served.served_lock import ServedLock
from openenv.session.session import Session

if TYPE_CHECKING:
    from openenv.record import Journal, JournalMode
    from openenv.session.lifetime.dormant import Remembered

__all__ = ["JournalOptions", "NoRecovery", "Recovery", "open_journal"]

log = logging.getLogger("openenv.session")


@dataclass(frozen=True)
class JournalOptions:
    """Where and how a server keeps its journal.

    Attributes:
        directory: Where; of this server alone.
        mode: ``relaxed`` survives the death of the server, ``durable`` that of the machine too.
        keep_bytes: How much to keep of sessions that have ended; ``None``: everything.
        is_required: Whether a server that cannot keep it is not to start.
    """

    directory: str | os.PathLike[str]
    mode: JournalMode = "relaxed"
    keep_bytes: int | None = None
    is_required: bool = True


def open_journal(options: JournalOptions, environment: str) -> Journal | None:
    """The journal, or ``None`` where it is not required and cannot be kept, which is logged.

    Raises:
        RecordError: It is required and cannot be kept.
    """
    from openenv.record import Journal  # here: not every server keeps one

    try:
        return Journal.open(
            options.directory, options.mode, time.time, environment=environment, keep_bytes=options.keep_bytes
        )
    except RecordError as error:
        if options.is_required:
            raise
        log.warning("no journal is kept, so sessions will not survive a restart of the server: %s", error)
        return None


class NoRecovery:
    """What there is without a journal: sessions end with their server.

    Args:
        table: The sessions that live.
    """

    def __init__(self, table: SessionTable) -> None:
        self._table = table

    def __len__(self) -> int:
        """How many sessions wait for their clients."""
        return 0

    @property
    def nonces(self) -> list[bytes]:
        """Digests of the nonces that these were opened with."""
        return []

    @property
    def failure(self) -> RecordError | None:
        """Why nothing can be kept any more, if that is so."""
        return None

    async def find(self, session_id: str, token: str | None = None) -> Session:
        """The session with that id, brought back if it was open when the server ended before.

        Args:
            session_id: Its id.
            token: Its token, where that has to be shown.

        Raises:
            EpisodeLost: It is gone, and why.
            SessionNotFound: There is none, or the token is another one's.
        """
        return self._table.get(session_id) if token is None else self._table.owned(session_id, token)

    def asleep(self, session_id: str) -> AgentKey | None:
        """What the agents show of a session that ``find`` would have to bring back; ``None``: it would not."""
        return None

    async def of_nonce(self, nonce: str) -> Session | None:
        """The session that was opened with that nonce when the server ended before.

        Raises:
            EpisodeLost: It could not be brought back.
        """
        return None

    async def keep(self, session: Session, nonce: str) -> None:
        """Have the journal follow a new session.

        Args:
            session: The session.
            nonce: What it was opened with.

        Raises:
            RecordError: It cannot be written.
        """

    def forget_old(self) -> None:
        """Give up those whose clients have not come back in time."""

    async def rest(self) -> None:
        """Bring no more back: they are left to the next server. Returns when those that are coming back are there."""

    async def aclose(self) -> None:
        """Write what is left."""


class Recovery(NoRecovery):
    """Keeps a journal of sessions, and brings back those of the server before.

    Args:
        table: The sessions that live.
        journal: Where they are kept.
        builder, rescue: Where environments come from.
        lease_s: Seconds that a client has to come back after a restart.
        clock: Monotonic seconds.
        lock: What exactly is served.
        on_woken: Called with a session that is back.
        on_lost: Called with the id of one that will not be, and why.
    """

    def __init__(
        self,
        table: SessionTable,
        journal: Journal,
        builder: Builder,
        rescue: Rescue,
        lease_s: float,
        clock: Callable[[], float],
        lock: ServedLock,
        on_woken: Callable[[Session], None],
        on_lost: Callable[[str, Ending], None],
    ) -> None:
        super().__init__(table)
        self.journal = journal
        self._builder = builder
        self._rescue = rescue
        self._lock = lock
        self._on_woken = on_woken
        self._on_lost = on_lost
        from openenv.session.lifetime.dormant import Dormant  # here: most servers keep no journal

        self._dormant = Dormant(journal, lease_s, clock)
        self._waking: dict[str, asyncio.Task[Session]] = {}
        self._rests = False

    def __len__(self) -> int:
        """How many sessions wait for their clients."""
        return len(self._dormant) + len(self._waking)

    @property
    def nonces(self) -> list[bytes]:
        """Digests of the nonces that these were opened with."""
        return self._dormant.nonces

    @property
    def failure(self) -> RecordError | None:
        """Why nothing can be kept any more, if that is so."""
        return self.journal.failure

    async def find(self, session_id: str, token: str | None = None) -> Session:
        """The session with that id, brought back if need be."""
        if session_id in self._waking or self._dormant.has(session_id, token):
            if self._rests and session_id not in self._waking:
                raise gone(Ending.SUSPENDED)
            await self._woken(session_id)
        return await super().find(session_id, token)

    def asleep(self, session_id: str) -> AgentKey | None:
        """What the agents show of a session that ``find`` would have to bring back."""
        return self._dormant.agent_key(session_id)

    async def of_nonce(self, nonce: str) -> Session | None:
        """The session that was opened with that nonce when the server ended before."""
        found = self._dormant.by_nonce(nonce)
        if found is None:
            return None
        session = await self.find(found)
        session.token = token_of(nonce, session.id)  # the journal has its digest alone
        return session

    def forget_old(self) -> None:
        """Give up those whose clients have not come back in time."""
        for session_id in self._dormant.over():
            self._give_up(session_id, Ending.LEASE_EXPIRED)

    async def keep(self, session: Session, nonce: str) -> None:
        """Have the journal follow a new session."""
        environment = await self._lock.read(session.plan)
        session.episode.chronicle = Chronicle(self.journal, session.id)
        await session.episode.chronicle.opened(nonce, session.token, environment)

    def _woken(self, session_id: str) -> Awaitable[Session]:
        """Bring a session back. The same session is brought back once.

        Raises:
            EpisodeLost: It could not be, and why.
        """
        waking = self._waking.get(session_id)
        if waking is None:
            waking = self._waking[session_id] = asyncio.create_task(self._wake(session_id))
            waking.add_done_callback(lambda _: self._waking.pop(session_id))
        return asyncio.shield(waking)

    async def rest(self) -> None:
        """Bring no more back: they are left to the next server. Returns when those that are coming back are there."""
        self._rests = True
        if self._waking:
            await asyncio.wait(self._waking.values())

    async def aclose(self) -> None:
        """Write what is left."""
        await self.rest()
        await self.journal.aclose()

    async def _wake(self, session_id: str) -> Session:
        plan = self._builder.plan
        try:
            found = self._dormant.take(session_id, plan.volatile if plan is not None else frozenset())
            try:
                session = await self._restored(found)
            except (FactoryFailed, WorkerDied):  # its process died just then
                session = await self._restored(found)
        except (OpenEnvError, Diverged, WorkerDied) as error:
            ending = Ending.DIVERGED if isinstance(error, Diverged) else Ending.NOT_RESTORED
            log.warning("session %s could not be restored: %s", session_id, error)
            self._give_up(session_id, ending)
            raise lost(ending, "" if isinstance(error, EpisodeLost) else str(error)) from error
        self._on_woken(session)
        return session

    async def _restored(self, found: Remembered) -> Session:
        host = await self._builder.build()
        plan, begun = host.plan, found.index >= 0
        if (begun and not found.is_whole) or (begun and not (plan.deterministic or found.history.snapshot is not None)):
            self._rescue.drop(host)
            raise lost(Ending.NOT_RESTORED)
        lock = await self._lock.read(plan)
        if lock["code"] != found.environment.get("code", lock["code"]):
            log.warning("session %s was begun with other code of %s; it is played again", found.id, lock["name"])
        try:
            await found.history.play(host)
        except BaseException:
            self._rescue.drop(host)
            raise
        session = Session(host, self._rescue, session_id=found.id)
        session.token_digest = found.token_digest
        session.episode.stand(found.history, found.phase, found.tally)
        session.numbered.restore(found.highest, found.numbered)
        session.recalled = found.keyed
        session.episode.chronicle = Chronicle(self.journal, found.id, found.episode, found.index, found.begun_at)
        return session

    def _give_up(self, session_id: str, ending: Ending) -> None:
        Chronicle(self.journal, session_id).ended(ending.value)
        self._on_lost(session_id, ending)
