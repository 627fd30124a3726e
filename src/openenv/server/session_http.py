"""The HTTP endpoints of private sessions: opened, looked at, handed to agents, ended."""

from __future__ import annotations

import msgspec

from openenv.errors import EpisodeLost
from openenv.server.access import Access
from openenv.server.answers import (
    encoded,
    fields_of,
    invalid,
    json_answer,
    key_of,
    session_cookie,
    state_answer,
    value_of,
)
from openenv.server.exchange import Answer, Request, Scope, Streamed
from openenv.session import Ending, Openings, Session, SessionEngine, SharedSession

__all__ = ["SessionEndpoints"]


class SessionEndpoints:
    """Each method answers the requests of one endpoint.

    Args:
        engine: Where the sessions live.
        openings: Opens those that are named.
        shared: Gives way to them.
        max_message_bytes: Largest body.
        access: Says where agents are served.
    """

    def __init__(
        self,
        engine: SessionEngine,
        openings: Openings,
        shared: SharedSession,
        max_message_bytes: int,
        access: Access,
    ) -> None:
        self._engine = engine
        self._openings = openings
        self._shared = shared
        self._max_message_bytes = max_message_bytes
        self._access = access

    async def open(self, request: Request) -> Answer:
        """Open a private session."""
        key, fields = key_of(request), fields_of(await request.body(self._max_message_bytes))
        fork = value_of(fields, "fork") if "fork" in fields else None
        if not isinstance(fork, str | None):
            raise invalid("fork", "must be the id of a session")
        source = await self._engine.recovery.find(fork) if fork else None
        if key is None:
            session = await self._engine.open(make_room=self._shared.give_way, patient=False, source=source)
            self._engine.leases.begin(session)
        else:
            session = await self._openings.open(f"http {key}", 0.0, lambda _: None, source)
            self._engine.leases.renew(session)
        agent = self._agent(request.scope, session)
        told = {
            "session_id": session.id,
            "token": session.token,
            "lease_s": self._engine.leases.lease_s,
            "mcp_url": agent["mcp_url"],
            "agent_token": agent["token"],
            "clients": agent["clients"],
        }
        answer = json_answer(encoded(told), 201)
        answer.headers.append((b"set-cookie", session_cookie(session.id)))
        return answer

    async def close(self, request: Request) -> Answer:
        """End one."""
        try:
            await (await self._engine.recovery.find(request.named)).close()
        except EpisodeLost as error:
            if error.details["reason"] != Ending.CLOSED:
                raise
        return Answer(status=204, headers=[(b"set-cookie", session_cookie("", "; Max-Age=0"))])

    async def state(self, request: Request) -> Answer:
        """Where its episode stands."""
        return state_answer(await (await self._engine.recovery.find(request.named)).state())

    async def outcome(self, request: Request) -> Answer:
        """What has come of its episode so far."""
        told = msgspec.structs.asdict((await self._engine.recovery.find(request.named)).outcome())
        return json_answer(encoded({name: value for name, value in told.items() if name not in ("session", "id")}))

    async def agent(self, request: Request) -> Answer:
        """What an agent needs to play its running episode, or the first if none was begun."""
        session = await self._engine.recovery.find(request.named)
        self._engine.leases.renew(session)
        return json_answer(encoded(self._agent(request.scope, session)), 201)

    async def events(self, request: Request) -> Answer:
        """What happens in its episode."""
        from openenv.server.event_stream import events  # here: few servers are watched

        session = await self._engine.recovery.find(request.named)
        follows = b"follow=0" not in request.scope.get("query_string", b"").split(b"&")
        return Streamed(request, events(session, follows=follows), "text/event-stream")

    def _agent(self, scope: Scope, session: Session) -> dict[str, object]:
        from openenv.server.agent_access import agent_access, base_url_of  # at the first request for it

        url = f"{base_url_of(scope, self._access.agent_port)}/sessions/{session.id}/mcp"
        return agent_access(url, session.agent_token(), self._engine.spec.name)
