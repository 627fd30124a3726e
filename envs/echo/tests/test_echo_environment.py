"""Echo repeats, counts and pays as it says, alone and through a server."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import openenv
import openenv_echo
from openenv import ActionInvalid
from openenv.testing import serving_command
from openenv_echo import EchoAction, EchoClient, EchoObservation, EchoState
from openenv_echo.server.environment import EchoEnvironment


@pytest.fixture
def address() -> Iterator[str]:
    """A server of the package's own command, on a port the system chose."""
    command = [sys.executable, "-c", "from openenv_echo.server.app import main; main(port=0)"]
    with serving_command(command) as url:
        yield url


@pytest.mark.parametrize(
    ("message", "length", "reward"), [("hello", 5, 0.5), ("", 0, 0.0), ("zwölf €", 7, 0.7), ("🂡", 1, 0.1)]
)
def test_it_repeats_and_pays_by_length(message: str, length: int, reward: float) -> None:
    environment = EchoEnvironment()
    environment.reset()
    answer = environment.step(EchoAction(message=message))
    assert (answer.message, answer.length, answer.done) == (message, length, False)
    assert answer.reward == pytest.approx(reward)


def test_a_reset_forgets() -> None:
    environment = EchoEnvironment()
    assert environment.state == EchoState()
    environment.reset(episode_id="one")
    for message in ("ab", "cde"):
        environment.step(EchoAction(message=message))
    assert environment.state == EchoState(episode_id="one", step_count=2, characters=5)
    first = environment.reset(episode_id="two")
    assert (first.message, first.length, first.reward, first.done) == ("", 0, None, False)
    assert environment.state == EchoState(episode_id="two")


def test_instances_share_nothing() -> None:
    one, other = EchoEnvironment(), EchoEnvironment()
    one.reset(episode_id="one")
    other.reset(episode_id="other")
    one.step(EchoAction(message="abc"))
    assert one.state == EchoState(episode_id="one", step_count=1, characters=3)
    assert other.state == EchoState(episode_id="other")


def test_a_message_is_text() -> None:
    with pytest.raises(ValidationError, match="message"):
        EchoAction()  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="message"):
        EchoAction(message=5)  # type: ignore[arg-type]


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="Mirror"):
        openenv_echo.Mirror  # noqa: B018 - the access is the test


@pytest.mark.parametrize(
    ("module", "not_loaded"),
    [("openenv_echo", {"fastapi", "websockets"}), ("openenv_echo.server.app", {"openenv.client", "websockets"})],
)
def test_each_side_loads_its_own(module: str, not_loaded: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({not_loaded!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.e2e
def test_a_port_in_use_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code = f"from openenv_echo.server.app import main; main(port={taken.getsockname()[1]})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(r"error: port \d+ on 127\.0\.0\.1 is in use; .*\n", done.stderr)


@pytest.mark.e2e
def test_a_typed_client_is_answered_through_a_server(address: str) -> None:
    with EchoClient(address).sync() as client:
        first = client.reset(seed=1, episode_id="mine").observation
        assert (first.message, first.length, first.done) == ("", 0, False)
        result = client.step(EchoAction(message="hello"))
        assert isinstance(result.observation, EchoObservation)
        assert (result.observation.message, result.observation.length) == ("hello", 5)
        assert (result.reward, result.done) == (0.5, False)
        with pytest.raises(ActionInvalid, match="message"):
            client.step({"text": "hello"})  # type: ignore[arg-type]
        assert client.state() == EchoState(episode_id="mine", step_count=1, characters=5)


@pytest.mark.e2e
def test_the_episode_of_the_readme(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    made = []

    def make(name: str) -> Any:
        made.append(name)
        return EchoClient(address).sync()

    monkeypatch.setattr(openenv, "make", make, raising=False)
    exec(snippet, {})
    assert made == ["echo"]
    (said,) = re.findall(r"# (.*)$", snippet, flags=re.MULTILINE)
    assert capsys.readouterr().out == f"{said}\n"
