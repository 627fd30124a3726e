"""Real MCP clients: each by itself, and several at once on one episode that a trainer holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.mcp_programs import (
    CALLS,
    OLDER,
    PROGRAMS,
    Program,
    claude,
    claude_environment,
    inspector,
    started,
)

from openenv import SyncEnvClient
from openenv.testing import serving_command

pytestmark = [pytest.mark.e2e, pytest.mark.agents, pytest.mark.timeout(240)]

HERE = Path(__file__).resolve().parent
CLI = "import sys; from openenv.cli import main; sys.exit(main(sys.argv[1:]))"
Trainer = SyncEnvClient[Any, Any, Any]

EVERY = [pytest.param(program, id=program.name) for program in PROGRAMS]
SEEN = {
    "tools": ["add", "break_off", "greet", "work"],
    "structured": {"total": 5},
    "text": {"total": 5},
    "broken": [True, "it broke"],
    "wrong": True,
    "unknown": -32602,
    "progress": [[1, 3], [2, 3], [3, 3]],
    "greeting": "Hello, Ada!",
    "resource": "be kind",
    "prompt": "begin, you",
}

WORKED = ["done", "done", "done"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The workshop, served as its users would."""
    world = f"{HERE / 'mcp_worlds.py'}:Workshop"
    options = ("--port", "0", "--journal-mode", "off", "--max-sessions", "32")
    with serving_command([sys.executable, "-c", CLI, "serve", world, *options]) as found:
        yield found


def common(seen: dict[str, Any]) -> dict[str, Any]:
    """What is to be the same for all, without what each library has in its own words."""
    is_error, text = seen["broken"]
    told = text[-len("it broke") :]
    return {name: seen[name] for name in SEEN} | {"text": json.loads(seen["text"]), "broken": [is_error, told]}


@pytest.mark.parametrize("program", EVERY)
def test_it_plays_in_its_own_era(program: Program, url: str, tmp_path: Path) -> None:
    with started([*program.command(tmp_path), f"{url}/mcp", ""]) as running:
        seen = running.seen()
    assert common(seen) == SEEN
    assert seen["protocol"] == program.protocol
    assert seen.get("worked", WORKED) == WORKED  # clients of FastMCP give the value itself


def test_several_play_one_episode(url: str, tmp_path: Path) -> None:
    """All at once, by the URL and the token of one session; its trainer sees every call counted."""
    with Trainer(url) as trainer, ExitStack() as stack:
        trainer.reset(seed=1)
        access = trainer.agent_access()
        running = []
        for program in PROGRAMS:
            (place := tmp_path / program.name).mkdir()
            command = [*program.command(place), access.mcp_url, access.token]
            running.append(stack.enter_context(started(command)))
        for one in running:
            assert common(one.seen()) == SEEN
        outcome = trainer.outcome()
        assert (outcome.steps, outcome.done) == (CALLS * len(PROGRAMS), False)
        assert outcome.total_reward == len(PROGRAMS)
        assert trainer.state()["step_count"] == CALLS * len(PROGRAMS)
        assert trainer.step({"type": "call_tool", "tool_name": "add", "arguments": {"a": 1, "b": 1}}).reward == 1.0


@pytest.mark.parametrize("name", ["sdk1", "sdk2", "ts1"])
def test_it_plays_over_stdio(name: str, url: str, tmp_path: Path) -> None:
    """The same through ``openenv mcp``, on a session that a trainer holds."""
    program = next(program for program in PROGRAMS if program.name == name)
    with Trainer(url) as trainer:
        trainer.reset(seed=1)
        access = trainer.agent_access()
        bridge = json.dumps([sys.executable, "-c", CLI, "mcp", access.mcp_url, "--token", access.token])
        with started([*program.command(tmp_path), bridge, ""]) as running:
            seen = running.seen()
        if name == "ts1":  # it loses progress that comes in one chunk with the answer, as may happen in a pipe
            seen |= {"progress": SEEN["progress"]}
        assert common(seen) == SEEN
        assert seen["protocol"] in (program.protocol, None)  # which ts1 does not tell here
        assert trainer.outcome().steps == CALLS


def test_the_inspector_plays(url: str) -> None:
    """Its command line: one connection for each question, all on one episode."""
    with Trainer(url) as trainer:
        trainer.reset(seed=1)
        access = trainer.agent_access()
        base = [
            *inspector(),
            access.mcp_url,
            "--transport",
            "http",
            "--header",
            f"Authorization: Bearer {access.token}",
        ]

        def ask(*options: str) -> Any:
            with started([*base, "--method", *options]) as running:
                return json.loads(running.output())

        assert sorted(tool["name"] for tool in ask("tools/list")["tools"]) == SEEN["tools"]
        added = ask("tools/call", "--tool-name", "add", "--tool-arg", "a=2", "b=3")
        assert (added["structuredContent"], added.get("isError", False)) == ({"total": 5}, False)
        assert ask("resources/read", "--uri", "workshop://rules")["contents"][0]["text"] == "be kind"
        asked = ask("prompts/get", "--prompt-name", "begin_work", "--prompt-args", "who=you")
        assert asked["messages"][0]["content"]["text"] == "begin, you"
        assert trainer.outcome().steps == 1


def test_claude_code_finds_it_healthy(url: str, tmp_path: Path) -> None:
    program, environment = claude(), claude_environment(tmp_path)
    with Trainer(url) as trainer:
        trainer.reset(seed=1)
        access = trainer.agent_access()
        header = f"Authorization: Bearer {access.token}"
        add = ["mcp", "add", "--scope", "user", "--transport", "http", "env", access.mcp_url, "--header", header]
        for arguments, told in ((add, "Added HTTP MCP server env"), (["mcp", "list"], "✔ Connected")):
            with started([program, *arguments], environment, tmp_path) as running:
                assert told in running.output()


def test_the_table_has_both_eras() -> None:
    assert {program.protocol == OLDER for program in PROGRAMS} == {True, False}
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)
