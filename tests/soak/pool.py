"""A load for pools: many sessions from one process, every answer checked, memory watched.

    python -m tests.soak.pool --sessions 1000 --seconds 600

Each session plays episodes against a checksum of all its actions, kept on both sides; the connection is cut now and
then. It fails if an answer is wrong, an episode is lost, or memory of client or server grows after the warm-up.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.soak.faults import Direction, Fault, Kind
from tests.soak.ledger import first_sum, next_sum
from tests.soak.proxy import Lane, Proxy

from openenv import EnvPool
from openenv.pool import PoolMetrics

ROOT = Path(__file__).resolve().parents[2]
_STARTS_WITHIN_S = 60.0
_SETTLED_PART = 0.25
"""The part of a run in which memory may grow: allocators and caches fill."""
_MAY_GROW = 0.05
_MAY_GROW_MIB = 3.0


class Player:
    """One session: what it was asked, and whether the answers fit."""

    def __init__(self, index: int, seed: int) -> None:
        self.index = index
        self._random = random.Random(f"{seed} {index}")
        self.episodes = 0
        self._instance = self._sum = ""
        self._turn = 0

    def begin(self) -> tuple[int, int]:
        """Seed and length of the next episode."""
        self.episodes += 1
        return self._random.randrange(2**31), self._random.randrange(5, 60)

    def began(self, seed: int, seen: dict[str, Any]) -> None:
        self._sum, self._turn, self._instance = first_sum(seed), 0, seen["instance"]
        self._check(seen)

    def act(self) -> dict[str, int]:
        number = self._random.randrange(1000)
        self._turn += 1
        self._sum = next_sum(self._sum, number)
        return {"number": number}

    def acted(self, seen: dict[str, Any]) -> None:
        self._check(seen)

    def _check(self, seen: dict[str, Any]) -> None:
        wanted = {"instance": self._instance, "turn": self._turn, "sum": self._sum}
        if seen != wanted:
            raise AssertionError(f"session {self.index}, episode {self.episodes}: {seen} where {wanted} is right")


async def play(pool: EnvPool[Any, Any, Any], players: list[Player], until: float) -> None:
    """Step all sessions together, and begin episodes where they ended."""
    over = [player.index for player in players]
    lengths: dict[int, int] = {}
    while time.monotonic() < until:
        if over:
            wanted = {index: players[index].begin() for index in over}
            for index, (_, length) in wanted.items():
                lengths[index] = length
            by_length: dict[int, list[int]] = {}
            for index, (_, length) in wanted.items():
                by_length.setdefault(length, []).append(index)
            calls = [
                pool.reset([wanted[i][0] for i in some], options={"length": length}, indices=some)
                for length, some in by_length.items()
            ]
            for begun in await asyncio.gather(*calls):
                for index, result in zip(begun.indices, begun.results, strict=True):
                    players[index].began(wanted[index][0], result.observation)
        stepped = await pool.step([player.act() for player in players])
        for player, result in zip(players, stepped.results, strict=True):
            player.acted(result.observation)
        over = [index for index, is_done in enumerate(stepped.dones) if is_done]


async def cut(lane: Lane, every_s: float) -> None:
    """Cut the connection now and then, somewhere in what comes next."""
    drawn = random.Random(7)
    while True:
        await asyncio.sleep(every_s)
        kind = drawn.choice((Kind.RESET, Kind.GOODBYE, Kind.HALF_CLOSE))
        lane.lay(Fault(kind, drawn.choice(list(Direction)), drawn.randrange(20_000), seconds=0.5))


async def run(url: str, args: argparse.Namespace, pids: list[int]) -> list[str]:
    """Play for the time; gives what was wrong."""
    proxy = Proxy(int(url.rsplit(":", 1)[1]))
    lane = await proxy.lane()
    began = time.monotonic()
    memory: list[tuple[float, float, float]] = []
    wrong: list[str] = []
    async with EnvPool(lane.url if args.cut_every else url, sessions=args.sessions) as pool:
        players = [Player(index, args.seed) for index in range(args.sessions)]
        playing = asyncio.create_task(play(pool, players, began + args.seconds))
        cutting = asyncio.create_task(cut(lane, args.cut_every)) if args.cut_every else None
        before, told_at = 0, began
        try:
            while not playing.done():
                await asyncio.wait([playing], timeout=1.0)
                now = time.monotonic()
                memory.append((now - began, rss_mib([os.getpid()]), rss_mib(pids)))
                if now - told_at >= min(60.0, args.seconds / 5) or playing.done():
                    tell(now - began, (pool.metrics().steps - before) / (now - told_at), memory[-1], pool.metrics())
                    before, told_at = pool.metrics().steps, now
            await playing
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what was wrong
            wrong.append(f"{type(error).__name__}: {error}")
        finally:
            if cutting is not None:
                cutting.cancel()
        metrics = pool.metrics()
    await proxy.aclose()
    if metrics.lost or metrics.errors:
        wrong.append(f"{metrics.lost} episodes were lost, {metrics.errors} requests failed")
    if args.cut_every and args.seconds > 2 * args.cut_every and not metrics.reconnects:
        wrong.append("the connection was never cut")
    wrong += [f"the {who} grows: {why}" for who, why in growing(memory)]
    return wrong


def growing(memory: list[tuple[float, float, float]]) -> Iterator[tuple[str, str]]:
    """Whose memory grew after the warm-up, by the line that fits best."""
    settled = memory[int(len(memory) * _SETTLED_PART) :]
    if len(settled) < 3:
        return
    span_s = settled[-1][0] - settled[0][0]
    for who, column in (("client", 1), ("server", 2)):
        times, sizes = [one[0] for one in settled], [one[column] for one in settled]
        mean_t, mean_s = sum(times) / len(times), sum(sizes) / len(sizes)
        rise = sum((t - mean_t) * (s - mean_s) for t, s in zip(times, sizes, strict=True))
        grew = rise / sum((t - mean_t) ** 2 for t in times) * span_s
        if grew > _MAY_GROW_MIB + _MAY_GROW * sizes[0]:
            yield who, f"{grew:.1f} MiB in {span_s:.0f} s, from {sizes[0]:.1f} MiB"


def tell(at_s: float, rate: float, memory: tuple[float, float, float], metrics: PoolMetrics) -> None:
    print(
        f"{at_s:6.0f} s  {rate:9.0f} steps/s  client {memory[1]:6.1f} MiB  server {memory[2]:6.1f} MiB  "
        f"p50 {metrics.p50_ms or 0:.1f} ms  p95 {metrics.p95_ms or 0:.1f} ms  reconnects {metrics.reconnects}",
        flush=True,
    )


def rss_mib(pids: list[int]) -> float:
    """Memory of processes and their children, in MiB."""
    total, left = 0, list(pids)
    while left:
        pid = left.pop()
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
            children = [
                int(child)
                for listed in Path(f"/proc/{pid}/task").glob("*/children")
                for child in listed.read_text(encoding="ascii").split()
            ]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        total += int(found[1]) if found else 0
        left += children if pid != os.getpid() else []
    return total / 1024


@contextmanager
def served(sessions: int, options: list[str]) -> Iterator[tuple[str, int]]:
    """A server of its own: address and process id."""
    command = [sys.executable, "-m", "openenv", "serve", "tests/soak/pool_world.py:Chained", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--max-sessions", str(sessions), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0], server.pid
                return
        raise AssertionError("the server ended without a word")
    finally:
        server.terminate()
        server.communicate(timeout=_STARTS_WITHIN_S)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.pool", description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--cut-every", type=float, default=30.0, help="seconds between cuts of the connection; 0: none")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--url", help="a server of tests.soak.pool_world:Chained that runs; else one is started")
    args, serve_options = parser.parse_known_args()
    if args.url:
        wrong = asyncio.run(run(args.url, args, []))
    else:
        with served(args.sessions, serve_options) as (url, pid):
            wrong = asyncio.run(run(url, args, [pid]))
    for one in wrong:
        print(f"WRONG: {one}")
    print("failed" if wrong else "every answer was right, and memory is flat")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
