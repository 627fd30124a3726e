"""``make conformance`` in small: two scenarios on the real fixture, and what it leaves behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from scripts import npm_tools
from scripts.conformance import PACKAGE, closed_port
from tests.e2e.living import DEADLINE_S, line_of, watching

pytestmark = [pytest.mark.e2e, pytest.mark.agents, pytest.mark.timeout(240)]

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "conformance.py"


@pytest.fixture(scope="module", autouse=True)
def suite() -> None:
    try:
        npm_tools.find()
        npm_tools.installed({PACKAGE: "0.2.0-alpha.12"})
    except npm_tools.NodeMissing as missing:
        pytest.skip(str(missing))


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *options], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("suite_name", ["2025-11-25", "2026-07-28"])
def test_a_scenario_passes(suite_name: str) -> None:
    done = run("--suite", suite_name, "--scenario", "tools-call-with-progress")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.splitlines()[-1].split() == [suite_name, "0.2.0-alpha.12", "1/1", "0/1", "+1", "0"]


def test_what_fails_is_told() -> None:
    """A closed port instead of a server."""
    with closed_port() as kept:
        url = f"http://127.0.0.1:{kept.getsockname()[1]}/mcp"
        done = run("--suite", "2026-07-28", "--scenario", "caching", "--url", url)
    assert done.returncode == 1
    assert "2026-07-28 caching FAILED sep-2549-tools-list-caching-hints: tools/list request failed" in done.stdout


def test_it_ends_its_server_when_it_is_ended() -> None:
    command = [sys.executable, SCRIPT, "--suite", "2025-11-25"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as script:
        try:
            assert line_of(script).startswith("the endpoint is http://127.0.0.1:")
            (server,) = (pid for pid in children_of(script.pid) if "serve" in words_of(pid))
            with watching(server) as watched:
                script.send_signal(signal.SIGTERM)
                assert script.wait(DEADLINE_S) == 128 + signal.SIGTERM
                assert watched.ends()
        finally:
            script.kill()


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in listed for child in each.read_text(encoding="ascii").split()]


def words_of(pid: int) -> list[str]:
    """The command line of a process; nothing of one that has ended."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    return []
