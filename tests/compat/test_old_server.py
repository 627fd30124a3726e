"""Our clients against a server of OpenEnv 0.10, played back from frames that were observed on one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.compat.old_style import CounterAction, CounterClient, CounterState
from websockets.asyncio.server import ServerConnection, serve

from openenv import ActionInvalid, CapacityReached, EpisodeLost, ExecutionFailed, FactoryFailed, LocalProtocolError
from openenv.core import GenericEnvClient

pytestmark = pytest.mark.e2e

FULL = "Server at capacity: 1/1 sessions active. Cannot accept new connections."


class OldServer:
    """Counts like ``CounterEnvironment``; refuses every key that version 1 does not know."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.total = self.steps = 0
        self.closed = asyncio.Event()

    async def __call__(self, connection: ServerConnection) -> None:
        assert connection.subprotocol is None
        async for text in connection:
            frame = json.loads(text)
            self.frames.append(frame)
            if frame["type"] == "close":
                break
            answer = self.answer(frame)
            await connection.send(answer if isinstance(answer, str) else json.dumps(answer, separators=(",", ":")))
        self.closed.set()

    def answer(self, frame: dict[str, Any]) -> Any:
        if set(frame) - {"type", "data"}:
            return self.error("Invalid message", "VALIDATION_ERROR")
        match frame["type"]:
            case "reset":
                self.total = self.steps = 0
                return self.observation({"reward": 0.0})
            case "step" if set(frame["data"]) != {"add"}:
                fields = [{"type": "missing", "loc": ["add"], "msg": "Field required", "input": frame["data"]}]
                return self.error("Invalid message", "VALIDATION_ERROR", errors=fields)
            case "step" if frame["data"]["add"] < 0:
                return self.error("step boom", "EXECUTION_ERROR")
            case "step":
                self.steps += 1
                self.total += frame["data"]["add"]
                beside = {"metadata": {"k": "v"}} if self.total == 7 else {}
                return self.observation({"reward": 1, **beside})
            case "state":
                return {"type": "state", "data": {"episode_id": "e", "step_count": self.steps, "target": 10}}
        return self.error(f"Unknown message type: {frame['type']}", "UNKNOWN_TYPE")

    def observation(self, beside: dict[str, Any]) -> Any:
        seen = {"metadata": beside.get("metadata", {}), "total": self.total, "legal": [1, 2]}
        return {"type": "observation", "data": {"observation": seen, "done": self.total >= 10, **beside}}

    def error(self, message: str, code: str, **more: Any) -> Any:
        return {"type": "error", "data": {"message": message, "code": code, **more}}


@asynccontextmanager
async def listening(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_an_episode() -> None:
    old = OldServer()
    async with listening(old) as url:
        async with CounterClient(base_url=url) as env:
            assert (await env.reset(seed=1, episode_id="e", level=3)).observation.total == 0
            result = await env.step(CounterAction(add=7))
            assert (result.observation.total, result.reward, result.done) == (7, 1, False)
            assert result.observation.metadata == {"k": "v"}
            assert (await env.step(CounterAction(add=3))).done
            assert await env.state() == CounterState(episode_id="e", step_count=2, target=10)
        await old.closed.wait()
    assert old.frames == [
        {"type": "reset", "data": {"seed": 1, "episode_id": "e", "level": 3}},
        {"type": "step", "data": {"add": 7}},
        {"type": "step", "data": {"add": 3}},
        {"type": "state"},
        {"type": "close"},
    ]


async def test_an_episode_in_turn() -> None:
    def play(url: str) -> list[int]:
        with CounterClient(base_url=url).sync() as env:
            env.reset()
            seen = [env.step(CounterAction(add=2)).observation.total for _ in range(3)]
            return [*seen, env.state().step_count]

    old = OldServer()
    async with listening(old) as url:
        assert await asyncio.to_thread(play, url) == [2, 4, 6, 3]
        await old.closed.wait()


async def test_errors_are_ours_and_the_session_goes_on() -> None:
    async with listening(OldServer()) as url, GenericEnvClient(base_url=url) as env:
        await env.reset()
        with pytest.raises(ActionInvalid, match="Invalid message") as invalid:
            await env.step({"wrong": 1})
        assert invalid.value.details["errors"][0]["loc"] == ["add"]
        with pytest.raises(ExecutionFailed, match="step boom"):
            await env.step({"add": -1})
        with pytest.raises(LocalProtocolError, match="render"):
            await env.step({"add": 1}, render=True)
        assert (await env.step({"add": 1})).observation["total"] == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"message": FULL, "code": "CAPACITY_REACHED", "active_sessions": 1, "max_sessions": 1}, CapacityReached),
        ({"message": "Environment factory 'E' failed to create instance.", "code": "FACTORY_ERROR"}, FactoryFailed),
    ],
)
async def test_a_refused_session(data: dict[str, Any], expected: type[Exception]) -> None:
    async def refuse(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "error", "data": data}))

    async with listening(refuse) as url:
        client = CounterClient(base_url=url)
        with pytest.raises(expected):
            await client.reset()
        await client.close()


async def test_a_server_that_goes_away_loses_the_episode() -> None:
    async def leave(connection: ServerConnection) -> None:
        old = OldServer()
        await connection.send(json.dumps(old.answer(json.loads(await connection.recv()))))
        await connection.recv()

    async with listening(leave) as url:
        client = CounterClient(base_url=url)
        await client.reset()
        with pytest.raises(EpisodeLost):
            await client.step(CounterAction(add=1))
        with pytest.raises(ConnectionError):  # what older code catches
            await client.step(CounterAction(add=1))
        await client.close()
