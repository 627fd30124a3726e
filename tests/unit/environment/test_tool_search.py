"""Many tools that are searched, and tools as functions."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from openenv import (
    CallToolAction,
    ListToolsAction,
    Observation,
    ToolContext,
    ToolEnvironment,
    tool,
)
from openenv.environment.tool_search import found_by_words
from openenv.errors import ConfigurationError
from openenv.tools import BadArguments, Tool


def asked(environment: Any, method: str, **params: Any) -> dict[str, Any]:
    found = environment.offer(method, params)
    assert isinstance(found, dict)
    return found


def many(count: int, **more: Any) -> Any:
    def made(index: int) -> Any:
        def give(self: Any, a: int) -> int:
            return index + a

        kind = ("colour", "number")[index % 2]
        return tool(name=f"{kind}_{index}", description=f"Gives a {kind}.")(give)

    names = {f"tool_{index}": made(index) for index in range(count)}
    cls = type("Many", (ToolEnvironment,), {"reset": lambda self: Observation(), **names, **more})
    environment = cls()
    environment.reset()
    return environment


def call(environment: Any, name: str, /, **arguments: Any) -> Any:
    return environment.step(CallToolAction(tool_name=name, arguments=arguments))


class TestSearch:
    def test_many_tools_are_searched(self) -> None:
        assert len(asked(many(30), "tools/list")["tools"]) == 30
        environment = many(31)
        listed = asked(environment, "tools/list")["tools"]
        assert [one["name"] for one in listed] == ["search_tools", "call_tool"]
        assert len(asked(environment, "tools/list", all=True)["tools"]) == 31
        assert len(environment.step(ListToolsAction()).tools) == 31

    def test_found_and_called(self) -> None:
        environment = many(31)
        found = call(environment, "search_tools", query="colour 4", limit=3)
        assert found.tool_name == "search_tools"
        names = [one["name"] for one in found.result["structured_content"]["result"]]
        assert names[0] == "colour_4"
        assert len(names) == 3
        assert found.result["data"][0]["inputSchema"]["required"] == ["a"]
        called = call(environment, "call_tool", name="colour_4", arguments={"a": 1})
        assert (called.tool_name, called.result["data"]) == ("colour_4", 5)
        assert call(environment, "colour_4", a=2).result["data"] == 6
        assert environment.state.step_count == 3

    @pytest.mark.parametrize(
        ("arguments", "kind"),
        [
            ({"name": "colour_4", "arguments": {"a": "x"}}, "invalid_args"),
            ({"arguments": {}}, "invalid_args"),
            ({"name": "none"}, "tool_not_found"),
            ({"name": "call_tool", "arguments": {"name": "colour_4"}}, "tool_not_found"),
        ],
    )
    def test_what_cannot_be_called(self, arguments: Any, kind: str) -> None:
        environment = many(31)
        assert call(environment, "call_tool", **arguments).error.error_type == kind
        assert environment.state.step_count == 1

    def test_few_tools_may_be_searched_and_many_not(self) -> None:
        assert len(asked(many(2, search_tools=True), "tools/list")["tools"]) == 2
        assert call(many(2, search_tools=True), "search_tools", query="number").error is None
        assert len(asked(many(40, search_tools=False), "tools/list")["tools"]) == 40
        assert call(many(2), "search_tools", query="number").error.error_type == "tool_not_found"

    def test_a_tool_of_that_name_is_refused_or_goes_first(self) -> None:
        @tool
        def call_tool(self: Any) -> str:
            return "mine"

        with pytest.raises(ConfigurationError, match="Many has a tool call_tool, and search_tools"):
            many(2, search_tools=True, call_tool=call_tool)
        environment = many(40, call_tool=call_tool)
        assert len(asked(environment, "tools/list")["tools"]) == 41
        assert call(environment, "call_tool").result["data"] == "mine"

    def test_the_best_come_first(self) -> None:
        tools = [
            Tool("list_files", "Lists the files of a directory."),
            Tool("readFile", "Gives what is in it."),
            Tool("delete", "Removes files, directories and all that is in them. File by file."),
            Tool("weather", "Tells the weather."),
        ]
        names = [one.name for one in found_by_words(tools, "read a file", 10)]
        assert names == ["readFile", "list_files", "delete"]
        assert found_by_words(tools, "nothing like that", 10) == []
        assert [one.name for one in found_by_words(tools, "weather", 1)] == ["weather"]


class TestCallables:
    def test_tools_are_functions(self) -> None:
        class Shop(ToolEnvironment):
            def reset(self) -> Observation:
                return Observation()

            @tool
            def price(self, item: str, context: ToolContext, count: int = 1) -> dict[str, Any]:
                """Tells the price."""
                self.award(0.5)
                return {"item": item, "price": count * 2, "exact": (1, 2)}

            @tool(name="dotted.name")
            def other(self) -> None:
                raise KeyError("none")

            @tool(name="dotted-name")
            async def another(self) -> None: ...

            @tool(name="import")
            async def later(self) -> int:
                return 7

            @tool
            async def use(self) -> float:
                functions = self.callables()
                return float(functions["price"]("a", 3)["price"])

        environment = Shop()
        functions = environment.callables()
        assert set(functions) == {"price", "dotted_name", "dotted_name_2", "import_", "use"}
        price = functions["price"]
        assert (price.__name__, price.__doc__) == ("price", "Tells the price.")
        assert list(inspect.signature(price).parameters) == ["item", "count"]
        assert price("a", count=2) == {"item": "a", "price": 4, "exact": (1, 2)}  # no JSON in between
        with pytest.raises(BadArguments, match="count: Input should be a valid integer"):
            price("a", count="x")
        with pytest.raises(TypeError):
            price()
        with pytest.raises(KeyError):
            functions["dotted_name"]()
        assert environment.code_calls == [
            {"tool_name": "price", "arguments": {"item": "a", "count": 2}, "result": price("a", 2)},
            {
                "tool_name": "price",
                "arguments": {"item": "a", "count": "x"},
                "error": environment.code_calls[1]["error"],
            },
            {"tool_name": "dotted.name", "arguments": {}, "error": "KeyError: 'none'"},
            environment.code_calls[3],
        ]
        assert inspect.iscoroutinefunction(functions["import_"])

    async def test_rewards_go_to_the_step_that_runs(self) -> None:
        class Coding(ToolEnvironment):
            def reset(self) -> Observation:
                return Observation()

            @tool
            def earn(self) -> None:
                self.award(0.5)

            @tool
            async def run(self) -> None:
                for _ in range(3):
                    self.callables()["earn"]()

        environment = Coding()
        await environment.reset_async()
        found = await environment.step_async(CallToolAction(tool_name="run"))
        assert (found.reward, len(environment.code_calls), environment.state.step_count) == (1.5, 3, 1)
        await environment.reset_async()
        assert environment.code_calls == []
