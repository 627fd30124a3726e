"""A client program: plays STEPS steps in each of SESSIONS sessions and prints the seconds the steps took.

usage: play.py async|sync URL SESSIONS STEPS

The same file on both sides, in the names that both know. Each side runs it with its own client.
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
    style, url, sessions, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    print(asyncio.run(play_async(url, sessions, steps)) if style == "async" else play_sync(url, steps))
