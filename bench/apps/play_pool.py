"""A client program: plays STEPS steps with an ``EnvPool`` of SESSIONS sessions and prints the seconds that they took.

usage: play_pool.py URL STEPS SESSIONS
"""

from __future__ import annotations

import asyncio
import sys
import time

from openenv import EnvPool


async def play(url: str, steps: int, sessions: int) -> float:
    """All sessions together, step by step."""
    actions = [{"message": "hello"}] * sessions
    async with EnvPool(url, sessions=sessions) as pool:
        await pool.reset(seed=7)
        await pool.step(actions)
        begun = time.perf_counter()
        for _ in range(steps // sessions):
            await pool.step(actions)
        return time.perf_counter() - begun


if __name__ == "__main__":
    print(asyncio.run(play(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
