"""``openenv mcp`` as the process that an agent starts: what it says, what it starts, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.living import DEADLINE_S, line_of, running, watching
from tests.e2e.worlds import write

from openenv import SyncMCPToolClient

pytestmark = [pytest.mark.e2e, pytest.mark.agents]

CLI = "import sys; from openenv.cli import main; sys.exit(main(sys.argv[1:]))"

TOOLS = '''"""Tools that print, and tell in which process they are."""

import os
import time

from openenv import Observation, ToolContext, ToolEnvironment, tool

print("printed while it is imported")


class Talking(ToolEnvironment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed=None):
        print("printed in reset")
        return Observation()

    @tool
    def pid(self) -> int:
        """The process."""
        print("printed in a tool")
        return os.getpid()

    @tool
    def echo(self, text: str) -> str:
        return text

    @tool
    def wait(self, path: str, context: ToolContext) -> str:
        """Tells that it runs, and waits to be cancelled, or until it is not worth it."""
        context.progress(1)
        until = time.monotonic() + 60
        while not context.is_cancelled and time.monotonic() < until:
            time.sleep(0.01)
        open(path, "w").close()
        return "over"
'''


class Agent:
    """What starts the program and talks to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._last = 0

    def send(self, method: str, params: dict[str, Any] | None = None, **more: Any) -> None:
        """Send a message."""
        assert self.process.stdin is not None
        message = {"jsonrpc": "2.0", "method": method, "params": params or {}, **more}
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        """The next line, which is a message whatever else happens."""
        return json.loads(line_of(self.process))

    def ask(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """The result of a request."""
        self._last += 1
        self.send(method, params, id=self._last)
        while (heard := self.hear()).get("id") != self._last:
            pass
        return heard["result"]

    def call(self, tool: str, **arguments: Any) -> Any:
        """What a tool returned, as text."""
        return self.ask("tools/call", {"name": tool, "arguments": arguments})["content"][0]["text"]

    def begin(self) -> None:
        """The handshake of the older era."""
        info = {"name": "test", "version": "1"}
        told = self.ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info})
        assert told["protocolVersion"] == "2025-11-25"
        self.send("notifications/initialized")

    def end(self) -> int:
        """Say no more; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.stdout is not None
        assert self.process.stdout.read() == ""
        return self.process.wait(DEADLINE_S)


@contextmanager
def agent(*arguments: str | Path) -> Iterator[Agent]:
    """An agent that has started ``openenv mcp``."""
    with running(CLI, "mcp", *arguments) as process:
        yield Agent(process)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A file with an environment of tools."""
    return write(tmp_path / "talking.py", TOOLS)


def test_the_environment_of_a_path(tools: Path) -> None:
    with agent(tools) as one:
        one.begin()
        assert {"pid", "echo"} <= {tool["name"] for tool in one.ask("tools/list")["tools"]}
        with watching(int(one.call("pid"))) as server:
            assert len(one.call("echo", text="x" * 1_000_000)) == 1_000_000
            assert server.lives()
            assert one.end() == 0
            assert server.ends()


def test_the_era_without_sessions(tools: Path) -> None:
    meta = {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    }
    with agent(tools) as one:
        assert "2026-07-28" in one.ask("server/discover", meta)["supportedVersions"]
        told = one.ask("tools/call", {"name": "echo", "arguments": {"text": "hällo"}, **meta})
        assert (told["content"][0]["text"], told["resultType"]) == ("hällo", "complete")
        assert one.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_the_server(tools: Path, number: signal.Signals) -> None:
    with agent(tools) as one:
        one.begin()
        with watching(int(one.call("pid"))) as server:
            one.process.send_signal(number)
            assert one.process.wait(DEADLINE_S) == 0
            assert server.ends()


def test_the_server_ends_where_it_is_killed(tools: Path) -> None:
    with agent(tools) as one:
        one.begin()
        with watching(int(one.call("pid"))) as server:
            one.process.kill()
            assert server.ends()


def test_a_call_is_taken_back(tools: Path, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    with agent(tools) as one:
        one.begin()
        asked = {"name": "wait", "arguments": {"path": str(ended)}, "_meta": {"progressToken": "p"}}
        one.send("tools/call", asked, id="slow")
        heard = one.hear()
        assert (heard["method"], heard["params"]["progressToken"]) == ("notifications/progress", "p")
        assert not ended.exists()
        one.send("notifications/cancelled", {"requestId": "slow", "reason": "test"})
        assert one.call("echo", text="next") == "next"  # calls take turns: the other has ended
        assert ended.exists()
        assert one.end() == 0


def test_a_trainer_hands_its_episode_to_an_agent(tools: Path) -> None:
    with running(CLI, "serve", "--port", "0", tools) as process:
        while "URL" not in (line := line_of(process)):
            pass
        with SyncMCPToolClient(line.split()[-1]) as env:
            env.reset()
            config = env.agent_access().stdio_config()["mcpServers"]["env"]
            assert config["command"] == "openenv"
            with running(CLI, *config["args"]) as program:
                one = Agent(program)
                one.begin()
                assert one.call("echo", text="a") == "a"
                assert one.end() == 0
            assert env.outcome().steps == 1  # and the end of the agent is not the end of the episode
            assert env.call_tool("echo", text="b") == "b"


def fails(*arguments: str | Path, said: str = "") -> str:
    """What a command says that ends with an error."""
    ended = subprocess.run(
        [sys.executable, "-c", CLI, "mcp", *map(str, arguments)],
        input=said, capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert ended.returncode == 1
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [one["id"] for one in told if "error" in one] == [json.loads(line)["id"] for line in said.splitlines()]
    return ended.stderr


def test_a_server_that_is_not_there() -> None:
    asked = "".join(json.dumps({"jsonrpc": "2.0", "id": id, "method": "ping"}) + "\n" for id in (1, "b"))
    (line,) = fails("http://127.0.0.1:1", said=asked).splitlines()
    assert "cannot reach http://127.0.0.1:1/mcp" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing_of_that_name"], "nothing_of_that_name"),
        (["http://127.0.0.1:1", "--header", "nonsense"], "a header is written as"),
        (["http://127.0.0.1:1", "--token", "a b"], "a token is a text without spaces"),
        (["http://"], "no server address"),
    ],
)
def test_what_cannot_be_begun(arguments: list[str], message: str) -> None:
    (line,) = fails(*arguments).splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_an_environment_that_cannot_be_built(tmp_path: Path) -> None:
    path = write(tmp_path / "broken.py", "raise RuntimeError('no such luck')")
    assert "no such luck" in fails(path)
