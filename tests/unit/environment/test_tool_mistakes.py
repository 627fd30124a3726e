"""What authors of tools get wrong is told when the class is made, in one line that says how to mend it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import Field
from tests.unit.environment.tool_worlds import Odd, call, error_of, plain, refused, world

from openenv import Environment, Observation, State, ToolContext, ToolEnvironment, ToolResult, prompt, tool
from openenv.errors import ConfigurationError


def given(self: Any, x: Odd, context: ToolContext) -> str: ...
def returned(self: Any, context: ToolContext) -> Odd: ...
def nothing() -> str: ...
def typed(x: int) -> str: ...
def chosen(x=3): ...  # type: ignore[no-untyped-def]


def taking(hint: Any, default: Any) -> Callable[..., Any]:
    def look(self, x=default):  # type: ignore[no-untyped-def]
        return "hi"

    look.__annotations__["x"] = hint
    return look


class TestSignatures:
    @pytest.mark.parametrize(
        ("function", "words"),
        [
            (given, "tool given: argument x is of type Odd, which has no JSON Schema; use JSON types"),
            (returned, "tool returned: what it returns is of type Odd, which has no JSON Schema; use JSON types"),
            (nothing, "nothing is a method that takes no self; write def nothing(self, ...)"),
            (typed, "typed is a method that takes no self"),
            (chosen, "chosen is a method that takes no self"),
        ],
    )
    def test_what_cannot_be_called_is_refused(self, function: Callable[..., Any], words: str) -> None:
        refused(words, **{function.__name__: tool(function)})

    @pytest.mark.parametrize("wrapped", [staticmethod, property, cached_property])
    def test_what_is_no_method_is_refused(self, wrapped: Callable[..., Any]) -> None:
        refused("World.look is marked as tool, but it is no plain method", look=wrapped(tool(plain)))

    def test_what_is_marked_is_a_function(self) -> None:
        for wrong in ("name", property(plain)):
            with pytest.raises(ConfigurationError, match=r"@tool marks a method, not .*options by name: @tool\(name"):
                tool(wrong)  # type: ignore[call-overload]

    @pytest.mark.parametrize(
        ("hint", "default", "words"),
        [
            (int, "x", "'x', which is not of its type: Input should be a valid integer"),
            (int, "3", "'3', which is not of its type: Input should be a valid integer"),
            (bool, 1, "1, which is not of its type: Input should be a valid boolean"),
            (Annotated[int, Field(ge=1)], 0, "0, which is not of its type: Input should be greater than or equal to 1"),
            (int, Odd(), "which is not of its type: it is of class Odd"),
            (int, Field(default=3), "which is not of its type: write Annotated[..., Field(...)] before the default"),
        ],
    )
    def test_a_default_is_of_its_type(self, hint: Any, default: Any, words: str) -> None:
        refused(f"argument x is {words}" if words[0] in "'01" else words, look=tool(taking(hint, default)))

    @pytest.mark.parametrize(
        ("hint", "default"),
        [
            (float, 3),
            (float, float("inf")),
            (int | None, None),
            (Literal["a", "b"], "b"),
            (list[int], (1, 2)),
            (Path, "x"),
            (Path, Path("x")),
            (bytes, b"\xff"),
            (State, State()),
            (State, {"step_count": 3}),
            (object, Odd()),
            (Any, Odd()),
        ],
    )
    def test_defaults_that_are(self, hint: Any, default: Any) -> None:
        world(look=tool(taking(hint, default)))

    def test_none_as_default_is_none_of_the_types_that_are_taken(self) -> None:
        told = Annotated[int | None, Field(description="How many.")]
        environment = world(look=tool(taking(int, None)), own=tool(taking(told, None)))()
        environment.reset()
        assert call(environment, "look", x=None).error is None
        assert error_of(call(environment, "look", x="a"))[0] == "invalid_args"
        look, own = (one["inputSchema"]["properties"]["x"] for one in environment.offer("tools/list", {})["tools"])
        assert look == {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}
        assert own == {**look, "description": "How many."}

    def test_a_default_without_a_json_form_is_left_out_of_the_schema(self) -> None:
        def look(self: Any, x: object = Odd()) -> str:
            return type(x).__name__

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            environment = world(look=tool(look))()
        environment.reset()
        assert environment.offer("tools/list", {})["tools"][0]["inputSchema"]["properties"] == {"x": {}}
        assert call(environment, "look").result["data"] == "Odd"


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"mode": "prod"}, "mode must be 'simulation' or 'production', not 'prod'"),
            ({"visible": True}, "visible must be a function of the environment"),
            ({"timeout_s": "3"}, "timeout_s must be above 0, not '3'"),
            ({"annotations": ["readOnlyHint"]}, "annotations must be a dict"),
            ({"meta": "a"}, "meta must be a dict"),
            ({"input_schema": {"type": "string"}}, 'input_schema must be a JSON Schema with "type": "object"'),
            ({"output_schema": {"type": "array"}}, 'output_schema must be a JSON Schema with "type": "object"'),
        ],
    )
    def test_what_they_cannot_be(self, options: dict[str, Any], words: str) -> None:
        refused(f"tool plain: {words}", plain=tool(**options)(plain))

    def test_unknown_ones(self) -> None:
        with pytest.raises(
            ConfigurationError, match="tool plain: @tool has no option nam; it has name, title, descrip"
        ):
            tool(nam="a")(plain)  # type: ignore[call-overload]
        with pytest.raises(
            ConfigurationError, match="prompt plain: @prompt has no option uri; it has name, title, des"
        ):
            prompt(uri="a")(plain)  # type: ignore[call-overload]


class TestNames:
    @pytest.mark.parametrize(
        "name", ["end", "act", "offer", "serving_mode", "task", "code_calls", "is_cancelled", "rng"]
    )
    def test_a_tool_in_the_place_of_what_the_library_needs(self, name: str) -> None:
        refused(f"World.{name} hides {name} of every ToolEnvironment; name the method", **{name: tool(plain)})
        world(other=tool(name=name)(plain))  # the name of the tool itself is free

    def test_common_words_are_the_authors_own(self) -> None:
        def reset(self: Any) -> Observation:
            self.calls, self.mode = 0, "hard"
            return Observation()

        def look(self: Any) -> str:
            self.calls += 1
            return f"{self.mode} {self.calls}"

        environment = world(reset=reset, look=tool(mode="production")(look))()
        environment.serving_mode = "production"
        environment.reset()
        assert call(environment, "look").result["data"] == "hard 1"
        assert environment.callables()["look"]() == "hard 2"
        assert len(environment.code_calls) == 1

    def test_marks_in_an_environment_without_tools(self) -> None:
        with pytest.raises(ConfigurationError, match="look is marked, but Plain has no tools; make it a ToolEnv"):
            type("Plain", (Environment,), {"look": tool(plain)})

    @pytest.mark.parametrize("toolsets", [("http://localhost/mcp",), "http://localhost/mcp", Odd()])
    def test_toolsets_that_are_none(self, toolsets: Any) -> None:
        refused("World.toolsets must be a tuple of toolsets", toolsets=toolsets)


class TestPlay:
    def test_a_state_is_not_replaced(self) -> None:
        class Replaces(ToolEnvironment):
            def reset(self) -> Observation:
                self.state = State()  # type: ignore[misc]
                return Observation()

        with pytest.raises(AttributeError, match=r"ToolEnvironment\[MyState\], and write to its fields"):
            Replaces().reset()

    @pytest.mark.parametrize("reward", ["1", None, [1]])
    def test_a_reward_is_a_number(self, reward: Any) -> None:
        def win(self: Any) -> None:
            self.award(reward)

        environment = world(win=tool(win))()
        environment.reset()
        observation = call(environment, "win")
        assert error_of(observation)[0] == "execution_error"
        assert observation.reward is None

    def test_a_reward_may_be_a_number_of_numpy(self) -> None:
        def win(self: Any) -> None:
            self.award(np.float32(0.5))

        environment = world(win=tool(win))()
        environment.reset()
        assert call(environment, "win").reward == 0.5

    @pytest.mark.parametrize(
        ("hint", "value", "words"),
        [
            (int, "three", "result is 'three', and no integer"),
            (int, None, "result is None, and no integer"),
            (float, float("nan"), "result is None, and no number"),
            (list[int], [1, "a"], "result.1 is 'a', and no integer"),
        ],
    )
    def test_a_result_that_does_not_fit_its_type_is_an_error(self, hint: Any, value: Any, words: str) -> None:
        """Clients of MCP raise where structured content does not fit the schema, and their agents end."""

        def look(self):  # type: ignore[no-untyped-def]
            return value

        look.__annotations__["return"] = hint
        environment = world(look=tool(look))()
        environment.reset()
        kind, message = error_of(call(environment, "look"))
        assert kind == "execution_error"
        assert message == f"its result does not fit its output schema: {words}"

    def test_a_failure_needs_no_structured_content(self) -> None:
        def look(self: Any) -> ToolResult:
            return ToolResult(["no"], is_error=True)

        environment = world(look=tool(output_schema={"type": "object", "required": ["a"]})(look))()
        environment.reset()
        assert call(environment, "look").result["is_error"]

    def test_a_result_has_attributes_as_in_older_versions(self) -> None:
        environment = world(plain=tool(plain))()
        environment.reset()
        result = call(environment, "plain").result
        assert (result.data, result.content[0].text, result.is_error) == ("hi", "hi", False)
        with pytest.raises(AttributeError, match="a result has no text; it has content"):
            _ = result.text

    def test_a_reset_awards_nothing(self) -> None:
        for wrong in ("award", "end"):

            def reset(self: Any, wrong: str = wrong) -> Observation:
                getattr(self, wrong)(1.0)
                return Observation()

            with pytest.raises(ConfigurationError, match=r"reset calls award\(\) or end\(\), which are for tools"):
                world(reset=reset)().reset()

    def test_the_task_of_one_episode_is_not_that_of_the_next(self) -> None:
        def reset(self: Any, told: bool) -> Observation:
            return self.begin_with("Win.") if told else Observation()

        environment = world(reset=reset)()
        environment.reset(told=True)
        assert environment.task == "Win."
        environment.reset(told=False)
        assert environment.task is None
        assert environment.offer("resources/list", {}) == {"resources": []}
        environment.task = "Mine."
        environment.reset(told=False)
        assert environment.task == "Mine."
