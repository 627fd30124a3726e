"""The server of ``openenv.make`` lives as long as it is wanted, and not a moment after whoever started it."""

from __future__ import annotations

import gc
import os
import signal
import threading
from pathlib import Path

import pytest
from tests.e2e.living import DEADLINE_S, Watched, children, line_of, running, watching
from tests.e2e.worlds import COUNTER, STUCK, write

import openenv
from openenv import SyncEnvClient
from openenv.errors import ConnectFailed, EpisodeLost

pytestmark = pytest.mark.e2e

PARENT = """
import sys, openenv
env = openenv.make(sys.argv[1])
env.reset()
print(env.options.owned.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def counter(tmp_path: Path) -> str:
    return str(write(tmp_path / "counter.py", COUNTER))


@pytest.fixture
def stuck(tmp_path: Path) -> str:
    return str(write(tmp_path / "stuck.py", STUCK))


def pid_of(env: SyncEnvClient) -> int:
    """The server's process, as an environment in it tells."""
    return int(env.reset().observation["pid"])


def test_leaving_the_block_ends_the_server(counter: str) -> None:
    before = children()
    with openenv.make(counter) as env, watching(pid_of(env)) as server:
        assert server.pid != os.getpid()
        assert server.pid in children()
        env.close()
        assert server.ends()
        env.close()
    assert children() == before


def test_an_exception_in_the_block_ends_the_server(counter: str) -> None:
    servers = []

    def fail() -> None:
        with openenv.make(counter) as env:
            servers.append(Watched(pid_of(env)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert servers[0].ends()
    servers[0].release()


def test_a_forgotten_client_ends_its_server(counter: str) -> None:
    env = openenv.make(counter)
    with watching(pid_of(env)) as server:
        del env
        gc.collect()
        assert server.ends()


def test_the_end_of_the_program_ends_the_server(counter: str) -> None:
    with running(PARENT, counter) as parent, watching(int(line_of(parent))) as server:
        parent.communicate(timeout=DEADLINE_S)  # end of its input: it ends without closing anything
        assert parent.returncode == 0
        assert server.ends()


def test_ctrl_c_ends_the_server(counter: str) -> None:
    with running(PARENT + "\n", counter) as parent, watching(int(line_of(parent))) as server:
        parent.send_signal(signal.SIGINT)
        assert parent.wait(DEADLINE_S) == -signal.SIGINT
        assert server.ends()


def test_a_killed_parent_ends_the_server(counter: str) -> None:
    with running(PARENT, counter) as parent, watching(int(line_of(parent))) as server:
        parent.kill()
        assert server.ends()


def test_a_killed_parent_ends_a_server_whose_step_hangs(stuck: str, tmp_path: Path) -> None:
    code = PARENT.replace("sys.stdin.read()", 'env.step({"says": sys.argv[2], "until": sys.argv[3]})')
    started, never = tmp_path / "started", tmp_path / "never"
    os.mkfifo(started)
    os.mkfifo(never)
    with running(code, stuck, started, never) as parent, watching(int(line_of(parent))) as server:
        started.read_text(encoding="utf-8")  # the step runs now
        parent.kill()
        assert server.ends()


def test_ctrl_c_in_a_step_that_hangs_ends_the_server(stuck: str, tmp_path: Path) -> None:
    code = PARENT.replace("sys.stdin.read()", 'with env: env.step({"says": sys.argv[2], "until": sys.argv[3]})')
    started, never = tmp_path / "started", tmp_path / "never"
    os.mkfifo(started)
    os.mkfifo(never)
    with running(code, stuck, started, never) as parent, watching(int(line_of(parent))) as server:
        started.read_text(encoding="utf-8")
        parent.send_signal(signal.SIGINT)
        assert parent.wait(DEADLINE_S) == -signal.SIGINT
        assert server.ends()


def test_a_parent_killed_while_the_environment_is_imported_ends_the_server(tmp_path: Path) -> None:
    told, never = tmp_path / "told", tmp_path / "never"
    os.mkfifo(told)
    os.mkfifo(never)
    slow = f"import os\nwith open({str(told)!r}, 'w') as f: f.write(str(os.getpid()))\nopen({str(never)!r})\n"
    path = write(tmp_path / "slow.py", slow)
    with running(PARENT, path) as parent, watching(int(told.read_text(encoding="utf-8"))) as server:
        parent.kill()
        assert server.ends()


def test_the_server_outlives_the_thread_that_started_it(counter: str) -> None:
    made: list[SyncEnvClient] = []
    thread = threading.Thread(target=lambda: made.append(openenv.make(counter)))
    thread.start()
    thread.join()
    with made[0] as env, watching(pid_of(env)) as server:
        assert env.step({"amount": 4}).observation["total"] == 4
        assert server.lives()


def test_two_at_once_do_not_disturb_each_other(counter: str) -> None:
    made: list[SyncEnvClient] = []
    threads = [threading.Thread(target=lambda: made.append(openenv.make(counter))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second = made
    with first, second, watching(pid_of(second)) as server:
        with watching(pid_of(first)) as other:
            assert other.pid != server.pid
            first.close()
            assert other.ends()
        assert server.lives()
        assert second.step({"amount": 4}).observation["total"] == 4


FORKS = """
import os, sys, openenv
env = openenv.make(sys.argv[1])
env.reset()
pid = os.fork()
if pid == 0:
    env.options.owned.close()
    sys.exit()  # through every destructor and exit handler
assert os.waitpid(pid, 0)[1] == 0
print(env.step({"amount": 4}).observation["total"], flush=True)
env.close()
"""


def test_a_fork_that_exits_leaves_the_server(counter: str) -> None:
    with running(FORKS, counter) as parent:
        assert line_of(parent) == "4"
        assert parent.wait(DEADLINE_S) == 0


OUTLIVED = """
import os, sys, openenv
env = openenv.make(sys.argv[1])
env.reset()
pid = os.fork()
if pid == 0:
    sys.stdin.read()
    os._exit(0)
print(env.options.owned.pid, pid, flush=True)
os.waitpid(pid, 0)
"""


def test_a_fork_that_lives_on_does_not_keep_the_server_of_a_killed_parent(counter: str) -> None:
    with running(OUTLIVED, counter) as parent:
        pids = [int(pid) for pid in line_of(parent).split()]
        with watching(pids[0]) as server, watching(pids[1]) as fork:
            parent.kill()
            assert server.ends()
            assert fork.lives()


def test_a_fork_that_lives_on_does_not_keep_the_server_of_a_closed_client(counter: str) -> None:
    code = OUTLIVED.replace("os.waitpid", "env.close(); print('closed', flush=True); os.waitpid")
    with running(code, counter) as parent:
        pids = [int(pid) for pid in line_of(parent).split()]
        with watching(pids[0]) as server, watching(pids[1]) as fork:
            assert line_of(parent) == "closed"
            assert server.ends()
            assert fork.lives()


def test_a_server_killed_in_an_episode_loses_it(counter: str) -> None:
    with openenv.make(counter) as env, watching(pid_of(env)) as server:
        env.step({"amount": 1})
        server.kill()
        assert server.ends()
        with pytest.raises(EpisodeLost) as lost:
            env.step({"amount": 1})
        assert lost.value.details["reason"] == "connection_lost"
        with pytest.raises(EpisodeLost):
            env.step({"amount": 1})
        with pytest.raises(ConnectFailed):
            env.reset()
