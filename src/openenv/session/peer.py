"""What one connection may do: the sessions it holds, and every request answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from openenv.errors import CapacityReached, OpenEnvError, ServerDraining, SessionNotFound
from openenv.protocol import (
    AgentGranted,
    Close,
    Closed,
    Ended,
    Failed,
    GetOutcome,
    GetState,
    GrantAgent,
    Mcp,
    McpReply,
    Open,
    Opened,
    Progress,
    Queued,
    Reply,
    Request,
    Reset,
    Resume,
    Resumed,
    ServerCodec,
    Step,
    transcoded,
)
from openenv.session.engine import SessionEngine
from openenv.session.episode.chronicle import FORM
from openenv.session.episode.departed import Ending, gone
from openenv.session.episode.lifecycle import Phase
from openenv.session.openings import Openings
from openenv.session.prompt import Frame, Kept, PromptMoves, unforeseen
from openenv.session.session import Session
from openenv.session.shared import SharedSession
from openenv.session.still_running import StillRunning
from openenv.session.together import Group, groups_of, step_together

__all__ = ["PROGRESS_EVERY_S", "Peer"]

PROGRESS_EVERY_S = 5.0
"""Seconds after which a client is told that its request is still running, again and again."""

log = logging.getLogger("openenv.session")


class Peer:
    """Answers the requests of one connection. Every request gets a reply; errors are replies too.

    Sessions that are opened or resumed here are held until ``leave``, and then live for their lease. The one session
    of a connection whose requests name none ends with it.

    Args:
        engine: Where the sessions live.
        openings: What was opened by nonce, on any connection.
        shared: The session without a connection, which may have to give way.
        codec: The version that is spoken here.
        send: Sends a frame that answers no request.

    Attributes:
        prompt: Answers what needs no waiting; asked first.
    """

    def __init__(
        self,
        engine: SessionEngine,
        openings: Openings,
        shared: SharedSession,
        codec: ServerCodec,
        send: Callable[[Frame], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._openings = openings
        self._shared = shared
        self._codec, self._form = codec, codec.subprotocol
        self._send = send
        self._sessions: dict[str, Session] = {}
        self.prompt = PromptMoves(codec, self._sessions, self._framed_safely)
        self._waiting: set[asyncio.Task[Session]] = set()  # for sessions to open
        self._gone = False

    async def open_only(self) -> Frame | None:
        """Open the one session of a connection whose requests name none; the refusal if there is one.

        It comes at once: old trainers wait and try again by themselves.
        """
        try:
            self._sessions[""] = session = await self._engine.open(make_room=self._shared.give_way, patient=False)
            self._engine.leases.begin(session)
            self._engine.leases.hold(session)
        except OpenEnvError as error:
            if isinstance(error, CapacityReached):  # which in that version says no more
                error.details.pop("retry_after_s", None)
            return self._codec.encode(Failed.of(error))
        return None

    def answer(self, request: Request) -> Coroutine[Any, Any, Frame | None]:
        """Do what is asked. A resent request does not run again: it gets the reply of its first run."""
        session = self._sessions.get(request.session)
        if session is None:
            return self._answer(request)
        session.unbegun += 1  # what comes next must not overtake it
        return self._begun(session, request)

    async def _begun(self, session: Session, request: Request) -> Frame | None:
        session.unbegun -= 1
        return await self._answer(request)

    async def _answer(self, request: Request) -> Frame | None:
        if request.id == 0 or isinstance(request, Open | Resume):  # these may always be asked again
            reply = await self._run(request)
            return None if self._is_kept_silent(request, reply) else self._codec.encode(reply)
        try:
            session = self._session(request)
            form, frame = await session.numbered.answer(request, partial(self._run_framed, request))
        except OpenEnvError as error:
            failed = Failed.of(error, request)
            return None if self._is_kept_silent(request, failed) else self._codec.encode(failed)
        return frame if form == self._codec.subprotocol or frame is None else transcoded(frame, form, self._codec)

    def groups(self, requests: Sequence[Request]) -> tuple[list[Group], list[Request]]:
        """What of the requests of one frame is to be asked with ``answer_group``, and what is left."""
        return groups_of(self._sessions, requests)

    async def answer_group(self, group: Group) -> list[Frame]:
        """The answers to a group, in no order."""

        async def tell(elapsed_s: float) -> None:
            for _, request in group:
                await self._notify_progress(request, elapsed_s)

        progress = StillRunning(PROGRESS_EVERY_S, self._engine.endings.in_background, tell)
        try:
            return await step_together(group, self._framed_safely, self._answer)
        finally:
            progress.stop()

    async def refuse(self, error: OpenEnvError) -> Frame | None:
        """Answer a frame that is no request. Where it says whose it is, its id counts as asked and answered."""
        failed = Failed.of(error)
        match error.details:
            case {"session": str(session), "id": int(number), **rest}:
                failed.session, failed.id, failed.details = session, number, rest
                known = self._sessions.get(session)
                if known is not None and number > 0:
                    # its id may be no good either; what is wrong with the frame was found first
                    with suppress(OpenEnvError):
                        await known.numbered.answer(
                            Request(session=session, id=number), partial(self._framed_in_turn, known, failed)
                        )
        return self._codec.encode(failed)

    async def leave(self) -> None:
        """Let go of the connection's sessions; the one of a connection that has only one ends."""
        self._gone = True
        for task in self._waiting:
            task.cancel()
        sessions = [*self._sessions.items()]
        self._sessions.clear()
        for name, session in sessions:
            session.forget(self._ended)
            if name:
                self._engine.leases.let_go(session)
            else:
                await self._engine.endings.end(session, Ending.CONNECTION_LOST)

    def _is_kept_silent(self, request: Request, reply: Reply) -> bool:
        """Whether not to answer: of a session that the next server goes on with, its client will ask that one."""
        return (
            self._codec.subprotocol is not None
            and isinstance(reply, Failed)
            and reply.code == ServerDraining.code
            and not isinstance(request, Open)
        )

    async def _run_framed(self, request: Request) -> Kept:
        if self._answers_at_once(request):
            reply = await self._run(request)
        else:
            progress = StillRunning(
                PROGRESS_EVERY_S, self._engine.endings.in_background, partial(self._notify_progress, request)
            )
            try:
                reply = await self._run(request)
            finally:
                progress.stop()
        if self._is_kept_silent(request, reply):
            return self._codec.subprotocol, None
        return self._framed_safely(reply, request)

    def _answers_at_once(self, request: Request) -> bool:
        session = self._sessions.get(request.session)
        if session is None or not session.answers_at_once:
            return False
        return not (isinstance(request, Step | Reset) and request.timeout_s is not None)

    def _framed_safely(self, reply: Reply, request: Request) -> Kept:
        try:
            return self._framed(reply)
        except Exception as error:  # noqa: BLE001 - what nobody foresaw must be an answer too
            return self._framed(unforeseen(error, request))

    async def _framed_in_turn(self, session: Session, reply: Reply) -> Kept:
        await session.turn()
        return self._framed(reply)

    def _framed(self, reply: Reply) -> Kept:
        # encoded now: the environment may use its objects again for its next answer
        if self._form == FORM and (session := self._sessions.get(reply.session)) is not None:
            written = session.episode.framed(reply)
            if written is not None:
                return self._form, written
        return self._form, self._codec.encode(reply)

    async def _run(self, request: Request) -> Reply:
        try:
            reply = await _ACTIONS[_tag_of(request)](self, request)
        except OpenEnvError as error:
            return Failed.of(error, request)
        except Exception as error:  # noqa: BLE001 - what nobody foresaw must be an answer too, or the client waits
            return unforeseen(error, request)
        reply.session, reply.id = request.session or reply.session, request.id
        return reply

    def _session(self, request: Request) -> Session:
        try:
            return self._sessions[request.session]
        except KeyError:
            ended = self._engine.sessions.why_gone(request.session)
            if ended is not None:
                raise ended from None
            raise SessionNotFound(
                f"this connection has no session {request.session!r}; open or resume it here first"
            ) from None

    async def _open(self, request: Open) -> Reply:
        def moved(position: int) -> None:
            self._engine.endings.in_background(self._notify(Queued(nonce=request.nonce, position=position)))

        opening = asyncio.create_task(self._opened(request, moved))
        self._waiting.add(opening)
        try:
            session = await opening
        except OpenEnvError as error:
            error.details["nonce"] = request.nonce
            raise
        finally:
            self._waiting.discard(opening)
        self._hold(session)
        lease_s, granted = self._engine.leases.lease_s, self._granted(session)
        return Opened(
            session=session.id, nonce=request.nonce, token=session.token, lease_s=lease_s,
            mcp_url=granted.mcp_url, agent_token=granted.token,
        )  # fmt: skip

    async def _opened(self, request: Open, moved: Callable[[int], None]) -> Session:
        source = await self._engine.recovery.find(request.fork, request.token) if request.fork else None
        return await self._openings.open(request.nonce, request.queue_timeout_s, moved, source)

    async def _resume(self, request: Resume) -> Reply:
        session = await self._engine.recovery.find(request.session, request.token)
        self._hold(session)
        return Resumed(last_id=session.numbered.highest, lease_s=self._engine.leases.lease_s)

    def _hold(self, session: Session) -> None:
        if session.phase is Phase.CLOSED:
            raise gone(session.ending or Ending.CLOSED)
        if self._gone or session.id in self._sessions:
            return
        self._sessions[session.id] = session
        self._engine.leases.hold(session)
        session.when_closed(self._ended)

    def _ended(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        if session.ending not in (None, Ending.CLOSED, Ending.SUSPENDED):  # its client knows, or need not know
            notice = Ended(session=session.id, reason=session.ending.value, message=session.ending.told)
            self._engine.endings.in_background(self._notify(notice, after=session))

    async def _notify_progress(self, request: Request, elapsed_s: float) -> None:
        await self._notify(Progress(session=request.session, id=request.id, elapsed_s=elapsed_s))

    async def _notify(self, notice: Reply, after: Session | None = None) -> None:
        """Send a notice, if need be after all answers of a session."""
        if after is not None:
            await after.numbered.quiet()
        frame = self._codec.encode(notice)
        if frame is not None and not self._gone:
            with suppress(Exception):  # whatever the transport raises: nobody is there to be told
                await self._send(frame)

    def _reset(self, request: Reset) -> Awaitable[Reply]:
        return self._session(request).reset(request)

    def _step(self, request: Step) -> Awaitable[Reply]:
        return self._session(request).step(request)

    def _state(self, request: GetState) -> Awaitable[Reply]:
        return self._session(request).state()

    async def _outcome(self, request: GetOutcome) -> Reply:
        session = self._session(request)
        await session.turn()  # it is of what was asked before
        return session.outcome()

    async def _grant(self, request: GrantAgent) -> Reply:
        session = self._session(request)
        await session.turn()
        return self._granted(session)

    def _granted(self, session: Session) -> AgentGranted:
        return AgentGranted(mcp_url=self._engine.agents_at.format(session=session.id), token=session.agent_token())

    async def _close(self, request: Close) -> Reply:
        await self._session(request).close()
        return Closed()

    async def _mcp(self, request: Mcp) -> Reply:
        from openenv.session.tool_answers import frame_answer  # here: only older clients ask so

        return McpReply(payload=await frame_answer(self._session(request), bytes(request.payload)))


def _tag_of(request: Request) -> object:
    return request.__struct_config__.tag  # codecs have classes of their own


_ACTIONS: dict[object, Callable[..., Awaitable[Reply]]] = {
    Open.__struct_config__.tag: Peer._open,
    Resume.__struct_config__.tag: Peer._resume,
    Reset.__struct_config__.tag: Peer._reset,
    Step.__struct_config__.tag: Peer._step,
    GetState.__struct_config__.tag: Peer._state,
    GetOutcome.__struct_config__.tag: Peer._outcome,
    GrantAgent.__struct_config__.tag: Peer._grant,
    Close.__struct_config__.tag: Peer._close,
    Mcp.__struct_config__.tag: Peer._mcp,
}
