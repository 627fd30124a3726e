"""What tools a class has, when they are there, and which classes are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.environment.tool_worlds import Guess, Tries, begun, call, error_of

from openenv import (
    CallToolAction,
    CallToolObservation,
    Environment,
    ListToolsAction,
    ListToolsObservation,
    MCPEnvironment,
    Observation,
    ToolEnvironment,
    tool,
)
from openenv.environment import EnvironmentPlan
from openenv.environment.toolbox import VisibleFailed
from openenv.errors import ConfigurationError
from openenv.tools import Changed, Note


@pytest.fixture
def guess() -> Guess:
    return begun()


class TestVisibility:
    def test_what_is_shown_later_is_announced(self, guess: Guess) -> None:
        notes: list[Note] = []
        guess.note_sink = notes.append
        assert error_of(call(guess, "hint"))[1].startswith("the tool hint is not there now")
        guess.secret = 50
        call(guess, "guess", number=1)
        assert notes == []
        call(guess, "guess", number=1)
        assert notes == [Changed("tools")]
        assert call(guess, "hint").result["data"] == 50
        guess.reset()
        assert notes == [Changed("tools")] * 2

    def test_before_the_first_reset_what_misses_an_attribute_is_not_there(self) -> None:
        class Late(ToolEnvironment):
            def reset(self) -> Observation:
                self.has_key = True
                return Observation()

            @tool(visible=lambda self: self.has_key)
            def open(self) -> None: ...

            @tool
            def forget(self) -> None:
                del self.has_key

        environment = Late()
        assert [one.name for one in environment.visible_tools()] == ["forget"]
        environment.reset()
        assert [one.name for one in environment.visible_tools()] == ["open", "forget"]
        call(environment, "forget")
        with pytest.raises(VisibleFailed, match=r"visible of the tool open raised AttributeError: .*has_key"):
            environment.visible_tools()

    def test_a_visible_that_raises_does_not_undo_a_call(self) -> None:
        class Pocket(ToolEnvironment):
            def reset(self) -> Observation:
                self.things = ["key"]
                return Observation()

            @tool
            def throw(self) -> str:
                self.award(1.0)
                self.things.pop()
                return "gone"

            @tool(visible=lambda self: self.things[0] == "key")
            def open(self) -> str:
                return "open"

        environment, notes = Pocket(), list[Note]()
        environment.reset()
        environment.note_sink = notes.append
        thrown = call(environment, "throw")
        assert (thrown.result["data"], thrown.reward, environment.state.step_count) == ("gone", 1.0, 1)
        assert notes == [Changed("tools")]
        assert error_of(call(environment, "open"))[1].startswith(
            "VisibleFailed: visible of the tool open raised IndexError"
        )
        with pytest.raises(VisibleFailed, match="it must work in every state"):
            environment.step(ListToolsAction())
        environment.reset()
        assert call(environment, "open").result["data"] == "open"

    def test_a_tool_can_be_added(self, guess: Guess) -> None:
        notes: list[Note] = []
        guess.note_sink = notes.append

        def double(number: int) -> int:
            return 2 * number

        guess.add_tool(double, description="Doubles.")
        assert call(guess, "double", number=4).result["data"] == 8
        with pytest.raises(ConfigurationError, match="two tools are named double"):
            guess.add_tool(double)

    def test_a_tool_that_is_added_in_a_call_is_announced(self) -> None:
        class Grows(Guess):
            @tool
            def grow(self) -> None:
                self.add_tool(lambda: 1, name="grown")

        environment, notes = Grows(), list[Note]()
        environment.reset()
        environment.note_sink = notes.append
        call(environment, "grow")
        assert notes == [Changed("tools")]
        assert call(environment, "grown").result["data"] == 1

    def test_lists_are_of_what_is_there(self, guess: Guess) -> None:
        listed = guess.step(ListToolsAction())
        assert isinstance(listed, ListToolsObservation)
        assert [one.name for one in listed.tools] == ["guess", "fails", "ask", "long", "cut"]
        assert listed.tools[0].input_schema["properties"]["number"]["maximum"] == 100
        assert guess.state.step_count == 0


class TestClasses:
    def test_the_plan_knows(self) -> None:
        plan = EnvironmentPlan.of(Guess)
        assert plan.tools
        assert not plan.is_async
        assert (plan.action_type, plan.observation_type, plan.state_type) == (
            CallToolAction,
            CallToolObservation,
            Tries,
        )
        assert plan.reset.names == {"seed"}

    def test_two_tools_of_one_name_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"two tools are named a; name one otherwise: @tool\(name=...\)"):

            class Twice(ToolEnvironment):
                @tool
                def a(self) -> None: ...
                @tool(name="a")
                def b(self) -> None: ...

    def test_two_tools_of_one_name_may_be_of_two_modes(self) -> None:
        class Both(ToolEnvironment):
            def reset(self) -> Observation:
                return Observation()

            @tool(name="buy", mode="simulation")
            def pretend(self) -> str:
                return "pretended"

            @tool(name="buy", mode="production")
            def really(self) -> str:
                return "really"

        environment = Both()
        environment.reset()
        assert call(environment, "buy").result["data"] == "pretended"
        environment.serving_mode = "production"
        assert call(environment, "buy").result["data"] == "really"

    @pytest.mark.parametrize("name", ["reset", "step", "state", "close"])
    def test_a_name_that_controls_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match=f"cannot be named {name}"):

            class Clash(ToolEnvironment):
                @tool(name=name)
                def a(self) -> None: ...

    def test_an_override_without_a_mark_is_the_tool(self) -> None:
        class Other(Guess):
            def guess(self, number: int, loud: bool = False) -> str:  # type: ignore[override]
                """Another one."""
                return "other"

            fails = None  # type: ignore[assignment]

        environment = Other()
        environment.reset()
        listed = {one.name: one for one in environment.visible_tools()}
        assert listed["guess"].description == "Another one."
        assert "fails" not in listed
        assert call(environment, "guess", number=1, loud=True).result["data"] == "other"

    def test_a_type_that_comes_later_in_the_module_is_found(self) -> None:
        source = (
            "from __future__ import annotations\n"
            "from openenv import Observation, ToolEnvironment, tool\n"
            "from pydantic import BaseModel\n"
            "class Early(ToolEnvironment):\n"
            "    def reset(self): return Observation()\n"
            "    @tool\n"
            "    def take(self, point: Point) -> int: return point.x\n"
            "class Point(BaseModel):\n"
            "    x: int\n"
        )
        names: dict[str, Any] = {"__name__": "later"}
        exec(source, names)
        environment = names["Early"]()
        environment.reset()
        assert call(environment, "take", point={"x": 3}).result["data"] == 3

    def test_only_plain_methods_are_tools(self) -> None:
        with pytest.raises(ConfigurationError, match=r"Wrong\.a is marked as tool, but it is no plain method"):

            class Wrong(ToolEnvironment):
                @staticmethod
                @tool
                def a() -> None: ...

    def test_a_thousand_tools(self) -> None:
        def made(index: int) -> Callable[..., int]:
            def give(self: Any, a: int = 0) -> int:
                return index + a

            return tool(name=f"tool_{index}", description=f"Gives {index}.")(give)

        methods = {f"tool_{index}": made(index) for index in range(1000)}
        many = type("Many", (ToolEnvironment,), {"reset": lambda self: Observation(), **methods})
        environment = many()
        environment.reset()
        assert call(environment, "tool_999", a=1).result["data"] == 1000
        assert len(environment.step(ListToolsAction()).tools) == 1000

    def test_limits_of_time_that_a_server_keeps(self) -> None:
        class Limited(Guess):
            @tool(timeout_s=2.5)
            def slow(self) -> None: ...
            @tool(timeout_s=1)
            async def awaited(self) -> None: ...

        assert Limited().deadlines() == {"slow": 2.5}


@pytest.mark.parametrize("cls", [MCPEnvironment, ToolEnvironment, Environment])
def test_private_names_are_left_to_authors(cls: type[Any]) -> None:
    """Who writes ``self._objects = []`` must not meet an attribute of ours."""
    ours = [name for name in vars(cls) if name.startswith("_") and not name.startswith(("__", "_openenv_", "_abc_"))]
    assert not ours
