"""Private sessions over HTTP: refusals that may be tried again, leases, and going on over WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.unit.server.serving import V2, serving
from tests.unit.server.site import code, key, sites
from tests.unit.session.worlds import PATIENCE_S, Move, Seen, threads_left, world

from openenv.server.app import build_app
from openenv.session import EnvironmentSpec, SessionEngine


@pytest.fixture
async def site() -> AsyncIterator[Any]:
    async with sites() as made:
        yield made


# Refusals that may be tried again ----------------------------------------------------------------


async def test_who_finds_it_full_is_told_when_to_come_back(site: Any) -> None:
    one = await site(world(SUPPORTS_CONCURRENT_SESSIONS=False))
    client = await one.client()
    session = (await client.post("/sessions")).json()["session_id"]
    client.cookies.clear()
    for path, headers in (("/sessions", {}), ("/sessions", key("o")), ("/reset", {}), ("/reset", key("r"))):
        refused = await client.post(path, headers=headers)
        assert code(refused) == (503, "CAPACITY_REACHED")
        advice = refused.json()["error"]["details"]["retry_after_s"]
        assert refused.headers["Retry-After"] == "1"
        assert advice == 1.0
    await client.delete(f"/sessions/{session}")
    assert (await client.post("/reset", headers=key("r"))).status_code == 200  # that one had not run


async def test_plain_http_does_not_wait_for_a_place(site: Any) -> None:
    cls = world(on_close="wait")
    one = await site(cls, 1)
    client = await one.client()
    session = (await client.post("/sessions")).json()["session_id"]
    client.cookies.clear()
    closing = asyncio.create_task(client.delete(f"/sessions/{session}"))
    await asyncio.to_thread(cls.ledger.wait, "waiting")
    assert code(await client.post("/sessions")) == (503, "CAPACITY_REACHED")
    assert not closing.done()
    cls.ledger.gate.set()
    assert (await closing).status_code == 204
    assert (await client.post("/sessions")).status_code == 201


async def test_a_server_that_stops_says_so(site: Any) -> None:
    cls = world()
    one = await site(cls)
    client = await one.client()
    session = (await client.post("/sessions")).json()["session_id"]
    client.cookies.clear()
    await one.engine.drain()
    for headers in ({}, key("k")):
        assert code(await client.post("/sessions", headers=headers)) == (503, "SERVER_DRAINING")
        assert code(await client.post("/reset", headers=headers)) == (503, "SERVER_DRAINING")
    gone = await client.post("/step", json={"action": {}}, headers=key("s", session))
    assert code(gone) == (410, "EPISODE_LOST")
    assert gone.json()["error"]["details"] == {"reason": "server_stopped"}
    ready = await client.get("/ready")
    assert (ready.status_code, ready.json()["reason"]) == (503, "the server is stopping")


# Leases ------------------------------------------------------------------------------------------


async def test_every_request_renews_the_lease(site: Any) -> None:
    cls = world()
    one = await site(cls, lease_s=100)
    client = await one.client()
    opened = (await client.post("/sessions")).json()
    assert opened["lease_s"] == 100
    client.headers["X-OpenEnv-Session"] = opened["session_id"]
    for ask in (
        lambda: client.post("/reset"),
        lambda: client.post("/step", json={"action": {}}),
        lambda: client.get("/state"),
        lambda: client.post("/step", json={"action": {"n": "wrong"}}),
        lambda: client.post("/step", json={"action": {}}, headers=key("k")),
        lambda: client.post("/step", json={"action": {}}, headers=key("k")),
    ):
        await one.passes(99)
        assert (await ask()).status_code in (200, 422)
    await one.passes(99)
    await one.passes(1, left=0)
    gone = await client.get("/state")
    assert code(gone) == (410, "EPISODE_LOST")
    assert gone.json()["error"]["details"] == {"reason": "lease_expired"}
    assert code(await client.delete(f"/sessions/{opened['session_id']}")) == (410, "EPISODE_LOST")


async def test_asking_again_under_the_key_renews_the_lease_too(site: Any) -> None:
    one = await site(world(), lease_s=100)
    client = await one.client()
    for _ in range(3):
        assert (await client.post("/sessions", headers=key("k"))).status_code == 201
        await one.passes(99)
    await one.passes(1, left=0)


async def test_a_long_step_does_not_cost_the_session(site: Any) -> None:
    cls = world()
    one = await site(cls, lease_s=100)
    client = await one.client()
    await client.post("/sessions")
    await client.post("/reset")
    step = asyncio.create_task(client.post("/step", json={"action": {"how": "wait"}}))
    await asyncio.to_thread(cls.ledger.wait, "waiting")
    await one.passes(1000)
    cls.ledger.gate.set()
    assert (await step).json()["observation"]["value"] == 1
    await one.passes(99)
    assert (await client.post("/step", json={"action": {}})).json()["observation"]["value"] == 2


async def test_the_shared_session_has_no_lease(site: Any) -> None:
    one = await site(world(), lease_s=100, idle_timeout_s=100)
    client = await one.client()
    await client.post("/reset")
    await one.passes(1_000_000, left=0)  # it takes no place
    assert (await client.post("/step", json={"action": {}})).json()["observation"]["value"] == 1


# Over WebSocket ----------------------------------------------------------------------------------


def test_a_private_session_goes_on_over_websocket() -> None:
    cls = world()
    engine = SessionEngine(EnvironmentSpec.of(cls, Move, Seen, "world"))
    with serving(build_app(engine)) as server:
        opened = httpx.post(f"{server.url}/sessions").json()
        header = {"X-OpenEnv-Session": opened["session_id"]}
        httpx.post(f"{server.url}/reset", headers=header)
        assert httpx.post(f"{server.url}/step", json={"action": {}}, headers=header).json()["reward"] == 1.0
        with server.connect(V2) as socket:
            hello = json.loads(socket.recv(PATIENCE_S))
            assert hello["features"] == ["resume", "queue", "deadlines", "fork", "batch", "outcome", "agent"]
            assert hello["limits"]["lease_s"] == 900.0

            def ask(**frame: Any) -> dict[str, Any]:
                socket.send(json.dumps({"session": opened["session_id"], **frame}))
                heard: dict[str, Any] = json.loads(socket.recv(PATIENCE_S))
                return heard

            assert ask(type="resume", token="wrong")["code"] == "SESSION_NOT_FOUND"
            resumed = ask(type="resume", token=opened["token"])
            assert (resumed["type"], resumed["last_id"], resumed["lease_s"]) == ("resumed", 0, 900.0)
            assert ask(type="step", id=1, action={})["observation"]["value"] == 2
            assert httpx.get(f"{server.url}/state", headers=header).json()["step_count"] == 2
            assert ask(type="close", id=2)["type"] == "closed"
        assert httpx.get(f"{server.url}/state", headers=header).status_code == 410
    cls.ledger.check_closed_once()
    assert not threads_left()
