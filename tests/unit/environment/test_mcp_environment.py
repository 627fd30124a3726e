"""Environments around MCP server objects: the forms in which libraries answer, and the libraries if they are there."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from openenv import CallToolAction, ListToolsAction, MCPEnvironment, Observation, State, tool
from openenv.core.env_server.mcp_environment import MCPEnvironment as OlderMCPEnvironment
from openenv.core.env_server.mcp_environment import get_server_tools
from openenv.core.env_server.mcp_types import JsonRpcErrorCode, JsonRpcResponse
from openenv.environment import EnvironmentPlan
from openenv.errors import ActionInvalid, ConfigurationError, InvalidRequest

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
WRAPPED = {"type": "object", "properties": {"result": {"type": "integer"}}}


class Listed(BaseModel):
    """A tool as the SDK lists it."""

    model_config = ConfigDict(populate_by_name=True)
    name: str
    description: str | None = None
    input_schema: dict[str, Any] = Field(default=SCHEMA, alias="inputSchema")
    output_schema: dict[str, Any] | None = Field(default=None, alias="outputSchema")


class Text(BaseModel):
    type: str = "text"
    text: str
    annotations: None = None


class Result(BaseModel):
    content: list[Text] = []
    structured_content: dict[str, Any] | None = None
    is_error: bool = False


class ToolError(Exception):
    """As the libraries name it."""


class Server:
    """Answers in the forms of all libraries."""

    name = "many forms"
    instructions = "Try."

    def __init__(self) -> None:
        self.listings = 0
        self.names = ["add", "pair", "blocks", "mapping", "model", "failed", "raises", "says", "checks", "waits"]

    async def list_tools(self) -> list[Listed]:
        self.listings += 1
        wrapped = {"add", "pair"}
        return [Listed(name=name, output_schema=WRAPPED if name in wrapped else None) for name in self.names]

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        match name:
            case "add":
                return Result(content=[Text(text="3")], structured_content={"result": 3})
            case "pair":
                return [Text(text="3")], {"result": 3}
            case "blocks":
                return [Text(text="a"), Text(text="b")]
            case "mapping":
                return {"x": 1}
            case "model":
                return Result(content=[Text(text="only")])
            case "failed":
                return Result(content=[Text(text="it broke")], is_error=True)
            case "raises":
                try:
                    raise ValueError("bad luck")
                except ValueError as error:
                    raise ToolError("Error executing tool raises") from error
            case "says":
                raise ToolError("no such thing")
            case "checks":
                adapter = TypeAdapter(int)
                try:
                    adapter.validate_python("x")
                except ValidationError as error:
                    named = ValidationError.from_exception_data("checksArguments", error.errors())  # type: ignore[arg-type]
                    raise ToolError("wrapped") from named
            case "later":
                return [Text(text="now")]
        raise KeyError(name)

    async def list_prompts(self) -> list[BaseModel]:
        return [Listed(name="hello")]

    async def get_prompt(self, name: str, arguments: dict[str, Any]) -> Any:
        if name != "hello":
            raise ValueError("unknown")
        return {"messages": [], "resultType": "complete"}

    async def read_resource(self, uri: str) -> Any:
        if uri != "a://b":
            raise ValueError("unknown")
        return [type("Contents", (), {"content": b"\x01", "mime_type": "image/png"})()]


class Around(MCPEnvironment[State]):
    def __init__(self, server: Any = None) -> None:
        super().__init__(Server() if server is None else server)

    def reset(self, seed: int | None = None) -> Observation:
        return Observation()

    @tool
    def own(self) -> int:
        return 5


class Counts(Around):
    """As existing environments count."""

    steps = 0

    def step(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
        self.steps += 1
        return super().step(action, timeout_s=timeout_s, **options)

    def _step_impl(self, action: Any, timeout_s: float | None = None) -> Observation:
        return Observation(metadata={"timeout_s": timeout_s})


def call(environment: Any, name: str, /, **arguments: Any) -> Any:
    return environment.step(CallToolAction(tool_name=name, arguments=arguments))


class TestForms:
    @pytest.mark.parametrize(
        ("name", "texts", "structured", "data"),
        [
            ("add", ["3"], {"result": 3}, 3),
            ("pair", ["3"], {"result": 3}, 3),
            ("blocks", ["a", "b"], None, [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            ("mapping", ['{"x": 1}'], {"x": 1}, {"x": 1}),
            ("model", ["only"], None, "only"),
            ("own", ["5"], {"result": 5}, 5),
        ],
    )
    def test_results(self, name: str, texts: list[str], structured: Any, data: Any) -> None:
        environment = Around()
        environment.reset()
        result = call(environment, name).result
        assert result["content"] == [{"type": "text", "text": text} for text in texts]
        assert (result["structured_content"], result["data"], result["is_error"]) == (structured, data, False)
        environment.close()

    @pytest.mark.parametrize(
        ("name", "kind", "message"),
        [
            ("failed", "execution_error", "it broke"),
            ("raises", "execution_error", "ValueError: bad luck"),
            ("says", "execution_error", "no such thing"),
            ("waits", "execution_error", "KeyError: 'waits'"),
            ("checks", "invalid_args", "arguments: Input should be a valid integer"),
            ("nothing", "tool_not_found", "there is no tool 'nothing'"),
        ],
    )
    def test_failures(self, name: str, kind: str, message: str) -> None:
        environment = Around()
        observation = call(environment, name)
        assert observation.error.error_type == kind
        assert observation.error.message.startswith(message)
        assert (observation.result, environment.state.step_count) == (None, 1)
        environment.close()

    def test_a_tool_that_came_later_is_found(self) -> None:
        server = Server()
        environment = Around(server)
        server.names.append("later")
        assert call(environment, "later").result["data"] == "now"
        listings = server.listings
        call(environment, "later")
        assert server.listings == listings
        assert [one.name for one in environment.step(ListToolsAction()).tools] == ["own", *server.names]
        environment.close()

    def test_a_description_may_be_missing(self) -> None:
        environment = Around()
        assert {one.description for one in environment.step(ListToolsAction()).tools} == {""}
        environment.close()

    def test_names_that_control_or_clash_are_refused(self) -> None:
        for name, words in ("reset", "cannot be named reset"), ("own", "has a tool own, and so has the environment"):
            server = Server()
            server.names.append(name)
            with pytest.raises(ConfigurationError, match=words):
                Around(server)

    def test_what_is_no_server_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="a int is no MCP server object"):
            Around(3)


class TestOffers:
    async def test_what_the_server_has_is_offered(self) -> None:
        environment = Around()
        about = await environment.offer("about", {})
        assert about["instructions"] == "Try."
        assert about["capabilities"] == {"resources": False, "prompts": True, "completions": False}
        listed = await environment.offer("prompts/list", {})
        assert [one["name"] for one in listed["prompts"]] == ["hello"]
        assert await environment.offer("prompts/get", {"name": "hello"}) == {"messages": []}
        contents = (await environment.offer("resources/read", {"uri": "a://b"}))["contents"]
        assert contents == [{"uri": "a://b", "mimeType": "image/png", "blob": "AQ=="}]
        for method, params in ("prompts/get", {"name": "no"}), ("resources/read", {"uri": "no"}):
            with pytest.raises(InvalidRequest, match="unknown"):
                await environment.offer(method, params)
        assert len((await environment.offer("tools/list", {}))["tools"]) == 11
        environment.close()


class TestStepping:
    def test_the_newer_of_both_steps_decides(self) -> None:
        class Awaits(Counts):
            async def step_async(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
                self.steps += 1
                return await MCPEnvironment.step_async(self, action, timeout_s=timeout_s, **options)

        found = {cls: EnvironmentPlan.of(cls) for cls in (Around, Counts, Awaits)}
        assert [plan.is_async for plan in found.values()] == [True, False, True]
        assert found[Counts].needs_own_thread
        assert not found[Around].needs_own_thread
        assert all(plan.tools for plan in found.values())

    def test_an_override_of_step_counts_once(self) -> None:
        environment = Counts()
        call(environment, "add", a=1)
        assert environment.step(object(), timeout_s=3).metadata == {"timeout_s": 3}
        assert environment.steps == 2
        environment.close()
        environment.close()

    async def test_both_ways_while_a_loop_runs(self) -> None:
        environment = Around()
        await environment.reset_async()
        assert (await environment.step_async(CallToolAction(tool_name="add"))).result["data"] == 3
        assert call(environment, "add").result["data"] == 3
        assert environment.state.step_count == 2
        with pytest.raises(ActionInvalid):
            await environment.step_async(object())
        environment.close()

    def test_functions_with_modes(self) -> None:
        environment = Around()

        @environment.tool(mode="production")
        def buy() -> str:
            return "bought"

        @environment.tool(mode="simulation")
        async def sell() -> str:
            return "sold"

        assert call(environment, "buy").error.error_type == "tool_not_found"
        assert call(environment, "sell").result["data"] == "sold"
        environment.serving_mode = "production"
        assert call(environment, "buy").result["data"] == "bought"
        assert "buy" in environment.get_callables()
        with pytest.raises(ConfigurationError, match="mode must be"):
            environment.tool(mode="other")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="coding environment"):
            environment.execute_code("1")
        environment.close()


class TestOlderPaths:
    def test_an_existing_environment_keeps_its_liberties(self) -> None:
        class Old(OlderMCPEnvironment):
            def __init__(self) -> None:
                super().__init__(Server())
                self._state = State(step_count=7)

            def reset(self, seed: int | None = None, **options: Any) -> Observation:
                return Observation()

            def state(self) -> State:  # type: ignore[override]
                return self._state

        environment: Any = Old()
        assert EnvironmentPlan.of(Old).lifecycle == "lenient"
        assert call(environment, "add").result["data"] == 3
        assert environment.state.step_count == 7
        assert set(get_server_tools(environment.mcp_server)) == set(environment.mcp_server.names)
        environment.close()

    def test_messages(self) -> None:
        assert JsonRpcResponse.success({"a": 1}, 3).model_dump() == {"jsonrpc": "2.0", "id": 3, "result": {"a": 1}}
        failed = JsonRpcResponse.error_response(JsonRpcErrorCode.METHOD_NOT_FOUND, request_id="x")
        error = {"code": -32601, "message": "Method not found"}
        assert failed.model_dump() == {"jsonrpc": "2.0", "id": "x", "error": error}
        assert JsonRpcResponse.model_validate_json(failed.model_dump_json()) == failed


@pytest.mark.parametrize("path", ["fastmcp:FastMCP", "mcp.server.fastmcp:FastMCP", "mcp.server.mcpserver:MCPServer"])
def test_the_libraries_that_are_there(path: str) -> None:
    module, name = path.split(":")
    try:
        cls = getattr(importlib.import_module(module), name)
    except ImportError:
        pytest.skip(f"{module} is not installed")
    server = cls("adder")

    @server.tool()  # type: ignore[untyped-decorator, unused-ignore]
    def add(a: int, b: int = 2) -> int:
        """Adds."""
        return a + b

    environment = Counts(server)
    listed = {one.name: one for one in environment.step(ListToolsAction()).tools}
    assert listed["add"].description == "Adds."
    assert listed["add"].input_schema["required"] == ["a"]
    assert call(environment, "add", a=1).result["structured_content"] == {"result": 3}
    assert call(environment, "add", a="x").error.error_type == "invalid_args"
    environment.close()


def test_a_constructor_that_forgets_the_server_is_told() -> None:
    class Forgets(MCPEnvironment):
        def __init__(self) -> None:
            self.x = 1

        def reset(self) -> Observation:
            return Observation()

    environment = Forgets()
    environment.reset()
    with pytest.raises(ConfigurationError, match=r"call super\(\).__init__\(server\)"):
        environment.step(ListToolsAction())
    environment.close()
