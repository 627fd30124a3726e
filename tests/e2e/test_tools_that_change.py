"""What clients of tools know of an environment whose tools come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from tests.e2e.tool_calling import Kind, calling, over_mcp
from tests.unit.client.servers import KINDS, serving

from openenv import MCPToolClient, Observation, ToolEnvironment, create_app, tool
from openenv.core import mcp_client as core
from openenv.errors import ConfigurationError, ExecutionFailed

pytestmark = pytest.mark.e2e

CLIENTS = pytest.mark.parametrize("cls", [MCPToolClient, core.MCPToolClient], ids=["today", "older"])
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


class Hall(ToolEnvironment):
    """A door that opens, in a hall whose light is switched elsewhere."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    deterministic = True
    is_lit: ClassVar[bool] = False

    def reset(self, seed: int | None = None) -> Observation:
        self._is_open = False
        return self.begin_with("Leave.")

    @tool
    def push(self, hard: bool = False) -> str:
        """Open the door."""
        self._is_open = True
        if hard:
            raise ValueError("it broke")
        return "open"

    @tool(visible=lambda self: self._is_open)
    def leave(self) -> str:
        """Leave."""
        return "gone"

    @tool(visible=lambda self: Hall.is_lit)
    def read(self) -> str:
        """Read."""
        return "hall"


class Dotted(ToolEnvironment):
    """A tool with a name that no model's API takes."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed: int | None = None) -> Observation:
        return self.begin_with("Read.")

    @tool(name="files.read")
    def read(self) -> str:
        """Read a file."""
        return "text"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of ``Hall``."""
    with serving(lambda: create_app(Hall)) as server:
        yield server.url


@pytest.fixture(autouse=True)
def light() -> Iterator[Callable[[], None]]:
    """Switches the light on, which is off at first."""
    Hall.is_lit = False
    yield lambda: setattr(Hall, "is_lit", True)
    Hall.is_lit = False


def push(env: Any) -> None:
    """Open the door with a call that raises."""
    with pytest.raises(ExecutionFailed, match="it broke"):
        env.call_tool("push", hard=True)


MOVES: dict[str, Callable[[Any], Any]] = {
    "call": lambda env: env.call("push"),
    "call_tool": lambda env: env.call_tool("push"),
    "failing": push,
    "step": lambda env: env.step({"type": "call_tool", "tool_name": "push"}),
}


@CLIENTS
@EVERY_KIND
@pytest.mark.parametrize("move", MOVES)
def test_a_move_may_have_changed_the_tools(kind: str, cls: Kind, move: str, url: str) -> None:
    with calling(kind, url, cls) as env:
        env.reset()
        assert not env.has_tool("leave")
        MOVES[move](env)
        assert [one.name for one in env.list_tools()] == ["push", "leave"]
        assert env.has_tool("leave")
        assert env.get_tool("leave").description == "Leave."
        assert [one["function"]["name"] for one in env.as_openai_tools()] == ["push", "leave"]
        assert [one["name"] for one in env.as_anthropic_tools()] == ["push", "leave"]
        env.reset()
        assert not env.has_tool("leave")


NAMES: dict[str, Callable[..., set[str]]] = {
    "list_tools": lambda env, **options: {one.name for one in env.list_tools(**options)},
    "get_tool": lambda env, **options: {one.name for one in [env.get_tool("read", **options)] if one},
    "has_tool": lambda env, **options: {"read"} if env.has_tool("read", **options) else set(),
    "openai": lambda env, **options: {one["name"] for one in env.as_openai_tools(api="responses", **options)},
    "anthropic": lambda env, **options: {one["name"] for one in env.as_anthropic_tools(**options)},
}


@EVERY_KIND
@pytest.mark.parametrize("ask", NAMES)
def test_what_is_known_is_not_asked_again_unless_that_is_wanted(
    kind: str, ask: str, url: str, light: Callable[[], None]
) -> None:
    names = NAMES[ask]
    with calling(kind, url) as env:
        env.reset()
        assert "read" not in names(env)
        light()
        assert "read" not in names(env)  # no move of this client, so it does not ask
        assert "read" in names(env, use_cache=False)
        assert "read" in names(env)


@EVERY_KIND
def test_who_plays_with_an_agent_asks_each_time(kind: str, url: str) -> None:
    with calling(kind, url) as env:
        access = env.agent_access()
        env.reset()
        assert not env.has_tool("leave")
        over_mcp(access.mcp_url, access.token, "tools/call", {"name": "push", "arguments": {}}).raise_for_status()
        assert env.has_tool("leave")


def test_a_fork_has_tools_of_its_own(url: str) -> None:
    with MCPToolClient[Any, Any, Any](url).sync() as env:
        env.reset()
        assert not env.has_tool("leave")
        with env.fork() as twin:
            twin.call_tool("push")
            assert (env.has_tool("leave"), twin.has_tool("leave")) == (False, True)


@EVERY_KIND
def test_a_name_that_no_model_takes(kind: str) -> None:
    with serving(lambda: create_app(Dotted)) as server, calling(kind, server.url) as env:
        env.reset()
        for ask in (env.as_openai_tools, env.as_anthropic_tools):
            with pytest.raises(ConfigurationError, match=r"'files\.read' has a name that the API does not take"):
                ask()
            names: dict[str, str] = {}
            told = ask(names=names)[0]
            name = told["name"] if "name" in told else told["function"]["name"]
            assert (name, names) == ("files_read", {"files_read": "files.read"})
            assert env.call_tool(names[name]) == "text"
