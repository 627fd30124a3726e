"""``openenv serve --journal`` is killed and started again: MCP clients go on with what they have."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import mcp_fault_worlds
from tests.e2e.living import DEADLINE_S, running
from tests.e2e.mcp_fault_worlds import REWARD
from tests.e2e.mcp_raw import ERAS, GONE, Older
from tests.e2e.mcp_stage import Era
from tests.e2e.test_serve import CLI, url_of

pytestmark = [pytest.mark.e2e, pytest.mark.agents, pytest.mark.timeout(120)]

BOTH = pytest.mark.parametrize("era", ERAS)
WORKERS = pytest.mark.parametrize("workers", [1, 2])
WORLDS = Path(mcp_fault_worlds.__file__)


class Site:
    """A server at one port with one journal, which is killed and started again."""

    def __init__(self, directory: Path, workers: int = 1, world: str = "Steady") -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [f"{WORLDS}:{world}", "--port", self.port, "--journal", directory, "--workers", workers]

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Serve until the block ends, and kill the server then."""
        with self._serving() as process:
            yield
            process.kill()
            process.wait(DEADLINE_S)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Serve until the block ends, and stop the server in order then."""
        with self._serving() as process:
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0

    @contextmanager
    def _serving(self) -> Iterator[Any]:
        with running(CLI, "serve", *map(str, self._command)) as process:
            assert url_of(process) == self.url
            yield process

    def trainer(self, method: str, path: str, session: str = "", **more: Any) -> Any:
        """What a trainer is answered over HTTP."""
        headers = {"x-openenv-session": session} if session else {}
        answer = httpx.request(method, self.url + path, headers=headers, timeout=DEADLINE_S, trust_env=False, **more)
        assert answer.is_success, answer.text
        return answer.json()

    def steps(self, session: str) -> tuple[int, int]:
        """As the server counts them, and as the environment does."""
        outcome = self.trainer("GET", f"/sessions/{session}/outcome")
        return outcome["steps"], self.trainer("GET", "/state", session)["step_count"]


@WORKERS
@BOTH
def test_an_agent_goes_on_after_a_crash(era: Era, workers: int, tmp_path: Path) -> None:
    site = Site(tmp_path / "journal", workers)
    with site.killed():
        session = site.trainer("POST", "/sessions")["session_id"]
        site.trainer("POST", "/reset", session, json={"seed": 1})
        token = site.trainer("POST", f"/sessions/{session}/agent")["token"]
        agent = era(site.url, "/mcp", token)
        for total in (1, 2, 3):
            assert agent.text("add", amount=1) == (False, str(total))
        assert agent.call("subtract")["error"]["code"] == -32602
        assert site.steps(session) == (4, 4)
    with site.killed():
        assert agent.text("add", amount=1) == (False, "4"), "with its token, and its Mcp-Session-Id if it has one"
        assert site.steps(session) == (5, 5)
        assert era(site.url, "/mcp", token).text("add", amount=1) == (False, "5"), "the token is good for others too"
        assert site.trainer("POST", f"/sessions/{session}/agent")["token"] == token
    with site.stopped():
        assert site.steps(session) == (6, 6)
        site.trainer("POST", "/reset", session, json={})
        assert agent.begin("add", {"amount": 1}).status == 401
        assert site.steps(session) == (0, 0)
    assert str(REWARD).encode() not in agent.heard


@WORKERS
def test_a_client_with_an_environment_of_its_own_goes_on_too(workers: int, tmp_path: Path) -> None:
    site = Site(tmp_path / "journal", workers)
    with site.killed():
        agents = [Older(site.url) for _ in range(3)]
        for agent in agents:
            assert agent.text("add", amount=1) == (False, "1")
        left = Older(site.url)
        assert left.leave() == 200
    with site.stopped():
        for agent in agents:
            standing = agent.listen("s.17")  # what the old server's stream had told
            assert standing.until_primed()
            assert agent.text("add", amount=1) == (False, "2")
        assert left.send("tools/list").status == 404
        assert agents[0].leave() == 200
        assert agents[0].send("tools/list").status == 404


def test_a_call_that_was_cut_off_by_the_crash_did_not_count(tmp_path: Path) -> None:
    """It was not answered, so the journal does not have it, and the client may make it again."""
    says, go = tmp_path / "says", tmp_path / "go"
    os.mkfifo(says)
    os.mkfifo(go)
    site = Site(tmp_path / "journal")
    with site.killed():
        agent = Older(site.url)
        assert agent.text("add", amount=1) == (False, "1")
        call = agent.begin("waits", {"says": str(says), "until": str(go)}, wants_progress=True)
        says.read_text()
        assert call.until_primed()
    with pytest.raises((*GONE, AssertionError)):
        call.final()
    says.unlink()
    with site.stopped():
        again = agent.listen(call.last_id)
        assert again.until_primed().startswith("s."), "nothing is known of that stream: it is one of what is to come"
        assert agent.text("waits", says=str(says), until=str(go)) == (False, "went on")
        assert agent.text("add", amount=1) == (False, "2")


def test_an_episode_that_cannot_be_played_again_is_gone(tmp_path: Path) -> None:
    site = Site(tmp_path / "journal", world="Faults")
    with site.killed():
        agent = Older(site.url)
        assert agent.text("add", a=1) == (False, "2")
    with site.stopped():
        exchange = agent.begin("add", {"a": 1})
        assert exchange.status == 404, "which tells a client to begin anew"
        assert exchange.final()["error"]["code"] == -32001
        agent.initialize()
        assert agent.text("add", a=1) == (False, "2")


def test_a_foreign_mcp_session_stays_foreign(tmp_path: Path) -> None:
    """The proof in it is of the session's secret, which the journal has."""
    site = Site(tmp_path / "journal")
    with site.killed():
        first, second = Older(site.url), Older(site.url)
    with site.stopped():
        mine, foreign = (one.headers["mcp-session-id"].split(".") for one in (first, second))
        for wrong in ([mine[0], foreign[1], foreign[2]], [foreign[0], mine[1], mine[2]], [mine[0], mine[1], "x" * 20]):
            first.headers["mcp-session-id"] = ".".join(wrong)
            assert first.send("tools/list").status == 404
        first.headers["mcp-session-id"] = ".".join(mine)
        assert first.text("add", amount=1) == (False, "1")
