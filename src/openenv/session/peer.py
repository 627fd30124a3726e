"""What one connection may do: its sessions, which end with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from openenv.errors import OpenEnvError, SessionClosed, SessionNotFound
from openenv.protocol import (
    Admission,
    Close,
    Closed,
    Failed,
    GetState,
    Mcp,
    McpReply,
    Open,
    Opened,
    Reply,
    Request,
    Reset,
    Step,
)
from openenv.session.detached import DetachedSessions
from openenv.session.engine import SessionEngine
from openenv.session.session import Session

__all__ = ["ENDING_PATIENCE_S", "Peer"]

ENDING_PATIENCE_S = 5.0
"""Seconds that an ``open`` waits for the place of a session that is ending: its client has gone and may be back."""

log = logging.getLogger("openenv.session")


class Peer:
    """Answers the requests of one connection. Every request gets a reply; errors are replies too.

    Args:
        engine: Where the sessions live.
        detached: The sessions without a connection; the shared one may have to give way.
        patience_s: Seconds an ``Open`` waits, where all places are taken, for sessions that are ending already.
    """

    def __init__(
        self, engine: SessionEngine, detached: DetachedSessions, patience_s: float = ENDING_PATIENCE_S
    ) -> None:
        self._engine = engine
        self._detached = detached
        self._patience_s = patience_s
        self._sessions: dict[str, Session] = {}
        self._opened: dict[str, asyncio.Task[Session]] = {}  # by nonce
        self._nonces: dict[str, str] = {}  # by session id
        self._running: dict[tuple[str, int], asyncio.Future[Reply]] = {}
        self._gone = False

    async def open_only(self) -> Failed | None:
        """Open the one session of a connection whose requests name none; the refusal if there is one.

        It comes at once: old trainers wait and try again by themselves.
        """
        try:
            self._sessions[""] = await self._new_session(None)
        except OpenEnvError as error:
            return Failed.of(error)
        return None

    def answers_at_once(self, request: Request) -> bool:
        """Whether ``answer`` returns without giving the event loop to others in between."""
        session = self._sessions.get(request.session)
        return session is not None and session.answers_at_once

    async def answer(self, request: Request) -> Reply:
        """Do what is asked. A resent request does not run again: it gets the reply of its first run."""
        try:
            if request.id == 0 or isinstance(request, Open):  # ids belong to a session, an open has its nonce
                return await self._run(request)
            return await self._run_once(request)
        except OpenEnvError as error:
            return Failed.of(error, request)

    async def refuse(self, error: OpenEnvError) -> Reply:
        """Answer a frame that is no request. Where it says whose it is, its id counts as asked and answered."""
        failed = Failed.of(error)
        match error.details:
            case {"session": str(session), "id": int(request_id), **rest}:
                failed.session, failed.id, failed.details = session, request_id, rest
                known = self._sessions.get(session)
                if known is not None and request_id > 0:
                    # its id may be no good either; what is wrong with the frame was found first
                    with suppress(OpenEnvError):
                        if known.window.admit(request_id, 0) is Admission.FRESH:
                            await known.turn()
                            known.window.finish(request_id, failed)
        return failed

    async def leave(self) -> None:
        """End the connection's sessions, each after its running request, also those that are still opening."""
        self._gone = True
        sessions, openings = list(self._sessions.values()), list(self._opened.values())
        self._sessions.clear()
        self._opened.clear()
        await asyncio.gather(
            *(self._engine.end(session) for session in sessions), *(self._engine.end_opening(one) for one in openings)
        )

    async def _run_once(self, request: Request) -> Reply:
        window = self._session(request).window
        key = request.session, request.id
        match window.admit(request.id, request.ack):
            case Admission.ANSWERED:
                return window.reply(request.id)
            case Admission.RUNNING:
                return await asyncio.shield(self._running[key])
        running = self._running[key] = asyncio.get_running_loop().create_future()
        try:
            reply = await self._run(request)
        except BaseException:
            running.cancel()
            raise
        finally:
            del self._running[key]
        window.finish(request.id, reply)
        running.set_result(reply)
        return reply

    async def _run(self, request: Request) -> Reply:
        try:
            reply = await _ACTIONS[type(request)](self, request)
        except OpenEnvError as error:
            return Failed.of(error, request)
        except Exception as error:  # what nobody foresaw must be an answer too, or the client waits for ever
            log.exception("a request failed inside the server")
            return Failed.of(OpenEnvError(f"the server failed: {type(error).__name__}: {error}"), request)
        reply.session, reply.id = request.session or reply.session, request.id
        return reply

    def _session(self, request: Request) -> Session:
        try:
            return self._sessions[request.session]
        except KeyError:
            raise SessionNotFound(f"this connection has no session {request.session!r}; open one first") from None

    async def _open(self, request: Open) -> Reply:
        """The same nonce gives the same session, so that a client may ask again."""
        if self._gone:
            raise SessionClosed("the connection has ended")
        task = self._opened.get(request.nonce)
        if task is None:
            task = self._opened[request.nonce] = asyncio.create_task(self._new_session(self._patience_s))
        try:
            session = await asyncio.shield(task)
        except OpenEnvError:
            self._opened.pop(request.nonce, None)  # asked again, it is tried again
            raise
        self._sessions.setdefault(session.id, session)
        self._nonces[session.id] = request.nonce
        return Opened(session=session.id, nonce=request.nonce, token=session.token)

    async def _new_session(self, patience_s: float | None) -> Session:
        return await self._engine.open(make_room=self._make_room, patience_s=patience_s)

    async def _make_room(self) -> None:
        if self._gone:  # while it waited for a place
            raise SessionClosed("the connection has ended")
        await self._detached.give_way()

    def _reset(self, request: Reset) -> Awaitable[Reply]:
        return self._session(request).reset(request)

    def _step(self, request: Step) -> Awaitable[Reply]:
        return self._session(request).step(request)

    def _state(self, request: GetState) -> Awaitable[Reply]:
        return self._session(request).state()

    async def _close(self, request: Close) -> Reply:
        session = self._session(request)
        try:
            await self._engine.close(session)
        finally:
            self._sessions.pop(request.session, None)
            self._opened.pop(self._nonces.pop(session.id, ""), None)
        return Closed()

    async def _mcp(self, request: Mcp) -> Reply:
        asked = msgspec.json.decode(request.payload)
        answered = {"code": -32603, "message": f"{self._engine.spec.name} serves no MCP tools"}
        asked_id = asked.get("id") if isinstance(asked, dict) else None
        return McpReply(payload={"jsonrpc": "2.0", "id": asked_id, "error": answered})


_ACTIONS: dict[type[Request], Callable[..., Awaitable[Reply]]] = {
    Open: Peer._open,
    Reset: Peer._reset,
    Step: Peer._step,
    GetState: Peer._state,
    Close: Peer._close,
    Mcp: Peer._mcp,
}
