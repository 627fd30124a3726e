"""Clients of environments of tools, which call them by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from openenv.client.async_client import EnvClient
from openenv.client.sync_client import SyncEnvClient
from openenv.client.tool_calls import (
    KnownTools,
    ToolValues,
    call_request,
    called,
    list_request,
    listed,
    named,
    value_of,
)
from openenv.client.values import Values
from openenv.tools import CallToolObservation, ToolInfo
from openenv.types import ActT, ObsT, State, StateT, StepResult

if TYPE_CHECKING:
    from openenv.client.agent_access import AgentAccess

__all__ = ["MCPToolClient", "SyncMCPToolClient"]


class MCPToolClient(EnvClient[ActT, ObsT, StateT]):
    """An ``EnvClient`` whose environment has tools.

    Example::

        async with MCPToolClient("http://localhost:8000") as env:
            await env.reset(seed=7)
            print([tool.name for tool in await env.list_tools()])
            value = await env.call_tool("guess", number=50)
            result = await env.call("guess", {"number": 25})  # with reward and done

    Each call is a step of the episode. A call over MCP and one from here are the same. Observations of tools are
    ``CallToolObservation`` and ``ListToolsObservation``; others are dictionaries, and the
    state is a ``State``, unless the client has types for them.
    """

    _known: KnownTools | None = None
    _is_alone = True  # nobody else was let into the episode, who might change its tools

    def values_for(
        self, action: type[Any] | None, observation: type[Any] | None, state: type[Any] | None
    ) -> Values[Any, Any, Any]:
        return ToolValues(action, observation, state or State)

    async def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        *,
        timeout_s: float | None = None,
        **options: Any,
    ) -> StepResult[ObsT]:
        try:
            return await super().reset(seed, episode_id, timeout_s=timeout_s, **options)
        finally:
            self._known = None

    async def step(self, action: ActT, timeout_s: float | None = None, **options: Any) -> StepResult[ObsT]:
        try:
            return await super().step(action, timeout_s, **options)
        finally:
            self._known = None

    async def agent_access(self) -> AgentAccess:
        self._is_alone = False
        return await super().agent_access()

    async def list_tools(self, use_cache: bool = True) -> list[ToolInfo]:
        """The tools that there are. That is no step, and legal before a reset too.

        Args:
            use_cache: Whether what this client was answered before may be answered again, as long as it has made no
                move since. Once it has given an agent access, it asks each time: the agent may change what there is.
        """
        known = self._known
        if known is None or known.tools is None or not use_cache or not self._is_alone:
            known = self._known = KnownTools()  # after a move of another thread it is no longer kept
            reply = await self._call(self._conversation.ask(list_request(), None))
            known.tools = listed(self._conversation.looked(reply))
        return list(known.tools)

    async def get_tool(self, name: str, *, use_cache: bool = True) -> ToolInfo | None:
        """The tool of that name; ``None`` if there is none."""
        return named(await self.list_tools(use_cache), name)

    async def has_tool(self, name: str, *, use_cache: bool = True) -> bool:
        """Whether there is a tool of that name."""
        return await self.get_tool(name, use_cache=use_cache) is not None

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        inputs: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] | None = None,
    ) -> StepResult[CallToolObservation]:
        """Call a tool: a step, also where the tool fails or there is none of that name.

        Args:
            name: The tool.
            arguments: Its arguments, by name.
            timeout_s: Seconds to wait for the answer, as in ``step``.
            inputs: Answers to what it asked, by the names in ``InputNeeded.details["requests"]``.
            capabilities: What it may ask, by MCP's names, such as ``{"elicitation": {}}``.

        Raises:
            InputNeeded: It asks something first; nothing has happened. Call it again with the answers.
            EpisodeLost, ResetNeeded, EpisodeDone: As ``step``.
        """
        request = call_request(name, arguments, timeout_s, inputs, capabilities)
        try:
            return called(self._conversation.moved(await self._ask(request, timeout_s)))
        finally:
            self._known = None

    async def call_tool(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool and give what it returned.

        Raises:
            ExecutionFailed: The tool failed, does not take these arguments, or does not exist;
                ``details["error_type"]`` says which.
        """
        return value_of(name, (await self.call(name, arguments)).observation)

    async def as_openai_tools(
        self,
        *,
        api: Literal["chat", "responses"] = "chat",
        names: dict[str, str] | None = None,
        use_cache: bool = True,
    ) -> list[dict[str, Any]]:
        """The tools as OpenAI's chat or responses API takes them.

        Args:
            api: Which of both.
            names: Gets the name of each tool by the name that the model is told, where these differ: the API takes 1
                to 64 letters, digits, ``_`` and ``-``. So ``names.get(name, name)`` is the tool that a model calls.
                Without it, a name that does not fit is an error.
            use_cache: As of ``list_tools``.

        Raises:
            ConfigurationError: A name does not fit.
        """
        from openenv.tools.exports import as_openai_tools

        return as_openai_tools(await self.list_tools(use_cache), api=api, names=names)

    async def as_anthropic_tools(
        self, *, names: dict[str, str] | None = None, use_cache: bool = True
    ) -> list[dict[str, Any]]:
        """The tools as Anthropic's messages API takes them; arguments and errors as of ``as_openai_tools``."""
        from openenv.tools.exports import as_anthropic_tools

        return as_anthropic_tools(await self.list_tools(use_cache), names=names)

    def sync(self) -> SyncMCPToolClient[ActT, ObsT, StateT]:
        """A synchronous client of the same server, with the same types and a session of its own."""
        return SyncMCPToolClient(self)


