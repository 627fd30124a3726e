"""Definitions, marks, contexts, questions, notes and the actions of the wire."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from openenv.errors import ConfigurationError, InputNeeded
from openenv.tools import (
    CallCancelled,
    CallToolAction,
    CallToolObservation,
    Changed,
    Elicit,
    ListRoots,
    ListToolsAction,
    ListToolsObservation,
    Logged,
    Note,
    Progressed,
    Sample,
    Tool,
    ToolContext,
    ToolError,
    ToolErrorType,
    ToolInfo,
    prompt,
    resource,
    tool,
)
from openenv.tools.marking import Mark, marked
from openenv.tools.notes import note_from, note_text


class Name(BaseModel):
    name: str


def add(a: int, b: int = 2) -> int:
    """Adds."""
    return a + b


class TestTool:
    def test_it_is_listed_as_mcp_has_it(self) -> None:
        made = Tool.of(add, title="Add", annotations={"readOnlyHint": True}, meta={"m": 1})
        assert made.listed() == {
            "name": "add",
            "title": "Add",
            "description": "Adds.",
            "inputSchema": made.input_schema,
            "outputSchema": {
                "type": "object",
                "properties": {"result": {"type": "integer"}},
                "required": ["result"],
                "x-fastmcp-wrap-result": True,  # clients of FastMCP give the value then
            },
            "annotations": {"readOnlyHint": True},
            "_meta": {"m": 1},
        }

    def test_a_schema_of_the_authors_own(self) -> None:
        made = Tool.of(add, output_schema={"type": "object"}, input_schema={"type": "object"}, description="")
        assert (made.output_schema, made.input_schema, made.description) == ({"type": "object"}, {"type": "object"}, "")
        assert made.wraps is False

    @pytest.mark.parametrize("name", ["reset", "step", "state", "close"])
    def test_names_that_control_are_refused(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match=f"cannot be named {name}: that controls the episode"):
            Tool(name)

    @pytest.mark.parametrize("name", ["", "a b", "ü", "a" * 129, "a\n"])
    def test_names_that_clients_do_not_take_are_refused(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match="1 to 128 letters"):
            Tool(name)

    def test_a_time_limit_is_above_zero(self) -> None:
        with pytest.raises(ConfigurationError, match="timeout_s must be above 0"):
            Tool("a", timeout_s=0)

    def test_what_says_whether_it_is_there_is_not_awaited(self) -> None:
        async def is_open(environment: Any) -> bool:
            return False

        class Asking:
            async def __call__(self, environment: Any) -> bool:
                return False

        for visible in (is_open, partial(is_open), Asking()):
            with pytest.raises(ConfigurationError, match="tool a: visible is not awaited; make it a function of the"):
                Tool("a", visible=visible)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="returns what is to be awaited, where a bool is needed"):
            Tool("a", visible=lambda environment: is_open("env")).is_there(None, "production")  # type: ignore[arg-type, return-value]

    def test_where_and_when_it_is_there(self) -> None:
        assert Tool("a").is_there(None, "production")
        assert not Tool("a", mode="simulation").is_there(None, "production")
        seen: list[Any] = []
        made = Tool("a", mode="simulation", visible=lambda environment: bool(seen.append(environment)) or len(seen) > 1)
        assert not made.is_there("env", "simulation")
        assert made.is_there("env", "simulation")
        assert seen == ["env", "env"]


class TestMarks:
    def test_with_and_without_options(self) -> None:
        @tool
        def plain() -> None: ...

        @tool(name="other", mode="production")
        def more() -> None: ...

        @resource("a://b", mime_type="text/html")
        def page() -> None: ...

        @prompt
        def hello() -> None: ...

        assert marked(plain) == Mark("tool")
        assert marked(more) == Mark("tool", {"name": "other", "mode": "production"})
        assert marked(page) == Mark("resource", {"uri": "a://b", "mime_type": "text/html"})
        assert marked(hello) == Mark("prompt")
        assert marked(add) is None


class TestContext:
    def test_it_tells_its_caller(self) -> None:
        notes: list[Note] = []
        context = ToolContext(sink=notes.append)
        context.progress(1, 2, "half")
        context.log({"a": 1}, level="warning", logger="l")
        context.changed("a://b")
        assert notes == [
            Progressed(1.0, 2.0, "half"),
            Logged({"a": 1}, "warning", "l"),
            Changed("resource", "a://b"),
        ]

    def test_nobody_need_listen(self) -> None:
        context = ToolContext()
        context.progress(1)
        assert context.is_cancelled is False
        context.check()

    def test_it_is_told_that_the_caller_has_gone(self) -> None:
        gone: list[int] = []
        context = ToolContext(is_cancelled=lambda: bool(gone))
        context.check()
        gone.append(1)
        with pytest.raises(CallCancelled):
            context.check()

    def test_what_is_asked_is_raised_and_then_answered(self) -> None:
        questions: dict[str, Any] = {"who": Elicit("Your name?", Name), "words": Sample("Hi", 5, temperature=0)}
        with pytest.raises(InputNeeded) as raised:
            ToolContext(capabilities={"elicitation": {}}).ask(**questions)
        requests = raised.value.details["requests"]
        assert requests["who"]["method"] == "elicitation/create"
        assert requests["who"]["params"]["message"] == "Your name?"
        assert requests["who"]["params"]["requestedSchema"]["required"] == ["name"]
        assert requests["words"]["params"] == {
            "messages": [{"role": "user", "content": {"type": "text", "text": "Hi"}}],
            "maxTokens": 5,
            "temperature": 0,
        }
        assert raised.value.details["missing_capabilities"] == {"sampling": {}}
        inputs = {"who": {"action": "accept", "content": {"name": "a"}}, "words": {"role": "assistant"}, "other": {}}
        assert ToolContext(inputs).ask(**questions) == {key: inputs[key] for key in questions}

    def test_what_is_answered_already_is_not_asked_again(self) -> None:
        with pytest.raises(InputNeeded) as raised:
            ToolContext({"a": {}}).ask(a=ListRoots(), b=ListRoots())
        assert list(raised.value.details["requests"]) == ["b"]

    def test_a_question_has_room_for_an_answer(self) -> None:
        with pytest.raises(ConfigurationError, match="max_tokens"):
            Sample("a", 0)


@pytest.mark.parametrize(
    "note",
    [Progressed(1), Progressed(0.5, 1, "m"), Logged([1, None], "error"), Changed("tools"), Changed("resource", "u")],
)
def test_notes_travel(note: Note) -> None:
    assert note_from(note_text(note)) == note


class TestWire:
    def test_a_call_is_as_older_servers_know_it(self) -> None:
        action = CallToolAction(tool_name="a", arguments={"x": 1})
        assert json.loads(action.model_dump_json()) == {
            "metadata": {},
            "type": "call_tool",
            "tool_name": "a",
            "arguments": {"x": 1},
        }
        assert CallToolAction(tool_name="a", inputs={"q": {}}).model_dump()["inputs"] == {"q": {}}

    def test_a_call_has_a_name(self) -> None:
        with pytest.raises(ValidationError):
            CallToolAction(tool_name="")

    def test_the_schema_is_the_fields(self) -> None:
        schema = CallToolAction.model_json_schema()
        assert schema["title"] == "CallToolAction"
        assert {"type", "tool_name", "arguments"} <= set(schema["properties"])

    def test_observations_read_what_they_wrote(self) -> None:
        for observation in (
            CallToolObservation(
                tool_name="a", error=ToolError(error_type=ToolErrorType.TIMEOUT, message="m"), reward=1.0, done=True
            ),
            ListToolsObservation(tools=[ToolInfo(name="a", description="d"), ToolInfo(name="b", output_schema={})]),
        ):
            assert type(observation).model_validate_json(observation.model_dump_json()) == observation

    def test_a_tool_is_told_without_blanks(self) -> None:
        assert ToolInfo(name="a").model_dump() == {
            "name": "a",
            "description": "",
            "input_schema": {"type": "object", "properties": {}},
        }

    def test_a_list_is_told_by_its_type(self) -> None:
        assert ListToolsAction.model_validate({"type": "list_tools"}) == ListToolsAction()
