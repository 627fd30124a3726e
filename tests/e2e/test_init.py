"""What ``openenv init`` makes is good as it is: clean, tested, found by name, served and played."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.living import DEADLINE_S
from tests.e2e.packages import NAME, PLAYS, Installed, environment, install, run

from openenv import SyncEnvClient
from openenv.scaffold import Template

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]  # the first test of each template installs it


@pytest.fixture(scope="module", params=[template.value for template in Template])
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(request.param, tmp_path_factory.mktemp(request.param))


def test_it_is_clean(package: Installed) -> None:
    package.run("ruff", "check", ".")
    package.run("ruff", "format", "--check", ".")
    assert "no issues found" in package.run("mypy")


def test_its_tests_pass(package: Installed) -> None:
    last = package.run("pytest", "-q").splitlines()[-1]
    # none takes snapshots or has step_batch; the others are not deterministic and have no tools
    skipped = 2 if package.template == "tools" else 4
    passed = re.match(rf"(\d+) passed, {skipped} skipped in", last)
    assert passed, last
    assert int(passed[1]) > 20


def test_its_wheel_has_all_that_it_is_found_by(package: Installed, tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=package.directory)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    assert names >= {"my_env/openenv.yaml", "my_env/py.typed", "my_env/server/app.py"}
    assert not any(name.startswith("tests/") for name in names)


def test_it_keeps_the_rules(package: Installed) -> None:
    code = (
        "from openenv.testing import check_env\nfrom my_env.server.environment import MyEnvironment\n"
        "print(check_env(MyEnvironment))"
    )
    assert "keeps all rules" in package.run("python", "-c", code)


def test_the_snippet_of_its_readme_finds_it_by_name(package: Installed) -> None:
    readme = (package.directory / "README.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert snippets
    for snippet in snippets:
        assert 'openenv.make("my_env")' in snippet
        assert re.search(r"return: \d", package.run("python", "-c", snippet))


@contextlib.contextmanager
def served(directory: Path, *program: str | Path) -> Iterator[str]:
    """Serves what is in a directory; gives the URL, and looks that it ends well."""
    with subprocess.Popen(
        [*program, "--port", "0"], cwd=directory, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield next(found[0] for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("command", [("openenv", "serve"), ("server",)], ids=" ".join)
def test_it_is_served_and_played(package: Installed, command: tuple[str, ...]) -> None:
    with (
        served(package.directory, package.scripts / command[0], *command[1:]) as url,
        SyncEnvClient(url) as client,
    ):
        PLAYS[package.template](client)


class Agent:
    """As little of an MCP client as can be: one that speaks 2025-11-25 over HTTP."""

    def __init__(self, http: httpx.Client) -> None:
        self._ids, self._http = itertools.count(1), http
        self._http.headers["Accept"] = "application/json, text/event-stream"
        client = {"name": "agent", "version": "1"}
        self.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        self._http.headers["MCP-Protocol-Version"] = "2025-11-25"
        self._http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}).raise_for_status()

    def ask(self, method: str, **params: object) -> dict[str, object]:
        message = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        response = self._http.post("/mcp", json=message).raise_for_status()
        if "Mcp-Session-Id" in response.headers:
            self._http.headers["Mcp-Session-Id"] = response.headers["Mcp-Session-Id"]
        lines = response.text.splitlines()
        texts = [line.removeprefix("data:") for line in lines if line.startswith("data:")] or [response.text]
        answers = [json.loads(text) for text in texts if text.strip()]
        (result,) = [answer["result"] for answer in answers if "id" in answer]
        return dict(result)

    def call(self, name: str, **arguments: object) -> dict[str, object]:
        """The content of a call, which must not fail."""
        result = self.ask("tools/call", name=name, arguments=arguments)
        assert not result.get("isError"), result
        return result

    def tools(self) -> list[str]:
        listed: object = self.ask("tools/list")["tools"]
        assert isinstance(listed, list)
        return [one["name"] for one in listed]


@pytest.mark.parametrize("package", ["tools"], indirect=True)
def test_an_mcp_client_plays_it_within_a_minute_of_init(package: Installed, tmp_path: Path) -> None:
    begun = time.monotonic()
    run(package.scripts / "openenv", "init", "corner-shop", "--template", "tools", cwd=tmp_path)
    directory = tmp_path / "corner-shop"
    pip = (sys.executable, "-m", "uv", "pip", "install", "--python", package.scripts / "python")
    run(*pip, "--find-links", package.wheels, "-e", directory)
    with (
        served(directory, package.scripts / "openenv", "serve") as url,
        httpx.Client(base_url=url, timeout=DEADLINE_S) as http,
    ):
        agent = Agent(http)
        task = agent.ask("resources/read", uri="episode://task")["contents"]
        assert "Fill the order" in str(task)
        assert agent.tools() == ["pack_list", "look_up", "pack"]
        box: dict[str, list[dict[str, object]]] = agent.call("pack_list")["structuredContent"]  # type: ignore[assignment]
        for line in box["lines"]:
            shelf = agent.call("look_up", kind=line["kind"])["structuredContent"]
            enough = [one for one in shelf["products"] if one["stock"] >= line["wanted"]]  # type: ignore[index]
            agent.call("pack", sku=min(enough, key=lambda one: one["cents"])["sku"], quantity=line["wanted"])
        assert "ship" in agent.tools()
        assert "delighted" in str(agent.call("ship")["content"])
    took_s = time.monotonic() - begun
    print(f"from init to the end of an episode over MCP: {took_s:.1f} s")
    assert took_s < 60


def test_its_server_says_in_one_line_what_is_wrong(package: Installed) -> None:
    done = subprocess.run(
        [str(package.scripts / "server"), "--host", "nowhere.invalid"],
        cwd=package.directory, env=environment(), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(r"error: cannot listen on 'nowhere\.invalid': .*\n", done.stderr)


def test_a_second_one_in_the_same_place_is_refused(package: Installed) -> None:
    done = subprocess.run(
        [str(package.scripts / "openenv"), "init", NAME],
        cwd=package.directory.parent, env=environment(), capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{NAME} is not empty" in done.stderr
