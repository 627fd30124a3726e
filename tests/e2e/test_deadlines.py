"""Requests that take longer than they may, on real servers: what is answered, and what is usable afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.e2e.isolated_worlds import Awaited, Crashing, Replayed, Threaded
from tests.e2e.living import DEADLINE_S
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from openenv import SyncEnvClient, create_app
from openenv.errors import EpisodeLost, StepTimeout
from openenv.session import peer
from openenv.testing import serving

pytestmark = pytest.mark.e2e

SOON_S = 0.2
HANG = {"what": "hang"}


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    Threaded.gate.clear()
    Awaited.gate.clear()
    yield
    Threaded.gate.set()
    Awaited.gate.set()


def client(url: str) -> SyncEnvClient[Any, Any, Any]:
    return SyncEnvClient(url)


def count_of(result: Any) -> int:
    found: int = result.observation["count"]
    return found


def test_an_awaited_one_goes_on() -> None:
    with serving(create_app(Awaited)) as url, client(url) as env:
        env.reset()
        with pytest.raises(StepTimeout) as late:
            env.step(HANG, timeout_s=SOON_S)
        assert late.value.details["usable"]
        assert count_of(env.step({})) == 1


def test_an_awaited_one_that_blocks_its_thread_is_stuck() -> None:
    """A cancelled wait is not an ended call."""
    with serving(create_app(Awaited)) as url, client(url) as env:
        env.reset()
        with pytest.raises(StepTimeout) as late:
            env.step({"what": "block"}, timeout_s=SOON_S)
        assert not late.value.details["usable"]
        with pytest.raises(EpisodeLost) as gone:
            env.step({})
        assert gone.value.details["reason"] == "stuck"
        Awaited.gate.set()


def test_a_thread_is_stuck_until_a_reset() -> None:
    with serving(create_app(Threaded, max_concurrent_envs=3)) as url, client(url) as env, client(url) as other:
        env.reset()
        other.reset()
        with pytest.raises(StepTimeout) as late:
            env.step(HANG, timeout_s=SOON_S)
        assert not late.value.details["usable"]
        for ask in (lambda: env.step({}), env.state):
            with pytest.raises(EpisodeLost) as gone:
                ask()
            assert gone.value.details["reason"] == "stuck"
        ready = httpx.get(f"{url}/ready")
        assert ready.status_code == 503
        assert "--isolation process" in ready.json()["reason"]
        assert count_of(other.step({})) == 1
        env.reset()
        assert count_of(env.step({})) == 1
        assert httpx.get(f"{url}/ready").json()["sessions"]["active"] == 3  # two sessions, and what hangs
        Threaded.gate.set()  # it returns at last, and is closed
        wait_ready(url)
        assert httpx.get(f"{url}/ready").json()["sessions"]["active"] == 2


def test_as_many_as_there_are_places_may_be_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openenv.session.lifetime.rescue.PATIENCE_S", SOON_S)
    with serving(create_app(Threaded, max_concurrent_envs=1)) as url, httpx.Client(base_url=url) as http:
        headers = {"X-OpenEnv-Session": http.post("/sessions").json()["session_id"]}
        http.cookies.clear()
        http.post("/reset", headers=headers)
        assert http.post("/step", json={"action": HANG, "timeout_s": SOON_S}, headers=headers).status_code == 504
        refused = http.post("/reset", headers=headers).json()["error"]
        assert refused["code"] == "CAPACITY_REACHED"
        assert "isolation" in refused["message"]
        Threaded.gate.set()
        wait_ready(url)
        assert http.post("/reset", headers=headers).status_code == 200
        assert http.post("/step", json={"action": {}}, headers=headers).json()["observation"]["count"] == 1


def wait_ready(url: str) -> None:
    while httpx.get(f"{url}/ready").status_code != 200:
        pass  # each look is a request of its own


def test_a_reset_may_take_too_long_too() -> None:
    with serving(create_app(Threaded, max_concurrent_envs=2)) as url, client(url) as env:
        with pytest.raises(StepTimeout):
            env.reset(hang=True, timeout_s=SOON_S)
        env.reset()
        assert count_of(env.step({})) == 1
        Threaded.gate.set()  # while the server is there to close it: its thread would outlive the server
        wait_ready(url)


@pytest.mark.parametrize(("cls", "usable"), [(Replayed, True), (Crashing, False)])
def test_a_process_is_killed(cls: type[Any], usable: bool) -> None:
    with serving(create_app(cls, isolation="process")) as url, client(url) as env:
        env.reset()
        before = env.step({}).observation["pid"]
        with pytest.raises(StepTimeout) as late:
            env.step(HANG, timeout_s=SOON_S)
        assert late.value.details["usable"] is usable
        if not usable:
            with pytest.raises(EpisodeLost) as gone:
                env.step({})
            assert gone.value.details["reason"] == "worker_died"
            env.reset()
            env.step({})
        after = env.step({})
        assert count_of(after) == 2
        assert after.observation["pid"] != before
        assert httpx.get(f"{url}/ready").status_code == 200


@pytest.mark.parametrize(("cls", "code"), [(Awaited, 200), (Threaded, 410)])
def test_over_http(cls: type[Any], code: int) -> None:
    with serving(create_app(cls)) as url, httpx.Client(base_url=url) as http:
        assert http.post("/reset").status_code == 200
        late = http.post("/step", json={"action": HANG, "timeout_s": SOON_S})
        assert late.status_code == 504
        assert late.json()["error"]["code"] == "STEP_TIMEOUT"
        assert http.post("/step", json={"action": {}}).status_code == code
        Threaded.gate.set()
        wait_ready(url)


def test_a_long_request_says_that_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "PROGRESS_EVERY_S", 0.02)
    with (
        serving(create_app(Threaded)) as url,
        connect(f"{url.replace('http', 'ws')}/ws", subprotocols=[Subprotocol("openenv.v2.json")], proxy=None) as socket,
    ):

        def heard() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(socket.recv(DEADLINE_S))
            return found

        assert "deadlines" in heard()["features"]
        socket.send(json.dumps({"type": "open", "nonce": "n"}))
        session = heard()["session"]
        socket.send(json.dumps({"type": "reset", "session": session, "id": 1}))
        while heard()["type"] == "progress":
            pass
        socket.send(json.dumps({"type": "step", "session": session, "id": 2, "action": HANG}))
        first, second = heard(), heard()
        assert {first["type"], second["type"]} == {"progress"}
        assert (first["session"], first["id"]) == (session, 2)
        assert 0 < first["elapsed_s"] < second["elapsed_s"]
        Threaded.gate.set()
        while (last := heard())["type"] == "progress":
            pass
        assert last["observation"]["count"] == 1
