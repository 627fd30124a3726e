"""``openenv serve`` as a process: what it says, how it stops, what it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.living import DEADLINE_S, line_of, running
from tests.e2e.worlds import COUNTER, STUCK, write
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from openenv import StepResult, SyncEnvClient
from openenv.errors import EpisodeLost, OpenEnvError

pytestmark = pytest.mark.e2e

TOOLS = """
from typing import Annotated
from pydantic import Field
from openenv import Observation, ToolEnvironment, tool

class Guess(ToolEnvironment):
    def reset(self):
        return Observation()

    @tool
    def guess(self, number: Annotated[int, Field(ge=1)], hint: str = "") -> str:
        \"\"\"Guess it.\"\"\"
        return "no"
"""

CLI = "import sys; from openenv.cli import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command and the URL that it prints."""
    with running(CLI, "serve", "--port", "0", *arguments) as process:
        yield process, url_of(process)


def url_of(process: subprocess.Popen[str]) -> str:
    while "URL" not in (line := line_of(process)):
        pass
    return line.split()[-1]


def rest_of(process: subprocess.Popen[str]) -> list[str]:
    """The lines that it prints until its end."""
    assert process.stdout is not None
    return [line.strip() for line in process.stdout]


def fails(*arguments: str | Path) -> str:
    """What a command says that ends with an error."""
    ended = subprocess.run(
        [sys.executable, "-c", CLI, *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    return ended.stderr


class Step(threading.Thread):
    """A step that is waited for elsewhere."""

    def __init__(self, env: SyncEnvClient[Any, Any, Any], action: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._env, self._action = env, action
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self._env.step(self._action)
        except OpenEnvError as error:
            self.outcome = error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_closes_environments(number: signal.Signals, tmp_path: Path) -> None:
    path = write(tmp_path / "stuck.py", STUCK)
    with serving(path) as (process, url):
        env = SyncEnvClient(url).connect()
        env.reset()
        process.send_signal(number)
        assert "environment closed" in rest_of(process)
        assert process.wait(DEADLINE_S) == 0
        with pytest.raises(EpisodeLost) as lost:
            env.step({"says": "", "until": ""})
        assert lost.value.details["reason"] == "server_stopped"
        env.close()


def wait_until_it_stops(url: str) -> None:
    """Wait until the server says that it is stopping."""
    for _ in range(10_000):  # each look is a request of its own
        answer = httpx.get(f"{url}/ready", timeout=DEADLINE_S)
        if answer.status_code == 503:
            assert answer.json()["reason"] == "the server is stopping"
            return
    raise AssertionError("it does not stop")


def test_a_running_step_is_answered_before_the_server_ends(tmp_path: Path) -> None:
    started, until = tmp_path / "started", tmp_path / "until"
    os.mkfifo(started)
    os.mkfifo(until)
    with serving(write(tmp_path / "stuck.py", STUCK)) as (process, url):
        env = SyncEnvClient(url).connect()
        env.reset()
        step = Step(env, {"says": str(started), "until": str(until)})
        started.read_text(encoding="utf-8")  # the step runs now
        process.send_signal(signal.SIGTERM)
        wait_until_it_stops(url)
        refused = httpx.post(f"{url}/sessions")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "SERVER_DRAINING")
        assert step.outcome is None
        until.write_text("", encoding="utf-8")
        step.join(DEADLINE_S)
        assert isinstance(step.outcome, StepResult)
        assert "environment closed" in rest_of(process)
        assert process.wait(DEADLINE_S) == 0
        with pytest.raises(EpisodeLost) as lost:
            env.step({"says": "", "until": ""})
        assert lost.value.details["reason"] == "server_stopped"
        env.close()


def test_who_waits_for_a_place_is_sent_away_when_it_stops(tmp_path: Path) -> None:
    with serving(write(tmp_path / "stuck.py", STUCK)) as (process, url):
        env = SyncEnvClient(url).connect()
        address = url.replace("http", "ws") + "/ws"
        with connect(address, subprotocols=[Subprotocol("openenv.v2.json")], proxy=None) as socket:
            assert json.loads(socket.recv(DEADLINE_S))["type"] == "hello"
            socket.send('{"type":"open","nonce":"n","queue_timeout_s":600}')
            queued = json.loads(socket.recv(DEADLINE_S))
            assert (queued["type"], queued["nonce"], queued["position"]) == ("queued", "n", 1)
            process.send_signal(signal.SIGTERM)
            refused = json.loads(socket.recv(DEADLINE_S))
            assert (refused["code"], refused["retryable"]) == ("SERVER_DRAINING", True)
            assert refused["details"]["nonce"] == "n"
        assert process.wait(DEADLINE_S) == 0
        env.close()


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    started, never = tmp_path / "started", tmp_path / "never"
    os.mkfifo(started)
    os.mkfifo(never)
    with serving(write(tmp_path / "stuck.py", STUCK)) as (process, url):
        env = SyncEnvClient(url).connect()
        env.reset()
        Step(env, {"says": str(started), "until": str(never)})
        started.read_text(encoding="utf-8")
        process.send_signal(signal.SIGTERM)
        wait_until_it_stops(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 128 + signal.SIGTERM
        env.close()


STUBBORN = """
import sys
from pathlib import Path
from openenv.app.load import load_app
from openenv.app.resolve import resolve
from openenv.app.serve import serve
serve(load_app(resolve(sys.argv[1])), port=0, grace_s=0, on_ready=lambda at: print(at.url, flush=True))
"""


def test_a_step_that_never_ends_does_not_keep_it(tmp_path: Path) -> None:
    started, never = tmp_path / "started", tmp_path / "never"
    os.mkfifo(started)
    os.mkfifo(never)
    with running(STUBBORN, write(tmp_path / "stuck.py", STUCK)) as process:
        env = SyncEnvClient(line_of(process)).connect()
        env.reset()
        Step(env, {"says": str(started), "until": str(never)})
        started.read_text(encoding="utf-8")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 1
        env.close()


def test_max_sessions_is_said_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "counter.py", COUNTER)
    with running(CLI, "serve", path, "--port", "0", "--max-sessions", "3") as process:
        printed = ""
        while "stop" not in printed:
            printed += line_of(process)
        assert "up to 3 at the same time" in printed
        assert "/docs" in printed
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "counter.py", COUNTER)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = fails("serve", path, "--port", str(port))
    assert said.startswith(f"error: port {port} on 127.0.0.1 is in use")
    assert "--port" in said
    assert said.count("\n") == 1


def test_what_is_no_environment_is_one_line(tmp_path: Path) -> None:
    said = fails("serve", tmp_path)
    assert "openenv.yaml" in said
    assert said.count("\n") == 1


def test_a_change_starts_it_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "counter.py", COUNTER)
    with serving(path, "--reload") as (process, url):
        with SyncEnvClient(url) as env:
            before = env.reset().observation["pid"]
        write(path, COUNTER.replace("self.total = 0\n", "self.total = 100\n"))
        with SyncEnvClient(url_of(process)) as env:
            assert env.reset().observation["pid"] != before
            assert env.step({}).observation["total"] == 101
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0


def test_info_of_a_path_and_of_a_url_agree(tmp_path: Path) -> None:
    path = write(tmp_path / "counter.py", COUNTER)
    with serving(path) as (process, url):
        told = [
            subprocess.run(
                [sys.executable, "-c", CLI, "info", target], capture_output=True, text=True, timeout=DEADLINE_S
            )
            for target in (str(path), url)
        ]
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert [one.returncode for one in told] == [0, 0], told
    assert told[0].stdout == told[1].stdout
    for expected in ("Counter", "v1, v2", "0 of 64 taken", "8 MiB", "amount", "no, 1", "total", "integer"):
        assert expected in told[0].stdout


def test_info_of_an_environment_with_tools_lists_them(tmp_path: Path) -> None:
    guess = write(tmp_path / "guess.py", TOOLS)
    shown = subprocess.run(
        [sys.executable, "-c", CLI, "info", str(guess)], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    ).stdout
    assert "number: integer (>= 1)" in shown
    assert "hint?: string" in shown
    assert "Guess it." in shown
    assert "CallToolAction" not in shown


def test_info_of_nothing_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert f"cannot connect to ws://127.0.0.1:{port}/ws" in fails("info", f"http://127.0.0.1:{port}")
