"""Clients of environments of tools, which call them by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from openenv.client.async_client import EnvClient
from openenv.client.sync_client import SyncEnvClient
from openenv.client.tool_calls import ToolValues, call_request, called, list_request, listed, value_of
from openenv.client.values import Values
from openenv.tools import CallToolObservation, ToolInfo
from openenv.types import ActT, ObsT, State, StateT, StepResult

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

    _listed: list[ToolInfo] | None = None

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
        self._listed = None  # an episode may have other tools
        return await super().reset(seed, episode_id, timeout_s=timeout_s, **options)

    async def list_tools(self, use_cache: bool = True) -> list[ToolInfo]:
        """The tools that there are. That is no step, and legal before a reset too.

        Args:
            use_cache: Whether what was answered since the last reset may be answered again.
        """
        if self._listed is None or not use_cache:
            reply = await self._call(self._conversation.ask(list_request(), None))
            self._listed = listed(self._conversation.looked(reply))
        return list(self._listed)

    async def get_tool(self, name: str) -> ToolInfo | None:
        """The tool of that name; ``None`` if there is none."""
        return _named(await self.list_tools(), name)

    async def has_tool(self, name: str) -> bool:
        """Whether there is a tool of that name."""
        return await self.get_tool(name) is not None

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
        return called(self._conversation.moved(await self._ask(request, timeout_s)))

    async def call_tool(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool and give what it returned.

        Raises:
            ExecutionFailed: The tool failed, does not take these arguments, or does not exist;
                ``details["error_type"]`` says which.
        """
        return value_of(name, (await self.call(name, arguments)).observation)

    async def as_openai_tools(self, *, api: Literal["chat", "responses"] = "chat") -> list[dict[str, Any]]:
        """The tools as OpenAI's chat or responses API takes them."""
        from openenv.tools.exports import as_openai_tools

        return as_openai_tools(await self.list_tools(), api=api)

    async def as_anthropic_tools(self) -> list[dict[str, Any]]:
        """The tools as Anthropic's messages API takes them."""
        from openenv.tools.exports import as_anthropic_tools

        return as_anthropic_tools(await self.list_tools())

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
        self._listed: list[ToolInfo] | None = None

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        *,
        timeout_s: float | None = None,
        **options: Any,
    ) -> StepResult[ObsT]:
        """Begin an episode; see ``EnvClient.reset``."""
        self._listed = None
        return super().reset(seed, episode_id, timeout_s=timeout_s, **options)

    def list_tools(self, use_cache: bool = True) -> list[ToolInfo]:
        """The tools that there are; see ``MCPToolClient.list_tools``."""
        if self._listed is None or not use_cache:
            reply = self._call(self._conversation.ask(list_request(), None))
            self._listed = listed(self._conversation.looked(reply))
        return list(self._listed)

    def get_tool(self, name: str) -> ToolInfo | None:
        """The tool of that name; ``None`` if there is none."""
        return _named(self.list_tools(), name)

    def has_tool(self, name: str) -> bool:
        """Whether there is a tool of that name."""
        return self.get_tool(name) is not None

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
        return called(self._conversation.moved(self._ask(request, timeout_s)))

    def call_tool(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool and give what it returned; see ``MCPToolClient.call_tool``."""
        return value_of(name, self.call(name, arguments).observation)

    def as_openai_tools(self, *, api: Literal["chat", "responses"] = "chat") -> list[dict[str, Any]]:
        """The tools as OpenAI's chat or responses API takes them."""
        from openenv.tools.exports import as_openai_tools

        return as_openai_tools(self.list_tools(), api=api)

    def as_anthropic_tools(self) -> list[dict[str, Any]]:
        """The tools as Anthropic's messages API takes them."""
        from openenv.tools.exports import as_anthropic_tools

        return as_anthropic_tools(self.list_tools())


def _named(tools: list[ToolInfo], name: str) -> ToolInfo | None:
    return next((tool for tool in tools if tool.name == name), None)
