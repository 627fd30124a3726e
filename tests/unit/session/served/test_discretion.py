"""Credentials reach the environment, wherever it lives, and leave it by no way."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.session.isolation.playing import children_of
from tests.unit.session.tool_worlds import Hearing, fields, playing, serving

from openenv.environment import Environment, Isolation, ToolEnvironment
from openenv.errors import ActionInvalid, ExecutionFailed, FactoryFailed, OpenEnvError, RewardInvalid
from openenv.protocol import Failed, Reset, Step, V2ServerCodec
from openenv.session import EnvironmentSpec, SessionEngine
from openenv.session.isolation.orders import Limits, Prepare, Surroundings
from openenv.session.isolation.reference import FactoryReference
from openenv.session.isolation.worker import command_of, told_privately
from openenv.tools import ToolContext, resource, tool
from openenv.types import EnvironmentMetadata, Observation, State

SECRET = "sk-very/secret+value"
GIVEN = {"API_KEY": SECRET}
HIDDEN = "[API_KEY]"


class Told(State):
    key: str = ""


class Leaking(ToolEnvironment[Told]):
    """Tells its secret in every way that there is."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    @property
    def key(self) -> str:
        return self.credentials["API_KEY"]

    def reset(self, seed: int | None = None, raises: bool = False) -> Observation:
        if raises:
            raise RuntimeError(self.key)
        return Observation(metadata={"key": self.key})

    @tool
    def tell(self) -> str:
        """Tell it."""
        return f"it is {self.key}"

    @tool
    def fail(self) -> str:
        """Raise it."""
        raise RuntimeError(self.key)

    @tool
    def mutter(self, context: ToolContext) -> str:
        """Say it on the side."""
        context.progress(0.5, message=self.key)
        context.log({"key": [self.key]})
        return "said"

    def step_other(self, action: Any, timeout_s: float | None = None, **options: Any) -> Observation:
        if action.metadata.get("how") == "refuse":
            raise ActionInvalid(f"not with {self.key}", details={"key": self.key})
        if action.metadata.get("how") == "nan":
            return Observation(reward=float("nan"), metadata={"key": self.key})
        raise RuntimeError(self.key)

    @resource("note://key")
    def read(self) -> str:
        """The key."""
        return self.key

    @property
    def state(self) -> Told:
        return Told(key=self.key)

    def get_metadata(self) -> EnvironmentMetadata:
        return EnvironmentMetadata(name="leaking", description=self.credentials.get("API_KEY", "none"))

    def snapshot(self) -> str:
        return self.key

    def restore(self, snapshot: str) -> None:
        pass


class AwaitedLeaking(Leaking):
    """The same, awaited."""

    @tool
    async def tell(self) -> str:
        """Tell it."""
        await asyncio.sleep(0)
        return f"it is {self.key}"


PLACES = [
    (cls, isolation)
    for cls in (Leaking, AwaitedLeaking)
    for isolation in ("thread", "inline", "process")
    if isolation != "process" or sys.platform == "linux"
]


def held(*files: Path) -> bytes:
    return b"".join(file.read_bytes() for file in files)


async def failure(asked: Awaitable[Any] | Callable[[], Any]) -> OpenEnvError:
    with pytest.raises(OpenEnvError) as failed:
        await asked if isinstance(asked, Awaitable) else asked()
    return failed.value


@pytest.mark.parametrize(("cls", "isolation"), PLACES)
async def test_nothing_that_leaves_tells_them(tmp_path: Path, cls: type[Leaking], isolation: Isolation) -> None:
    codec, told = V2ServerCodec(), []
    spec = EnvironmentSpec.of(cls, Observation)
    async with serving(spec.factory, isolation, tmp_path, credentials=GIVEN) as engine:
        assert SECRET not in repr(engine.spec)
        session = await engine.open()
        told.append(codec.encode(await session.reset(Reset())))
        hearing, news = Hearing(), list[Any]()
        session.watch(news.append)
        await session.call_tool("mutter", {}, hearing.call)
        for name in ("tell", "fail"):
            told.append(codec.encode(await session.call_tool(name, {})))
        told += [repr(hearing.notes), repr(news), codec.encode(await session.state())]
        assert len(hearing.notes) == 2
        told.append(msgspec.json.encode(await session.offer("resources/read", {"uri": "note://key"})).decode())
        told.append(repr(await session.metadata()))
        told.append((await session.episode.snapshot()).decode())
        failed = await failure(session.reset(Reset(options={"raises": True})))
        told.append(codec.encode(Failed.of(failed)))
        if session.is_prompt:
            assert isinstance(await failure(lambda: session.move_now(Reset(options={"raises": True}))), ExecutionFailed)
            told.append(repr(session.move_now(Reset())))
        for text in told:
            assert HIDDEN in text, text
            assert SECRET not in text, text
    kept = held(*tmp_path.iterdir())  # noqa: ASYNC240 - nothing else runs
    assert HIDDEN.encode() in kept
    assert SECRET.encode() not in kept


