"""MCP clients of ``openenv serve --workers 2``: any one is asked, the right one answers, also while one is killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import mcp_fault_worlds
from tests.e2e.living import DEADLINE_S, line_of, running
from tests.e2e.mcp_fault_worlds import REWARD
from tests.e2e.mcp_raw import ERAS, GONE, Exchange, Older, Stateless
from tests.e2e.mcp_stage import Era, until
from tests.e2e.test_serve import CLI
from tests.e2e.test_workers import others_are_up, pids, told
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

pytestmark = [pytest.mark.e2e, pytest.mark.agents, pytest.mark.timeout(120)]

BOTH = pytest.mark.parametrize("era", ERAS)
WORLDS = Path(mcp_fault_worlds.__file__)
TURNS = 8
"""Requests in a row, each over a connection of its own: it is as good as sure that both workers are asked."""


@contextmanager
def both_served(*options: str) -> Iterator[tuple[Any, str, str]]:
    """Two workers, which are stopped in order at the end; their URL, and that of MCP for agents."""
    with running(CLI, "serve", f"{WORLDS}:Steady", "--port", "0", "--workers", "2", *options) as process:
        says: dict[str, str] = {}
        while "stop" not in says:
            label, _, value = line_of(process).partition(" ")
            says[label] = value.strip()
        yield process, says["URL"], says.get("agents", says.get("MCP", "")).removesuffix("/mcp")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


@contextmanager
def serving(*options: str) -> Iterator[tuple[Any, str]]:
    """The same, with one URL for all."""
    with both_served(*options) as (process, url, _):
        yield process, url


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving("--journal-mode", "off") as (_, url):
        yield url


class Held:
    """A session that a trainer opened and began over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.id: str = self._post("/sessions")["session_id"]
        self._post("/reset", json={"seed": 1})
        self.access: dict[str, Any] = self._post(f"/sessions/{self.id}/agent")
        self.token: str = self.access["token"]

    def agents(self, era: Era, url: str = "") -> list[Any]:
        """By the session's own URL, with a token and without, and by the token; at another port if that is given."""
        path, url = f"/sessions/{self.id}/mcp", url or self.url
        return [era(url, path, self.token), era(url, path), era(url, "/mcp", self.token)]

    @property
    def steps(self) -> int:
        answer = httpx.get(f"{self.url}/sessions/{self.id}/outcome", timeout=DEADLINE_S, trust_env=False)
        found: int = answer.json()["steps"]
        return found

    def _post(self, path: str, **more: Any) -> Any:
        headers = {"x-openenv-session": self.id} if path == "/reset" else {}
        answer = httpx.post(self.url + path, headers=headers, timeout=DEADLINE_S, trust_env=False, **more)
        assert answer.is_success, answer.text
        return answer.json()


def one_at_each(url: str) -> list[Held]:
    """A session at each worker."""
    found: dict[str, Held] = {}
    until(lambda: len({found.setdefault(one.id[0], one).id[0] for one in [Held(url)]} | found.keys()) == 2)
    return [found[number] for number in sorted(found)]


@BOTH
def test_every_way_to_a_session_leads_through_every_worker(era: Era, url: str) -> None:
    for held in one_at_each(url):
        total = 0
        for agent in held.agents(era):
            for _ in range(TURNS):
                total += 1
                assert agent.text("add", amount=1) == (False, str(total))
            assert str(REWARD).encode() not in agent.heard
        assert held.steps == total


def test_clients_of_their_own_are_placed_at_all_workers_and_found_again(url: str) -> None:
    agents = [Older(url) for _ in range(6)]
    assert {one.headers["mcp-session-id"][0] for one in agents} == {"0", "1"}
    for turn in range(1, 4):
        for agent in agents:
            assert agent.text("add", amount=1) == (False, str(turn))
    for agent in agents:
        assert agent.leave() == 200
        assert agent.send("tools/list").status == 404


def test_stateless_clients_without_a_token_share_one_environment(url: str) -> None:
    totals = [int(Stateless(url).text("add", amount=1)[1]) for _ in range(TURNS)]
    assert totals == list(range(totals[0], totals[0] + TURNS))


