"""A player that has no client at all: plain HTTP, each request sent again under its key until it is answered."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx
from tests.soak.claims import Ending
from tests.soak.episodes import Ask, Begin, Look, Take
from tests.soak.players import Player, drive

from openenv.errors import (
    CapacityReached,
    ConnectionLost,
    EpisodeLost,
    ResetNeeded,
    ServerDraining,
    SessionNotFound,
    error_from_code,
)

__all__ = ["Plain"]

_ANSWERS_WITHIN_S = 1.5
"""A plain client cannot ping; it asks again instead, which is harmless."""


@dataclass
class Plain(Player):
    """Plays by ``POST /reset`` and ``/step`` with an ``Idempotency-Key``.

    Attributes:
        shares: Play the session that all plain requests share, instead of a private one.
        again_s: How long to wait before it asks again.
    """

    shares: bool = False
    again_s: float = 0.05

    async def session(self) -> None:
        async with httpx.AsyncClient(
            base_url=self.lane.url, timeout=_ANSWERS_WITHIN_S, trust_env=False, verify=False
        ) as http:
            await self._session(http)

    async def _session(self, http: httpx.AsyncClient) -> None:
        headers: dict[str, str] = {}
        if not self.shares:
            opened = await self.ask(http, "POST", "/sessions", {})
            headers["X-OpenEnv-Session"] = opened["session_id"]
        http.cookies.clear()

        async def perform(ask: Ask) -> dict[str, Any]:
            match ask:
                case Begin():
                    body = {"seed": ask.seed, "episode_id": ask.episode_id, "length": ask.length}
                    body |= {} if ask.within_s is None else {"timeout_s": ask.within_s}
                    return (await self.ask(http, "POST", "/reset", headers, body))["observation"]
                case Take():
                    body = {"action": ask.action} | ({} if ask.within_s is None else {"timeout_s": ask.within_s})
                    return (await self.ask(http, "POST", "/step", headers, body))["observation"]
                case Look():
                    return await self.ask(http, "GET", "/state", headers)

        for _ in range(self.random.randint(1, 5)):
            played = self.claimed(looks=not self.shares)  # without an episode the state is a fresh one
            played.claim.shared = self.shares
            await drive(played, perform)
            if played.claim.ending is not Ending.DONE or self.stop.is_set():
                break
        if not self.shares:
            try:
                await self.ask(http, "DELETE", f"/sessions/{headers['X-OpenEnv-Session']}", {})
            except (SessionNotFound, EpisodeLost):  # its server has ended meanwhile
                self.refused["gone before DELETE"] += 1

    async def ask(
        self, http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], body: Any = None
    ) -> dict[str, Any]:
        """Ask until there is an answer; raises the error that it is, if it is one."""
        keyed = {**headers, "Idempotency-Key": f"{self.random.getrandbits(128):032x}"} if method == "POST" else headers
        limit = time.monotonic() + self.patience.reconnect_s
        while True:
            try:
                answer = await http.request(method, path, headers=keyed, json=body)
            except httpx.TransportError as error:
                if time.monotonic() > limit:
                    raise ConnectionLost(f"no answer to {method} {path}: {error!r}") from error
                await asyncio.sleep(self.again_s)
                continue
            if answer.is_success:
                return answer.json() if answer.content else {}
            told = answer.json()["error"]
            error = error_from_code(told["code"], told["message"], told["details"])
            if (
                isinstance(error, CapacityReached | ServerDraining)
                and time.monotonic() < limit
                and not self.stop.is_set()
            ):
                # the same key may be used again: a refusal did nothing
                await asyncio.sleep(min(self.patience.queue_s, float(error.details.get("retry_after_s", 0.05)), 0.2))
                continue
            if self.shares and isinstance(error, ResetNeeded):
                raise EpisodeLost("another server answers", details={"reason": "session_unknown"})
            if isinstance(error, SessionNotFound) and path != f"/sessions/{headers.get('X-OpenEnv-Session')}":
                raise EpisodeLost(error.message, details={"reason": "session_unknown"})
            raise error
