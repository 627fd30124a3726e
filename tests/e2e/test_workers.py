"""``openenv serve --workers 2``: two processes that are one server, also while one of them is killed or replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.living import DEADLINE_S, running, watching
from tests.e2e.test_serve import CLI, fails, url_of
from tests.e2e.worlds import write
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from openenv import SyncEnvClient
from openenv.errors import OpenEnvError
from openenv.record import open_recorded

pytestmark = pytest.mark.e2e

WORLD = """
import os
from openenv import Action, Environment, Observation, State


class Add(Action):
    amount: int = 1


class Sum(Observation):
    total: int = 0
    pid: int = 0


class World(Environment[Add, Sum, State]):
    SUPPORTS_CONCURRENT_SESSIONS = True
    deterministic = True
    volatile = frozenset({"pid"})

    def __init__(self):
        super().__init__()
        self.total = 0

    def reset(self, seed: int | None = None) -> Sum:
        self.total = 0
        return Sum(pid=os.getpid())

    def step(self, action: Add) -> Sum:
        self.total += action.amount
        return Sum(total=self.total, pid=os.getpid())

    @property
    def state(self) -> State:
        return State()
"""
SESSIONS = 100


@contextmanager
def serving(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server with two workers, which is stopped in order at the end."""
    path = write(directory / "world.py", WORLD)
    journal = ("--journal", str(directory / "journal"))
    with running(CLI, "serve", path, "--port", "0", "--workers", "2", *journal, *options) as process:
        yield process, url_of(process)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("served"), "--max-sessions", str(SESSIONS + 2)) as (_, url):
        yield url


def told(url: str) -> dict[str, Any]:
    """What ``/ready`` says of the sessions."""
    found: dict[str, Any] = httpx.get(f"{url}/ready", timeout=DEADLINE_S, trust_env=False).json()["sessions"]
    return found


def pids(url: str) -> list[int]:
    return [worker["pid"] for worker in told(url)["workers"] if worker["up"]]


@contextmanager
def line(url: str) -> Iterator[ClientConnection]:
    address = url.replace("http", "ws") + "/ws"
    with connect(address, subprotocols=[Subprotocol("openenv.v2.json")], proxy=None) as socket:
        assert json.loads(socket.recv(DEADLINE_S))["type"] == "hello"
        yield socket