def test_older_openenv_clients_reach_the_session_that_they_name(url: str) -> None:
    def ask(method: str, **params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        return Exchange(url, "POST", "/mcp", {"content-type": "application/json"}, body).final()

    made = [ask("openenv/session/create")["result"]["session_id"] for _ in range(4)]
    assert {one[0] for one in made} == {"0", "1"}
    for turn in range(1, 5):
        for one in made:
            answer = ask("tools/call", name="add", arguments={"amount": 1}, session_id=one)
            assert answer["result"]["data"] == turn
    for one in made:
        assert ask("openenv/session/close", session_id=one)["result"]["closed"]
        assert "error" in ask("tools/list", session_id=one)


def test_foreign_sessions_and_tokens_are_refused_wherever_they_point(url: str) -> None:
    here, there = one_at_each(url)
    agent = Older(url, "/mcp", here.token)
    for wrong in ("9-abc.n.p", "x", "1-", "-", f"{there.id}.nonce.proof", agent.headers["mcp-session-id"] + "x"):
        for _ in range(4):
            exchange = agent.send("tools/list", **{"mcp-session-id": wrong})
            exchange.read()
            assert exchange.status in (401, 404), wrong
    crossed = here.token.replace(here.id, there.id)
    for token in (crossed, f"9-abc.1.{'x' * 43}", f"{here.id}.2.{'x' * 43}"):
        for _ in range(4):
            exchange = agent.send("tools/list", authorization=f"Bearer {token}")
            exchange.read()
            assert exchange.status in (401, 404), token
    assert agent.text("add", amount=1) == (False, "1")


@BOTH
def test_what_a_call_says_and_its_end_come_through_the_forwarding(era: Era, url: str, tmp_path: Path) -> None:
    """Progress as it is told, not with the answer; and hanging up, or a notification, cancels."""
    for held in one_at_each(url):
        for turn in range(TURNS):
            says = tmp_path / f"{held.id}-{turn}"
            os.mkfifo(says)
            agent: Any = era(url, "/mcp", held.token)
            call = agent.begin("waits_long", {"says": str(says)}, wants_progress=True)
            assert call.next()["params"]["progress"] == 1.0
            assert says.read_text() == "began"
            if isinstance(agent, Older):
                agent.cancel(agent.last_request)
            else:
                call.hang_up()
            assert says.read_text() == "cancelled"
            if era is Older:
                assert call.final()["result"]["isError"]
        until(lambda held=held: held.steps == TURNS)  # type: ignore[misc]


def test_an_older_client_comes_back_for_its_answer_through_any_worker(url: str, tmp_path: Path) -> None:
    for held in one_at_each(url):
        says, go = tmp_path / f"{held.id}-says", tmp_path / f"{held.id}-go"
        os.mkfifo(says)
        os.mkfifo(go)
        agent = Older(url, "/mcp", held.token)
        call = agent.begin("waits", {"says": str(says), "until": str(go)}, wants_progress=True)
        says.read_text()
        last = call.until_primed()
        call.hang_up()
        go.write_text("")
        until(lambda held=held: held.steps == 1)  # type: ignore[misc]
        for _ in range(4):
            assert agent.listen(last).final()["result"]["content"][0]["text"] == "went on"


@BOTH
def test_open_streams_come_through_the_forwarding_and_end_with_their_session(era: Era, url: str) -> None:
    for held in one_at_each(url):
        agents = [era(url, "/mcp", held.token) for _ in range(6)]
        streams = [one.listen() for one in agents]
        for one in streams:
            assert one.until_primed() if era is Older else one.next()["method"].endswith("acknowledged")
        httpx.delete(f"{url}/sessions/{held.id}", timeout=DEADLINE_S, trust_env=False)
        for one in streams:
            assert [found["result"]["resultType"] for found in one.messages()] == ["complete"] * (era is Stateless)


def test_a_body_that_is_too_large_is_refused_wherever_it_comes(url: str) -> None:
    [held, _] = one_at_each(url)
    for path in ("/mcp", f"/sessions/{held.id}/mcp"):
        for _ in range(4):
            with suppress(*GONE):  # the server may cut off a client that goes on sending
                assert Older(url, path, held.token, begun=False).post(b"x" * (9 << 20)).status == 413


@BOTH
def test_agents_play_at_a_port_of_their_own_wherever_their_session_is(era: Era) -> None:
    with both_served("--journal-mode", "off", "--agent-port", "0") as (_, url, agents_url):
        for held in one_at_each(url):
            path, total = f"/sessions/{held.id}/mcp", 0
            assert held.access["mcp_url"] == agents_url + path
            for agent in held.agents(era, agents_url):
                for _ in range(TURNS):
                    total += 1
                    assert agent.text("add", amount=1) == (False, str(total))
                assert str(REWARD).encode() not in agent.heard
            assert held.steps == total
            for _ in range(TURNS):  # their tokens are good there alone, and there is nothing else
                for at in (path, "/mcp"):
                    assert unbegun(era, url, at, held.token).send("tools/list").status == 403
                for at in (f"/sessions/{held.id}/outcome", "/ready", "/schema"):
                    assert Exchange(agents_url, "GET", at).status == 404
                assert Exchange(agents_url, "GET", "/health").status == 200
                with pytest.raises(InvalidStatus, match="404"):
                    connect(agents_url.replace("http", "ws") + "/ws", proxy=None)


@BOTH
def test_the_port_of_agents_outlives_workers_that_are_killed_or_replaced(era: Era, tmp_path: Path) -> None:
    options = ("--journal", str(tmp_path / "journal"), "--agent-port", "0")
    with both_served(*options) as (process, url, agents_url):
        sessions = one_at_each(url)
        agents = [era(agents_url, "/mcp", held.token) for held in sessions]
        total = 0

        def play() -> None:
            nonlocal total
            for _ in range(TURNS):
                total += 1
                assert [went_on(agent) for agent in agents] == [total] * len(agents)

        play()
        for pid in pids(url):
            os.kill(pid, signal.SIGKILL)
            play()  # while it is not there, and with the one that comes instead
            until(lambda pid=pid: is_replaced(url, pid))  # type: ignore[misc]
            play()
        replaced = pids(url)
        process.send_signal(signal.SIGHUP)
        until(lambda: others_are_up(url, replaced))
        play()
        for held in sessions:
            assert held.steps == total
            for _ in range(TURNS):  # those that came instead know of it too
                assert unbegun(era, url, "/mcp", held.token).send("tools/list").status == 403
                assert Exchange(agents_url, "GET", f"/sessions/{held.id}/outcome").status == 404
                assert Held(url).access["mcp_url"].startswith(agents_url)


@BOTH
def test_a_worker_that_is_killed_keeps_nobody_waiting(era: Era, tmp_path: Path) -> None:
    with serving("--journal-mode", "off") as (_, url):
        sessions = one_at_each(url)
        killed = pids(url)
        for held in sessions:
            says, go = tmp_path / f"{held.id}-says", tmp_path / f"{held.id}-go"
            os.mkfifo(says)
            os.mkfifo(go)
            agents = [era(url, "/mcp", held.token) for _ in range(6)]
            arguments = {"says": str(says), "until": str(go)}
            calls = [agents[0].begin("waits", arguments), *(one.begin("add", {"amount": 1}) for one in agents[1:])]
            pid = int(says.read_text())
            assert pid in killed
            os.kill(pid, signal.SIGKILL)
            for call in calls:
                with suppress(*GONE, AssertionError):  # cut off, in the middle of the answer or before it
                    assert "error" in call.final(), "without a journal the episode is gone"
            until(lambda pid=pid: others_are_up(url, [pid]) or pid not in pids(url))  # type: ignore[misc]
            until(lambda: len(told(url)["workers"]) == len(pids(url)) == 2)
            for agent in agents:
                exchange = agent.send("tools/list")
                exchange.read()
                assert exchange.status in (401, 404, 410)


@BOTH
def test_episodes_outlive_workers_that_are_killed_or_replaced(era: Era, tmp_path: Path) -> None:
    """With a journal: agents go on with what they have, as far as the journal goes."""
    with serving("--journal", str(tmp_path / "journal")) as (process, url):
        sessions = one_at_each(url)
        agents = [(held, era(url, "/mcp", held.token)) for held in sessions for _ in range(2)]
        own: list[tuple[Any, Any]] = [(None, Older(url)) for _ in range(4)] if era is Older else []
        totals: dict[int, int] = {}

        def play() -> None:
            for held, agent in [*agents, *own]:
                key = id(held or agent)
                totals[key] = totals.get(key, 0) + 1
                assert went_on(agent) == totals[key]

        play()
        for pid in pids(url):
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: not Path(f"/proc/{pid}").exists() or _is_over(pid))  # type: ignore[misc]
            play()
        replaced = pids(url)
        process.send_signal(signal.SIGHUP)
        until(lambda: others_are_up(url, replaced))
        play()
        for held in sessions:
            assert held.steps == totals[id(held)]


def went_on(agent: Any) -> int:
    """Call a tool until it is answered; who is told to come back does."""
    while True:
        try:
            call = agent.begin("add", {"amount": 1})
            if call.status == 200:
                return int(call.final()["result"]["content"][0]["text"])
            assert call.status == 503, (call.status, call.read())
        except GONE:
            continue  # the worker that was asked is gone


def unbegun(era: Era, url: str, path: str, token: str) -> Any:
    """A client that has not asked for anything yet."""
    return Older(url, path, token, begun=False) if era is Older else era(url, path, token)


def is_replaced(url: str, pid: int) -> bool:
    """Whether there are two workers, of which none is that one."""
    try:
        now = pids(url)
    except httpx.HTTPError:  # the one that was asked has just ended
        return False
    return len(now) == 2 and pid not in now


def _is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
