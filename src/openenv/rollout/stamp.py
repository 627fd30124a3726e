"""Which environment lock goes with an episode: asked of the server, and stamped on what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from openenv.client import GenericEnvClient
from openenv.protocol import Hello
from openenv.record import EventWriter, Kind
from openenv.rollout.recording import EpisodeLog

__all__ = ["LOCK_SETTING", "LOCK_STAMP", "ServerLock", "StampedLog", "read_lock"]

LOCK_SETTING = "environment_lock"
"""The setting of a run that holds the lock it began with."""

LOCK_STAMP = "lock"
"""Field of a recorded reset's request with the digest of the lock that the episode was played with."""

_TIMEOUT_S = 30.0  # the first to ask waits until the server has read its files


class ServerLock:
    """The environment lock of the server that a run plays against, read again where a new connection was made.

    Args:
        url: The server.
        headers: Additional headers for it.

    Attributes:
        lock: As last read; ``None`` from a server that tells none.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url, self._headers = url, headers
        self._greetings: dict[GenericEnvClient, Hello | None] = {}
        self.lock: dict[str, Any] | None = None

    async def begin(self, clients: list[GenericEnvClient]) -> None:
        """Read it for clients that are connected."""
        self._greetings = {client: client.hello for client in clients}
        self.lock = await read_lock(self._url, self._headers)

    async def digest(self, client: GenericEnvClient) -> str | None:
        """The short digest of what this client, which is connected, plays now."""
        if client.hello is not self._greetings.get(client):  # another connection, so perhaps another server
            self._greetings[client] = client.hello
            self.lock = await read_lock(self._url, self._headers)
        return self.lock["digest"] if self.lock is not None else None


class StampedLog(EpisodeLog):
    """A log whose reset says which environment lock the episode was played with.

    Args:
        writer, run, episode: See ``EpisodeLog``.
        digest: Short digest of the lock; ``None`` where it is not known.
    """

    def __init__(self, writer: EventWriter, run: str, episode: str, digest: str | None) -> None:
        super().__init__(writer, run, episode)
        self._stamp = {} if digest is None else {LOCK_STAMP: digest}

    async def add(self, kind: Kind, request: Any, reply: Any) -> None:
        """Record what came of the request; see ``EpisodeLog.add``. An option of the same name goes before the stamp."""
        is_reset = "seed" in request  # answered or not; a step has an action alone
        await super().add(kind, {**request, **self._stamp, **request} if is_reset else request, reply)


async def read_lock(url: str, headers: Mapping[str, str]) -> dict[str, Any] | None:
    """The environment lock that a server tells; ``None`` from one that tells none, such as an older one."""
    address = GenericEnvClient(url).options.address
    try:
        # a proxy of the network has no way back to this machine
        async with httpx.AsyncClient(headers=dict(headers), trust_env=not address.is_local, timeout=_TIMEOUT_S) as http:
            found = (await http.get(f"{address.http}/lock", follow_redirects=True)).json()
    except (httpx.HTTPError, ValueError):  # without it there is less to know, but nothing less to play
        return None
    return found if isinstance(found, dict) and isinstance(found.get("digest"), str) else None
