"""An environment around an MCP server object."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from openenv.environment.base import Environment
from openenv.environment.mcp_objects import ObjectTools, run_by, run_once
from openenv.environment.offers import answered
from openenv.environment.plan import KeywordFilter
from openenv.environment.tool_book import book_of
from openenv.environment.tool_environment import ToolEnvironment
from openenv.environment.transform import Transform
from openenv.errors import ConfigurationError, InvalidRequest
from openenv.tools import Mode, Tool
from openenv.types import StateT

__all__ = ["MCPEnvironment"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class MCPEnvironment(ToolEnvironment[StateT]):
    """Offers the tools, resources and prompts of an MCP server object, such as a ``FastMCP``::

        class Adder(MCPEnvironment):
            def __init__(self):
                server = FastMCP("adder")

                @server.tool()
                def add(a: int, b: int) -> int:
                    return a + b

                super().__init__(server)

            def reset(self, seed=None, episode_id=None): ...

    Methods marked with ``@tool`` are tools too. Actions that are no calls of tools go to ``_step_impl``. The
    environment is asynchronous unless a subclass overrides ``step`` and not ``step_async``.

    Args:
        mcp_server: A ``FastMCP`` of fastmcp or of mcp 1.x, or an ``MCPServer`` of mcp 2.x.
        transform: Applied to every observation.

    Raises:
        ConfigurationError: It is no such object, or a tool has a name that is taken.
    """

    supports_code_mode = True
    _openenv_loop: asyncio.AbstractEventLoop | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.step_async is Environment.step_async:
            cls.REQUIRES_SINGLE_THREAD_EXECUTOR = True  # each step runs an event loop, so not where one runs already

    def __init__(self, mcp_server: Any, transform: Transform[Any] | None = None) -> None:
        self.mcp_server = mcp_server
        if self.instructions is None:  # those of the class come first
            self.__dict__["instructions"] = getattr(mcp_server, "instructions", None)
        self.transform = transform
        objects = self.__dict__["_openenv_objects"] = ObjectTools(mcp_server)
        toolbox = book_of(self).toolbox
        toolbox.toolsets.append(objects)
        run_once(objects.look())
        toolbox.check_toolsets()

    if not TYPE_CHECKING:

        async def step_async(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
            """Take an action: call a tool, list the tools, or whatever ``_step_impl`` takes."""
            return await self.act(action, timeout_s, **options)

    def step_other(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
        """Take an action that is no call of a tool: ``_step_impl``, if a subclass has it."""
        own = getattr(self, "_step_impl", None)
        if own is None:
            return super().step_other(action, timeout_s=timeout_s, **options)
        return own(action, **KeywordFilter.of(own, 1).known({"timeout_s": timeout_s, **options}))

    def tool(self, mode: Mode | None = None) -> Callable[[FunctionT], FunctionT]:
        """Add a function as a tool, in one mode or in both; two of different modes may have one name.

        Raises:
            ConfigurationError: The mode is none, or the name is taken.
        """
        if mode not in (None, "simulation", "production"):
            raise ConfigurationError(f"mode must be 'simulation' or 'production', not {mode!r}")

        def add(function: FunctionT) -> FunctionT:
            self.add_tool(Tool.of(function, mode=mode))
            book_of(self).toolbox.check_toolsets()
            return function

        return add

    def get_callables(self) -> dict[str, Callable[..., Any]]:
        """``callables``, by its older name."""
        return self.callables()

    def execute_code(self, code: str) -> Any:
        """Code is not run in the environment's own process.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            "an environment does not run an agent's code in its own process; the coding environment does it in a "
            "sandbox, with the functions of callables()"
        )

    def begin_episode(self, seed: int | None, episode_id: str | None) -> None:
        """Called before each reset: seeds ``rng``, makes a new state, and has the server begin anew with its client."""
        super().begin_episode(seed, episode_id)
        if self._openenv_has_server:
            self._openenv_objects.begin_anew()

    def close(self) -> None:
        """Give back what it holds."""
        super().close()
        loop, self._openenv_loop = self._openenv_loop, None
        if self._openenv_has_server:
            self._openenv_objects.begin_anew()
            if loop is not None:
                run_by(loop, self._openenv_objects.close())
        if loop is not None:
            loop.close()

    @property
    def _openenv_has_server(self) -> bool:
        return "_openenv_objects" in self.__dict__

    @property
    def _openenv_objects(self) -> ObjectTools:
        found: ObjectTools | None = self.__dict__.get("_openenv_objects")
        if found is None:
            raise ConfigurationError(
                f"{type(self).__name__} has no server; call super().__init__(server) in its __init__"
            )
        return found

    @property
    def awaits(self) -> bool:
        """Whether tools may be asynchronous: always, since ``step`` runs a loop of its own."""
        return True

    async def _openenv_before_call(self, name: str) -> None:
        if not self._openenv_objects.has(name):  # it may have come since
            await self._openenv_objects.look()

    async def _openenv_listed(self) -> list[Tool]:
        await self._openenv_objects.look()
        return await super()._openenv_listed()

    async def _openenv_offered(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "about":
            return await self._openenv_about()
        if method in ("resources/list", "resources/templates/list", "prompts/list"):
            own = await answered(self, method, params)
            (key,) = own
            return {key: [*own[key], *((await self._openenv_objects.offer(method, params)) or {key: []})[key]]}
        if method in ("resources/read", "prompts/get"):
            try:
                return await answered(self, method, params)
            except InvalidRequest as error:
                missing = error
            found = await self._openenv_objects.offer(method, params)
            if found is None:
                raise missing
            return found
        return await super()._openenv_offered(method, params)

    async def _openenv_about(self) -> dict[str, Any]:
        about = await answered(self, "about", {})
        for capability, methods in _LISTED_BY.items():
            for method in methods:
                found = await self._openenv_objects.offer(method, {}) or {}
                about["capabilities"][capability] |= any(found.values())
        return about

    def _openenv_driven(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine returns, run here by a loop of this environment."""
        if self._openenv_loop is None:
            self._openenv_loop = asyncio.new_event_loop()
        return run_by(self._openenv_loop, work)


_LISTED_BY = {"resources": ("resources/list", "resources/templates/list"), "prompts": ("prompts/list",)}
