"""The light application, and how it becomes a FastAPI."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from tests.unit.server.lifespan import living
from tests.unit.session.worlds import Move, Seen, factory_of, world

from openenv.app import create_app
from openenv.server import application
from openenv.server.application import Application

SERVED = """
import asyncio, sys
from importlib import import_module
from openenv import Action, Environment, Observation, State, create_app
from openenv.core.env_server.http_server import create_app as old_create_app

class Echo(Environment[Action, Observation, State]):
    def reset(self): return Observation()
    def step(self, action): return Observation(reward=1.0)
    @property
    def state(self): return State()

def ask(app, method, path):
    sent = []
    async def receive(): return {"type": "http.request", "body": b'{"action": {}}'}
    async def send(message): sent.append(message)
    asyncio.run(app({"type": "http", "method": method, "path": path, "headers": []}, receive, send))
    return sent[0]["status"]

app = old_create_app(Echo, Action, Observation)
print([ask(app, *one) for one in (("GET", "/health"), ("GET", "/schema"), ("POST", "/reset"), ("POST", "/step"))])
print(sorted({"fastapi", "starlette", "anyio", "sqlite3", "ctypes"} & set(sys.modules)))
print(ask(app, "GET", "/openapi.json"), type(app) is import_module("fastapi").FastAPI)
"""


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not imported FastAPI, which this one has."""
    monkeypatch.setattr(application, "_WANT_IT_WHOLE", ())


def app_of() -> Any:
    return create_app(factory_of(world()), Move, Seen, "world")


def test_a_server_that_is_only_played_loads_no_framework() -> None:
    done = subprocess.run([sys.executable, "-c", SERVED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[200, 200, 200, 200]", "[]", "200 True"]


def add_route(app: FastAPI | APIRouter) -> None:
    @app.get("/mine")
    async def mine(request: Request) -> str:
        return str(request.app.state.kept)


def add_router(app: FastAPI) -> None:
    router = APIRouter()
    add_route(router)
    app.include_router(router)


def add_mount(app: FastAPI) -> None:
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(f'"{app.state.kept}"')(scope, receive, send)

    app.mount("/mine", mounted)


@pytest.mark.parametrize("use", [add_route, add_router, add_mount])
async def test_what_a_user_adds_is_served_beside_the_endpoints(use: Callable[[FastAPI], None]) -> None:
    app = app_of()
    app.state.kept = "k"
    before, held = app, app.state
    assert type(app) is Application
    use(app)
    assert app is before
    assert type(app) is FastAPI
    held.later = 1
    assert (app.state.kept, app.state.later, app.title) == ("k", 1, "world")
    async with living(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/mine", follow_redirects=True)).json() == "k"
        assert (await client.post("/reset")).json()["observation"] == {"value": 0, "metadata": {}}
        assert (await client.delete("/sessions/none")).status_code == 404


async def test_it_is_a_fastapi_to_whoever_asks_and_becomes_one_in_the_middle_of_its_life() -> None:
    app = app_of()
    assert isinstance(app, FastAPI)
    assert isinstance(app, Starlette)
    assert not isinstance(app, type)
    assert not hasattr(app, "__await__")
    assert callable(app)
    assert type(app) is Application  # asking changed nothing
    async with living(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        first = app.__call__
        await client.post("/reset")
        assert type(app) is Application
        for path, status in (("/favicon.ico", 404), ("/docs", 200), ("/reset", 405)):
            assert (await client.get(path)).status_code == status
        assert type(app) is FastAPI
        assert (await client.post("/step", json={"action": {}})).json()["observation"]["value"] == 1  # the same session
        transport = httpx.ASGITransport(first)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as late:
            assert (await late.get("/docs")).status_code == 200


async def test_middleware_sees_requests_though_it_comes_last() -> None:
    app, seen = app_of(), []

    @app.middleware("http")
    async def note(request: Request, call_next: Any) -> Any:
        seen.append(request.url.path)
        return await call_next(request)

    async with living(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.post("/reset", json={"seed": 3})).json()["seed"] == 3
    assert seen == ["/reset"]


async def test_it_is_served_below_a_path() -> None:
    outer, app = FastAPI(), app_of()
    outer.mount("/env", app)
    async with living(app), httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://test") as client:
        assert (await client.get("/env/health")).json() == {"status": "healthy"}
        opened = (await client.post("/env/sessions")).json()["session_id"]
        assert (await client.delete(f"/env/sessions/{opened}")).status_code == 204
        assert (await client.get("/environment")).status_code == 404
    assert type(app) is Application


def test_setting_an_attribute_makes_it_whole_too() -> None:
    app = app_of()
    app.title = "mine"
    assert (type(app), app.title, app.openapi()["info"]["title"]) == (FastAPI, "mine", "mine")
