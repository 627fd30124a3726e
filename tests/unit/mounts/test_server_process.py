"""Servers that are programs: how they end, and what is left of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.mounts.living import OUTSIDE, begun, called, group_of, is_running, server, text_of, until

from openenv.errors import ToolsetUnavailable
from openenv.mounts import OutsideServer
from openenv.mounts.process import ServerProcess


async def test_two_have_a_process_each_and_nothing_of_them_is_left() -> None:
    first = server()
    second = first.fresh()
    async with begun(first), begun(second):
        pids = [int(text_of(await called(one, "pid"))) for one in (first, second)]
        assert len({*pids}) == 2
        assert [first.process_id, second.process_id] == pids
    assert not any(map(is_running, pids))
    assert first.process_id is None


@pytest.mark.parametrize(("kill", "how"), [(False, "has ended with exit code 3"), (True, "was killed by SIGKILL")])
async def test_a_server_that_dies_in_mid_call(kill: bool, how: str) -> None:
    toolset = server(credentials=["SECRET"])
    async with begun(toolset, {"SECRET": "p4ssw0rd"}):
        before = toolset.process_id
        with pytest.raises(ToolsetUnavailable, match=rf"{how}; it said last: dying of \[SECRET\]"):
            await called(toolset, "die", kill=kill)
        with pytest.raises(ToolsetUnavailable, match=how):
            await called(toolset, "echo", text="x")
        await toolset.begin({"SECRET": "p4ssw0rd"})
        assert toolset.process_id != before
        assert text_of(await called(toolset, "echo", text="x")) == "x"


async def test_one_killed_from_outside_in_mid_call_that_has_a_child_which_holds_its_pipes() -> None:
    async with begun(server()) as toolset:
        child = int(text_of(await called(toolset, "fork")))
        call = asyncio.create_task(called(toolset, "hang"))
        await asyncio.sleep(0)
        pid = toolset.process_id
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ToolsetUnavailable, match="SIGKILL"):
            await call
        assert is_running(child)
    assert not is_running(child)


async def test_a_grandchild_that_does_not_heed_sigterm_ends_with_it() -> None:
    async with begun(server()) as toolset:
        child = int(text_of(await called(toolset, "fork")))
        pid = toolset.process_id
        assert pid is not None
        assert sorted(group_of(pid)) == sorted([pid, child])
    assert group_of(pid) == []


async def test_one_that_ends_neither_with_its_input_nor_with_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openenv.mounts.process._GRACE_S", 0.1)
    deaf = "import signal, runpy, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    stubborn = f"{deaf}; sys.argv[:] = ['', 'older']; runpy.run_path({OUTSIDE!r}); signal.pause()"
    async with begun(OutsideServer("outside", command=[sys.executable, "-c", stubborn])) as toolset:
        pid = toolset.process_id
        assert pid is not None
    assert not is_running(pid)


async def test_one_that_ends_with_sigterm_alone_can_tidy_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("openenv.mounts.process._GRACE_S", 30.0)  # it ends sooner, however slow the machine is
    monkeypatch.setattr(ServerProcess, "_ends", _at_once(ServerProcess._ends))
    file = tmp_path / "tidy"
    tidy = f"import pathlib, signal, runpy, sys; tidy = lambda *_: (pathlib.Path({str(file)!r}).touch(), sys.exit())"
    code = f"{tidy}; signal.signal(signal.SIGTERM, tidy); sys.argv[:] = ['', 'older']; runpy.run_path({OUTSIDE!r})"
    # signal.pause() would miss a signal that comes just before it
    waits = f"{code}\nimport time\nwhile True: time.sleep(0.05)"
    async with begun(OutsideServer("outside", command=[sys.executable, "-c", waits])):
        pass
    assert file.exists()


def _at_once(ends: Any) -> Any:
    """The first wait, for those that end with their input, is over at once."""
    waits = [0.0]

    async def shorter(self: ServerProcess, timeout_s: float) -> None:
        await ends(self, waits.pop() if waits else timeout_s)

    return shorter


async def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openenv.mounts.process._GRACE_S", 0.1)
    with pytest.raises(ToolsetUnavailable, match="did not answer within"):
        await server("deaf", start_timeout_s=0.4).begin({})


async def test_programs_that_are_none() -> None:
    with pytest.raises(ToolsetUnavailable, match="no program 'no-such-program'; is it installed"):
        await OutsideServer("none", command=["no-such-program"]).begin({})
    code = "import sys; sys.stderr.write('no disk\\n'); sys.exit(7)"
    with pytest.raises(ToolsetUnavailable, match="exit code 7; it said last: no disk"):
        await OutsideServer("none", command=[sys.executable, "-S", "-c", code]).begin({})


async def test_all_that_a_process_mounted_ends_when_it_is_killed() -> None:
    code = f"""
import asyncio, sys
sys.path[:] = {sys.path!r}
from openenv.mounts import OutsideServer
from openenv.tools import ToolContext
async def main():
    toolset = OutsideServer("outside", command=[sys.executable, {OUTSIDE!r}, "older"])
    await toolset.begin({{}})
    child = (await toolset.call("fork", {{}}, ToolContext()))["data"]
    print(toolset.process_id, child, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert process.stdout is not None
    with process:
        pid, child = map(int, process.stdout.readline().split())
        assert is_running(pid)
        assert is_running(child)
        process.kill()
    await asyncio.to_thread(until, lambda: not is_running(pid) and not is_running(child))


async def test_one_that_nobody_closed_ends_when_it_is_forgotten() -> None:
    toolset = server()
    await toolset.begin({})
    pid = toolset.process_id
    assert pid is not None
    del toolset
    await asyncio.to_thread(until, lambda: not is_running(pid))


async def test_a_hundred_end_without_leftovers() -> None:
    first = server()
    all_of_them = [first, *(first.fresh() for _ in range(99))]
    turns = asyncio.Semaphore(8)

    async def begin(one: OutsideServer) -> int:
        async with turns:
            await one.begin({})
        assert one.process_id is not None
        return one.process_id

    try:
        pids = await asyncio.gather(*map(begin, all_of_them))
        assert len({*pids}) == 100
        said = await asyncio.gather(*(called(one, "pid") for one in all_of_them))
        assert [int(text_of(one)) for one in said] == pids
    finally:
        await asyncio.gather(*(one.close() for one in all_of_them))
    assert not any(map(is_running, pids))
    assert not any(map(group_of, pids))
