"""Whatever an environment does to its process: its own session ends with the reason, and the others live on."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from tests.unit.session.isolation import crashing
from tests.unit.session.isolation.playing import (
    ends,
    lives,
    pid_of,
    settled,
    step_of,
    supervising,
    value,
)

from openenv.errors import ActionInvalid, ExecutionFailed, FactoryFailed
from openenv.protocol import Reset, Step
from openenv.session import Placement
from openenv.session.isolation import Supervisor, WorkerDied, WorkerHost, host
from openenv.types import EnvironmentMetadata

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def supervisor() -> AsyncIterator[Supervisor]:
    async with supervising() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bystander(supervisor: Supervisor) -> AsyncIterator[WorkerHost]:
    """A session that lives on through everything that the others do."""
    built = await supervisor.build()
    await built.reset(Reset(seed=1))
    yield built
    await built.close()


@pytest_asyncio.fixture(loop_scope="module")
async def world(supervisor: Supervisor, bystander: WorkerHost) -> AsyncIterator[WorkerHost]:
    before = await value(bystander, "count")
    built = await supervisor.build()
    yield built
    await built.close()
    assert await value(bystander, "count") == before + 1


CRASHES = [
    ("segfault", "killed by SIGSEGV"),
    ("exit", r"ended with exit code 3 \(os._exit\)"),
    ("kill", "killed by SIGKILL"),
    ("recurse", "killed by SIGSEGV"),
    ("close fds", "it closed its connection"),
    ("junk", "it sent what cannot be read"),
]


@pytest.mark.parametrize(("how", "reason"), CRASHES)
async def test_a_crash_ends_its_session_with_the_reason(
    supervisor: Supervisor, world: WorkerHost, how: str, reason: str
) -> None:
    pid, restarts = await pid_of(world), supervisor.restarts
    with pytest.raises(WorkerDied, match=reason):
        await world.step(step_of(how))
    assert await ends(pid)
    assert supervisor.restarts == restarts + 1
    for call in (world.reset(Reset()), world.step(step_of()), world.state(), world.metadata()):
        with pytest.raises(WorkerDied, match=reason):
            await call
    assert world.died is not None
    await world.close()
    again = await supervisor.build()
    assert await value(again, "echo", "well") == "well"
    await again.close()


async def test_an_answer_that_nobody_asked_for_ends_it(world: WorkerHost) -> None:
    pid = await pid_of(world)
    assert await value(world, "unasked") == "forged"  # its own session is its own business
    assert await ends(pid)
    with pytest.raises(WorkerDied, match="it sent what was not asked for"):
        await world.state()


async def test_a_death_between_calls_is_told_by_the_next(world: WorkerHost) -> None:
    os.kill(await pid_of(world), signal.SIGTERM)
    with pytest.raises(WorkerDied, match="killed by SIGTERM"):
        await world.state()


@pytest.mark.parametrize("how", ["loop", "stop"])
async def test_what_never_answers_is_killed_on_request(world: WorkerHost, how: str) -> None:
    pid = await pid_of(world)
    step = asyncio.create_task(world.step(step_of(how)))
    assert await settled(lambda: {"loop": "R", "stop": "T"}[how] in states_of(pid))
    await world.kill("it took too long")
    assert not lives(pid)
    with pytest.raises(WorkerDied, match="it took too long"):
        await step


def states_of(pid: int) -> str:
    """What its threads are doing, one letter each."""
    found = ""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as file:
            found += file.read().rsplit(")", 1)[1].split()[0]
    return found


async def test_a_kill_between_calls_is_told_by_the_next(world: WorkerHost) -> None:
    await world.kill()
    with pytest.raises(WorkerDied, match="killed on request"):
        await world.step(step_of())
    await world.kill()


@pytest.mark.parametrize("how", ["grandchild", "daemon", "orphan", "fork"])
@pytest.mark.parametrize("end", ["close", "kill", "crash"])
async def test_what_it_started_goes_with_it(world: WorkerHost, how: str, end: str) -> None:
    grandchild = await value(world, how)
    assert lives(grandchild)
    if end == "close":
        await world.close()
    elif end == "kill":
        await world.kill()
    else:
        with pytest.raises(WorkerDied, match="exit code 3"):
            await world.step(step_of("exit"))
    assert await ends(grandchild)


async def test_a_daemon_of_a_worker_that_lives_is_left_alone(
    supervisor: Supervisor, world: WorkerHost, bystander: WorkerHost
) -> None:
    daemon = await value(bystander, "orphan")
    with pytest.raises(WorkerDied):
        await world.step(step_of("segfault"))
    other = await supervisor.build()
    await other.kill()
    assert lives(daemon)
    os.kill(daemon, signal.SIGKILL)
    assert await ends(daemon)


async def test_the_copy_in_a_fork_does_not_answer(world: WorkerHost) -> None:
    copy = await value(world, "fork and go on")
    assert copy > 0
    assert await ends(copy)
    assert [await value(world, "count") for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("how", ["threads", "ignore"])
async def test_threads_and_ignored_signals_hold_nothing_up(world: WorkerHost, how: str) -> None:
    pid = await pid_of(world)
    await value(world, how)
    await world.close()
    assert not lives(pid)


@pytest.mark.parametrize("how", ["raise", "sys.exit"])
async def test_what_it_raises_is_no_crash(world: WorkerHost, how: str) -> None:
    told = {"raise": "ValueError: as it was", "sys.exit": "SystemExit: 4"}[how]
    with pytest.raises(ExecutionFailed, match=told) as failed:
        await world.step(step_of(how))
    assert failed.value.details == {"exception": told.partition(":")[0]}
    assert await value(world, "count") == 1


async def test_an_action_that_does_not_fit_is_refused(world: WorkerHost) -> None:
    with pytest.raises(ActionInvalid, match="invalid Move: how") as refused:
        await world.step(Step(action=b'{"how": 3}'))
    assert refused.value.details["errors"][0]["loc"] == ["how"]
    with pytest.raises(ActionInvalid, match="World does not take speed"):
        await world.reset(Reset(options={"speed": 3}))


async def test_it_prints_to_where_the_server_prints_and_reads_nothing(
    world: WorkerHost, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await value(world, "read") == ""
    await value(world, "print", "seen")  # the fork server was started before the test, so elsewhere
    assert await value(world, "count") == 1


async def test_values_cross_without_loss(world: WorkerHost) -> None:
    found = await value(world, "values")
    assert found["array"].dtype == np.int16
    assert found["array"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert math.isnan(found["nan"][0])
    assert found["nan"][1] == math.inf
    assert {name: found[name] for name in ("bytes", "keys", "long")} == {
        "bytes": b"\x00\xff",
        "keys": {(1, 2): "a tuple"},
        "long": 10**30,
    }
    sent = {"how": "echo", "value": {"array": np.ones((2, 2)), "keys": {(1, 2): b"\xff"}}}
    reply = await world.step(Step(action=sent, timeout_s=2.5, options={"more": {3}}))
    back, more, timeout_s = reply.observation["value"]
    assert back["array"].tolist() == [[1, 1], [1, 1]]
    assert back["keys"] == {(1, 2): b"\xff"}
    assert (more, timeout_s) == ({3}, 2.5)
    assert (reply.reward, reply.metadata) == (1.5, {"how": "echo"})


async def test_large_values_cross(world: WorkerHost) -> None:
    assert await value(world, "large", 5_000_000) == "x" * 5_000_000
    assert await value(world, "echo", "y" * 3_000_000) == "y" * 3_000_000


async def test_it_is_asked_as_any_other(world: WorkerHost) -> None:
    first = await world.reset(Reset(seed=7, options={"value": [1]}))
    again = await world.reset(Reset(seed=7, options={"value": [1]}))
    assert first.observation == again.observation
    assert first.observation["value"]["seed"] == 7
    assert (await world.state()).state["step_count"] == 0
    assert await world.metadata() == EnvironmentMetadata(name="World", description="of crashes")
    assert (world.placement, world.prompt, world.died) == (Placement.PROCESS, None, None)
    assert (world.plan.name, world.plan.is_async, world.plan.lifecycle) == ("World", False, "strict")
    assert world.plan.reset.names == {"seed", "value"}


async def test_a_caller_that_goes_away_does_not_disturb_the_order(world: WorkerHost) -> None:
    steps = [asyncio.create_task(world.step(step_of("count"))) for _ in range(4)]
    await asyncio.sleep(0)
    steps[1].cancel()
    found = await asyncio.gather(*steps, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert [found[i].observation["value"] for i in (0, 2, 3)] == [1, 3, 4]


async def test_a_close_that_hangs_is_ended(world: WorkerHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "CLOSE_GRACE_S", 0.05)
    pid = await pid_of(world)
    await world.step(step_of("hang in close"))
    with pytest.raises(ExecutionFailed, match=r"World did not close within 0\.05 s"):
        await world.close()
    assert not lives(pid)


async def test_a_close_that_crashes_is_told(world: WorkerHost) -> None:
    await world.step(step_of("crash in close"))
    with pytest.raises(ExecutionFailed, match="World did not close: its process ended with exit code 5"):
        await world.close()


@pytest.mark.parametrize("env", [crashing.AsyncWorld, crashing.make_async])
async def test_an_asynchronous_class_lives_in_a_loop(env: Any) -> None:
    async with supervising(env) as supervisor:
        world = await supervisor.build()
        assert world.plan.is_async
        assert (await world.reset(Reset(seed=3))).observation == {"value": 3}
        with pytest.raises(ExecutionFailed, match="CancelledError"):
            await world.step(step_of("cancel"))
        with pytest.raises(ExecutionFailed, match="ValueError: as it was"):
            await world.step(step_of("raise"))
        assert await value(world, "exit in a task") == "gone on"
        assert await value(world, "count") == 1
        assert (await world.state()).state["step_count"] == 1
        await world.close()
        world = await supervisor.build()
        with pytest.raises(WorkerDied, match="SIGSEGV"):
            await world.step(step_of("segfault"))


async def test_what_cannot_be_built_is_told() -> None:
    async with supervising(crashing.DiesWhenBuilt) as supervisor:
        with pytest.raises(FactoryFailed, match=r"could not be built: its process ended with exit code 6"):
            await supervisor.build()
    async with supervising(crashing.RaisesWhenBuilt) as supervisor:
        for _ in range(2):
            with pytest.raises(FactoryFailed, match="could not be built: ValueError: no world today"):
                await supervisor.build()


async def test_memory_has_a_limit() -> None:
    limit = 40 * 1024 * 1024
    async with supervising(memory_bytes=limit) as supervisor:
        world = await supervisor.build()
        assert await value(world, "allocate", limit // 4) == limit // 4
        with pytest.raises(ExecutionFailed, match="MemoryError"):
            await world.step(step_of("allocate", limit + limit // 4))
        assert await value(world, "allocate", limit // 4) == limit // 4
        with pytest.raises(WorkerDied, match=f"memory limit.* {limit} bytes"):
            await world.step(step_of("large", limit // 2 + limit // 4))
        other = await supervisor.build()
        assert await value(other, "allocate", limit // 4) == limit // 4
        with pytest.raises(WorkerDied, match=f"ran over its memory limit of {limit} bytes"):
            await other.step(step_of("echo", "x" * (limit + 1)))


@pytest.mark.parametrize("ignores", [False, True])
async def test_processor_time_has_a_limit(ignores: bool) -> None:
    async with supervising(cpu_s=1) as supervisor:
        world = await supervisor.build()
        with pytest.raises(WorkerDied, match="over its CPU limit of 1 s"):
            await world.step(step_of("burn", ignores))