class Other(Observation):
    """An action of its own."""


@pytest.mark.parametrize("how", ["refuse", "nan", "raise"])
@pytest.mark.parametrize("isolation", ["thread", "inline"])
async def test_no_error_tells_them(how: str, isolation: Isolation) -> None:
    engine = SessionEngine(EnvironmentSpec.of(Leaking, Other), isolation=isolation)
    engine.equip(credentials=GIVEN)
    await engine.start()
    session = await engine.open()
    await session.reset(Reset())
    failed = await failure(session.step(Step(action={"metadata": {"how": how}})))
    assert {"refuse": ActionInvalid, "nan": RewardInvalid, "raise": ExecutionFailed}[how] is type(failed)
    assert SECRET not in f"{failed} {failed.details}"
    assert HIDDEN in f"{failed} {failed.details}" or how == "nan"
    if session.is_prompt:
        failed = await failure(lambda: session.move_now(Step(action={"metadata": {"how": how}})))
        assert SECRET not in f"{failed} {failed.details}"
    await engine.aclose()


@pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")
async def test_no_command_line_has_them() -> None:
    async with playing(Leaking, "process", credentials=GIVEN) as session:
        assert HIDDEN in fields(await session.call_tool("tell", {}))["result"]["data"]
        pids = [pid for child in children_of(os.getpid()) for pid in (child, *children_of(child))]
        assert len(pids) >= 2
        assert SECRET.encode() not in held(*(Path(f"/proc/{pid}/cmdline") for pid in pids))


@pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")
def test_a_worker_that_is_not_forked_reads_them_where_nobody_else_does() -> None:
    surroundings = Surroundings("production", GIVEN)
    assert SECRET not in repr(surroundings)
    prepare = Prepare(FactoryReference.of(EnvironmentSpec.of(Leaking)), Limits(), surroundings)
    assert SECRET not in repr(prepare)
    with told_privately(prepare) as descriptor:
        command = command_of(3, 1, 1, descriptor)
        assert not any(SECRET in word for word in command)
        with open(descriptor, "rb", closefd=False) as file:
            read = msgspec.json.decode(file.read(), type=Prepare)
    assert read == prepare
    spec = read.load()
    assert (spec.mode, spec.credentials) == ("production", GIVEN)


async def test_a_factory_that_fails_does_not_tell_them() -> None:
    def factory() -> Environment[Any, Any, Any]:
        raise RuntimeError(f"cannot connect with {SECRET}")

    engine = SessionEngine(EnvironmentSpec.of(factory, Observation, Observation, "broken"))
    engine.equip(credentials=GIVEN)
    await engine.start()
    with pytest.raises(FactoryFailed, match="API_KEY") as failed:
        await engine.open()
    assert SECRET not in str(failed.value)
    await engine.aclose()


async def test_an_environment_without_any_has_none() -> None:
    async with serving(Leaking, "thread") as engine:
        session = await engine.open()
        failed = await failure(session.reset(Reset()))
        assert "KeyError" in str(failed)
        assert engine.metadata is not None
        assert engine.metadata.description == "none"


@pytest.mark.parametrize(("mode", "expected"), [("simulation", {"both", "training"}), ("production", {"both", "real"})])
@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_the_mode_says_which_tools_there_are(mode: Any, expected: set[str], isolation: Isolation) -> None:
    async with playing(Moded, isolation, mode=mode) as session:
        listed = await session.offer("tools/list", {})
        assert {one["name"] for one in listed["tools"]} == expected


class Moded(ToolEnvironment[State]):
    """Has other tools in training."""

    def reset(self) -> Observation:
        return Observation()

    @tool
    def both(self) -> None:
        """Always there."""

    @tool(mode="simulation")
    def training(self) -> None:
        """Only in training."""

    @tool(mode="production")
    def real(self) -> None:
        """Only for real."""
