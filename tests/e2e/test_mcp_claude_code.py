"""Claude Code plays an episode to its end while a trainer, in a process of its own, holds, follows and replays it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.living import DEADLINE_S, line_of, running
from tests.e2e.mcp_programs import claude, claude_environment, started
from tests.e2e.mcp_scripted_model import Call, Model, Said, model

from openenv.testing import serving_command

pytestmark = [pytest.mark.e2e, pytest.mark.agents, pytest.mark.timeout(120)]

HERE = Path(__file__).resolve().parent
CLI = "import sys; from openenv.cli import main; sys.exit(main(sys.argv[1:]))"
TRAINER = f"import runpy; runpy.run_path({str(HERE / 'mcp_trainer.py')!r}, run_name='__main__')"
WORLD = f"{HERE / 'mcp_worlds.py'}:Game"
TOKEN = "a-token-of-the-orchestrator"
SEED = 11


def next_guess(said: Said) -> Call | str:
    """Halve what is left, by what the game said to each guess."""
    (tool,) = (name for name in said.tools if name.endswith("__guess"))
    low, high = 1, 100
    for result in said.results:
        guess = (low + high) // 2
        if "correct" in result:
            return f"It is {guess}."
        low, high = (guess + 1, high) if "higher" in result else (low, guess - 1)
    return Call(tool, {"number": (low + high) // 2})


def guesses(secret: int) -> list[int]:
    """The numbers that it guesses."""
    low, high, found = 1, 100, []
    while not found or found[-1] != secret:
        found.append((low + high) // 2)
        low, high = (found[-1] + 1, high) if found[-1] < secret else (low, found[-1] - 1)
    return found


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The game, with roles and a journal."""
    monkeypatch.setenv("OPENENV_ORCHESTRATOR_TOKEN", TOKEN)
    options = ("--port", "0", "--auth", "--journal", str(tmp_path / "journal"))
    with serving_command([sys.executable, "-c", CLI, "serve", WORLD, *options]) as url:
        monkeypatch.delenv("OPENENV_ORCHESTRATOR_TOKEN")
        yield url


def play(endpoint: Model, config: dict[str, Any], home: Path) -> list[dict[str, Any]]:
    """Let Claude Code play by what it is configured with; the events that it prints."""
    program = claude()
    (name,) = config["mcpServers"]
    (home / "mcp.json").write_text(json.dumps(config), encoding="utf-8")
    environment = claude_environment(home) | {"ANTHROPIC_BASE_URL": endpoint.url, "ANTHROPIC_API_KEY": "none"}
    words = ["-p", "Find the number.", "--model", "scripted", "--output-format", "stream-json", "--verbose"]
    tools = ["--mcp-config", home / "mcp.json", "--strict-mcp-config", "--allowedTools", f"mcp__{name}__guess"]
    with started([program, *words, *tools, "--max-turns", "20"], environment, home) as agent:
        return [json.loads(line) for line in agent.output().splitlines()]


def test_an_agent_plays_what_a_trainer_holds(server: str, tmp_path: Path) -> None:
    expected = guesses(random.Random(SEED).randint(1, 100))
    (home := tmp_path / "home").mkdir()
    with model(next_guess) as endpoint, running(TRAINER, server, TOKEN, str(SEED)) as trainer:
        assert trainer.stdin is not None
        access = json.loads(line_of(trainer))
        assert access["steps"] == 0
        events = play(endpoint, access["config"], home)
        trainer.stdin.write("the agent has ended\n")
        trainer.stdin.flush()
        told = json.loads(line_of(trainer))
        assert trainer.wait(DEADLINE_S) == 0

    played = [block["input"]["number"] for block in blocks(events, "assistant", "tool_use")]
    results = [block["content"] for block in blocks(events, "user", "tool_result")]
    assert played == expected
    assert [json.loads(result) for result in results[-1:]] in ([{"result": "correct"}], ["correct"])
    assert events[-1]["result"] == f"It is {expected[-1]}."
    assert not any("reward" in result for result in results)

    wrong = len(expected) - 1
    assert told | {"episode_id": ""} == {
        "steps": len(expected),
        "step_count": len(expected),
        "reward": 1.0,
        "total_reward": 1.0 - wrong / 8,
        "done": True,
        "terminated": True,
        "phase": "done",
        "episode_id": "",
    }
    same = replay(tmp_path, told["episode_id"])
    assert same.returncode == 0, f"{same.stdout}\n{same.stderr}"
    assert f"{len(expected) + 1} compared" in same.stdout  # with the answer to the reset


def blocks(events: list[dict[str, Any]], role: str, kind: str) -> Iterator[dict[str, Any]]:
    """The content blocks of one kind in what Claude Code printed."""
    for event in events:
        for block in event["message"]["content"] if event["type"] == role else ():
            if block["type"] == kind:
                yield block


def replay(directory: Path, episode: str) -> subprocess.CompletedProcess[str]:
    """Play the episode again from the server's journal."""
    arguments = ["replay", "--store", str(directory / "journal"), "--episode", episode, "--environment", WORLD]
    return subprocess.run(
        [sys.executable, "-c", CLI, *arguments], cwd=directory, capture_output=True, text=True, timeout=DEADLINE_S
    )
