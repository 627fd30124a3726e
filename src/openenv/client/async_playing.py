"""How an asynchronous client does what its conversation decides."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from openenv.client.breaks import hung_up
from openenv.client.conversation import Conversation
from openenv.client.moves import Ask, Connect, HangUp, Look, Move, Moves, Part, Pause, Tell
from openenv.client.options import ClientOptions
from openenv.protocol import Observed, Reply, Request
from openenv.types import ActT, ObsT, StateT

if TYPE_CHECKING:
    from openenv.client.async_socket import AsyncSocket

__all__ = ["AsyncPlaying"]

T = TypeVar("T")


class AsyncPlaying(Generic[ActT, ObsT, StateT]):
    """One session's conversation and connection, awaited.

    Args:
        options: What the user set.
        conversation: The session's; by default a new one.
    """

    def __init__(self, options: ClientOptions, conversation: Conversation[ActT, ObsT, StateT] | None = None) -> None:
        self.options = options
        self._conversation = conversation or Conversation(options)
        self._socket: AsyncSocket | None = None
        self._turn_ended: asyncio.Event | None = None  # for who waits for the turn
        self._woken: asyncio.Event | None = None  # for who pauses

    async def close(self) -> None:
        """End the session and whatever belongs to the client. Safe to call twice, also while a call waits.

        A ``close`` of the environment that fails is logged as a warning. ``reset`` begins anew.
        """
        has_turn = self._conversation.try_turn() or await self._interrupt()
        try:
            if has_turn:
                await self._play(self._conversation.end())
        finally:
            self._conversation.closed()
            self._abort()
            if has_turn:
                self._end_turn()
            if self.options.owned is not None:
                await asyncio.to_thread(self.options.owned.close)

    async def _interrupt(self) -> bool:
        """Make the call that waits give its turn to this one."""
        if self._conversation.interrupt():
            if self._woken is not None:
                self._woken.set()
            self._abort()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.options.connect_timeout_s):
                while not self._conversation.try_turn():
                    self._turn_ended = self._turn_ended or asyncio.Event()
                    await self._turn_ended.wait()
                return True
        return False

    async def _call(self, moves: Moves[T]) -> T:
        self._conversation.begin_turn()
        try:
            return await self._play(moves)
        finally:
            self._end_turn()

    async def _ask(self, request: Request, timeout_s: float | None) -> Reply:
        """The answer to a request; without a detour where it comes as nearly all do."""
        conversation, asked = self._conversation, None
        conversation.begin_turn()
        error: BaseException | None = None
        try:
            try:
                asked = conversation.ask_at_once(request)
                if asked is None or self._socket is None:
                    reply = None
                else:
                    reply = await self._socket.ask(asked)
                    if type(reply) is Observed:
                        return reply
            except BaseException as raised:  # cancellation too: the conversation decides what follows from it
                if asked is None:
                    raise
                reply, error = None, raised
            if asked is None:
                return await self._play(conversation.ask(request, timeout_s))
            moves = conversation.asked(request, asked)
            next(moves)
            return await self._play(moves, reply, error or (hung_up() if reply is None else None))
        finally:
            error = None  # its traceback holds this frame
            self._end_turn()

    def _end_turn(self) -> None:
        self._conversation.end_turn()
        if self._turn_ended is not None:
            self._turn_ended.set()
            self._turn_ended = None

    async def _play(self, moves: Moves[T], answer: Any = None, error: BaseException | None = None) -> T:
        """Make the moves that the conversation decides on, from the one that gave ``answer`` or raised ``error``."""
        try:
            while True:
                try:
                    move = moves.send(answer) if error is None else moves.throw(error)
                except StopIteration as stop:
                    ended: T = stop.value
                    return ended
                try:
                    answer, error = await self._make(move), None
                except BaseException as raised:  # noqa: BLE001 - cancellation too: the conversation decides what follows from it
                    answer, error = None, raised
        finally:
            error = None  # its traceback holds this frame

    async def _make(self, move: Move) -> Any:
        socket = self._socket
        match move:
            case Connect():
                from openenv.client.async_socket import AsyncSocket  # here: who only names a client loads no network

                self._socket = await AsyncSocket.connect(self.options, move.timeout_s)
                return self._socket.subprotocol
            case Pause():
                await self._pause(move.seconds)
            case HangUp():
                self._abort()
            case Look():
                return hung_up() if socket is None else socket.ended
            case Tell():
                return socket is not None and await socket.tell(move.frame, move.timeout_s)
            case Ask():
                if socket is None:
                    raise hung_up()
                return await socket.ask(move)
            case Part():
                if socket is not None:
                    await socket.close(move.timeout_s)
        return None

    async def _pause(self, seconds: float) -> None:
        if self._conversation.interrupted.is_set():
            return
        self._woken = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken = None

    def _abort(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.abort()
