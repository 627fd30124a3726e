"""``OutsideServer``: an MCP server from elsewhere as a toolset."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from openenv.errors import ConfigurationError, ToolsetUnavailable
from openenv.mcp.versions import Era
from openenv.mounts.arguments import check_arguments
from openenv.mounts.background import in_background
from openenv.mounts.call import called
from openenv.mounts.description import ServerDescription
from openenv.mounts.listing import Mounted, listed, taken
from openenv.mounts.stdio import ProbeUnanswered, StderrLog, StdioLink
from openenv.settings import inherited
from openenv.tools import Tool, ToolContext

if TYPE_CHECKING:
    from openenv.mounts.http import HttpLink

__all__ = ["OutsideServer"]

T = TypeVar("T")

_INHERITED = ("PATH", "HOME", "LANG")
_NO_CREDENTIALS: Mapping[str, str] = {}


class OutsideServer:
    """An MCP server that an environment mounts: a program of its own for each environment, or a URL.

    Example::

        class Desk(ToolEnvironment):
            toolsets = (OutsideServer("files", command=["mcp-server-filesystem", "/data"], prefix="fs_"),)

    A program is started at the first reset, in a process group of its own, and ended with the environment, with
    everything in that group. One that ended, or a URL that was lost, is connected to again at the next reset. At each
    reset the server is asked for its tools; what it changes during an episode is seen at the next reset.

    Args:
        name: What it is called in messages: letters, digits and ``_ . -``.
        command: A program that speaks MCP on its standard streams, and its arguments. It sees ``PATH``, ``HOME`` and
            ``LANG`` of this process, and what it is given besides.
        url: Or the endpoint of a server that speaks Streamable HTTP.
        prefix: What is put before the names of its tools, such as ``fs_``.
        allow: Names of the tools that are taken, with ``*`` and ``?``, as the server has them; ``None``: all.
        deny: Names of tools that are not.
        pinned: ``sha256:...`` of tools by the names that the server has; see ``hashes``. One that is another makes the
            reset fail. Tools that are not pinned may change from one episode to the next.
        env: Variables that the program sees besides.
        credentials: Names of credentials of the environment: the program sees them as variables of these names, and
            ``${NAME}`` in ``env`` and ``headers`` becomes their value.
        headers: What goes with every request to the URL.
        timeout_s: Seconds that a call may take.
        start_timeout_s: Seconds until the server must have answered first, which may include its installation.

    Raises:
        ConfigurationError: Something does not fit.
    """

    def __init__(
        self,
        name: str,
        *,
        command: Sequence[str] | None = None,
        url: str | None = None,
        prefix: str | None = None,
        allow: Sequence[str] | None = None,
        deny: Sequence[str] | None = None,
        pinned: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        credentials: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        start_timeout_s: float = 60.0,
    ) -> None:
        if isinstance(command, str):
            raise ConfigurationError(f"MCP server {name}: command is a list, such as {command.split()!r}")
        given = {
            "command": None if command is None else [str(part) for part in command],
            "url": url,
            "prefix": prefix,
            "allow": allow,
            "deny": deny,
            "pinned": pinned,
            "env": env,
            "credentials": credentials,
            "headers": headers,
            "timeout_s": timeout_s,
            "start_timeout_s": start_timeout_s,
        }
        self._set(ServerDescription.of(name, given))

    @staticmethod
    def of(description: ServerDescription) -> OutsideServer:
        """The server that is described so."""
        found = OutsideServer.__new__(OutsideServer)
        found._set(description)
        return found

    def _set(self, description: ServerDescription) -> None:
        self.name = description.name
        self.description = description
        self._held = _Held(description)
        weakref.finalize(self, _let_go, self._held).atexit = False  # then its end of the pipes is closed anyway

    def __repr__(self) -> str:
        description = self.description
        what = description.url or " ".join(description.command or ())
        return f"OutsideServer({self.name!r}, {what!r})"

    def fresh(self) -> OutsideServer:
        """Another one like it, for another environment."""
        found = OutsideServer.of(self.description)
        found._held.era = self._held.era
        return found

    async def begin(self, credentials: Mapping[str, str] = _NO_CREDENTIALS) -> None:
        """Get ready for an episode: connect, or make sure that it lives, and look at its tools.

        Args:
            credentials: Of the environment.

        Raises:
            ConfigurationError: It has not the tools that it was said to have, or a credential is missing.
            ToolsetUnavailable: It cannot be used, or a tool is not what it was pinned as.
        """
        missing = [name for name in self.description.credentials if name not in credentials]
        if missing:
            raise ConfigurationError(
                f"MCP server {self.name} needs the credential {', '.join(missing)}, which the environment has not; "
                "name it under credentials: in openenv.yaml"
            )
        await _awaited(
            in_background(self._held.begin({name: credentials[name] for name in self.description.credentials}))
        )

    def tools(self) -> Sequence[Tool]:
        """What is taken of what the server had at the last reset; nothing before the first."""
        return self._held.tools

    @property
    def hashes(self) -> dict[str, str]:
        """What the tools of the last reset can be pinned by, by the names that the server has."""
        return {one.name: one.digest for one in self._held.mounted.values()}

    @property
    def process_id(self) -> int | None:
        """Of the program, which leads a process group of the same number; ``None`` if there is none now."""
        link = self._held.link
        return link.process_id if isinstance(link, StdioLink) else None

    async def call(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> dict[str, Any]:
        """Call one of the tools. If this is cancelled, the server is told so.

        Returns:
            A ``result`` as of a ``CallToolObservation``.

        Raises:
            BadArguments: They do not fit the schema; the server was not asked.
            InputNeeded: The server asks its caller something first.
            CallCancelled: The caller has given up.
            ToolsetUnavailable: It is gone.
        """
        mounted = self._held.mounted.get(name)
        if mounted is None:
            raise ToolsetUnavailable(f"MCP server {self.name} has no tool {name}")
        check_arguments(mounted.tool.input_schema, arguments)
        return await _awaited(in_background(self._held.call(mounted, dict(arguments), context)))

    async def close(self) -> None:
        """End the program, with everything in its process group, or the session. Safe to call twice."""
        await asyncio.shield(_awaited(in_background(self._held.close())))


class _Held:
    """What a toolset holds; used in the background alone, but for what it has listed."""

    def __init__(self, description: ServerDescription) -> None:
        self.link: StdioLink | HttpLink | None = None
        self.era = Era.STATELESS
        self.mounted: dict[str, Mounted] = {}
        self.tools: tuple[Tool, ...] = ()
        self._description = description
        self._turn: asyncio.Lock | None = None

    async def begin(self, credentials: Mapping[str, str]) -> None:
        async with self._lock():
            before, self.mounted, self.tools = self.mounted, {}, ()
            tools = await self._listed_again()
            if tools is None:
                await self._drop()
                link = self.link = await self._connected(credentials)
                try:
                    tools = await asyncio.wait_for(
                        listed(self._description.name, link), self._description.start_timeout_s
                    )
                except TimeoutError:
                    raise self._slow() from None
            found = taken(self._description, tools)
            self.mounted = before if before == found else found  # the same objects are compared fast
            self.tools = tuple(one.tool for one in self.mounted.values())

    async def call(self, mounted: Mounted, arguments: dict[str, Any], context: ToolContext) -> dict[str, Any]:
        if self.link is None:
            raise ToolsetUnavailable(f"MCP server {self._description.name} is not connected; reset first")
        return await called(self.link, mounted, arguments, context)

    async def close(self) -> None:
        async with self._lock():
            await self._drop()

    async def _listed_again(self) -> list[dict[str, Any]] | None:
        """The tools of the server that was used before; ``None`` if there is none, or it has to be another."""
        if self.link is None or not await self.link.is_alive():
            return None
        self.link.renew()
        try:
            limit = self._description.start_timeout_s
            return await asyncio.wait_for(listed(self._description.name, self.link), limit)
        except (ToolsetUnavailable, TimeoutError):
            return None

    async def _connected(self, credentials: Mapping[str, str]) -> StdioLink | HttpLink:
        description, limit = self._description, self._description.start_timeout_s
        name = description.name
        if description.url is not None:
            from openenv.mounts.http import HttpLink  # here: its library is slow to import, and programs need none

            headers = description.filled(description.headers, credentials)
            http = await HttpLink.start(name, description.url, headers, self.era, limit)
            self.era = http.opened.era
            return http
        assert description.command is not None  # one of both is there
        given = inherited()
        env = {key: given[key] for key in _INHERITED if key in given} | dict(credentials)
        env |= description.filled(description.env, credentials)
        stderr = StderrLog(name, credentials)
        began = time.monotonic()
        if self.era is Era.STATELESS:
            try:
                return await StdioLink.start(name, description.command, env, stderr, self.era, limit / 2)
            except ProbeUnanswered:
                stderr.last = ""
        left = max(limit - (time.monotonic() - began), limit / 2)
        stdio = await StdioLink.start(name, description.command, env, stderr, Era.OLDER, left)
        self.era = Era.OLDER
        return stdio

    async def _drop(self) -> None:
        link, self.link = self.link, None
        if link is not None:
            await asyncio.shield(asyncio.ensure_future(link.close()))

    def _slow(self) -> ToolsetUnavailable:
        return ToolsetUnavailable(
            f"MCP server {self._description.name} did not list its tools within {self._description.start_timeout_s:g} s"
        )

    def _lock(self) -> asyncio.Lock:
        self._turn = self._turn or asyncio.Lock()
        return self._turn


async def _awaited(future: Future[T]) -> T:
    return await asyncio.wrap_future(future)


def _let_go(held: _Held) -> None:
    """End what nobody closed."""
    if held.link is not None:
        in_background(held.close())
