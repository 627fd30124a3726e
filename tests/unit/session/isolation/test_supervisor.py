"""The workers of a server: how many there are, what is replaced, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unit.session.isolation import crashing
from tests.unit.session.isolation.playing import (
    PATIENCE_S,
    children_of,
    ends,
    has_ended,
    lives,
    pid_of,
    reference_of,
    settled,
    step_of,
    supervising,
    value,
)

from openenv.errors import ConfigurationError, SessionClosed
from openenv.protocol import Reset
from openenv.session import EnvironmentSpec
from openenv.session.isolation import FactoryReference, Supervisor, WorkerDied
from openenv.session.isolation.reference import ModuleReference, ObjectReference

FORK_SERVER = "openenv.session.isolation.zygote"


def fork_server() -> int:
    """Process id of the one that this process started."""
    [found] = [pid for pid in children_of(os.getpid()) if is_fork_server(pid)]
    return found


def is_fork_server(pid: int) -> bool:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return FORK_SERVER.encode() in file.read()


async def test_one_worker_is_always_ready() -> None:
    async with supervising() as supervisor:
        server = fork_server()
        assert await settled(lambda: len(children_of(server)) == 1)
        [spare] = children_of(server)
        world = await supervisor.build()
        assert await pid_of(world) == spare
        assert await settled(lambda: len(children_of(server)) == 2)
        [next_one] = set(children_of(server)) - {spare}
        os.kill(next_one, signal.SIGKILL)
        assert await ends(next_one)
        assert await settled(lambda: set(children_of(server)) - {spare, next_one})
        assert supervisor.restarts == 1
        other = await supervisor.build()
        assert await value(other, "count") == 1
        await world.close()
        await other.close()
        assert supervisor.restarts == 1  # what was told to end is no restart


async def test_a_fork_server_that_is_killed_is_replaced() -> None:
    async with supervising() as supervisor:
        world, stopped = await supervisor.build(), await supervisor.build()
        pid, server, stopped_pid = await pid_of(world), fork_server(), await pid_of(stopped)
        step = asyncio.create_task(world.step(step_of("loop")))
        os.kill(stopped_pid, signal.SIGSTOP)
        await asyncio.sleep(0)
        os.kill(server, signal.SIGKILL)
        meanwhile = asyncio.create_task(supervisor.build())
        with pytest.raises(WorkerDied, match="its fork server was killed by SIGKILL"):
            await step
        assert await ends(pid)
        assert await ends(stopped_pid)
        again = await supervisor.build()
        assert fork_server() != server
        with suppress(WorkerDied):  # it may have got the spare of the one that died
            assert await value(await meanwhile, "count") == 1
        assert await value(again, "count") == 1
        await world.close()


async def test_a_fork_server_that_dies_is_one_death_however_many_sessions_wait_for_it() -> None:
    """As after a restart, when the sessions of a journal are brought back at once."""
    async with supervising() as supervisor:
        server = fork_server()
        assert await settled(lambda: bool(children_of(server)))
        spares = children_of(server)
        os.kill(server, signal.SIGKILL)
        while any(map(lives, [server, *spares])):
            pass  # the loop, which would learn of it, gets no turn
        worlds = await asyncio.gather(*(supervisor.build() for _ in range(12)))
        assert [await value(world, "count") for world in worlds] == [1] * 12
        for world in worlds:
            await world.close()


async def test_a_fork_server_that_hangs_is_killed_with_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openenv.session.isolation.forkserver._KILL_S", 0.05)
    async with supervising() as supervisor:
        world = await supervisor.build()
        pid = await pid_of(world)
        os.kill(fork_server(), signal.SIGSTOP)
        await world.kill()
        assert await ends(pid)


async def test_sessions_of_one_worker_live_and_die_together() -> None:
    async with supervising(sessions_per_worker=3) as supervisor:
        worlds = [await supervisor.build() for _ in range(4)]
        pids = [await pid_of(world) for world in worlds]
        assert pids[0] == pids[1] == pids[2] != pids[3]
        assert [await value(worlds[i], "count") for i in (0, 0, 1, 2)] == [1, 2, 1, 1]
        await worlds[0].close()
        assert await value(worlds[1], "count") == 2
        worlds.append(await supervisor.build())
        assert await pid_of(worlds[4]) == pids[0]
        with pytest.raises(WorkerDied, match="exit code 3"):
            await worlds[1].step(step_of("exit"))
        for i in (2, 4):
            with pytest.raises(WorkerDied, match="exit code 3"):
                await worlds[i].state()
        assert await value(worlds[3], "count") == 1
        for world in worlds:
            await world.close()


async def test_a_close_that_hangs_does_not_end_the_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openenv.session.isolation.host.CLOSE_GRACE_S", 0.05)
    async with supervising(sessions_per_worker=2) as supervisor:
        stuck, neighbour = await supervisor.build(), await supervisor.build()
        pid = await pid_of(neighbour)
        await stuck.step(step_of("hang in close"))
        with pytest.raises(Exception, match="did not close within"):
            await stuck.close()
        assert await value(neighbour, "count") == 1
        other = await supervisor.build()
        assert await pid_of(other) != pid
        monkeypatch.undo()
        await neighbour.close()
        assert not lives(pid)


async def test_fifty_sessions_at_once() -> None:
    async with supervising() as supervisor:
        server = fork_server()
        worlds = await asyncio.gather(*(supervisor.build() for _ in range(50)))
        pids = await asyncio.gather(*map(pid_of, worlds))
        assert len(set(pids)) == 50
        await asyncio.gather(*(world.reset(Reset(seed=1)) for world in worlds))
        died = await asyncio.gather(
            *(world.step(step_of("kill" if i % 2 else "count")) for i, world in enumerate(worlds)),
            return_exceptions=True,
        )
        assert [isinstance(found, WorkerDied) for found in died] == [bool(i % 2) for i in range(50)]
        await asyncio.gather(*(world.close() for world in worlds))
        assert not any(map(lives, pids))
        assert await settled(lambda: len(children_of(server)) == 1)


async def test_random_numbers_of_libraries_differ_between_workers() -> None:
    async with supervising() as supervisor:
        worlds = [await supervisor.build() for _ in range(2)]
        first, second = [await value(world, "numpy random") for world in worlds]
        assert first != second


async def test_a_caller_that_goes_away_while_it_is_built_leaves_nothing() -> None:
    async with supervising(crashing.NeverBuilt) as supervisor:
        server = fork_server()
        building = asyncio.create_task(supervisor.build())
        assert await settled(lambda: len(children_of(server)) == 2)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
        assert await settled(lambda: len(children_of(server)) == 1)


async def test_it_ends_with_sessions_open_and_takes_no_more() -> None:
    async with supervising() as supervisor:
        worlds = [await supervisor.build() for _ in range(2)]
        pids = [await pid_of(world) for world in worlds]
        server = fork_server()
        step = asyncio.create_task(worlds[0].step(step_of("loop")))
        await asyncio.sleep(0)
        await supervisor.aclose()
        assert not any(map(lives, [server, *pids]))
        with pytest.raises(WorkerDied):
            await step
        for world in worlds:
            await world.close()
        with pytest.raises(SessionClosed):
            await supervisor.build()
        assert supervisor.restarts == 0


def spec_of_file(path: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> FactoryReference:
    """The reference of a World that a file of its own defines."""
    path.write_text(f"from {crashing.__name__} import World as Base\n{body}\n", encoding="utf-8")
    return FactoryReference(ObjectReference(ModuleReference(path.stem, str(path)), "World"), "factory", "World")


async def test_an_app_and_a_module_from_a_file_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = crashing.app_of_lambda
    async with supervising(FactoryReference.of(app.state.engine.spec, crashing.__name__, app)) as supervisor:
        assert await value(await supervisor.build(), "count") == 6
    reference = spec_of_file(tmp_path / "its_own.py", "class World(Base):\n    extra = 1", monkeypatch)
    async with supervising(reference) as supervisor:
        assert await value(await supervisor.build(), "count") == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("1 / 0", "broken_one cannot be imported by a worker process: ZeroDivisionError: division by zero"),
        ("raise SystemExit('no')", "broken_one cannot be imported by a worker process: SystemExit: no"),
        ("", "broken_one has no World when a worker process imports it"),
        ("import os; os._exit(9)", "ended with exit code 9"),
    ],
)
async def test_what_cannot_be_imported_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    with pytest.raises(Exception, match=reason):
        async with supervising(spec_of_file(tmp_path / "broken_one.py", body, monkeypatch)):
            pass


async def test_a_module_that_starts_threads_is_not_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    body = (
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "class World(Base):\n    pass"
    )
    async with supervising(spec_of_file(tmp_path / "threaded.py", body, monkeypatch), cpu_s=60) as supervisor:
        assert "importing threaded starts threads" in caplog.text
        world = await supervisor.build()
        pid = await pid_of(world)
        daemon = await value(world, "daemon")
        with pytest.raises(WorkerDied, match="SIGSEGV"):
            await world.step(step_of("segfault"))
        assert await ends(daemon)
        assert await ends(pid)


SERVER = """
import asyncio, sys
from tests.unit.session.isolation import crashing
from tests.unit.session.isolation.playing import reference_of, step_of, value, pid_of
from openenv.session.isolation import Supervisor

