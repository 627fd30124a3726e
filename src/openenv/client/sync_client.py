"""The synchronous client of one session: no event loop, hidden or not, so it works wherever Python runs."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any, Generic, NoReturn, Self

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection as Socket
from websockets.sync.client import connect

from openenv.client.async_client import EnvClient, GenericEnvClient
from openenv.client.conversation import Break, Conversation
from openenv.client.sockets import break_of, connect_arguments, keep_alive, told
from openenv.errors import ConnectFailed, LocalProtocolError
from openenv.protocol import Close, Failed, GetState, Reply, Request
from openenv.types import ActT, ObsT, StateT, StepResult

__all__ = ["SyncEnvClient"]

log = logging.getLogger("openenv.client")


class SyncEnvClient(Generic[ActT, ObsT, StateT]):
    """Plays one session of a served environment, call by call.

    Example::

        with SyncEnvClient("http://localhost:8000") as env:
            result = env.reset(seed=7)
            result = env.step({"message": "hello"})

    The promises are those of ``EnvClient``; errors are the same.

    Args:
        url_or_client: Address of the server, or an ``EnvClient`` whose address, types and options to take over.
    """

    def __init__(self, url_or_client: str | EnvClient[ActT, ObsT, StateT]) -> None:
        client = GenericEnvClient(url_or_client) if isinstance(url_or_client, str) else url_or_client
        self.options = client.options
        self._conversation: Conversation[ActT, ObsT, StateT] = Conversation(client.options.values)
        self._socket: Socket | None = None
        self._asking = False

    def connect(self) -> Self:
        """Connect and open the session, unless that is done already. The first request does it too."""
        if self._socket is None:
            self._connect()
        return self

    def reset(self, seed: int | None = None, episode_id: str | None = None, **options: Any) -> StepResult[ObsT]:
        """Begin an episode; see ``EnvClient.reset``."""
        request = self._conversation.reset(seed, episode_id, options)
        return self._conversation.result(self._ask(request, None))

    def step(self, action: ActT, timeout_s: float | None = None, **options: Any) -> StepResult[ObsT]:
        """Take an action; see ``EnvClient.step``."""
        self._conversation.check_alive()
        request = self._conversation.step(action, timeout_s, options)
        return self._conversation.result(self._ask(request, timeout_s))

    def state(self) -> StateT:
        """Where the episode stands."""
        self._conversation.check_alive()
        return self._conversation.state(self._ask(GetState(), None))

    def close(self) -> None:
        """End the session and whatever belongs to the client. Safe to call twice."""
        try:
            if self._socket is not None and not self._asking:
                self._end_session()
        finally:
            self._drop()
            if self.options.owned is not None:
                self.options.owned.close()

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self) -> None:
        options = self.options
        try:
            # entered by hand: the connection outlives this call, and its __exit__ is its close()
            self._socket = connect(
                options.address.websocket, open_timeout=options.connect_timeout_s, **connect_arguments(options)
            ).__enter__()
        except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
            raise ConnectFailed(f"cannot connect to {options.address.websocket}: {told(error)}") from error
        keep_alive(self._socket.socket)
        opening = self._conversation.connected(self._socket.subprotocol)
        if opening is not None:
            try:
                self._conversation.greeting(self._receive(options.connect_timeout_s))
                self._conversation.opened(self._exchange(opening, options.message_timeout_s))
            except BaseException:
                self._drop()
                raise

    def _ask(self, request: Request, timeout_s: float | None) -> Reply:
        if self._asking:
            raise LocalProtocolError("this client waits for an answer already; use one client per session")
        self._asking = True
        try:
            if self._socket is not None and self._socket.close_code is not None:
                # it ended while nobody was asking; an episode that was running on it is lost
                error = self._conversation.broken(break_of(self._socket.close_code), "the connection was closed")
                self._drop()
                self._conversation.check_alive()
                log.info("%s", error)
            if self._socket is None:
                self._connect()
            return self._exchange(request, timeout_s or self.options.message_timeout_s)
        finally:
            self._asking = False

    def _exchange(self, request: Request, timeout_s: float | None) -> Reply:
        assert self._socket is not None
        frame = self._conversation.frame(request)
        try:
            self._socket.send(frame)
        except ConnectionClosed as error:
            self._broken(break_of(self._socket.close_code), told(error), error)
        while (reply := self._receive(timeout_s)) is None:
            pass
        return reply

    def _receive(self, timeout_s: float | None) -> Reply | None:
        assert self._socket is not None
        assert self._conversation.connection is not None
        try:
            frame = self._socket.recv(timeout_s)
        except ConnectionClosed as error:
            self._broken(break_of(self._socket.close_code), told(error), error)
        except TimeoutError as error:
            self._broken(Break.TIMEOUT, f"no answer within {timeout_s} s", error)
        except BaseException:  # Ctrl-C in a call: its answer must not be taken for the next one's
            self._conversation.broken(Break.CANCELLED, "the call was interrupted")
            self._drop()
            raise
        return self._conversation.connection.receive(frame)

    def _broken(self, why: Break, message: str, cause: BaseException) -> NoReturn:
        error = self._conversation.broken(why, message)
        self._drop()
        raise error from cause

    def _end_session(self) -> None:
        assert self._conversation.connection is not None
        assert self._socket is not None
        try:
            if self._conversation.connection.has_sessions:
                reply = self._exchange(Close(), self.options.connect_timeout_s)
                if isinstance(reply, Failed):
                    log.warning("the environment did not close cleanly: %s", reply.message)
            else:
                self._socket.send(self._conversation.frame(Close()))
        except (OSError, ConnectionClosed) as error:
            log.debug("the connection was gone before the session was closed: %s", error)

    def _drop(self) -> None:
        socket, self._socket = self._socket, None
        if socket is None:
            return
        if self._asking:
            socket.close_socket()
        else:
            socket.close()
