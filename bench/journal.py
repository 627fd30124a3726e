"""``python -m bench.journal``: what a journal costs a step, and what its disk allows."""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from openenv.record import Answered, Journal, JournalMode

_REQUEST = b'{"type":"step","session":"0123456789abcdef","id":1000,"ack":999,"action":{"message":"hello world"}}'
_REPLY = (
    b'{"type":"observation","session":"0123456789abcdef","id":1000,"observation":{"echoed_message":"hello world",'
    b'"message_length":11},"reward":1.1,"done":false,"terminated":false,"truncated":false,"metadata":{"turn":1000}}'
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.journal", description="What a journal costs.")
    parser.add_argument("--directory", type=Path, help="on the disk to measure (default: the one of temporary files)")
    parser.add_argument("--sessions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    sessions, costs = asked.sessions, []
    with tempfile.TemporaryDirectory(dir=asked.directory) as name:
        for number in range(asked.rounds):
            without = _cpu_us(None, "relaxed", sessions)
            costs.append(_cpu_us(Path(name, f"relaxed-{number}"), "relaxed", sessions) - without)
        print(f"relaxed, {sessions} sessions: {statistics.median(costs):.2f} us of CPU a step", end="")
        print(f" (append and written; {min(costs):.2f} to {max(costs):.2f}), beside a loop that only turns")
        for waiting in (1, sessions):
            rates = [
                (_raw_syncs(Path(name)), *_durable(Path(name, f"durable-{waiting}-{number}"), waiting))
                for number in range(asked.rounds)
            ]
            raw, entries, syncs = (statistics.median(rate) for rate in zip(*rates, strict=True))
            print(f"durable, {waiting} sessions: {entries:,.0f} entries/s in {syncs:,.0f} syncs/s; ", end="")
            print(f"fdatasync alone {raw:,.0f}/s: ratio of syncs {syncs / raw:.2f}, of entries {entries / raw:.2f}")


def _cpu_us(directory: Path | None, mode: JournalMode, sessions: int, steps: int = 3000) -> float:
    """CPU time a step; without a directory, of the turns of the loop alone."""

    async def play() -> float:
        journal = None if directory is None else Journal.open(directory, mode, time.time)

        async def session(name: str) -> None:
            for number in range(steps):
                if journal is None:
                    await asyncio.sleep(0)
                else:
                    await journal.written(journal.append(_answer(name, number)))

        began = time.process_time()
        await asyncio.gather(*(session(f"session-{number}") for number in range(sessions)))
        taken = time.process_time() - began
        if journal is not None:
            await journal.aclose()
        return taken

    return uvloop.run(play()) / (steps * sessions) * 1e6


def _durable(directory: Path, sessions: int, during_s: float = 1.0) -> tuple[float, float]:
    """Entries and syncs a second."""
    syncs = 0

    def sync(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        os.fdatasync(descriptor)

    async def play() -> tuple[float, float]:
        journal = Journal.open(directory, "durable", time.time, sync=sync)
        began = time.perf_counter()
        written = 0

        async def session(name: str) -> None:
            nonlocal written
            while time.perf_counter() - began < during_s:
                await journal.written(journal.append(_answer(name, written)))
                written += 1

        await asyncio.gather(*(session(f"session-{number}") for number in range(sessions)))
        taken = time.perf_counter() - began
        found = written / taken, syncs / taken
        await journal.aclose()
        return found

    return uvloop.run(play())


def _raw_syncs(directory: Path, during_s: float = 1.0) -> float:
    """Appends of one entry's bytes that are synced one by one, a second."""
    path = directory / "raw"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    data = bytes(len(_REQUEST) + len(_REPLY) + 60)
    try:
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < during_s:
            os.write(descriptor, data)
            os.fdatasync(descriptor)
            count += 1
        return count / (time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()


def _answer(session: str, number: int) -> Answered:
    return Answered(session, number, "", "step", _REQUEST, _REPLY, 1e9, 0.001, "episode-1")


if __name__ == "__main__":
    main()
