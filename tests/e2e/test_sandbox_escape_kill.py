"""What is ended is ended whole, whatever ends it, and leaves nothing on the machine."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sandbox.playing import DEADLINE_S, Stage, play, python, sandbox_at

from openenv.sandbox import Level, Sandbox, probe, python_paths
from openenv.sandbox.cgroups import Hierarchies, start_time

pytestmark = pytest.mark.e2e

# A grandchild that left the session and its parents, and holds the output open for as long as it lives.
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", flush=True)
        time.sleep(1000)
    os._exit(0)
os.wait()
"""


@pytest.fixture(params=list(Level), ids=lambda level: level.value)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandbox_at(request.param)


@pytest.fixture
def waiting(sandbox: Sandbox) -> Iterator[Stage]:
    """A program that says it is ready, then waits to be interrupted, and says so."""
    code = """
import signal, time
try:
    print("ready", flush=True)
    while True: time.sleep(1000)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    with Stage(sandbox, python(code)) as stage:
        assert stage.line() == "ready"
        yield stage


def test_an_interrupt_reaches_the_program(waiting: Stage) -> None:
    waiting.process.interrupt()
    assert waiting.line() == "interrupted"
    assert waiting.process.wait(DEADLINE_S).exit_code == 0


def test_a_daemon_does_not_survive_kill(sandbox: Sandbox) -> None:
    with Stage(sandbox, python(DAEMON + "time.sleep(1000)")) as stage:
        assert stage.line() == "daemon"
        assert stage.process.kill().exit_code == 137
        assert stage.rest() == ""  # the end of the output is the daemon's end


def test_a_daemon_does_not_survive_the_program(sandbox: Sandbox) -> None:
    with Stage(sandbox, python(DAEMON)) as stage:
        assert stage.process.wait(DEADLINE_S).exit_code == 0
        assert stage.rest().split() == ["daemon"]


def test_a_stopped_program_is_killed(sandbox: Sandbox) -> None:
    if sandbox.level is Level.GVISOR:
        pytest.skip("gVisor's first process cannot stop itself")
    code = "import os, signal\nprint('ready', flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)"
    with Stage(sandbox, python(code)) as stage:
        assert stage.line() == "ready"
        assert stage.process.kill().exit_code == 137


def test_a_program_that_ignores_every_signal_is_killed(sandbox: Sandbox) -> None:
    code = """
import signal, time
for n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)
print("x", flush=True)
time.sleep(1000)
"""
    with Stage(sandbox, python(code)) as stage:
        stage.line()
        assert stage.process.kill().exit_code == 137
        assert stage.process.kill().exit_code == 137


def test_everything_ends_with_what_holds_it_together(waiting: Stage) -> None:
    os.kill(waiting.process.pid, signal.SIGKILL)  # our own sandbox's, whose number was told to us
    assert waiting.process.wait(DEADLINE_S).exit_code == 137
    assert waiting.rest() == ""


def test_exit_codes_are_those_of_a_shell(sandbox: Sandbox) -> None:
    assert play(sandbox, "raise SystemExit(7)").ended.exit_code == 7
    with Stage(sandbox, ["/bin/sh", "-c", "kill -9 $$"]) as stage:
        assert stage.process.wait(DEADLINE_S).exit_code in ({137} if sandbox.level is not Level.GVISOR else {0, 137})
    with Stage(sandbox, ["/nowhere/at-all"]) as stage:
        assert stage.process.wait(DEADLINE_S).exit_code != 0


def test_a_running_program_is_waited_for_no_longer_than_asked(waiting: Stage) -> None:
    assert waiting.process.poll() is None
    with pytest.raises(TimeoutError, match="still runs"):
        waiting.process.wait(0.01)


async def test_several_tasks_may_wait(sandbox: Sandbox) -> None:
    with Stage(sandbox, python("print('x', flush=True)\nimport time\ntime.sleep(1000)")) as stage:
        tasks = [asyncio.create_task(stage.process.ended()) for _ in range(3)]
        await asyncio.to_thread(stage.line)
        await asyncio.to_thread(stage.process.kill)
        assert {ended.exit_code for ended in await asyncio.wait_for(asyncio.gather(*tasks), DEADLINE_S)} == {137}


def test_files_go_in_and_out(sandbox: Sandbox) -> None:
    code = "import sys\nopen('b', 'w').write(open('sub/a').read() * 2)\nprint('done', flush=True)\nsys.stdin.read()"
    ours, theirs = os.pipe()
    try:
        with Stage(sandbox, python(code), stdin=ours, files={"sub/a": b"xy"}) as stage:
            assert stage.line() == "done"
            assert stage.process.read_file("b") == b"xyxy"
            assert stage.process.read_file("b", max_bytes=3) == b"xyx"
            stage.process.write_file("later/c", b"c")
            assert stage.process.read_file("later/c") == b"c"
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_is_the_programs_own(sandbox: Sandbox) -> None:
    master, slave = os.openpty()
    opened = "" if sandbox.level is Level.GVISOR else "os.close(os.open('/dev/tty', os.O_RDWR))"  # it has none there
    code = f"import os\n{opened}\nprint(os.isatty(0), os.tcgetpgrp(0) == os.getpgrp())"
    try:
        with sandbox.spawn(python(code), read_only=python_paths(), terminal=slave) as process:
            assert process.wait(DEADLINE_S).exit_code == 0, os.read(master, 1000)
            assert os.read(master, 1000).split() == [b"True", b"True"]
    finally:
        os.close(master)
        os.close(slave)


def test_a_program_started_in_a_thread_outlives_it(sandbox: Sandbox) -> None:
    stages: list[Stage] = []
    code = "import sys\nprint('ready', flush=True)\nimport time\ntime.sleep(1000)"
    thread = threading.Thread(target=lambda: stages.append(Stage(sandbox, python(code))))
    thread.start()
    thread.join()
    with stages[0] as stage:
        assert stage.line() == "ready"
        assert stage.process.poll() is None


def test_kill_9_of_the_owner_ends_its_sandboxes(sandbox: Sandbox) -> None:
    code = f"""
