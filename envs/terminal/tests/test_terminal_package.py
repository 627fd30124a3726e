"""The package: what it declares, what importing it loads, and that it can be served and played."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import openenv
from openenv import ActionInvalid
from openenv.sandbox import Level, probe
from openenv.testing import serving_command
from openenv_terminal import TerminalAction, TerminalClient
from openenv_terminal.keys import NAMED_KEYS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")

SOLUTIONS = {
    "count-words": ["cat $(find texts -name '*.txt' ! -name '* *') 'texts/with space.txt' | wc -w > count"],
    "fix-script": [
        'sed -i \'s/^sum=1/sum=0/; s/sum - number/sum + number/; s/< $1/< "$1"/; s/"sum"/"$sum"/\' total.sh',
        "chmod +x total.sh",
        "./total.sh numbers",
    ],
    "largest-file": ["cd data", "find . -type f -size +8999c", "echo data/.cache/.blob > ../answer"],
}


@pytest.fixture
def address() -> Iterator[str]:
    """A server of the package's own command, on a port the system chose."""
    if not any(found.available for found in probe() if found.level is not Level.RLIMITS):
        pytest.skip("no sandbox holds here; apt-get install bubblewrap")
    command = [sys.executable, "-c", "from openenv_terminal.server.app import main; main(port=0)"]
    with serving_command(command) as url:
        yield url


@pytest.mark.parametrize(
    ("module", "not_loaded"),
    [
        ("openenv_terminal", {"pyte", "fastapi", "websockets", "openenv.sandbox"}),
        ("openenv_terminal.client", {"pyte", "fastapi", "openenv.sandbox"}),
        ("openenv_terminal.server.app", {"openenv.client", "websockets"}),
    ],
)
def test_each_side_loads_its_own(module: str, not_loaded: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({not_loaded!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_readme_names_every_key() -> None:
    table = README.partition("## Keys")[2].partition("## ")[0]
    assert [name for name in NAMED_KEYS if f"<{name}>" not in table and not re.fullmatch(r"F\d+", name)] == []


@pytest.mark.e2e
def test_the_three_tasks_are_solved_through_a_server(address: str) -> None:
    with TerminalClient(address).sync() as client:
        for task, commands in SOLUTIONS.items():
            begun = client.reset(task=task)
            assert begun.observation.instruction
            assert begun.observation.metadata["sandbox"] == client.state().sandbox
            for command in commands:
                seen = client.step(TerminalAction(text=command))
                assert (seen.observation.exit_status, seen.done, seen.reward) == (0, False, None), (
                    seen.observation.output
                )
            ended = client.step(TerminalAction(operation="submit"))
            assert (ended.reward, ended.done) == (1.0, True), (task, ended.observation)
            assert client.state().step_count == len(commands) + 1


@pytest.mark.e2e
def test_faults_leave_the_server_and_other_sessions_alone(address: str) -> None:
    with TerminalClient(address).sync() as one, TerminalClient(address).sync() as other:
        other.reset()
        other.step(TerminalAction(text="x=mine; cd /usr"))
        one.reset()
        inside = one.step(TerminalAction(text="test $PPID -lt 32"))
        assert inside.observation.exit_status == 0
        for command in ("kill -9 $$", "kill -9 -1", "exit", "yes | head -c 50000000", "exec >&- 2>&-"):
            one.step(TerminalAction(text=command, wait_s=20))
            one.step(TerminalAction(operation="restart"))
            assert one.step(TerminalAction(text="(exit 42)")).observation.exit_status == 42
        with pytest.raises(ActionInvalid, match="is no key"):
            one.step(TerminalAction(operation="keys", text="<Nokey>"))
        seen = other.step(TerminalAction(text="echo still $x")).observation
        assert "still mine" in seen.output
        assert (seen.cwd, seen.shell) == ("/usr", "same")


@pytest.mark.e2e
def test_the_episode_of_the_readme(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (snippet,) = re.findall(r"```python\n(import openenv\n.*?)```", README, flags=re.DOTALL)

    def make(name: str) -> Any:
        assert name == "terminal"
        return TerminalClient(address).sync()

    monkeypatch.setattr(openenv, "make", make, raising=False)
    exec(snippet, {})
    assert capsys.readouterr().out.endswith("reward: 1.0\n")
