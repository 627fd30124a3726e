"""One soak from beginning to end: server, lines, players, drains, and the judgement."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.living import children
from tests.soak import worlds
from tests.soak.episodes import Book
from tests.soak.faults import Drawn, Planned
from tests.soak.http_players import Plain
from tests.soak.judge import Judge
from tests.soak.ledger import read
from tests.soak.players import Absent, Hasty, Patience, Player, Steady, Threaded, Vanishing
from tests.soak.proxy import Proxy
from tests.soak.report import Found
from tests.soak.served import ServedWorld, held_by

__all__ = ["Plan", "gather_team", "send_home", "set_going", "soak"]

CAPACITY = 12
"""Fewer places than there are players: opens have to queue."""

_TEAM: tuple[tuple[type[Player], int], ...] = (
    (Steady, 8),
    (Threaded, 4),
    (Hasty, 2),
    (Vanishing, 2),
    (Absent, 1),
    (Plain, 3),
)
_HIDING = ((b"openenv.v2.json", b"openenv.v2.none"), (b"openenv.v2.msgpack", b"openenv.v2.nothing"))
"""Of what a client offers: the server chooses JSON for worlds as plain as these, and both are to be played."""
_EVERY_BYTES = 12_000.0
_STALL_S = 1.0
_SWALLOW_S = 5.0
_LAST_WORDS_S = 20.0


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        seconds, steps, cuts: It ends when all three are reached.
        drains: How often the server is stopped and started again on the way.
        limit_s: When to give up on reaching them.
        workers: Processes that the server consists of.
    """

    seed: int
    seconds: float
    steps: int
    cuts: int
    drains: int
    limit_s: float
    workers: int = 1


async def soak(plan: Plan, directory: Path) -> Found:
    """Run it; ledger and logs are left in the directory."""
    patience = Patience()
    options = ("--max-sessions", str(CAPACITY), "--lease-s", str(patience.lease_s), "--journal", f"{directory}/journal")
    book, proxy = Book(), Proxy()
    served = ServedWorld(directory, options, workers=plan.workers)
    wrong: list[str] = []
    # one thread for what blocks, there from the beginning, so that threads can be counted
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    try:
        await _start(served, proxy, 0)
        before = held_by(os.getpid())
        team = await gather_team(plan.seed, proxy, book, patience, _TEAM)
        began_at = time.monotonic()
        tasks, threads = set_going(team)
        wrong += await _play(plan, served, proxy, book, began_at)
        seconds = time.monotonic() - began_at
        for lane in proxy.lanes:
            lane.faults = Planned()
        wrong += await send_home(team, tasks, threads)
        wrong += await asyncio.to_thread(served.settles, patience.lease_s * 3 + 10)
        proxy.upstream = None
        await proxy.aclose()
        await asyncio.to_thread(served.drain)
        served.end_outage()
    except BaseException:
        served.kill()
        raise
    gc.collect()
    await asyncio.to_thread(_threads_end, threads)
    wrong += [f"the players hold {more}" for more in held_by(os.getpid()).more_than(before)]
    wrong += [f"process {pid} is left" for pid in children()]
    queued = sum(player.queued for player in team)
    wrong += [] if queued else ["nobody had to queue: there were too many places"]
    verdict = Judge(book.claims, served.outages).judge(read(served.ledger))
    return Found(
        plan.seed,
        seconds,
        plan.drains,
        {player.name: player.lane for player in team},
        book.claims,
        verdict,
        wrong + served.wrong,
        sum((player.refused for player in team), Counter()),
        queued,
        str(served.ledger),
    )


async def _start(served: ServedWorld, proxy: Proxy, number: int) -> None:
    """Start the next server; each serves another kind of world."""
    world = worlds.WORLDS[number % len(worlds.WORLDS)]
    await asyncio.to_thread(served.start, world.__name__)
    served.noted_up()
    proxy.upstream = served.port


async def gather_team(
    seed: int, proxy: Proxy, book: Book, patience: Patience, kinds: Iterable[tuple[type[Player], int]]
) -> list[Player]:
    """Players, so many of each kind, each on a lane of its own. The first plain one plays the shared session."""
    team: list[Player] = []
    for kind, size in kinds:
        for number in range(size):
            name = f"{kind.__name__.lower()}{number}"
            faults = Drawn(random.Random(f"{seed} faults {name}"), _EVERY_BYTES, _STALL_S, _SWALLOW_S)
            lane = await proxy.lane(faults, hide=_HIDING[number % 2])
            player = kind(name, lane, book, random.Random(f"{seed} {name}"), patience)
            if isinstance(player, Plain):
                player.shares = number == 0
            team.append(player)
    return team


def set_going(team: list[Player]) -> tuple[list[asyncio.Task[None]], list[threading.Thread]]:
    """Have all players begin."""
    tasks, threads = [], []
    for player in team:
        if isinstance(player, Threaded):
            thread = threading.Thread(
                target=player.play_here, name=player.name, daemon=True
            )  # one that hangs is told of
            thread.start()
            threads.append(thread)
        else:
            tasks.append(asyncio.create_task(player.play(), name=player.name))
    return tasks, threads


async def _play(plan: Plan, served: ServedWorld, proxy: Proxy, book: Book, began_at: float) -> list[str]:
    """Wait until enough has happened, draining and restarting the server on the way."""
    drains = 0
    while True:
        played_s = time.monotonic() - began_at
        done = min(played_s / plan.seconds, book.steps / plan.steps, proxy.cuts / plan.cuts)
        if drains < plan.drains and done >= (drains + 1) / (plan.drains + 1):
            await asyncio.to_thread(served.drain)
            proxy.upstream = None
            drains += 1
            await _start(served, proxy, drains)
        elif done >= 1:
            return []
        elif played_s > plan.limit_s:
            return [f"after {played_s:.0f} s there were {book.steps} steps, {proxy.cuts} cuts and {drains} drains"]
        await asyncio.sleep(0.1)


async def send_home(team: list[Player], tasks: list[asyncio.Task[None]], threads: list[threading.Thread]) -> list[str]:
    """Have all players finish what they play."""
    for player in team:
        player.stop.set()
    _, playing = await asyncio.wait(tasks, timeout=_LAST_WORDS_S)
    wrong = [f"{task.get_name()} does not come to an end" for task in playing]
    for task in playing:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    wrong += [
        f"{task.get_name()} failed: {error!r}"
        for task, error in zip(tasks, ended, strict=True)
        if isinstance(error, Exception)
    ]
    await asyncio.to_thread(_threads_end, threads)
    return wrong + [f"{thread.name} does not come to an end" for thread in threads if thread.is_alive()]


def _threads_end(threads: list[threading.Thread]) -> None:
    limit = time.monotonic() + _LAST_WORDS_S
    for thread in threads:
        thread.join(max(0.0, limit - time.monotonic()))
