"""The second part of a soak: worlds in processes that are killed, stopped and starved, and servers that are."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.soak import worlds
from tests.soak.deaths import How
from tests.soak.episodes import Book, Habits
from tests.soak.faults import Planned
from tests.soak.http_players import Plain
from tests.soak.judge import Judge
from tests.soak.killing import Killer
from tests.soak.ledger import read
from tests.soak.mortal_report import Fate
from tests.soak.players import Hasty, Patience, Player, Steady, Threaded, Vanishing
from tests.soak.proxy import Proxy
from tests.soak.run import gather_team, send_home, set_going
from tests.soak.served import ServedWorld

__all__ = ["Mortality", "suffer"]

_MEMORY_MB = 256
"""Less than a step that hogs wants."""
_DEADLINE_S = 6.0
_LEASE_S = 10.0
"""More than a line may swallow: it begins when a server is back, whether or not the client can reach it."""
_SETTLED = Habits(within_s=_DEADLINE_S, longest=300)
_HUNGRY = replace(_SETTLED, hogs=0.002, kills=(0.6, 0.15))
_ALLOWED = r"the fork server of \w+ is gone, and all its workers; another is started"


@dataclass(frozen=True)
class Mortality:
    """How much of it.

    Attributes:
        seconds: How long players play.
        kills: What is done, in how many multiples of the shares of each world.
        workers: Processes that each server consists of; of several, some are killed too.
    """

    seed: int
    seconds: float
    kills: int
    workers: int = 1


@dataclass(frozen=True)
class _Cast:
    """A world, who plays it, and what is done to it.

    Attributes:
        few, many: Kills of a short run and of a long one.
    """

    world: type
    team: tuple[tuple[type[Player], int], ...]
    few: dict[How, int]
    many: dict[How, int]
    journal_mode: str = "relaxed"

    @property
    def restorable(self) -> bool:
        return bool(self.world.deterministic)  # type: ignore[attr-defined]


_CASTS = (
    _Cast(
        worlds.Steadfast,
        ((Steady, 4), (Threaded, 2), (Hasty, 1), (Vanishing, 1), (Plain, 3)),
        few={How.KILLED: 3, How.STOPPED: 1, How.FORK_SERVER: 1, How.SERVER: 1},
        many={How.KILLED: 9, How.STOPPED: 4, How.FORK_SERVER: 2, How.SERVER: 5, How.DRAINED: 2},
    ),
    _Cast(
        worlds.Fickle,
        ((Steady, 3),),
        few={How.KILLED: 1, How.SERVER: 1},
        many={How.KILLED: 3, How.STOPPED: 1, How.FORK_SERVER: 1, How.SERVER: 2, How.DRAINED: 1},
    ),
    _Cast(
        worlds.Lying,
        ((Steady, 4),),
        few={How.KILLED: 2, How.SERVER: 1},
        many={How.KILLED: 6, How.STOPPED: 1, How.FORK_SERVER: 1, How.SERVER: 3},
        journal_mode="durable",
    ),
)


@dataclass
class _Stage:
    """One world, while it is played."""

    cast: _Cast
    served: ServedWorld
    killer: Killer
    random: random.Random
    proxy: Proxy = field(default_factory=Proxy)
    book: Book = field(default_factory=Book)
    team: list[Player] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def open(self, seed: int, patience: Patience) -> None:
        await asyncio.to_thread(self.served.start, self.cast.world.__name__)
        self.proxy.upstream = self.served.port
        self.team = await gather_team(seed, self.proxy, self.book, patience, self.cast.team)
        for number, player in enumerate(self.team):
            player.restorable = self.cast.restorable
            player.habits = _SETTLED if number % 2 else _HUNGRY
        self.tasks, self.threads = set_going(self.team)

    async def suffer(self, kills: dict[How, int], seconds: float) -> None:
        """Have everything done, evenly in that time, in any order."""
        strikes = [how for how, times in kills.items() for _ in range(times)]
        self.random.shuffle(strikes)
        began_at = time.monotonic()
        for number, how in enumerate(strikes):
            at = began_at + seconds * (number + self.random.random()) / len(strikes)
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            await self.killer.waits_for(2)
            match how:
                case How.SERVER | How.DRAINED:
                    self.proxy.upstream = None
                    await (self.killer.server() if how is How.SERVER else self.killer.drain())
                    await asyncio.to_thread(self.served.start, self.cast.world.__name__)
                    self.served.noted_up()
                    self.proxy.upstream = self.served.port
                case How.ONE_OF_SEVERAL:
                    await self.killer.one_of_several()
                case How.ROLLED:
                    await self.killer.workers()
                case How.FORK_SERVER:
                    await self.killer.fork_server()
                case _:
                    await self.killer.worker(how)
        await asyncio.sleep(max(0.0, began_at + seconds - time.monotonic()))
        await self.killer.rest()

    async def close(self, patience: Patience) -> Fate:
        for lane in self.proxy.lanes:
            lane.faults = Planned()
        self.wrong += await send_home(self.team, self.tasks, self.threads)
        self.wrong += await asyncio.to_thread(self.served.settles, patience.lease_s * 3 + 10)
        self.proxy.upstream = None
        await self.proxy.aclose()
        await asyncio.to_thread(self.served.drain)
        self.served.end_outage()
        verdict = Judge(self.book.claims, self.served.outages, self.killer.deaths).judge(read(self.served.ledger))
        (self.served.ledger.parent / "events").write_text(
            "\n".join(map(str, [*self.killer.deaths, *self.served.outages])), encoding="utf-8"
        )
        wrong = self.wrong + self.killer.wrong + self.served.wrong
        return Fate(
            self.cast.world.__name__,
            self.cast.journal_mode,
            self.proxy.cuts,
            Counter(one.how for one in self.killer.deaths),
            self.book.claims,
            verdict,
            wrong,
            str(self.served.ledger),
        )


async def suffer(plan: Mortality, directory: Path) -> list[Fate]:
    """Play all worlds at the same time and kill what they live in; ledgers and logs are left in the directory."""
    patience = Patience(queue_s=30.0, lease_s=_LEASE_S)
    stages = [_stage(cast, plan, directory, patience) for cast in _CASTS]
    try:
        await asyncio.gather(*(stage.open(plan.seed, patience) for stage in stages))
        await asyncio.gather(*(stage.suffer(_scaled(stage.cast, plan), plan.seconds) for stage in stages))
        return await asyncio.gather(*(stage.close(patience) for stage in stages))
    except BaseException:
        for stage in stages:
            stage.served.kill()
        raise


def _stage(cast: _Cast, plan: Mortality, directory: Path, patience: Patience) -> _Stage:
    name = cast.world.__name__
    place = directory / name.lower()
    place.mkdir()
    capacity = max(2, sum(size for _, size in cast.team) * 2 // 3)
    options = (
        *("--max-sessions", str(capacity), "--lease-s", str(patience.lease_s)),
        *("--isolation", "process", "--worker-memory-mb", str(_MEMORY_MB)),
        *("--journal", str(place / "journal"), "--journal-mode", cast.journal_mode),
    )
    served = ServedWorld(place, options, _ALLOWED, plan.workers)
    drawn = random.Random(f"{plan.seed} kills {name}")
    return _Stage(cast, served, Killer(served, drawn), drawn)


def _scaled(cast: _Cast, plan: Mortality) -> dict[How, int]:
    """What is done to a world so that there are about so many kills in all, if more than a few are asked for."""
    kills = plan.kills
    shares = [one.many if kills >= sum(sum(c.many.values()) for c in _CASTS) // 2 else one.few for one in _CASTS]
    times = max(1.0, kills / sum(sum(share.values()) for share in shares))
    done = {how: round(count * times) for how, count in shares[_CASTS.index(cast)].items()}
    return {**done, How.ONE_OF_SEVERAL: done[How.SERVER], How.ROLLED: 1} if plan.workers > 1 else done