async def main():
    supervisor = Supervisor(reference_of())
    await supervisor.start()
    pids = []
    for how in ("grandchild", "daemon", "fork", "ignore", "threads"):
        world = await supervisor.build()
        pids += [await pid_of(world), await value(world, how)]
    stuck = await supervisor.build()
    pids.append(await pid_of(stuck))
    asyncio.create_task(stuck.step(step_of("loop")))
    await asyncio.sleep(0)
    print(*filter(None, pids), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_is_killed_leaves_no_process(number: signal.Signals) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with server, server.stdout as output:
        try:
            pids = [int(pid) for pid in output.readline().split()]
            assert len(pids) == 9
            pids += children_of(server.pid)
            assert all(map(lives, pids))
        finally:
            server.send_signal(number)
            server.wait(PATIENCE_S)
    assert [pid for pid in pids if not has_ended(pid)] == []


async def test_uvloop_will_do(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def play() -> Any:
        async with supervising() as supervisor:
            world = await supervisor.build()
            large = await value(world, "echo", "x" * 1_000_000)
            with pytest.raises(WorkerDied, match="SIGSEGV"):
                await world.step(step_of("segfault"))
            return large

    assert await asyncio.to_thread(lambda: uvloop.run(play())) == "x" * 1_000_000


@pytest.mark.parametrize("wrong", [{"sessions_per_worker": 0}, {"memory_bytes": -1}, {"cpu_s": 0.5}])
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))} must be a whole number above 0"):
        Supervisor(reference_of(), **wrong)


async def test_it_needs_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigurationError, match="worker processes need Linux; use isolation='thread'"):
        await Supervisor(reference_of()).start()


def test_the_reference_of_a_spec_without_types_is_enough() -> None:
    assert FactoryReference.of(EnvironmentSpec.of(crashing.PlainWorld)).action is None
