"""The asynchronous client of one session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from openenv.client.address import Address
from openenv.client.conversation import Break, Broken, Conversation
from openenv.client.options import MAX_MESSAGE_BYTES, ClientOptions, Closable, types_of
from openenv.client.values import Values
from openenv.errors import CapacityReached, ConnectionLost, OpenEnvError
from openenv.protocol import Close, Failed, GetState, Hello, Reply, Request, Reset
from openenv.types import ActT, ObsT, StateT, StepResult

if TYPE_CHECKING:
    from openenv.client.async_socket import AsyncSocket
    from openenv.client.sync_client import SyncEnvClient

__all__ = ["EnvClient", "GenericEnvClient"]

T = TypeVar("T")

log = logging.getLogger("openenv.client")


_TYPE_NAMES = ("action_type", "observation_type", "state_type")


class EnvClient(Generic[ActT, ObsT, StateT]):
    """Plays one session of a served environment.

    Example::

        async with EnvClient("http://localhost:8000") as env:
            result = await env.reset(seed=7)
            result = await env.step({"message": "hello"})

    A subclass that names its types gets and gives them instead of dictionaries::

        class EchoClient(EnvClient[EchoAction, EchoObservation, EchoState]): ...

    One request at a time; use one client per session for several. If the connection breaks in an episode, the
    request and all that follow raise ``EpisodeLost``; ``reset`` connects again and begins a new episode. After a
    time-out or a cancellation the server may still be closing the old session; if it has no other place, ``reset``
    tries again with growing pauses, for ``connect_timeout_s`` in all, before it raises ``CapacityReached``.

    Args:
        base_url: Address of the server, ``http(s)://`` or ``ws(s)://``.
        action_type, observation_type, state_type: pydantic models; by default those of the subclass.
        connect_timeout_s: Seconds to wait for the connection.
        message_timeout_s: Seconds to wait for any answer; ``None``: as long as the connection lives.
        max_message_bytes: Largest message taken from the server.
        headers: Additional headers of the handshake.
        owned: Something to end together with the client, such as a server started for it.
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
        )
        self._conversation: Conversation[ActT, ObsT, StateT] = Conversation(self.options.values)
        self._socket: AsyncSocket | None = None

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
        self._conversation.begin_turn()
        try:
            self._forget_ended()
            if self._socket is None:
                await self._with_place(self._connect)
        finally:
            self._conversation.end_turn()
        return self

    async def reset(self, seed: int | None = None, episode_id: str | None = None, **options: Any) -> StepResult[ObsT]:
        """Begin an episode.

        Args:
            seed: Seed of everything random in it, 0 to 2**63 - 1; drawn by the server if ``None``.
            episode_id: Name of the episode, at most 255 characters; drawn by the server if ``None``.
            **options: Options of the environment's own.
        """
        request = self._conversation.reset(seed, episode_id, options)
        return self._conversation.result(await self._ask(request, None))

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
        return self._conversation.state(await self._ask(GetState(), None))

    async def close(self) -> None:
        """End the session and whatever belongs to the client. Safe to call twice, also while a call waits.

        A ``close`` of the environment that fails is logged as a warning. ``reset`` begins anew.
        """
        nobody_waits = self._conversation.try_turn()
        try:
            if nobody_waits:
                self._forget_ended()
                await self._end_session()
        finally:
            self._conversation.closed()
            self._abort()
            if nobody_waits:
                self._conversation.end_turn()
            if self.options.owned is not None:
                await asyncio.to_thread(self.options.owned.close)

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

    async def _connect(self) -> None:
        from openenv.client.async_socket import AsyncSocket  # here: who only names a client loads no network code

        self._socket = socket = await AsyncSocket.connect(self.options)
        try:
            opening = self._conversation.connected(socket.subprotocol)
            if opening is None:
                return
            self._conversation.greeting(await self._exchange(None, self.options.connect_timeout_s))
            self._conversation.opened(await self._exchange(opening, self.options.message_timeout_s))
        except BaseException:
            self._abort()
            raise

    async def _ask(self, request: Request, timeout_s: float | None) -> Reply:
        timeout_s = timeout_s or self.options.message_timeout_s
        self._conversation.begin_turn()
        try:
            self._forget_ended()
            self._conversation.admit(request)
            return await self._with_place(lambda: self._attempt(request, timeout_s))
        finally:
            self._conversation.end_turn()

    async def _attempt(self, request: Request, timeout_s: float | None) -> Reply:
        if self._socket is not None:
            try:
                return self._conversation.placed(await self._exchange(request, timeout_s))
            except ConnectionLost:
                if not isinstance(request, Reset):
                    raise
                # a connection from before may be gone without a sign; a reset can begin on a new one
        await self._connect()
        return self._conversation.placed(await self._exchange(request, timeout_s))

    async def _with_place(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make an attempt, and others while the session that this client gave up may still hold its place."""
        pauses = self._conversation.pauses(self.options.connect_timeout_s)
        while True:
            try:
                return await attempt()
            except CapacityReached:
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise
            await asyncio.sleep(pause_s)
            self._conversation.go_on()
            self._forget_ended()

    def _forget_ended(self) -> None:
        """Let go of a connection that ended while nobody was asking; an episode that was running on it is lost."""
        ended = self._socket.ended if self._socket is not None else None
        if ended is not None or (self._socket is not None and not self._conversation.has_session):
            told = self._conversation.broken(ended or Broken(Break.CONNECTION_LOST, "the server had no session"))
            log.info("connecting anew: %s", told)
            self._abort()

    async def _exchange(self, request: Request | None, timeout_s: float | None) -> Reply:
        socket = self._socket  # read first: a close by another thread is noted before it takes the socket
        self._conversation.go_on()
        assert socket is not None
        frame = None if request is None else self._conversation.frame(request)
        try:
            return await socket.ask(frame, self._conversation.receive, timeout_s)
        except BaseException as error:  # cancellation too: its answer must not be taken for the next one's
            told = self._conversation.broken(error)
            self._abort()
            if told is error:
                raise
            raise told from error

    async def _end_session(self) -> None:
        if self._socket is None:
            return
        try:
            if self._conversation.answers_close:
                reply = await self._exchange(Close(), self.options.connect_timeout_s)
                if isinstance(reply, Failed):
                    log.warning("the environment did not close cleanly: %s", reply.message)
            else:
                await self._socket.tell(self._conversation.frame(Close()))
            await self._socket.close()
        except OpenEnvError as error:
            log.warning("the server did not say that the session has ended: %s", error)

    def _abort(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.abort()


class GenericEnvClient(EnvClient[dict[str, Any], dict[str, Any], dict[str, Any]]):
    """A client without types: actions, observations and states are dictionaries."""
