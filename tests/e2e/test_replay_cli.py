"""``openenv replay`` as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.replay_worlds import game, rollout

import openenv

pytestmark = pytest.mark.e2e

_SOURCE = str(Path(openenv.__file__).parents[1])
_CODE = f"import sys; sys.path.insert(0, {_SOURCE!r}); from openenv.cli import main; sys.exit(main())"


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _CODE, "replay", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60)


async def test_the_command_tells_by_its_exit_code(tmp_path: Path) -> None:
    game(tmp_path)
    run_id = await rollout(f"{tmp_path}/game.py:Game", tmp_path / "runs", episodes=25)
    same = run(tmp_path, run_id[:5])
    assert same.returncode == 0, same.stderr
    for told in (f"replay of run {run_id}", "125 compared"):
        assert told in same.stdout
    assert (same.stderr, "\x1b" in same.stdout) == ("", False)

    game(tmp_path, last="9 if self.turn < 3 else 8")
    different = run(tmp_path)
    assert different.returncode == 1
    lines = different.stdout.splitlines()
    assert lines.count("and 5 more episodes; name one with --episode") == 1
    told = [line.split(" · ", 1) for line in lines if " · different · " in line]
    began = [int(episode.partition("-")[0]) for episode, _ in told]  # in the order in which they began: 8 at a time
    assert len(set(began)) == 20
    assert set(began) <= set(range(25))
    assert {difference for _, difference in told} == {"different · step 3: observation.board[2]: 9 != 8"}
    assert different.stderr.startswith("warning: the environment is not the one that was recorded: code: ")
    assert "does not say that it is deterministic" in different.stderr

    wrong = run(tmp_path, "zzz")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: no run 'zzz'")
    assert len(wrong.stderr.splitlines()) == 1
