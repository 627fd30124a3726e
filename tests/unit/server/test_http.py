"""HTTP without a network: sessions by header, by cookie and shared, descriptions, readiness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field
from tests.unit.server.lifespan import living
from tests.unit.session.worlds import Move, Seen, World, factory_of, world

from openenv.app import create_app
from openenv.environment import Environment
from openenv.server import application
from openenv.types import Action, Observation, State

OLD_KEYS = {"observation", "reward", "done", "metadata"}

Web = Callable[..., httpx.AsyncClient]


@pytest.fixture(params=["light", "whole"])
async def web(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    """Makes clients of applications, which are FastAPIs or not yet; the applications are started and stopped."""
    if request.param == "light":
        monkeypatch.setattr(application, "_WANT_IT_WHOLE", ())
    async with AsyncExitStack() as ends:
        started: list[FastAPI] = []

        async def client(app: FastAPI) -> httpx.AsyncClient:
            if app not in started:
                started.append(app)
                await ends.enter_async_context(living(app))
            return await ends.enter_async_context(
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
            )

        yield client


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def app_of(cls: type[World], capacity: int | None = None, **more: Any) -> FastAPI:
    return create_app(cls, Move, Seen, "world", capacity, **more)


@pytest.mark.parametrize("concurrent", [False, True])
async def test_plain_requests_keep_state_at_any_capacity(web: Any, concurrent: bool) -> None:
    cls = world(SUPPORTS_CONCURRENT_SESSIONS=concurrent)
    client = await web(app_of(cls, 1))
    assert (await client.get("/state")).json() == {"episode_id": None, "step_count": 0}
    assert cls.ledger.count("made") == 0
    assert code(await client.post("/step", json={"action": {}})) == (409, "RESET_NEEDED")
    assert (await client.post("/reset", json={"seed": 5, "episode_id": "e"})).json() == {
        "observation": {"value": 0, "metadata": {}},
        "reward": 0.0,
        "done": False,
        "metadata": None,
        "seed": 5,
        "episode_id": "e",
    }
    for count in (1, 2):
        assert (await client.post("/step", json={"action": {"how": "ok"}})).json()["observation"]["value"] == count
    assert (await client.get("/state")).json()["step_count"] == 2
    assert (await client.get("/ready")).json()["sessions"] == {"active": 0, "capacity": 1, "waiting": 0}


async def test_two_clients_share_or_have_sessions_of_their_own(web: Any) -> None:
    app = app_of(world())
    one, two = await web(app), await web(app)
    await one.post("/reset")
    answers = await asyncio.gather(*(client.post("/step", json={"action": {}}) for client in (one, two, one, two)))
    assert sorted(answer.json()["observation"]["value"] for answer in answers) == [1, 2, 3, 4]
    opened = await two.post("/sessions")  # from now on its cookie speaks for it
    assert opened.status_code == 201
    assert opened.json()["lease_s"] == 900.0
    assert code(await two.post("/step", json={"action": {}})) == (409, "RESET_NEEDED")
    await two.post("/reset")
    assert (await two.post("/step", json={"action": {}})).json()["observation"]["value"] == 1
    header = {"X-OpenEnv-Session": opened.json()["session_id"]}
    assert (await one.post("/step", json={"action": {}}, headers=header)).json()["observation"]["value"] == 2
    assert (await one.post("/step", json={"action": {}})).json()["observation"]["value"] == 5


async def test_an_ended_session_is_gone_and_its_cookie_too(web: Any) -> None:
    cls = world()
    client = await web(app_of(cls))
    session = (await client.post("/sessions")).json()["session_id"]
    assert (await client.delete(f"/sessions/{session}")).status_code == 204
    assert cls.ledger.count("close") == 1
    assert (await client.delete(f"/sessions/{session}")).status_code == 204  # its answer may have been lost
    assert cls.ledger.count("close") == 1
    assert code(await client.delete("/sessions/nobody")) == (404, "SESSION_NOT_FOUND")
    for name, expected in ((session, (410, "EPISODE_LOST")), ("nobody", (404, "SESSION_NOT_FOUND"))):
        header = {"X-OpenEnv-Session": name}
        for answer in (await client.post("/reset", headers=header), await client.get("/state", headers=header)):
            assert code(answer) == expected
    assert answer.json()["error"]["details"] == {}
    gone = await client.get("/state", headers={"X-OpenEnv-Session": session})
    assert gone.json()["error"]["details"] == {"reason": "closed"}
    assert (await client.post("/reset")).status_code == 200


async def test_the_shared_session_gives_way_to_a_private_one(web: Any) -> None:
    cls = world(SUPPORTS_CONCURRENT_SESSIONS=False)
    app = app_of(cls)
    plain, other = await web(app), await web(app)
    await plain.post("/reset")
    session = (await other.post("/sessions")).json()["session_id"]
    answer = await plain.post("/step", json={"action": {}})
    assert code(answer) == (410, "EPISODE_LOST")
    assert answer.json()["error"]["details"] == {"reason": "gave_way"}
    assert code(await plain.get("/state")) == (410, "EPISODE_LOST")
    assert code(await plain.post("/reset")) == (503, "CAPACITY_REACHED")
    assert code(await plain.post("/sessions")) == (503, "CAPACITY_REACHED")
    await other.delete(f"/sessions/{session}")
    assert (await plain.post("/reset")).status_code == 200
    assert cls.ledger.most_alive() == 1


async def test_a_reset_tells_the_seed_and_name_that_were_drawn(web: Any) -> None:
    cls = world()
    client = await web(app_of(cls))
    told = (await client.post("/reset")).json()
    assert {"seed": told["seed"], "episode_id": told["episode_id"], "how": "ok"} == cls.ledger.seen[0]
    assert isinstance(told["seed"], int)
    assert told["episode_id"]
    assert set((await client.post("/step", json={"action": {}})).json()) == OLD_KEYS


async def test_the_answers_of_a_lenient_class_have_the_old_keys_alone(web: Any) -> None:
    client = await web(app_of(world(lifecycle="lenient")))
    assert set((await client.post("/reset", json={"seed": 5, "episode_id": "e"})).json()) == OLD_KEYS


@pytest.mark.parametrize(
    ("path", "body", "loc"),
    [
        ("/reset", {"seed": "x"}, ["body", "seed"]),
        ("/reset", {"seed": -1}, ["body", "seed"]),
        ("/reset", {"episode_id": 5}, ["body", "episode_id"]),
        ("/step", {}, ["body", "action"]),
        ("/step", {"action": {}, "timeout_s": 0}, ["body", "timeout_s"]),
    ],
)
async def test_an_error_names_its_field(web: Any, path: str, body: dict[str, Any], loc: list[str]) -> None:
    client = await web(app_of(world()))
    await client.post("/reset")
    answer = await client.post(path, json=body)
    assert answer.status_code == 422
    assert [entry["loc"] for entry in answer.json()["detail"]] == [loc]


async def test_a_body_in_many_pieces_is_one_body(web: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for one in '{"action": {"how": "ok"}}':
            yield one.encode()

    client = await web(app_of(world()))
    await client.post("/reset")
    assert (await client.post("/step", content=pieces())).json()["observation"]["value"] == 1


@pytest.mark.parametrize("as_factory", [False, True])
async def test_a_lenient_class_steps_without_a_reset(web: Any, as_factory: bool) -> None:
    cls = world(lifecycle="lenient")
    client = await web(app_of(factory_of(cls) if as_factory else cls))  # type: ignore[arg-type]
    answer = await client.post("/step", json={"action": {"how": "done"}, "unknown": 1})
    assert answer.json()["done"] is True
    assert (await client.post("/step", json={"action": {}})).json()["observation"]["value"] == 2


async def test_arguments_beside_the_action_arrive_or_are_refused(web: Any) -> None:
    cls = world()
    client = await web(app_of(cls))
    await client.post("/reset", json={"seed": 3, "episode_id": "e", "how": "ok"})
    assert cls.ledger.seen == [{"seed": 3, "episode_id": "e", "how": "ok"}]
    step = {"action": {}, "bonus": 10, "timeout_s": 5, "request_id": "r"}
    assert (await client.post("/step", json=step)).json()["observation"]["value"] == 11
    answer = await client.post("/step", json={"action": {}, "colour": "red"})
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["detail"][0]["loc"] == ["colour"]


@pytest.mark.parametrize(
    ("path", "body", "expected", "says"),
    [
        ("/reset", '{"seed": -1}', (422, "INVALID_REQUEST"), "seed"),
        ("/reset", '{"episode_id": 5}', (422, "INVALID_REQUEST"), "episode_id"),
        ("/step", "{}", (422, "INVALID_REQUEST"), "action"),
        ("/step", '{"action": {}, "timeout_s": 0}', (422, "INVALID_REQUEST"), "timeout_s"),
        ("/step", '{"action": {}, "timeout_s": "soon"}', (422, "INVALID_REQUEST"), "timeout_s"),
        ("/step", '{"action": 5}', (422, "VALIDATION_ERROR"), "Move"),
        ("/step", '{"action": {}, "bonus": "\\ud800"}', (400, "INVALID_JSON"), "not JSON"),
        ("/step", '{"action": {"how": "\\ud800"}}', (400, "INVALID_JSON"), "not JSON"),
        ("/step", "[1]", (400, "INVALID_JSON"), "object"),
        ("/step", "{", (400, "INVALID_JSON"), "not JSON"),
        ("/step", '{"action": {"how": "' + "x" * 3000 + '"}}', (413, "MESSAGE_TOO_LARGE"), "2000 bytes"),
    ],
)
async def test_a_bad_request_says_what_is_wrong(
    web: Any, path: str, body: str, expected: tuple[int, str], says: str
) -> None:
    client = await web(app_of(world(), max_message_bytes=2000))
    await client.post("/reset")
    answer = await client.post(path, content=body)
    assert code(answer) == expected
    assert says in answer.json()["error"]["message"]
    assert (await client.post("/step", json={"action": {}})).json()["observation"]["value"] == 1


async def test_ready_says_why_not(web: Any) -> None:
    cls = world(on_make="raise")
    client = await web(app_of(cls))
    assert (await client.get("/health")).json() == {"status": "healthy"}
    answer = await client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "world could not be built: RuntimeError: boom"
    assert code(await client.get("/metadata")) == (500, "FACTORY_ERROR")
    cls.on_make = "ok"
    ready = (await client.get("/ready")).json()
    assert (ready["status"], ready["sessions"]) == ("ready", {"active": 0, "capacity": 64, "waiting": 0})
    assert ready["environment"] == {name: (await client.get("/metadata")).json()[name] for name in ready["environment"]}
    assert (await client.get("/metadata")).json()["description"] == "Does what it is told to."


class Grid(Action):
    cells: np.ndarray


class Picture(Observation):
    pixels: np.ndarray
    brightness: np.float32 = np.float32(0)


class Painter(Environment[Grid, Picture, State]):
    def reset(self) -> Picture:
        return Picture(pixels=np.zeros((2, 2)))

    def step(self, action: Grid) -> Picture:
        return Picture(pixels=action.cells * 2, brightness=np.float32(0.5))

    @property
    def state(self) -> State:
        return State(grid=np.ones(2))  # type: ignore[call-arg]


async def test_arrays_travel_and_are_described(web: Any) -> None:
    client = await web(create_app(Painter))
    schema = (await client.get("/schema")).json()
    assert schema["action"]["properties"]["cells"]["type"] == "array"
    assert schema["observation"]["properties"]["pixels"]["type"] == "array"
    assert schema["observation"]["properties"]["brightness"]["type"] == "number"
    await client.post("/reset")
    observation = (await client.post("/step", json={"action": {"cells": [[1, 2]]}})).json()["observation"]
    assert observation["pixels"] == [[2, 4]]
    assert observation["brightness"] == 0.5
    assert (await client.get("/state")).json()["grid"] == [1.0, 1.0]


async def test_the_pages_work(web: Any) -> None:
    for app in (app_of(world()), create_app(Painter)):
        client = await web(app)
        assert (await client.get("/docs")).status_code == 200
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert {"/reset", "/step", "/state", "/sessions", "/schema", "/metadata", "/health", "/ready"} <= set(paths)
        body = paths["/step"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body["required"] == ["action"]


async def test_a_close_that_fails_is_told_to_who_asked(web: Any) -> None:
    client = await web(app_of(world(on_close="raise")))
    session = (await client.post("/sessions")).json()["session_id"]
    assert code(await client.delete(f"/sessions/{session}")) == (500, "EXECUTION_ERROR")
    assert (await client.delete(f"/sessions/{session}")).status_code == 204  # it has ended all the same


class Inner(BaseModel):
    depth: int = 0


class Tree(Action):
    inner: Inner
    either: Annotated[Cat | Dog, Field(discriminator="kind")]
    children: list[Tree]


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


def references(value: Any) -> list[str]:
    """Every text in a document that points to another place of it."""
    if isinstance(value, str):
        return [value] if value.startswith("#/") else []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for item in items for found in references(item)]


@pytest.mark.parametrize("action", [Tree, Move])
async def test_every_reference_of_the_openapi_document_resolves(web: Any, action: type[Action]) -> None:
    client = await web(create_app(world(), action, Seen, "world"))
    document = (await client.get("/openapi.json")).json()
    found = references(document)
    assert ("#/components/schemas/Inner" in found) is (action is Tree)
    for reference in found:
        place = document
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]
        assert place["type"] == "object"
