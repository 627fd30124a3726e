"""Environments in processes that crash, on real servers: what a crash takes with it, and what goes on."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.isolated_worlds import Crashing, Do, Lying, Replayed, Told
from tests.e2e.living import DEADLINE_S, watching

from openenv import SyncEnvClient, create_app
from openenv.errors import ConfigurationError, EpisodeLost, ExecutionFailed
from openenv.session import EnvironmentSpec
from openenv.session.isolation import FactoryReference
from openenv.testing import serving, serving_command

pytestmark = pytest.mark.e2e

CLI = "import sys; from openenv.cli import main; sys.exit(main(sys.argv[1:]))"
WORLDS = Path(__file__).with_name("isolated_worlds.py")


def client(url: str) -> SyncEnvClient[Any, Any, Any]:
    return SyncEnvClient(url)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", CLI, "serve", "--port", "0", *arguments]


@pytest.mark.parametrize("how", ["segfault", "exit"])
def test_a_crash_takes_down_its_own_session(how: str) -> None:
    app = create_app(Crashing, max_concurrent_envs=2)  # not concurrent, so each in a process of its own
    with serving(app) as url, client(url) as env, client(url) as other:
        assert env.reset().observation["pid"] != other.reset().observation["pid"] != os.getpid()
        other.step({})
        with pytest.raises(EpisodeLost) as gone:
            env.step({"what": how})
        assert gone.value.details["reason"] == "worker_died"
        assert other.step({}).observation["count"] == 2
        assert httpx.get(f"{url}/ready").status_code == 200
        env.reset()
        assert env.step({}).observation["count"] == 1


@pytest.mark.parametrize("how", ["segfault", "exit"])
def test_a_deterministic_one_is_played_again(how: str, tmp_path: Path) -> None:
    with serving(create_app(Replayed, isolation="process")) as url, client(url) as env:
        env.reset()
        env.step({})
        result = env.step({"what": how, "once": str(tmp_path / "crashed")})
        assert result.observation["count"] == 2
        assert env.step({}).observation["count"] == 3


def test_a_step_that_always_kills_is_lost() -> None:
    with serving(create_app(Replayed, isolation="process")) as url, client(url) as env:
        env.reset()
        with pytest.raises(EpisodeLost) as gone:
            env.step({"what": "segfault"})
        assert gone.value.details["reason"] == "worker_died"


def test_who_says_wrongly_that_it_is_deterministic_is_lost() -> None:
    with serving(create_app(Lying, isolation="process")) as url, client(url) as env:
        env.reset()
        with pytest.raises(EpisodeLost) as gone:
            env.step({"what": "exit"})
        assert gone.value.details["reason"] == "diverged"


@pytest.mark.parametrize(("cls", "goes_on"), [(Replayed, True), (Crashing, False)])
def test_a_death_between_requests(cls: type[Any], goes_on: bool) -> None:
    with serving(create_app(cls, isolation="process")) as url, client(url) as env:
        env.reset()
        pid = env.step({}).observation["pid"]
        with watching(pid) as worker:
            os.kill(pid, signal.SIGKILL)
            assert worker.ends()
        if goes_on:
            assert env.step({}).observation["count"] == 2
        else:
            with pytest.raises(EpisodeLost) as gone:
                env.step({})
            assert gone.value.details["reason"] == "worker_died"


def test_over_http_too() -> None:
    with serving(create_app(Crashing, isolation="process")) as url, httpx.Client(base_url=url) as http:
        assert http.post("/reset").status_code == 200
        assert http.post("/step", json={"action": {"what": "exit"}}).status_code == 410
        assert http.get("/state").status_code == 410
        assert http.post("/reset").status_code == 200
        assert http.post("/step", json={"action": {}}).json()["observation"]["count"] == 1


@pytest.mark.parametrize(
    ("what", "options", "errors"),
    [
        ("hoard", ["--worker-memory-mb", "200"], (EpisodeLost, ExecutionFailed)),  # a MemoryError may be answered
        ("burn", ["--worker-cpu-s", "1"], (EpisodeLost,)),
        ("segfault", [], (EpisodeLost,)),
    ],
)
def test_limits_on_the_command_line(what: str, options: list[str], errors: tuple[type[Exception], ...]) -> None:
    arguments = command(f"{WORLDS}:Crashing", "--isolation", "process", "--max-sessions", "2", *options)
    with serving_command(arguments) as url, client(url) as env, client(url) as other:
        env.reset()
        other.reset()
        with pytest.raises(errors):
            env.step({"what": what})
        assert other.step({}).observation["count"] == 1
        assert httpx.get(f"{url}/health").status_code == 200


def _make() -> Crashing:
    return Crashing()


def test_a_function_of_a_module_can_be_served() -> None:
    with serving(create_app(_make, isolation="process")) as url, client(url) as env:
        assert env.reset().observation["pid"] != os.getpid()


def _inner() -> Any:
    def make() -> Crashing:
        return Crashing()

    return make


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        (lambda: Crashing(), "is a lambda"),  # noqa: PLW0108
        (functools.partial(Crashing), "functools.partial"),
        (_inner(), "is defined inside a function"),
    ],
    ids=["lambda", "partial", "closure"],
)
def test_what_no_other_process_can_import_is_refused(factory: Any, says: str) -> None:
    spec = EnvironmentSpec.of(factory, Do, Told)
    with pytest.raises(ConfigurationError, match=says) as refused:
        FactoryReference.of(spec)
    assert "top of a module" in refused.value.message


def test_the_script_that_is_run_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        WORLDS.read_text()
        + "\n\nif __name__ == '__main__':\n    import asyncio\n    from openenv import create_app\n"
        + "    app = create_app(Crashing, isolation='process')\n    asyncio.run(app.state.engine.start())\n"
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode == 1
    assert "ConfigurationError" in ended.stderr
    assert "__main__" in ended.stderr


def test_an_isolation_that_puts_several_into_one_process_is_refused() -> None:
    app = create_app(Crashing, max_concurrent_envs=2)
    with pytest.raises(ConfigurationError, match="SUPPORTS_CONCURRENT_SESSIONS"):
        app.state.engine.isolate("thread")
    app.state.engine.isolate("process")
