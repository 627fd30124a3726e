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
import openenv_blackjack
from openenv import ActionInvalid
from openenv.testing import serving_command
from openenv_blackjack import BlackjackAction, BlackjackClient, BlackjackObservation, BlackjackState

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def address() -> Iterator[str]:
    """A server of the package's own command, on a port the system chose."""
    command = [sys.executable, "-c", "from openenv_blackjack.server.app import main; main(port=0)"]
    with serving_command(command) as url:
        yield url


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="Roulette"):
        openenv_blackjack.Roulette  # noqa: B018 - the access is the test


@pytest.mark.parametrize(
    ("module", "not_loaded"),
    [
        ("openenv_blackjack", {"gymnasium", "fastapi", "websockets"}),
        ("openenv_blackjack.client", {"gymnasium", "fastapi"}),
        ("openenv_blackjack.server.app", {"openenv.client", "websockets"}),
    ],
)
def test_each_side_loads_its_own(module: str, not_loaded: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({not_loaded!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.e2e
def test_a_typed_client_plays_through_a_server(address: str) -> None:
    with BlackjackClient(address).sync() as client:
        dealt = client.reset(seed=11, natural=True, sab=False).observation
        assert isinstance(dealt, BlackjackObservation)
        assert client.reset(seed=11).observation == dealt
        with pytest.raises(ActionInvalid, match="bonus"):
            client.reset(bonus=True)
        with pytest.raises(ActionInvalid, match="sab must be true or false"):
            client.reset(sab="maybe")
        client.reset(seed=11, episode_id="mine", sab=False)
        with pytest.raises(ActionInvalid, match="move"):
            client.step({"move": "fold"})  # type: ignore[arg-type]
        assert client.state() == BlackjackState(episode_id="mine", sab=False)
        ended = client.step(BlackjackAction(move="stick"))
        assert (ended.done, ended.terminated, ended.truncated) == (True, True, False)
        assert ended.reward in {-1.0, 0.0, 1.0}
        assert client.state() == BlackjackState(episode_id="mine", step_count=1, sab=False)


@pytest.mark.e2e
def test_the_episode_of_the_readme(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (snippet,) = re.findall(r"```python\n(import openenv\n.*?)```", README, flags=re.DOTALL)
    made = []

    def make(name: str) -> Any:
        made.append(name)
        return BlackjackClient(address).sync()

    monkeypatch.setattr(openenv, "make", make, raising=False)
    exec(snippet, {})
    assert made == ["blackjack"]
    assert re.fullmatch(r"return: (-1\.0|0\.0|1\.0)\n", capsys.readouterr().out)


def test_the_readme_prints_what_it_says() -> None:
    (snippet,) = re.findall(r"```python\n(from openenv_blackjack\.exact.*?)```", README, flags=re.DOTALL)
    said = re.findall(r"# .*: (\S+)$", snippet, flags=re.MULTILINE)
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True)
    printed = [f"{float(line):.4f}" if line.startswith("-") else line for line in done.stdout.splitlines()]
    assert said == printed
    assert len(said) == 5