def ask(socket: ClientConnection, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers, in any order; several are asked in one frame."""
    socket.send(json.dumps(requests[0] if len(requests) == 1 else requests))
    answers: list[dict[str, Any]] = []
    while len(answers) < len(requests):
        frame = json.loads(socket.recv(DEADLINE_S))
        answers += frame if isinstance(frame, list) else [frame]
    return answers


def test_many_sessions_of_one_connection_use_all_workers(url: str) -> None:
    with line(url) as socket, line(url) as other:
        opened = ask(socket, *({"type": "open", "nonce": f"n{number}"} for number in range(SESSIONS)))
        ids = [one["session"] for one in opened]
        assert len(set(ids)) == SESSIONS
        resets = ask(socket, *({"type": "reset", "session": one, "id": 1} for one in ids))
        by_process = Counter(one["observation"]["pid"] for one in resets)
        assert set(by_process) == set(pids(url))
        assert min(by_process.values()) >= SESSIONS * 2 // 5
        now = told(url)
        assert (now["active"], now["capacity"]) == (SESSIONS, SESSIONS + 2)
        assert sum(worker["active"] for worker in now["workers"]) == SESSIONS
        [again] = ask(other, {"type": "open", "nonce": "n7"})
        assert again["session"] == next(one["session"] for one in opened if one["nonce"] == "n7")
        for one in (min(opened, key=lambda found: found["session"]), max(opened, key=lambda found: found["session"])):
            [resumed] = ask(other, {"type": "resume", "session": one["session"], "token": one["token"]})
            assert (resumed["type"], resumed["last_id"]) == ("resumed", 1)
            [answer] = ask(other, {"type": "step", "session": one["session"], "id": 2, "action": {"amount": 3}})
            assert answer["observation"]["total"] == 3
            headers = {"X-OpenEnv-Session": one["session"]}
            done = httpx.post(f"{url}/step", json={"action": {"amount": 4}}, headers=headers)
            assert done.json()["observation"]["total"] == 7
            fork = {"type": "open", "nonce": f"f{one['session']}", "fork": one["session"], "token": one["token"]}
            [forked] = ask(socket, fork)
            assert forked["session"].partition("-")[0] == one["session"].partition("-")[0]
            ids.append(forked["session"])
        [refused] = ask(other, {"type": "open", "nonce": "one too many"})
        assert (refused["code"], refused["details"]["max_sessions"]) == ("CAPACITY_REACHED", SESSIONS + 2)
        closed = ask(socket, *({"type": "close", "session": one, "id": 9} for one in ids))
        assert {one["type"] for one in closed} == {"closed"}
    assert told(url)["active"] == 0


def test_http_reaches_every_session_through_every_worker(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=DEADLINE_S) as http:
        opened = [http.post("/sessions", headers={"Idempotency-Key": f"key{number}"}).json() for number in range(4)]
        again = [http.post("/sessions", headers={"Idempotency-Key": f"key{number}"}).json() for number in range(4)]
        assert again == opened
    assert {one["session_id"][:2] for one in opened} == {"0-", "1-"}
    resets = []
    for one in opened:  # each over a new connection, at whichever worker
        headers = {"X-OpenEnv-Session": one["session_id"]}
        resets.append(httpx.post(f"{url}/reset", json={}, headers=headers).json()["observation"]["pid"])
        assert httpx.delete(f"{url}/sessions/{one['session_id']}").status_code == 204
        assert httpx.post(f"{url}/reset", json={}, headers=headers).status_code == 410
    assert len(set(resets)) == 2
    shared = [httpx.post(f"{url}/step", json={"action": {}}).status_code for _ in range(4)]
    assert shared == [409] * 4
    httpx.post(f"{url}/reset", json={})
    totals = [httpx.post(f"{url}/step", json={"action": {}}).json()["observation"]["total"] for _ in range(6)]
    assert totals == [1, 2, 3, 4, 5, 6], "all who name no session share one"


def test_clients_of_the_first_version_are_placed_too(url: str) -> None:
    address = url.replace("http", "ws") + "/ws"
    with ExitStack() as stack:
        seen = []
        for _ in range(6):
            socket = stack.enter_context(connect(address, proxy=None))
            socket.send('{"type":"reset","data":{}}')
            seen.append(json.loads(socket.recv(DEADLINE_S))["data"]["observation"]["pid"])
        assert Counter(seen) == dict.fromkeys(seen, 3)
        assert told(url)["active"] == 6


class Playing(threading.Thread):
    """Somebody who plays one episode for as long as it is let."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._more = threading.Condition()
        self._is_over = False
        self.turns = 0
        self.wrong: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            with SyncEnvClient(self._url) as env:
                env.reset(seed=1)
                while not self._is_over:
                    total = env.step({"amount": 1}).observation["total"]
                    with self._more:
                        self.turns += 1
                        self._more.notify_all()
                    assert total == self.turns
        except (OpenEnvError, AssertionError) as error:
            with self._more:
                self.wrong = error
                self._more.notify_all()

    def goes_on(self, turns: int = 5) -> None:
        """Wait for more turns."""
        with self._more:
            wanted = self.turns + turns
            assert self._more.wait_for(lambda: self.wrong is not None or self.turns >= wanted, DEADLINE_S)
            assert self.wrong is None

    def finish(self) -> None:
        self._is_over = True
        self.join(DEADLINE_S)
        assert self.wrong is None
        assert not self.is_alive()


def until(true: Callable[[], bool]) -> None:
    """Ask until it is so; each question is a request of its own."""
    for _ in range(100_000):
        if true():
            return
    raise AssertionError("it does not come true")


def others_are_up(url: str, before: list[int]) -> bool:
    try:
        now = pids(url)
    except httpx.HTTPError:  # the worker that was asked has just ended
        return False
    return len(now) == len(before) and not set(now) & set(before)


def test_episodes_outlive_workers_that_are_killed_or_replaced(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, url):
        players = [Playing(url) for _ in range(6)]
        for player in players:
            player.goes_on()
        first, second = before = pids(url)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
            for player in players:
                player.goes_on()
        assert not set(pids(url)) & {first, second}
        replaced = pids(url)
        process.send_signal(signal.SIGHUP)
        until(lambda: others_are_up(url, replaced))
        for player in players:
            player.goes_on()
        assert told(url)["active"] == len(players)
        for player in players:
            player.finish()
        last = pids(url)
    assert not any(Path(f"/proc/{pid}").exists() for pid in last)
    with open_recorded(tmp_path / "journal") as recorded:
        [run] = recorded.runs()
        turns = sorted(
            sum(event.kind == "step" for event in recorded.events(run.id, one.episode))
            for one in recorded.episodes(run.id)
        )
    assert turns == sorted(player.turns for player in players), "the journals of all workers are read as one"


def test_a_server_may_stop_while_a_worker_is_being_started_again(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, url):
        killed = pids(url)[1]
        with watching(killed) as worker:
            os.kill(killed, signal.SIGKILL)
            assert worker.ends()  # and when the server is stopped, its exit code is 0


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, url), ExitStack() as stack:
        watched = [stack.enter_context(watching(pid)) for pid in pids(url)]
        said = fails("serve", tmp_path / "world.py", "--port", "0", "--journal", tmp_path / "journal")
        assert "is in use by the server with pid" in said
        said = fails("serve", tmp_path / "world.py", "--port", url.rpartition(":")[2], "--workers", "2")
        assert said.startswith("error: port ")
        process.kill()
        assert all(worker.ends() for worker in watched)


def test_what_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "broken.py", "import nothing_of_that_name\n")
    said = fails("serve", path, "--port", "0", "--workers", "2", "--journal-mode", "off")
    assert "nothing_of_that_name" in said
    assert said.count("\n") == 1
