"""The asynchronous client of one session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self

from websockets.asyncio.client import ClientConnection as Socket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from openenv.client.address import Address
from openenv.client.conversation import Break, Conversation
from openenv.client.options import MAX_MESSAGE_BYTES, ClientOptions, Closable, types_of
from openenv.client.sockets import break_of, connect_arguments, keep_alive, told
from openenv.client.values import Values
from openenv.errors import ConnectFailed, LocalProtocolError
from openenv.protocol import Close, Failed, GetState, Reply, Request
from openenv.types import ActT, ObsT, StateT, StepResult

if TYPE_CHECKING:
    from openenv.client.sync_client import SyncEnvClient

__all__ = ["EnvClient", "GenericEnvClient"]

log = logging.getLogger("openenv.client")


class EnvClient(Generic[ActT, ObsT, StateT]):
    """Plays one session of a served environment.

    Example::

        async with EnvClient("http://localhost:8000") as env:
            result = await env.reset(seed=7)
            result = await env.step({"message": "hello"})

    A subclass that names its types gets and gives them instead of dictionaries::

        class EchoClient(EnvClient[EchoAction, EchoObservation, EchoState]): ...

    One request at a time; use one client per session for several. If the connection breaks in an episode, the
    request and all that follow raise ``EpisodeLost``; ``reset`` connects again and begins a new episode.

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
        for name, found in zip(("action_type", "observation_type", "state_type"), types_of(cls, EnvClient), strict=True):
            if found is not None and name not in cls.__dict__:
                setattr(cls, name, found)

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
            values=self._values(
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
        self._socket: Socket | None = None
        self._asking = False

    def _values(
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
        if self._socket is None:
            await self._connect()
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
        self._conversation.check_alive()
        request = self._conversation.step(action, timeout_s, options)
        return self._conversation.result(await self._ask(request, timeout_s))

    async def state(self) -> StateT:
        """Where the episode stands."""
        self._conversation.check_alive()
        return self._conversation.state(await self._ask(GetState(), None))

    async def close(self) -> None:
        """End the session and whatever belongs to the client. Safe to call twice."""
        try:
            if self._socket is not None and not self._asking:
                await self._end_session()
        finally:
            await self._drop()
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
        options = self.options
        try:
            self._socket = await connect(
                options.address.websocket, open_timeout=options.connect_timeout_s, **connect_arguments(options)
            )
        except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
            raise ConnectFailed(f"cannot connect to {options.address.websocket}: {told(error)}") from error
        keep_alive(self._socket.transport.get_extra_info("socket"))
        opening = self._conversation.connected(self._socket.subprotocol)
        if opening is not None:
            try:
                self._conversation.greeting(await self._receive(options.connect_timeout_s))
                self._conversation.opened(await self._exchange(opening, options.message_timeout_s))
            except BaseException:
                await self._drop()
                raise

    async def _ask(self, request: Request, timeout_s: float | None) -> Reply:
        if self._asking:
            raise LocalProtocolError("this client waits for an answer already; use one client per session")
        self._asking = True
        try:
            if self._socket is not None and self._socket.close_code is not None:
                # it ended while nobody was asking; an episode that was running on it is lost
                error = self._conversation.broken(break_of(self._socket.close_code), "the connection was closed")
                await self._drop()
                self._conversation.check_alive()
                log.info("%s", error)
            if self._socket is None:
                await self._connect()
            return await self._exchange(request, timeout_s or self.options.message_timeout_s)
        finally:
            self._asking = False

    async def _exchange(self, request: Request, timeout_s: float | None) -> Reply:
        assert self._socket is not None
        frame = self._conversation.frame(request)
        try:
            await self._socket.send(frame)
        except ConnectionClosed as error:
            await self._broken(break_of(self._socket.close_code), told(error), error)
        while (reply := await self._receive(timeout_s)) is None:
            pass
        return reply

    async def _receive(self, timeout_s: float | None) -> Reply | None:
        assert self._socket is not None
        assert self._conversation.connection is not None
        try:
            async with asyncio.timeout(timeout_s):
                frame = await self._socket.recv()
        except ConnectionClosed as error:
            await self._broken(break_of(self._socket.close_code), told(error), error)
        except TimeoutError as error:
            await self._broken(Break.TIMEOUT, f"no answer within {timeout_s} s", error)
        except asyncio.CancelledError:
            self._conversation.broken(Break.CANCELLED, "the call was cancelled")
            await self._drop()
            raise
        return self._conversation.connection.receive(frame)

    async def _broken(self, why: Break, message: str, cause: BaseException) -> NoReturn:
        error = self._conversation.broken(why, message)
        await self._drop()
        raise error from cause

    async def _end_session(self) -> None:
        assert self._conversation.connection is not None
        assert self._socket is not None
        try:
            if self._conversation.connection.has_sessions:
                reply = await self._exchange(Close(), self.options.connect_timeout_s)
                if isinstance(reply, Failed):
                    log.warning("the environment did not close cleanly: %s", reply.message)
            else:
                await self._socket.send(self._conversation.frame(Close()))
        except (OSError, ConnectionClosed) as error:
            log.debug("the connection was gone before the session was closed: %s", error)

    async def _drop(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.transport.abort() if self._asking else await socket.close()


class GenericEnvClient(EnvClient[dict[str, Any], dict[str, Any], dict[str, Any]]):
    """A client without types: actions, observations and states are dictionaries."""
