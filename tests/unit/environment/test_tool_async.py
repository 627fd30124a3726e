"""Tool environments whose tools are awaited, and those that mount toolsets."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from openenv import CallToolAction, CallToolObservation, Observation, ToolContext, ToolEnvironment, resource, tool
from openenv.environment import EnvironmentPlan, with_toolsets
from openenv.errors import ConfigurationError, ToolsetUnavailable
from openenv.tools import Tool, result_of


class Waits(ToolEnvironment):
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended: list[str] = []

    def reset(self, seed: int | None = None) -> Observation:
        return Observation()

    @tool
    async def wait(self) -> str:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        return "never"

    @tool(timeout_s=0.01)
    async def limited(self) -> None:
        await asyncio.Event().wait()

    @tool(timeout_s=30)
    async def own_timeout(self) -> None:
        raise TimeoutError("of the tool itself")

    @tool
    async def quick(self, context: ToolContext) -> int:
        await asyncio.sleep(0)
        self.award(1.0)
        return 3

    @tool
    def plain(self) -> int:
        return 4

    @resource("a://b")
    async def read(self) -> str:
        return "text"


async def call(environment: Any, name: str, /, **arguments: Any) -> CallToolObservation:
    found = await environment.step_async(CallToolAction(tool_name=name, arguments=arguments))
    assert isinstance(found, CallToolObservation)
    return found


def kind_of(observation: CallToolObservation) -> str:
    assert observation.error is not None
    return observation.error.error_type.value


async def test_both_kinds_of_tools_are_called() -> None:
    environment = Waits()
    await environment.reset_async(seed=1)
    assert EnvironmentPlan.of(Waits).is_async
    first = await call(environment, "quick")
    assert (first.result["data"], first.reward) == (3, 1.0)
    assert (await call(environment, "plain")).result["data"] == 4
    assert environment.state.step_count == 2
    assert (await environment.offer("resources/read", {"uri": "a://b"}))["contents"][0]["text"] == "text"


async def test_a_tool_that_takes_too_long_is_ended() -> None:
    observation = await call(Waits(), "limited")
    assert kind_of(observation) == "timeout"
    assert observation.error is not None
    assert observation.error.message == "it took longer than 0.01 s"


async def test_a_timeout_of_the_tools_own_is_its_error() -> None:
    observation = await call(Waits(), "own_timeout")
    assert kind_of(observation) == "execution_error"
    assert observation.error is not None
    assert observation.error.message == "TimeoutError: of the tool itself"


async def test_a_running_tool_is_cancelled() -> None:
    environment = Waits()
    going = asyncio.create_task(call(environment, "wait"))
    await environment.begun.wait()
    await asyncio.get_running_loop().run_in_executor(None, environment.cancel_call)  # from another thread
    assert kind_of(await going) == "cancelled"
    assert environment.ended == ["cancelled"]
    assert environment.state.step_count == 1
    environment.cancel_call()  # of none
    assert (await call(environment, "quick")).error is None


async def test_a_cancelled_caller_is_no_cancelled_call() -> None:
    environment = Waits()
    going = asyncio.create_task(call(environment, "wait"))
    await environment.begun.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert environment.ended == ["cancelled"]


def test_its_step_is_awaited() -> None:
    with pytest.raises(TypeError, match="Waits is asynchronous: await step_async"):
        Waits().step(CallToolAction(tool_name="plain"))


def test_a_step_that_would_not_be_called_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="override step_async instead"):

        class Wrong(Waits):
            def step(self, action: Any, *args: Any, **kwargs: Any) -> Any:
                return super().step(action)


def test_an_async_tool_cannot_be_added_where_nothing_is_awaited() -> None:
    class Plain(ToolEnvironment):
        def reset(self) -> Observation:
            return Observation()

    async def late() -> None: ...

    with pytest.raises(ConfigurationError, match="late is async, but nothing else of Plain is"):
        Plain().add_tool(late)


class Elsewhere:
    """A toolset as another server would be one."""

    def __init__(self, name: str = "else", tools: Sequence[str] = ("far",), log: list[str] | None = None) -> None:
        self.name = name
        self._names, self._there = tools, False
        self.log = [] if log is None else log

    def fresh(self) -> Elsewhere:
        return Elsewhere(self.name, self._names, self.log)

    async def begin(self, credentials: Mapping[str, str]) -> None:
        await asyncio.sleep(0)
        self.log.append(f"begin {self.name}")
        self._there = True

    def tools(self) -> Sequence[Tool]:
        return [Tool(name) for name in self._names] if self._there else []

    async def call(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> dict[str, Any]:
        await asyncio.sleep(0)
        if arguments.get("gone"):
            raise ToolsetUnavailable("it has gone")
        return result_of({"called": name, **arguments}, has_schema=False, wraps=False)

    async def close(self) -> None:
        self.log.append(f"close {self.name}")
        if self.name == "bad":
            raise OSError("cannot close")


class Plain(ToolEnvironment):
    closed = 0

    def reset(self, seed: int | None = None) -> Observation:
        return Observation(metadata={"seed": seed})

    @tool
    def near(self) -> int:
        return 1

    def close(self) -> None:
        self.closed += 1


class TestToolsets:
    async def test_they_begin_with_each_episode_and_are_closed(self) -> None:
        log: list[str] = []
        cls = with_toolsets(Plain, [Elsewhere(log=log)])
        assert (cls.__name__, cls.__doc__) == ("Plain", Plain.__doc__)
        assert EnvironmentPlan.of(cls).is_async
        assert not EnvironmentPlan.of(Plain).is_async
        environment = cls()
        assert (await environment.reset_async(seed=3)).metadata == {"seed": 3}
        far = await call(environment, "far", a=1)
        assert far.result["data"] == {"called": "far", "a": 1}
        assert (await call(environment, "near")).result["data"] == 1
        assert environment.state.step_count == 2
        await environment.reset_async()
        assert log == ["begin else", "begin else"]
        await environment.close()
        assert environment.closed == 1
        assert log[2:] == ["close else"]

    async def test_each_environment_has_its_own(self) -> None:
        cls = with_toolsets(Plain, [Elsewhere()])
        first, second = cls(), cls()
        await first.reset_async()
        assert (await call(first, "far")).error is None
        assert kind_of(await call(second, "far")) == "tool_not_found"

    async def test_arguments_may_be_keywords_of_python(self) -> None:
        class Mail(Elsewhere):
            def fresh(self) -> Mail:
                return self

            def tools(self) -> Sequence[Tool]:
                return [Tool("send", input_schema={"type": "object", "properties": {"from": {}, "to": {}}})]

        environment = with_toolsets(Plain, [Mail()])()
        await environment.reset_async()
        send = environment.callables()["send"]
        assert list(inspect.signature(send).parameters) == ["to"]
        assert (await send(**{"from": "a", "to": "b"})) == {"called": "send", "from": "a", "to": "b"}

    async def test_one_that_is_gone_is_an_answer(self) -> None:
        environment = with_toolsets(Plain, [Elsewhere()])()
        await environment.reset_async()
        assert kind_of(await call(environment, "far", gone=True)) == "transport_error"
        assert environment.state.step_count == 1

    async def test_names_that_clash_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="else has a tool near, and so has the environment; mount"):
            await with_toolsets(Plain, [Elsewhere(tools=["near"])])().reset_async()
        both = [Elsewhere("one"), Elsewhere("two")]
        with pytest.raises(ConfigurationError, match="toolset two has a tool far, and so has the toolset one"):
            await with_toolsets(Plain, both)().reset_async()

    async def test_all_are_closed_whatever_becomes_of_one(self) -> None:
        log: list[str] = []
        environment = with_toolsets(Plain, [Elsewhere("bad", log=log), Elsewhere("good", ["b"], log)])()
        with pytest.raises(OSError, match="cannot close"):
            await environment.close()
        assert log == ["close bad", "close good"]

    async def test_a_close_that_raises_closes_them_too(self) -> None:
        class Sad(Plain):
            def close(self) -> None:
                raise OSError("sad")

        log: list[str] = []
        with pytest.raises(OSError, match="sad"):
            await with_toolsets(Sad, [Elsewhere(log=log)])().close()
        assert log == ["close else"]

    async def test_a_subclass_may_close_and_reset_as_ever(self) -> None:
        log: list[str] = []

        class Mounted(Plain):
            toolsets = (Elsewhere(log=log),)

        class More(Mounted):
            async def reset_async(self, seed: int | None = None) -> Observation:
                log.append("reset")
                return Plain.reset(self, seed=seed)

            def close(self) -> None:
                super().close()

        environment = More()
        await environment.reset_async(seed=1)
        await environment.close()
        assert log == ["begin else", "reset", "close else"]
        assert environment.closed == 1

    def test_only_tool_environments_have_them(self) -> None:
        with pytest.raises(ConfigurationError, match="int is no ToolEnvironment"):
            with_toolsets(int, [])


class TestNewerTwin:
    """The twin of the more derived class is the one that is called."""

    def test_a_synchronous_override_of_an_asynchronous_method(self) -> None:
        class Sync(Waits):
            def reset(self, seed: int | None = None) -> Observation:
                return Observation(metadata={"mine": True})

        assert asyncio.run(Sync().reset_async()).metadata == {"mine": True}
