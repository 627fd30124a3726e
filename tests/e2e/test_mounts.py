"""Tools of outside MCP servers, as an environment that is served has them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_serve import fails, serving
from tests.unit.mounts.living import OUTSIDE, group_of, is_running, until
from tests.unit.mounts.outside_http import served

from openenv import SyncEnvClient

pytestmark = [pytest.mark.e2e, pytest.mark.agents]

COMMAND = [sys.executable, "-I", "-S", OUTSIDE]

TOOLS = f"""
from openenv import Observation, State, ToolEnvironment, tool
from openenv.mounts import OutsideServer


class Desk(ToolEnvironment[State]):
    SUPPORTS_CONCURRENT_SESSIONS = True
    toolsets = (OutsideServer("outside", command={COMMAND!r} + ["older"], prefix="out_", timeout_s=30),)

    def reset(self, seed=None):
        return Observation()

    @tool
    def own(self) -> str:
        return "mine"


def make() -> ToolEnvironment:
    return Own()


class Own(ToolEnvironment[State]):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed=None):
        return Observation()

    @tool
    def own(self) -> str:
        return "mine"
"""

PLAIN = """
from openenv import Action, Environment, Observation, State


class Plain(Environment[Action, Observation, State]):
    def reset(self, seed=None):
        return Observation()

    def step(self, action):
        return Observation()

    @property
    def state(self):
        return State()
"""

YAML = """
name: desk
app: tools:Own
credentials: [DESK_TOKEN]
mcp_servers:
  outside:
    command: {command}
    args: {arguments}
    env: {{GREETING: "hello ${{DESK_TOKEN}}"}}
    credentials: [DESK_TOKEN]
    allow: [environ, die, e*]
