"""Where the environment of a rollout is served: at a URL that was given, or by a server for the time of the run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from openenv.app.making import embedded
from openenv.app.resolve import Remote, resolve
from openenv.client import GenericEnvClient, MCPToolClient
from openenv.errors import ConfigurationError, ConnectFailed, Unauthorized
from openenv.rollout.agent import Agent, random_agent, random_caller
from openenv.runtime import EmbeddedRuntime, EmbeddedServer

__all__ = ["Lent", "action_schema", "capacity", "random_player", "served"]

_CALL = "CallToolAction"


class Lent:
    """A server that clients use and do not end; they only ask whether it is still there."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._server.ended

    def close(self) -> None:
        """Whoever started it ends it."""


@asynccontextmanager
async def served(environment: str, sessions: int | None) -> AsyncIterator[tuple[str, Lent | None]]:
    """The URL of a server of this environment, and the server if it was started here.

    Args:
        environment: A URL, which is given back, or a name or path, which is served until the context ends.
        sessions: How many a server that is started here must take at the same time; ``None``: as many as it does.

    Raises:
        OpenEnvError: It cannot be found or started. If the call is cancelled, what was started until then is ended.
    """
    found = resolve(environment)
    if isinstance(found, Remote):
        yield found.url, None
        return
    try:
        server = await _started(embedded(found, sessions={"max_sessions": sessions}))
    except ConfigurationError as error:
        if (most := error.details.get("max_sessions")) is None:
            raise
        raise ConfigurationError(f"run with --concurrency {most}: {error}", details=error.details) from error
    try:
        yield server.url, Lent(server)
    finally:
        await asyncio.to_thread(server.close)


async def _started(runtime: EmbeddedRuntime) -> EmbeddedServer:
    given_up = threading.Event()
    starting = asyncio.create_task(asyncio.to_thread(runtime.start, given_up))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        given_up.set()
        (came,) = await asyncio.gather(starting, return_exceptions=True)
        if isinstance(came, EmbeddedServer):  # it was faster
            await asyncio.to_thread(came.close)
        raise


async def action_schema(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The JSON Schema of the environment's action.

    Raises:
        ConnectFailed: The server cannot be reached.
        ConfigurationError: It tells none.
    """
    answer = await _get(url, "/schema", headers)
    try:
        schema = answer.raise_for_status().json()["action"]
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{answer.url} tells no action schema, which the random agent draws from; "
            "check the URL, or play with --agent module:function"
        ) from error
    return dict(schema)


async def random_player(url: str, headers: Mapping[str, str]) -> Agent:
    """The agent that draws what the environment takes: actions, or calls of its tools.

    Raises:
        ConnectFailed: The server cannot be reached.
        ConfigurationError: It does not tell what it takes, or nothing of it can be drawn.
    """
    schema = await action_schema(url, headers)
    if schema.get("title") != _CALL:
        return random_agent(schema)
    async with MCPToolClient[Any, Any, Any](url, headers=headers) as env:
        return random_caller(await env.list_tools())


async def capacity(url: str, headers: Mapping[str, str]) -> int | None:
    """How many sessions the server takes at the same time; ``None`` from one that does not tell.

    Where it serves a factory, it knows the number only once a first session is open.

    Raises:
        ConnectFailed: The server cannot be reached.
    """
    try:
        found = (await _get(url, "/ready", headers)).json()["sessions"]["capacity"]
    except (ValueError, KeyError, TypeError):  # an older server, or none of ours
        return None
    return found if isinstance(found, int) and found > 0 else None


async def _get(url: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
    address = GenericEnvClient(url).options.address
    try:
        # a proxy of the network has no way back to this machine
        async with httpx.AsyncClient(headers=dict(headers), trust_env=not address.is_local) as http:
            answer = await http.get(f"{address.http}{path}", follow_redirects=True)
    except httpx.HTTPError as error:
        raise ConnectFailed(f"cannot reach {address.http}: {error or type(error).__name__}") from error
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise Unauthorized(f"{address.http} lets in only who shows a token; set OPENENV_TOKEN, or send it as a header")
    return answer
