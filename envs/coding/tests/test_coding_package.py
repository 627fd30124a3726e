"""The package: what it declares, what importing it loads, and that it can be served, also to those who do harm."""

from __future__ import annotations

import concurrent.futures
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import openenv
import openenv_coding
from openenv import ActionInvalid
from openenv.testing import serving_command
from openenv_coding import CodingAction, CodingClient, CodingObservation, CodingState

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def address(level: str) -> Iterator[str]:
    """A server of the package's own command, on a port the system chose."""
    command = [sys.executable, "-c", "from openenv_coding.server.app import main; main(port=0)"]
    with serving_command(command) as url:
        yield url


pytestmark = pytest.mark.parametrize("level", [pytest.param("", id="default")])


def test_the_package_has_no_other_names(level: str) -> None:
    with pytest.raises(AttributeError, match="Shell"):
        openenv_coding.Shell  # noqa: B018 - the access is the test


@pytest.mark.parametrize(
    ("module", "not_loaded"),
    [
        ("openenv_coding", {"openenv.sandbox", "fastapi", "websockets"}),
        ("openenv_coding.client", {"openenv.sandbox", "fastapi"}),
        ("openenv_coding.server.app", {"openenv.client", "websockets"}),
    ],
)
def test_each_side_loads_its_own(level: str, module: str, not_loaded: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({not_loaded!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.e2e
def test_a_typed_client_runs_code_through_a_server(address: str) -> None:
    with urllib.request.urlopen(f"{address}/ready") as ready:
        assert json.load(ready)["status"] == "ready"
    with CodingClient(address).sync() as client:
        assert client.reset(seed=1, episode_id="mine").observation.metadata["sandbox"]
        result = client.step(CodingAction(code="x = 6\nprint('out')\nx * 7"))
        assert isinstance(result.observation, CodingObservation)
        assert (result.observation.value, result.observation.stdout) == ("42", "out\n")
        with pytest.raises(ActionInvalid, match="timeout_s"):
            client.step({"code": "1", "timeout_s": -1})  # type: ignore[arg-type]
        with pytest.raises(ActionInvalid, match="tests"):
            client.reset(tests="x = (")
        state = client.state()
        assert isinstance(state, CodingState)
        assert (state.episode_id, state.step_count) == ("mine", 1)
        assert {"no_network", "no_host_files"} <= set(state.guarantees)


HARM = [
    "import os\nos._exit(3)",
    "import ctypes\nctypes.string_at(0)",
    "while True: pass",
    "import signal\nsignal.signal(2, signal.SIG_IGN)\nwhile True: pass",
    "import os\nos.closerange(0, 100_000)",
    "import os\nfor _ in range(256): os.write(1, b'\\xff' * 2**20)",
    "x = []\nwhile True: x.append(bytearray(2**24))",
    "with open('big', 'wb', 0) as file:\n    while True: file.write(b'x' * 2**20)",
    "import os\ntry: os.kill(os.getppid(), 9)\nexcept OSError: pass",
    "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
]


@pytest.mark.e2e
def test_a_server_is_unharmed(address: str) -> None:
    def attack(code: str) -> tuple[Any, Any]:
        with CodingClient(address).sync() as client:
            client.reset()
            harmed = client.step(CodingAction(code=code, timeout_s=1)).observation
            if not harmed.restarted:
                client.step(CodingAction(operation="restart"))
            return harmed.exit_code, client.step(CodingAction(code="6 * 7")).observation.value

    with CodingClient(address).sync() as bystander:
        bystander.reset()
        bystander.step(CodingAction(code="x = 1"))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for exit_code, value in pool.map(attack, HARM):
                assert value == "42"
                assert exit_code is not None
        assert bystander.step(CodingAction(code="x")).observation.value == "1"


@pytest.mark.e2e
def test_a_long_step_holds_up_nobody(address: str) -> None:
    with CodingClient(address).sync() as slow, CodingClient(address).sync() as quick:
        slow.reset()
        quick.reset()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(slow.step, CodingAction(code="import time\ntime.sleep(1000)", timeout_s=2))
            assert quick.step(CodingAction(code="1 + 1")).observation.value == "2"
            assert not waiting.done()
            assert waiting.result().observation.timed_out


@pytest.mark.e2e
def test_the_episode_of_the_readme(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (snippet,) = re.findall(r"```python\n(import openenv\n.*?)```", README, flags=re.DOTALL)
    monkeypatch.setattr(openenv, "make", lambda name: CodingClient(address).sync(), raising=False)
    exec(snippet, {})
    assert capsys.readouterr().out == "x is 1.4142135623730951\n 2.0000000000000004\n"


@pytest.mark.e2e
def test_the_other_snippets_of_the_readme(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    for snippet in re.findall(r"```python\n(from .*?)```", README, flags=re.DOTALL):
        exec(snippet, {})
    assert capsys.readouterr().out == "0.0\n1.0\n130\n"