class SyncMCPToolClient(SyncEnvClient[ActT, ObsT, StateT]):
    """A ``SyncEnvClient`` whose environment has tools; see ``MCPToolClient``.

    Args:
        url_or_client: Address of the server, or an ``MCPToolClient`` whose address, types and options to take over.
        token: With an address: as of ``EnvClient``.
    """

    def __init__(self, url_or_client: str | MCPToolClient[ActT, ObsT, StateT], *, token: str | None = None) -> None:
        if isinstance(url_or_client, str):
            super().__init__(MCPToolClient(url_or_client, token=token))
        else:
            super().__init__(url_or_client, token=token)
        self._known: KnownTools | None = None
        self._is_alone = True

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        *,
        timeout_s: float | None = None,
        **options: Any,
    ) -> StepResult[ObsT]:
        """Begin an episode; see ``EnvClient.reset``."""
        try:
            return super().reset(seed, episode_id, timeout_s=timeout_s, **options)
        finally:
            self._known = None

    def step(self, action: ActT, timeout_s: float | None = None, **options: Any) -> StepResult[ObsT]:
        """Take an action; see ``EnvClient.step``."""
        try:
            return super().step(action, timeout_s, **options)
        finally:
            self._known = None

    def agent_access(self) -> AgentAccess:
        """What an agent needs to play the running episode over MCP; see ``EnvClient.agent_access``."""
        self._is_alone = False
        return super().agent_access()

    def list_tools(self, use_cache: bool = True) -> list[ToolInfo]:
        """The tools that there are; see ``MCPToolClient.list_tools``."""
        known = self._known
        if known is None or known.tools is None or not use_cache or not self._is_alone:
            known = self._known = KnownTools()  # after a move of another thread it is no longer kept
            reply = self._call(self._conversation.ask(list_request(), None))
            known.tools = listed(self._conversation.looked(reply))
        return list(known.tools)

    def get_tool(self, name: str, *, use_cache: bool = True) -> ToolInfo | None:
        """The tool of that name; ``None`` if there is none."""
        return named(self.list_tools(use_cache), name)

    def has_tool(self, name: str, *, use_cache: bool = True) -> bool:
        """Whether there is a tool of that name."""
        return self.get_tool(name, use_cache=use_cache) is not None

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        inputs: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] | None = None,
    ) -> StepResult[CallToolObservation]:
        """Call a tool, with reward and done; see ``MCPToolClient.call``."""
        request = call_request(name, arguments, timeout_s, inputs, capabilities)
        try:
            return called(self._conversation.moved(self._ask(request, timeout_s)))
        finally:
            self._known = None

    def call_tool(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool and give what it returned; see ``MCPToolClient.call_tool``."""
        return value_of(name, self.call(name, arguments).observation)

    def as_openai_tools(
        self,
        *,
        api: Literal["chat", "responses"] = "chat",
        names: dict[str, str] | None = None,
        use_cache: bool = True,
    ) -> list[dict[str, Any]]:
        """The tools as OpenAI's chat or responses API takes them; see ``MCPToolClient.as_openai_tools``."""
        from openenv.tools.exports import as_openai_tools

        return as_openai_tools(self.list_tools(use_cache), api=api, names=names)

    def as_anthropic_tools(
        self, *, names: dict[str, str] | None = None, use_cache: bool = True
    ) -> list[dict[str, Any]]:
        """The tools as Anthropic's messages API takes them; see ``MCPToolClient.as_openai_tools``."""
        from openenv.tools.exports import as_anthropic_tools

        return as_anthropic_tools(self.list_tools(use_cache), names=names)
