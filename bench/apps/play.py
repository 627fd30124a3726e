"""A client program: plays STEPS steps in each of three ways and prints the seconds that each took.

usage: play.py URL STEPS [WAY ...]

The ways are ``sync`` (one session, the synchronous client), ``async`` (one session) and ``async16`` or any other number
of sessions at the same time, with STEPS in all. The same file on both sides, in the names that both know.
"""

from __future__ import annotations

import asyncio
import sys
import time

from openenv.core import GenericEnvClient


async def play_async(url: str, sessions: int, steps: int) -> float:
    """Sessions at the same time, each with one request on the way."""
    clients = [GenericEnvClient(base_url=url) for _ in range(sessions)]

    async def episode(client: GenericEnvClient) -> None:
        for _ in range(steps):
            await client.step({"message": "hello"})

    try:
        for client in clients:
            await client.connect()
            await client.reset()
        begun = time.perf_counter()
        await asyncio.gather(*(episode(client) for client in clients))
        return time.perf_counter() - begun
    finally:
        for client in clients:
            await client.close()


def play_sync(url: str, steps: int) -> float:
    """One session."""
    with GenericEnvClient(base_url=url).sync() as client:
        client.reset()
        begun = time.perf_counter()
        for _ in range(steps):
            client.step({"message": "hello"})
        return time.perf_counter() - begun


if __name__ == "__main__":
    url, steps = sys.argv[1], int(sys.argv[2])
    for way in sys.argv[3:] or ("sync", "async", "async16"):
        if way == "sync":
            print(play_sync(url, steps))
        else:
            count = int(way.removeprefix("async") or 1)
            print(asyncio.run(play_async(url, count, steps // count)))
