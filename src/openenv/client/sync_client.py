"""The synchronous client of one session: no event loop, hidden or not, so it works wherever Python runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from openenv.client.async_client import EnvClient, GenericEnvClient
from openenv.client.conversation import Break, Broken, Conversation
from openenv.errors import CapacityReached, ConnectionLost, OpenEnvError
from openenv.protocol import Close, Failed, GetState, Reply, Request, Reset
from openenv.types import ActT, ObsT, StateT, StepResult

if TYPE_CHECKING:
    from openenv.client.sync_socket import SyncSocket

__all__ = ["SyncEnvClient"]

T = TypeVar("T")

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
        self._socket: SyncSocket | None = None

    def connect(self) -> Self:
        """Connect and open the session, unless that is done already. The first request does it too."""
        self._conversation.begin_turn()
        try:
            self._forget_ended()
            if self._socket is None:
                self._with_place(self._connect)
        finally:
            self._conversation.end_turn()
        return self

    def reset(self, seed: int | None = None, episode_id: str | None = None, **options: Any) -> StepResult[ObsT]:
        """Begin an episode; see ``EnvClient.reset``."""
        request = self._conversation.reset(seed, episode_id, options)
        return self._conversation.result(self._ask(request, None))

    def step(self, action: ActT, timeout_s: float | None = None, **options: Any) -> StepResult[ObsT]:
        """Take an action; see ``EnvClient.step``."""
        request = self._conversation.step(action, timeout_s, options)
        return self._conversation.result(self._ask(request, timeout_s))

    def state(self) -> StateT:
        """Where the episode stands."""
        return self._conversation.state(self._ask(GetState(), None))

    def close(self) -> None:
        """End the session and whatever belongs to the client. Safe to call twice, also while a call waits.

        A ``close`` of the environment that fails is logged as a warning. ``reset`` begins anew.
        """
        nobody_waits = self._conversation.try_turn()
        try:
            if nobody_waits:
                self._forget_ended()
                self._end_session()
        finally:
            self._conversation.closed()
            self._abort()
            if nobody_waits:
                self._conversation.end_turn()
            if self.options.owned is not None:
                self.options.owned.close()

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self) -> None:
        from openenv.client.sync_socket import SyncSocket  # here: who only names a client loads no network code

        self._socket = socket = SyncSocket.connect(self.options)
        try:
            opening = self._conversation.connected(socket.subprotocol)
            if opening is None:
                return
            self._conversation.greeting(self._exchange(None, self.options.connect_timeout_s))
            self._conversation.opened(self._exchange(opening, self.options.message_timeout_s))
        except BaseException:
            self._abort()
            raise

    def _ask(self, request: Request, timeout_s: float | None) -> Reply:
        timeout_s = timeout_s or self.options.message_timeout_s
        self._conversation.begin_turn()
        try:
            self._forget_ended()
            self._conversation.admit(request)
            return self._with_place(lambda: self._attempt(request, timeout_s))
        finally:
            self._conversation.end_turn()

    def _attempt(self, request: Request, timeout_s: float | None) -> Reply:
        if self._socket is not None:
            try:
                return self._conversation.placed(self._exchange(request, timeout_s))
            except ConnectionLost:
                if not isinstance(request, Reset):
                    raise
                # a connection from before may be gone without a sign; a reset can begin on a new one
        self._connect()
        return self._conversation.placed(self._exchange(request, timeout_s))

    def _with_place(self, attempt: Callable[[], T]) -> T:
        """Make an attempt, and others while the session that this client gave up may still hold its place."""
        pauses = self._conversation.pauses(self.options.connect_timeout_s)
        while True:
            try:
                return attempt()
            except CapacityReached:
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise
            time.sleep(pause_s)
            self._conversation.go_on()
            self._forget_ended()

    def _forget_ended(self) -> None:
        """Let go of a connection that ended while nobody was asking; an episode that was running on it is lost."""
        ended = self._socket.ended if self._socket is not None else None
        if ended is not None or (self._socket is not None and not self._conversation.has_session):
            told = self._conversation.broken(ended or Broken(Break.CONNECTION_LOST, "the server had no session"))
            log.info("connecting anew: %s", told)
            self._abort()

    def _exchange(self, request: Request | None, timeout_s: float | None) -> Reply:
        socket = self._socket  # read first: a close by another thread is noted before it takes the socket
        self._conversation.go_on()
        assert socket is not None
        frame = None if request is None else self._conversation.frame(request)
        try:
            return socket.ask(frame, self._conversation.receive, timeout_s)
        except BaseException as error:  # interruption too: its answer must not be taken for the next one's
            told = self._conversation.broken(error)
            self._abort()
            if told is error:
                raise
            raise told from error

    def _end_session(self) -> None:
        if self._socket is None:
            return
        try:
            if self._conversation.answers_close:
                reply = self._exchange(Close(), self.options.connect_timeout_s)
                if isinstance(reply, Failed):
                    log.warning("the environment did not close cleanly: %s", reply.message)
            else:
                self._socket.tell(self._conversation.frame(Close()))
            self._socket.close()
        except OpenEnvError as error:
            log.warning("the server did not say that the session has ended: %s", error)

    def _abort(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.abort()
