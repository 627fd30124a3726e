"""MCP clients of ``openenv serve`` while its processes are killed or stopped, and many clients that come and go."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import mcp_fault_worlds
from tests.e2e.living import DEADLINE_S, watching
from tests.e2e.mcp_fault_worlds import REWARD
from tests.e2e.mcp_raw import ERAS, Exchange, Older, Stateless
from tests.e2e.mcp_stage import Era, until
from tests.e2e.test_serve import serving

from openenv import SyncEnvClient

pytestmark = [pytest.mark.e2e, pytest.mark.agents]

BOTH = pytest.mark.parametrize("era", ERAS)
WORLDS = Path(mcp_fault_worlds.__file__)
Trainer = SyncEnvClient[Any, Any, Any]


@contextmanager
def stopped_well(world: str, *options: str) -> Iterator[tuple[Any, str]]:
    """Serve a class of the fault worlds; at the end a signal stops it with exit code 0."""
    with serving(f"{WORLDS}:{world}", "--journal-mode", "off", *options) as (process, url):
        yield process, url
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


def test_open_streams_do_not_keep_a_server_that_stops() -> None:
    with stopped_well("Faults") as (process, url), Trainer(url) as trainer:
        trainer.reset()
        token = trainer.agent_access().token
        own, joined, newer = Older(url), Older(url, "/mcp", token), Stateless(url, "/mcp", token)
        shared = Stateless(url)
        standing = [own.listen(), joined.listen()]
        subscribed = [one.listen(toolsListChanged=True) for one in (newer, shared)]
        assert all(one.until_primed() for one in standing)
        assert all(one.next()["method"].endswith("acknowledged") for one in subscribed)
        process.send_signal(signal.SIGTERM)
        assert [list(one.messages()) for one in standing] == [[], []]
        assert [one.final()["result"]["resultType"] for one in subscribed] == ["complete"] * 2
        assert process.wait(DEADLINE_S) == 0


@BOTH
def test_a_running_call_is_answered_before_the_server_ends(era: Era, tmp_path: Path) -> None:
    says, go = _pipes(tmp_path)
    with stopped_well("Steady") as (process, url), Trainer(url) as trainer:
        trainer.reset()
        agent = era(url, "/mcp", trainer.agent_access().token)
        call = agent.begin("waits", {"says": str(says), "until": str(go)}, wants_progress=True)
        says.read_text()
        assert call.next()["method"] == "notifications/progress"
        process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{url}/ready", timeout=DEADLINE_S, trust_env=False).status_code == 503)
        go.write_text("")
        assert call.final()["result"]["content"][0]["text"] == "went on"
        assert process.wait(DEADLINE_S) == 0


@BOTH
def test_an_environment_that_is_killed_under_a_call_is_brought_back(era: Era, tmp_path: Path) -> None:
    """Its class can be played again, so the agent notices nothing."""
    says, go = _pipes(tmp_path)
    with stopped_well("Steady", "--isolation", "process") as (_, url), Trainer(url) as trainer:
        trainer.reset(seed=1)
        agent = era(url, "/mcp", trainer.agent_access().token)
        assert agent.text("add", amount=2) == (False, "2")
        call = agent.begin("waits", {"says": str(says), "until": str(go)}, wants_progress=True)
        pid = int(says.read_text())
        says.unlink()
        with watching(pid) as worker:
            os.kill(pid, signal.SIGKILL)
            assert worker.ends()
        assert call.final()["result"]["content"][0]["text"] == "went on"
        assert agent.text("add", amount=2) == (False, "4")
        assert trainer.outcome().steps == trainer.state()["step_count"] == 3
        assert str(REWARD).encode() not in agent.heard


@BOTH
def test_one_that_cannot_be_brought_back_is_gone_and_says_so(era: Era) -> None:
    with stopped_well("Faults", "--isolation", "process") as (_, url), Trainer(url) as trainer:
        trainer.reset()
        agent = era(url, "/mcp", trainer.agent_access().token)
        gone = (True, "The episode is gone: no more tool calls are taken.")
        assert agent.text("dies") == gone
        assert agent.text("add", a=1) == gone
        assert trainer.outcome().phase == "lost"
        trainer.reset()
        assert era(url, "/mcp", trainer.agent_access().token).text("add", a=1) == (False, "2")


@BOTH
def test_a_call_is_cancelled_in_its_process(era: Era, tmp_path: Path) -> None:
    says = tmp_path / "says"
    os.mkfifo(says)
    with stopped_well("Steady", "--isolation", "process") as (_, url), Trainer(url) as trainer:
        trainer.reset()
        agent: Any = era(url, "/mcp", trainer.agent_access().token)
        call = agent.begin("waits_long", {"says": str(says)}, wants_progress=True)
        assert call.next()["method"] == "notifications/progress"
        assert says.read_text() == "began"
        if isinstance(agent, Older):
            agent.cancel(agent.last_request)
        else:
            call.hang_up()
        assert says.read_text() == "cancelled"
        assert agent.text("add", amount=1) == (False, "1")
        assert trainer.outcome().steps == 2


CLIENTS = 200
GROWTH = 16 * 1024 * 1024
"""Bytes that a second round may take: less than a tenth of what its clients would, were they kept at 1 MiB each."""


def test_clients_that_come_and_go_leave_nothing() -> None:
    with stopped_well("Faults", "--lease-s", "0.5", "--max-sessions", str(CLIENTS)) as (process, url):

        def round_of_clients() -> int:
            for number in range(CLIENTS):
                agent = Older(url)
                if number % 10 == 0:
                    assert agent.text("huge", size=100_000)[1] == "x" * 100_000
                if number % 3 == 0:
                    assert agent.leave() == 200
            until(lambda: _active(url) == 0)
            return _resident(process.pid)

        before = round_of_clients()
        after = round_of_clients()
        assert after - before < GROWTH


def test_clients_of_one_episode_are_bounded() -> None:
    """Of a trainer's session, whose lease does not run: with one more, who asked least lately begins anew."""
    with stopped_well("Faults") as (_, url), Trainer(url) as trainer:
        trainer.reset()
        token = trainer.agent_access().token
        first, busy = Older(url, "/mcp", token), Older(url, "/mcp", token)
        standing = busy.listen()
        assert standing.until_primed()
        for _ in range(70):
            last = Older(url, "/mcp", token)
        assert first.send("tools/list").status == 404
        assert last.text("add", a=1) == (False, "2")
        assert busy.text("add", a=1) == (False, "2"), "who listens is not idle"


def _active(url: str) -> int:
    found: int = httpx.get(f"{url}/ready", timeout=DEADLINE_S, trust_env=False).json()["sessions"]["active"]
    return found


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _pipes(directory: Path) -> tuple[Path, Path]:
    says, go = directory / "says", directory / "go"
    os.mkfifo(says)
    os.mkfifo(go)
    return says, go


def test_a_server_that_is_full_says_so_and_when_to_come_back() -> None:
    with stopped_well("Faults", "--max-sessions", "1") as (_, url):
        held = Older(url)
        exchange = Exchange(url, "POST", "/mcp", body=_INITIALIZE)
        assert (exchange.status, exchange.header("retry-after") is not None) == (503, True)
        assert "error" in exchange.final()
        assert held.leave() == 200
        assert Older(url).text("add", a=1) == (False, "2")


_INITIALIZE = (
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    b'"clientInfo":{"name":"raw","version":"1"}}}'
)
