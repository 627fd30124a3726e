"""The asynchronous client of one session."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from openenv.client.address import Address
from openenv.client.breaks import hung_up
from openenv.client.conversation import Conversation
from openenv.client.moves import Ask, Connect, HangUp, Look, Move, Moves, Part, Pause, Tell
from openenv.client.options import MAX_MESSAGE_BYTES, ClientOptions, Closable, types_of
from openenv.client.values import Values
from openenv.protocol import GetState, Hello, Observed, Reply, Request
from openenv.types import ActT, ObsT, StateT, StepResult

if TYPE_CHECKING:
    from openenv.client.async_socket import AsyncSocket
    from openenv.client.sync_client import SyncEnvClient

__all__ = ["EnvClient", "GenericEnvClient"]

T = TypeVar("T")

_TYPE_NAMES = ("action_type", "observation_type", "state_type")


class EnvClient(Generic[ActT, ObsT, StateT]):
    """Plays one session of a served environment.

    Example::

        async with EnvClient("http://localhost:8000") as env:
            result = await env.reset(seed=7)
            result = await env.step({"message": "hello"})

    A subclass that names its types gets and gives them instead of dictionaries::

        class EchoClient(EnvClient[EchoAction, EchoObservation, EchoState]): ...

    One request at a time; use one client per session for several. If the connection breaks, the client connects
    again, resumes its session and asks again for the answer it waits for; nothing runs twice. Only if that does not
    succeed, or the request is given up, the episode is lost: the request and all that follow raise ``EpisodeLost``,
    until ``reset`` begins a new one. With a server of protocol v1 every break has that end.

    After a time-out or a cancellation the server may still be closing the old session; if it has no other place,
    ``reset`` tries again with growing pauses, for ``connect_timeout_s`` in all, before it raises
    ``CapacityReached``.

    Args:
        base_url: Address of the server, ``http(s)://`` or ``ws(s)://``.
        action_type, observation_type, state_type: pydantic models; by default those of the subclass.
        connect_timeout_s: Seconds to wait for the connection.
        message_timeout_s: Seconds to wait for any answer; ``None``: as long as the connection lives.
        max_message_bytes: Largest message taken from the server.
        headers: Additional headers of the handshake.
        owned: Something to end together with the client, such as a server started for it.
        reconnect_timeout_s: Seconds without a connection after which a break is final; 0: every break is.
        liveness_timeout_s: Seconds of silence, while an answer is waited for, until the server is pinged; after as
            many again without a sign of life the client connects anew.
        queue_timeout_s: Seconds to wait for a place where all are taken; 0: raise ``CapacityReached`` at once.
        on_queued: Is called with the position in that queue, 1 is next; it must not block.
    """

    action_type: type[Any] | None = None
    observation_type: type[Any] | None = None
    state_type: type[Any] | None = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for name, found in zip(_TYPE_NAMES, types_of(cls, EnvClient), strict=True):
            if found is not None and name not in cls.__dict__:
                setattr(cls, name, found)

    @property
    def __orig_class__(self) -> Any:
        """What ``EnvClient[A, O, S](url)`` was written as; ``typing`` sets it after the constructor."""
        return self._written_as

    @__orig_class__.setter
    def __orig_class__(self, written: Any) -> None:
        self._written_as = written
        for name, found in zip(_TYPE_NAMES, types_of(written, EnvClient), strict=True):
            if getattr(self.options.values, name) is None:
                setattr(self.options.values, name, found)

    def __init__(
        self,
        base_url: str,
        *,
        action_type: type[ActT] | None = None,
        observation_type: type[ObsT] | None = None,
        state_type: type[StateT] | None = None,
        connect_timeout_s: float = 10.0,
        message_timeout_s: float | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        headers: Mapping[str, str] | None = None,
        owned: Closable | None = None,
        reconnect_timeout_s: float = 60.0,
        liveness_timeout_s: float = 20.0,
        queue_timeout_s: float = 0.0,
        on_queued: Callable[[int], object] | None = None,
    ) -> None:
        self.options = ClientOptions(
            address=Address.parse(base_url),
            values=self.values_for(
                action_type or self.action_type,
                observation_type or self.observation_type,
                state_type or self.state_type,
            ),
            connect_timeout_s=connect_timeout_s,
            message_timeout_s=message_timeout_s,
            max_message_bytes=max_message_bytes,
            headers=headers or {},
            owned=owned,
            reconnect_timeout_s=reconnect_timeout_s,
            liveness_timeout_s=liveness_timeout_s,
            queue_timeout_s=queue_timeout_s,
            on_queued=on_queued,
        )
        self._conversation: Conversation[ActT, ObsT, StateT] = Conversation(self.options)
        self._socket: AsyncSocket | None = None
        self._turn_ended: asyncio.Event | None = None  # for who waits for the turn
        self._woken: asyncio.Event | None = None  # for who pauses

    @property
    def hello(self) -> Hello | None:
        """What the server said of itself and its limits; ``None`` while not connected, and from protocol v1."""
        return self._conversation.hello

    def values_for(
        self, action: type[Any] | None, observation: type[Any] | None, state: type[Any] | None
    ) -> Values[ActT, ObsT, StateT]:
        """How values become JSON and come back."""
        return Values(action, observation, state)

    async def connect(self) -> Self:
        """Connect and open the session, unless that is done already. The first request does it too.

        Raises:
            ConnectFailed: The server cannot be reached.
            CapacityReached, FactoryFailed: It has no session for us.
        """
        await self._call(self._conversation.connect())
        return self

    async def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        *,
        timeout_s: float | None = None,
        **options: Any,
    ) -> StepResult[ObsT]:
        """Begin an episode.

        Args:
            seed: Seed of everything random in it, 0 to 2**63 - 1; drawn by the server if ``None``.
            episode_id: Name of the episode, at most 255 characters; drawn by the server if ``None``.
            **options: Options of the environment's own.
        """
        request = self._conversation.reset(seed, episode_id, timeout_s, options)
        return self._conversation.result(await self._ask(request, timeout_s))

    async def step(self, action: ActT, timeout_s: float | None = None, **options: Any) -> StepResult[ObsT]:
        """Take an action.

        Args:
            action: The action, a model or a mapping.
            timeout_s: Seconds to wait for the answer; after that the episode is lost.
            **options: Options of the environment's own.

        Raises:
            EpisodeLost: The episode is gone, now or since an earlier call.
            ActionInvalid, ResetNeeded, EpisodeDone: Refused; the environment did not move.
        """
        request = self._conversation.step(action, timeout_s, options)
        return self._conversation.result(await self._ask(request, timeout_s))

    async def state(self) -> StateT:
        """Where the episode stands."""
        return self._conversation.state(await self._call(self._conversation.ask(GetState(), None)))

    async def fork(self) -> Self:
        """Another client, whose session begins where this one stands; both go on by themselves.

        It takes a place of its own and is to be closed like any client.

        Raises:
            NotRestorable: The environment's class neither is deterministic nor takes snapshots.
            CapacityReached: There is no place for it.
            EpisodeLost: There is nothing to fork.
        """
        twin = copy.copy(self)
        twin.options = replace(self.options, owned=None)
        twin._conversation, twin._socket = self._conversation.branch(twin.options), None
        twin._turn_ended = twin._woken = None
        return await twin.connect()

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

    def sync(self) -> SyncEnvClient[ActT, ObsT, StateT]:
        """A synchronous client of the same server, with the same types and a session of its own."""
        from openenv.client.sync_client import SyncEnvClient

        return SyncEnvClient(self)

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

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


class GenericEnvClient(EnvClient[dict[str, Any], dict[str, Any], dict[str, Any]]):
    """A client without types: actions, observations and states are dictionaries."""
