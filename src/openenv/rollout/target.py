"""Where the environment of a rollout is served: at a URL that was given, or by a server for the time of the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from openenv import make
from openenv.client import GenericEnvClient
from openenv.errors import ConfigurationError, ConnectFailed

__all__ = ["action_schema", "served"]

_SCHEMES = ("http://", "https://", "ws://", "wss://")


@asynccontextmanager
async def served(environment: str, sessions: int) -> AsyncIterator[str]:
    """The URL of a server of this environment.

    Args:
        environment: A URL, which is given back, or a name or path, which is served until the context ends.
        sessions: How many a server that is started here must take at the same time.
    """
    if environment.startswith(_SCHEMES):
        yield environment
        return
    owner = await asyncio.to_thread(lambda: make(environment, asynchronous=True, max_sessions=sessions))
    try:
        yield owner.options.address.http
    finally:
        await owner.close()


async def action_schema(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The JSON Schema of the environment's action.

    Raises:
        ConnectFailed: The server cannot be reached.
        ConfigurationError: It tells none.
    """
    address = GenericEnvClient(url).options.address
    try:
        # a proxy of the network has no way back to this machine
        async with httpx.AsyncClient(headers=dict(headers), trust_env=not address.is_local) as http:
            answer = await http.get(f"{address.http}/schema", follow_redirects=True)
    except httpx.HTTPError as error:
        raise ConnectFailed(f"cannot reach {address.http}: {error or type(error).__name__}") from error
    try:
        schema = answer.raise_for_status().json()["action"]
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{address.http}/schema tells no action schema, which the random agent draws from; "
            "check the URL, or play with --agent module:function"
        ) from error
    return dict(schema)
