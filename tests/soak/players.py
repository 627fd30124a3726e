"""Players: clients of every kind, playing episode after episode over bad lines."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.soak.claims import Ending
from tests.soak.episodes import Ask, Begin, Book, Habits, Look, Played, Take, episode
from tests.soak.proxy import Lane

from openenv import GenericEnvClient, SyncEnvClient
from openenv.errors import OpenEnvError

__all__ = ["Absent", "Hasty", "Patience", "Player", "Steady", "Threaded", "Vanishing", "drive"]

_OTHERS_TURN_S = 0.3


@dataclass(frozen=True)
class Patience:
    """How long clients try. Seconds."""

    connect_s: float = 5.0
    reconnect_s: float = 40.0
    liveness_s: float = 1.0
    queue_s: float = 20.0
    lease_s: float = 6.0

    def client(
        self, url: str, on_queued: Callable[[int], object] | None = None, *, reconnects: bool = True
    ) -> GenericEnvClient:
        """A client that is as patient."""
        return GenericEnvClient(
            url,
            connect_timeout_s=self.connect_s,
            reconnect_timeout_s=self.reconnect_s if reconnects else 0.0,
            liveness_timeout_s=self.liveness_s,
            queue_timeout_s=self.queue_s,
            on_queued=on_queued,
        )


@dataclass
class Player:
    """What all players share.

    Attributes:
        habits: What it does in an episode.
        restorable: Whether its environments may be played again.
        refused: Sessions that could not be opened, and closes that were not acknowledged, by error.
        queued: How often it was told of its position in the queue.
    """

    name: str
    lane: Lane
    book: Book
    random: random.Random
    patience: Patience = field(default_factory=Patience)
    habits: Habits = field(default_factory=Habits)
    restorable: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    refused: Counter[str] = field(default_factory=Counter)
    queued: int = 0

    def client(self, *, reconnects: bool = True) -> GenericEnvClient:
        """A client on this player's lane."""
        return self.patience.client(self.lane.url, self._in_queue, reconnects=reconnects)

    def _in_queue(self, _: int) -> None:
        self.queued += 1

    def claimed(self, own_doing: frozenset[str] = frozenset(), **habits: Any) -> Played:
        """The next episode, with habits that differ from the player's."""
        claim = self.book.begin(self.name, self.random, own_doing)
        claim.restorable = self.restorable
        return Played(claim, episode(claim, self.book, self.random, replace(self.habits, **habits)), self.lane)

    async def play(self) -> None:
        """Play session after session until told to stop."""
        while not self.stop.is_set():
            try:
                await self.session()
            except OpenEnvError as error:
                self.refused[error.code] += 1
            await asyncio.sleep(self.pause_s())

    async def session(self) -> None:
        """Open a session, play in it and leave it."""
        raise NotImplementedError

    def pause_s(self) -> float:
        """How long to leave the place to others."""
        return self.random.uniform(0, _OTHERS_TURN_S)


class Steady(Player):
    """Plays a few episodes in each session and closes it."""

    async def session(self) -> None:
        env = self.client()
        try:
            await env.connect()
            for _ in range(self.random.randint(1, 5)):
                played = self.claimed()
                await drive(played, lambda ask: perform(env, ask))
                if played.claim.ending is not Ending.DONE or self.stop.is_set():
                    break
        finally:
            await env.close()


class Hasty(Player):
    """Gives steps up, by a time-out or by cancelling them, and begins anew with the same client."""

    async def session(self) -> None:
        env = self.client()
        try:
            await env.connect()
            for _ in range(self.random.randint(2, 6)):
                played = self.claimed(frozenset({"timeout", "cancelled", "stuck"}), gives_up=0.1)
                await drive(played, lambda ask: self._ask(env, ask))
                if self.stop.is_set():
                    break
        finally:
            await env.close()

    async def _ask(self, env: GenericEnvClient, ask: Ask) -> dict[str, Any]:
        if not (isinstance(ask, Take) and ask.impatient) or self.random.random() < 0.5:
            return await perform(env, ask)
        try:
            async with asyncio.timeout(ask.within_s):
                return (await env.step(ask.action)).observation
        except TimeoutError:
            return await perform(env, Look())  # says that the episode is lost


class Vanishing(Player):
    """Drops its connection without a word and never takes it up again; comes back as somebody else."""

    async def session(self) -> None:
        env = self.client(reconnects=False)
        vanishes_at = self.random.randint(0, 30)

        async def ask(one: Ask) -> dict[str, Any]:
            if isinstance(one, Take) and one.action["turn"] == vanishes_at:
                self.lane.drop()
            return await perform(env, one)

        await env.connect()
        played = self.claimed(frozenset({"connection_lost", "server_stopped"}))
        played.claim.reconnects = False
        await drive(played, ask)
        if played.claim.ending is Ending.DONE:
            await env.close()


class Absent(Player):
    """Loses its line for longer than the lease, and has to be told so when it is back."""

    async def session(self) -> None:
        env = self.client()
        leaves_at = self.random.randint(2, 40)
        played = None

        async def ask(one: Ask) -> dict[str, Any]:
            if not (isinstance(one, Take) and one.action["turn"] == leaves_at) or self.stop.is_set():
                return await perform(env, one)
            await self._be_away()
            seen = await perform(env, one)
            played.claim.wrong.append(f"turn {leaves_at} was answered after the lease was over")
            return seen

        try:
            await env.connect()
            played = self.claimed(frozenset({"lease_expired"}))
            await drive(played, ask)
        finally:
            await env.close()

    async def _be_away(self) -> None:
        self.lane.refuses = True
        self.lane.drop()
        try:
            await asyncio.sleep(self.patience.lease_s * 1.5 + 1)
        finally:
            self.lane.refuses = False


class Threaded(Player):
    """The same as ``Steady`` with the synchronous client, on a thread."""

    def play_here(self) -> None:
        """Play until told to stop, on the calling thread."""
        while not self.stop.is_set():
            try:
                self._session()
            except OpenEnvError as error:
                self.refused[error.code] += 1
            self.stop.wait(self.pause_s())

    def _session(self) -> None:
        with SyncEnvClient(self.client()) as env:
            for _ in range(self.random.randint(1, 5)):
                played = self.claimed()
                self._drive(env, played)
                if played.claim.ending is not Ending.DONE or self.stop.is_set():
                    break

    def _drive(self, env: SyncEnvClient[Any, Any, Any], played: Played) -> None:
        ask = played.first()
        while ask is not None:
            try:
                match ask:
                    case Begin():
                        began = env.reset(ask.seed, ask.episode_id, timeout_s=ask.within_s, length=ask.length)
                        seen = began.observation
                    case Take():
                        seen = env.step(ask.action, ask.within_s).observation
                    case Look():
                        seen = env.state()
            except OpenEnvError as error:
                ask = played.failed(error)
            else:
                ask = played.answered(seen)


async def perform(env: GenericEnvClient, ask: Ask) -> dict[str, Any]:
    """Ask it of a client; the observation, or the state."""
    match ask:
        case Begin():
            began = await env.reset(ask.seed, ask.episode_id, timeout_s=ask.within_s, length=ask.length)
            return began.observation
        case Take():
            return (await env.step(ask.action, ask.within_s)).observation
        case Look():
            return await env.state()


async def drive(played: Played, perform_: Callable[[Ask], Awaitable[dict[str, Any]]]) -> None:
    """Play one episode to its end, whichever that is."""
    ask = played.first()
    while ask is not None:
        try:
            seen = await perform_(ask)
        except OpenEnvError as error:
            ask = played.failed(error)
        else:
            ask = played.answered(seen)