"""


def mounted(era: str = "older", *more: str | Path) -> str:
    """The option that mounts the outside server."""
    return f"outside={shlex.join([*COMMAND, era, *map(str, more)])}"


@contextmanager
def session(url: str) -> Iterator[SyncEnvClient[Any, Any, Any]]:
    with SyncEnvClient(url) as env:
        yield env


def call(env: SyncEnvClient[Any, Any, Any], name: str, **arguments: Any) -> dict[str, Any]:
    """The observation of a call."""
    found: dict[str, Any] = env.step({"type": "call_tool", "tool_name": name, "arguments": arguments}).observation
    return found


def data(env: SyncEnvClient[Any, Any, Any], name: str, **arguments: Any) -> Any:
    observation = call(env, name, **arguments)
    assert observation.get("error") is None, observation
    return observation["result"]["data"]


def names(env: SyncEnvClient[Any, Any, Any]) -> list[str]:
    return [tool["name"] for tool in env.step({"type": "list_tools"}).observation["tools"]]


def write(tmp_path: Path, text: str = TOOLS, name: str = "tools.py") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_tools_of_a_class_are_its_own_and_those_of_its_servers(tmp_path: Path) -> None:
    path = write(tmp_path)
    with serving(f"{path}:Desk") as (_, url), session(url) as first, session(url) as second:
        first.reset()
        second.reset()
        assert names(first)[:2] == ["own", "out_echo"]
        assert data(first, "own") == "mine"
        pids = [int(data(env, "out_pid")) for env in (first, second)]
        assert len({*pids}) == 2
        assert call(first, "out_echo")["error"]["error_type"] == "invalid_args"
        assert call(first, "echo")["error"]["error_type"] == "tool_not_found"
        assert first.state()["step_count"] == 4
        first.close()
        until(lambda: not is_running(pids[0]))
        assert is_running(pids[1])
    until(lambda: not is_running(pids[1]))


def test_a_server_that_is_killed_in_mid_call(tmp_path: Path) -> None:
    path = write(tmp_path)
    with serving(f"{path}:Desk") as (_, url), session(url) as env:
        env.reset()
        pid = int(data(env, "out_pid"))
        child = int(data(env, "out_fork"))
        killing = threading.Timer(0.2, os.kill, (pid, signal.SIGKILL))
        killing.start()
        observation = call(env, "out_hang")
        killing.join()
        assert observation["error"]["error_type"] == "transport_error"
        assert "was killed by SIGKILL" in observation["error"]["message"]
        assert env.state()["step_count"] == 3
        assert data(env, "own") == "mine"
        env.reset()
        assert data(env, "out_echo", text="again") == "again"
        assert not is_running(child)


@pytest.mark.parametrize("how", [(), ("--isolation", "process"), ("--workers", "2"), ("--isolation", "inline")])
@pytest.mark.parametrize("era", ["older", "stateless"])
def test_the_tools_alone_wherever_environments_live(how: tuple[str, ...], era: str, tmp_path: Path) -> None:
    with serving("--mcp-server", mounted(era), "--journal-mode", "off", *how) as (process, url):
        with session(url) as first, session(url) as second:
            for env in (first, second):
                env.reset()
                assert data(env, "echo", text=era) == era
            pids = [int(data(env, "pid")) for env in (first, second)]
            groups = [int(data(env, "fork")) for env in (first, second)]
            assert len({*pids}) == 2
        until(lambda: not any(map(is_running, (*pids, *groups))))
        with session(url) as env:
            env.reset()
            pid, child = int(data(env, "pid")), int(data(env, "fork"))
            process.kill()
            until(lambda: not is_running(pid) and not is_running(child))


def test_a_server_that_stops_ends_what_it_started(tmp_path: Path) -> None:
    with serving("--mcp-server", mounted()) as (process, url), session(url) as env:
        env.reset()
        pid = int(data(env, "pid"))
        process.terminate()
        process.wait(30)
        until(lambda: not group_of(pid))


def test_a_url_and_a_program_side_by_side_in_what_a_function_makes(tmp_path: Path) -> None:
    path = write(tmp_path)
    with served("older") as state:
        options = ["--mcp-server", f"desk={state.url}", "--mcp-server", mounted()]
        assert "under mcp_servers in openenv.yaml" in _reset_fails(f"{path}:make", *options)
        with serving(f"{path}:make", "--mcp-server", f"desk={state.url}") as (_, url), session(url) as env:
            env.reset()
            assert names(env)[:2] == ["own", "echo"]
            assert json.loads(data(env, "echo", a=1)) == {"a": 1}


def _reset_fails(*arguments: str | Path) -> str:
    with serving(*arguments) as (_, url), session(url) as env:
        with pytest.raises(Exception, match=r".") as failed:
            env.reset()
        return str(failed.value)


def test_a_change_of_a_tool_is_seen_at_the_next_reset(tmp_path: Path) -> None:
    file = tmp_path / "echo"
    file.write_text("First.\n")
    with serving("--mcp-server", mounted("older", file)) as (_, url), session(url) as env:

        def told() -> str:
            tools = env.step({"type": "list_tools"}).observation["tools"]
            return next(str(tool["description"]) for tool in tools if tool["name"] == "echo")

        env.reset()
        assert told() == "First."
        file.write_text("Second.\n")
        assert data(env, "echo", text="x") == "x"
        assert told() == "First."
        env.reset()
        assert told() == "Second."


def test_servers_and_credentials_of_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    [program, *arguments] = [*COMMAND, "older"]
    write(tmp_path, YAML.format(command=program, arguments=json.dumps(arguments)), "openenv.yaml")
    monkeypatch.setenv("DESK_TOKEN", "t0ken-of-the-desk")
    journal = tmp_path / "journal"
    for how in ((), ("--isolation", "process")):
        with serving(tmp_path, "--journal", journal / str(len(how)), *how) as (_, url), session(url) as env:
            env.reset()
            assert set(names(env)) == {"own", "environ", "die", "echo"}
            observation = call(env, "environ")
            assert observation["result"]["structured_content"]["GREETING"] == "hello [DESK_TOKEN]"
            assert observation["result"]["structured_content"]["DESK_TOKEN"] == "[DESK_TOKEN]"
            assert "t0ken" not in json.dumps(call(env, "die"))
    kept = b"".join(one.read_bytes() for one in journal.rglob("*") if one.is_file())
    assert b"t0ken" not in kept


def test_what_cannot_be_mounted_is_one_line(tmp_path: Path) -> None:
    plain = write(tmp_path, PLAIN, "plain.py")
    said = fails("serve", "--port", "0", f"{plain}:Plain", "--mcp-server", mounted())
    assert "Plain is no ToolEnvironment" in said
    assert "NAME=COMMAND or NAME=URL" in fails("serve", "--port", "0", "--mcp-server", "nothing")
    twice = ["--mcp-server", mounted(), "--mcp-server", mounted()]
    assert "two MCP servers are named outside" in fails("serve", "--port", "0", *twice)


def test_a_program_that_is_not_there_is_told_at_the_reset(tmp_path: Path) -> None:
    assert "no program 'no-such-program'" in _reset_fails("--mcp-server", "outside=no-such-program")


def test_a_call_that_takes_too_long(tmp_path: Path) -> None:
    file = tmp_path / "echo"
    file.write_text("Echo.\n")
    slow = TOOLS.replace('["older"]', f'["older", {str(file)!r}]').replace("timeout_s=30", "timeout_s=0.3")
    with serving(f"{write(tmp_path, slow)}:Desk") as (_, url), session(url) as env:
        env.reset()
        assert call(env, "out_hang")["error"]["error_type"] == "timeout"
        until(lambda: "cancelled" in file.read_text())
        assert data(env, "out_echo", text="on") == "on"