import os, sys, time
from openenv.sandbox import choose, python_paths
process = choose({sandbox.level.value!r}).spawn(
    [sys.executable, "-I", "-S", "-c", "import time; print('ready', flush=True); time.sleep(1000)"],
    read_only=python_paths(), stdout=1)
time.sleep(1000)
"""
    reading, writing = os.pipe()
    try:
        with subprocess.Popen([sys.executable, "-c", code], stdout=writing) as owner:
            os.close(writing)
            try:
                assert os.read(reading, 100) == b"ready\n"
            finally:
                owner.kill()
        poller = select.poll()
        poller.register(reading, select.POLLHUP)
        assert poller.poll(DEADLINE_S * 1000)
        assert os.read(reading, 100) == b""  # nobody is left to write
    finally:
        os.close(reading)


def test_many_quick_ones_leave_nothing() -> None:
    """In a process of their own: after its end, no process, group, directory or mount of it is there."""
    levels = [found.level.value for found in probe() if found.available and found.level is not Level.GVISOR]
    if not levels:
        pytest.skip("no sandbox level is available")
    code = f"""
import os, sys, tempfile
from openenv.sandbox import Level, Limits, Sandbox
from openenv.sandbox.link import link
for level in {levels!r}:
    sandbox = Sandbox(Level(level), frozenset())
    for _ in range({os.environ.get("OPENENV_TEST_SPAWNS", "70")}):
        with sandbox.spawn(["/bin/true"]) as process:
            assert process.wait(30).exit_code == 0
print(link().place()[0])
"""
    before = _left_groups(), Path("/proc/self/mountinfo").read_text()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(done.stdout.strip())
    until = time.monotonic() + DEADLINE_S
    while (left := _left_groups() - before[0]) and time.monotonic() < until:
        pass  # what other tests leave goes soon
    assert not left
    assert Path("/proc/self/mountinfo").read_text() == before[1]


def _left_groups() -> set[str]:
    """Groups whose makers are gone. Those of living ones come and go: other tests run at the same time."""
    found = Hierarchies.of_this_process()
    parents = {parent for parent in (found.memory, found.processes) if parent is not None}
    return {str(group) for parent in parents for group in parent.glob("openenv-*") if not _lives(group.name)}


def _lives(group: str) -> bool:
    _, pid, started, _ = group.split("-")
    return start_time(int(pid)) == int(started)
