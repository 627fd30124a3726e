"""What tests of worker processes share: steps to ask for, and ends to wait for."""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from tests.unit.session.isolation import crashing

from openenv.protocol import Step
from openenv.session import EnvironmentSpec
from openenv.session.isolation import FactoryReference, Supervisor, WorkerHost

PATIENCE_S = 30
"""How long a test waits for what must come; only a broken build waits that long."""


def step_of(how: str = "ok", value: Any = None, **more: Any) -> Step:
    return Step(action=msgspec.Raw(msgspec.json.encode({"how": how, "value": value})), **more)


def reference_of(env: Any = crashing.World) -> FactoryReference:
    return FactoryReference.of(EnvironmentSpec.of(env, crashing.Move, crashing.Seen))


@asynccontextmanager
async def supervising(env: Any = crashing.World, **options: Any) -> AsyncIterator[Supervisor]:
    """A supervisor that has started, and that leaves nothing behind."""
    before = descriptors()
    given = env if isinstance(env, FactoryReference) else reference_of(env)
    supervisor = Supervisor(given, **options)
    try:
        await supervisor.start()
        yield supervisor
    finally:
        await supervisor.aclose()
    assert await settled(lambda: descriptors() == before), descriptors()


def descriptors() -> int:
    """How many sockets and pidfds this process holds."""
    found = 0
    for one in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{one}").startswith(("socket:", "anon_inode:[pidfd]"))
        except OSError:  # that of the listing itself
            continue
    return found


async def value(host: WorkerHost, how: str, argument: Any = None) -> Any:
    return (await host.step(step_of(how, argument))).observation["value"]


async def pid_of(host: WorkerHost) -> int:
    found: int = await value(host, "pid")
    return found


def has_ended(pid: int, within_s: float = PATIENCE_S) -> bool:
    """Whether a process ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(within_s * 1000))
    finally:
        os.close(descriptor)


async def ends(pid: int) -> bool:
    return await asyncio.to_thread(has_ended, pid)


def lives(pid: int) -> bool:
    return not has_ended(pid, 0)


async def settled(condition: Any) -> bool:
    """Whether a condition comes true in time, while the event loop goes on."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0)
    return True


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]
