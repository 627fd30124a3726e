"""The synchronous client of one session: no event loop, hidden or not, so it works wherever Python runs."""

from __future__ import annotations

import copy
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from openenv.client.async_client import EnvClient, GenericEnvClient
from openenv.client.breaks import hung_up
from openenv.client.conversation import Conversation
from openenv.client.forking import Origin
from openenv.client.moves import Ask, Connect, HangUp, Look, Move, Moves, Part, Pause, Tell
from openenv.errors import ConfigurationError, LocalProtocolError
from openenv.protocol import AgentGranted, GetOutcome, GetState, GrantAgent, Observed, OutcomeIs, Reply, Request
from openenv.types import ActT, ObsT, StateT, StepResult

if TYPE_CHECKING:
    from openenv.client.agent_access import AgentAccess
    from openenv.client.outcome import EpisodeOutcome
    from openenv.client.sync_socket import SyncSocket

__all__ = ["SyncEnvClient"]

T = TypeVar("T")


class SyncEnvClient(Generic[ActT, ObsT, StateT]):
    """Plays one session of a served environment, call by call.

    Example::

        with SyncEnvClient("http://localhost:8000") as env:
            result = env.reset(seed=7)
            result = env.step({"message": "hello"})

    The promises are those of ``EnvClient``; errors are the same. Threads may share it, one request at a time. In a
    process that is forked while it has a session it is of no use: that raises ``LocalProtocolError`` there, and
    ``close`` does nothing.

    Args:
        url_or_client: Address of the server, or an ``EnvClient`` whose address, types and options to take over.
        token: With an address: as of ``EnvClient``.
    """

    def __init__(self, url_or_client: str | EnvClient[ActT, ObsT, StateT], *, token: str | None = None) -> None:
        if token is not None and not isinstance(url_or_client, str):
            raise ConfigurationError("give token= to the client whose options are taken over")
        client = GenericEnvClient(url_or_client, token=token) if isinstance(url_or_client, str) else url_or_client
        self.options = client.options
        self._conversation: Conversation[ActT, ObsT, StateT] = Conversation(client.options)
        self._socket: SyncSocket | None = None
        self._origin: Origin | None = None  # of the session

    def connect(self) -> Self:
        """Connect and open the session, unless that is done already. The first request does it too."""
        self._call(self._conversation.connect())
        return self

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        *,
        timeout_s: float | None = None,
        **options: Any,
    ) -> StepResult[ObsT]:
        """Begin an episode; see ``EnvClient.reset``."""
        request = self._conversation.reset(seed, episode_id, timeout_s, options)
        return self._conversation.result(self._call(self._conversation.ask(request, timeout_s)))

    def step(self, action: ActT, timeout_s: float | None = None, **options: Any) -> StepResult[ObsT]:
        """Take an action; see ``EnvClient.step``."""
        request = self._conversation.step(action, timeout_s, options)
        return self._conversation.result(self._ask(request, timeout_s))

    def state(self) -> StateT:
        """Where the episode stands."""
        return self._conversation.state(self._call(self._conversation.ask(GetState(), None)))

    def outcome(self) -> EpisodeOutcome:
        """What has come of the episode so far, whoever took its steps; see ``EnvClient.outcome``."""
        from openenv.client.outcome import outcome_of  # here: most clients never ask

        reply = self._call(self._conversation.ask(GetOutcome(), None))
        return outcome_of(self._conversation.expected(reply, OutcomeIs))

    def agent_access(self) -> AgentAccess:
        """What an agent needs to play the running episode over MCP; see ``EnvClient.agent_access``."""
        from openenv.client.agent_access import access_of  # here: most clients never ask

        reply = self._call(self._conversation.ask(GrantAgent(), None))
        return access_of(self.options.address, self._conversation.expected(reply, AgentGranted))

    def fork(self) -> Self:
        """Another client, whose session begins where this one stands; see ``EnvClient.fork``."""
        twin = copy.copy(self)
        twin.options = replace(self.options, owned=None)
        twin._conversation, twin._socket, twin._origin = self._conversation.branch(twin.options), None, None
        return twin.connect()

    def close(self) -> None:
        """End the session and whatever belongs to the client. Safe to call twice, also while a call waits.

        A ``close`` of the environment that fails is logged as a warning. ``reset`` begins anew.
        """
        if self._origin is not None and self._origin.is_elsewhere:
            return  # all of it is the other process's
        has_turn = self._conversation.try_turn() or self._interrupt()
        try:
            if has_turn:
                self._play(self._conversation.end())
        finally:
            self._conversation.closed()
            self._abort()
            self._origin = None
            if has_turn:
                self._conversation.end_turn()
            if self.options.owned is not None:
                self.options.owned.close()

    def _interrupt(self) -> bool:
        """Make the call that waits give its turn to this one."""
        if self._conversation.interrupt():
            self._abort()
        return self._conversation.try_turn(self.options.connect_timeout_s)

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin_turn(self) -> None:
        if self._origin is not None and self._origin.is_elsewhere:
            raise LocalProtocolError(
                "this client plays a session of the process that forked this one; make another client here"
            )
        self._conversation.begin_turn()

    def _call(self, moves: Moves[T]) -> T:
        self._begin_turn()
        try:
            return self._play(moves)
        finally:
            self._conversation.end_turn()

    def _ask(self, request: Request, timeout_s: float | None) -> Reply:
        """The answer to a request; without a detour where it comes as nearly all do."""
        conversation, asked = self._conversation, None
        self._begin_turn()
        error: BaseException | None = None
        try:
            try:
                asked = conversation.ask_at_once(request)
                if asked is None or self._socket is None:
                    reply = None
                else:
                    reply = self._socket.ask(asked)
                    if type(reply) is Observed:
                        return reply
            except BaseException as raised:  # interruption too: the conversation decides what follows from it
                if asked is None:
                    raise
                reply, error = None, raised
            if asked is None:
                return self._play(conversation.ask(request, timeout_s))
            moves = conversation.asked(request, asked)
            next(moves)
            return self._play(moves, reply, error or (hung_up() if reply is None else None))
        finally:
            error = None  # its traceback holds this frame
            conversation.end_turn()

    def _play(self, moves: Moves[T], answer: Any = None, error: BaseException | None = None) -> T:
        """Make the moves that the conversation decides on, from the one that gave ``answer`` or raised ``error``."""
        try:
            while True:
                try:
                    move = moves.send(answer) if error is None else moves.throw(error)
                except StopIteration as stop:
                    ended: T = stop.value
                    return ended
                try:
                    answer, error = self._make(move), None
                except BaseException as raised:  # noqa: BLE001 - interruption too: the conversation decides what follows from it
                    answer, error = None, raised
        finally:
            error = None  # its traceback holds this frame

    def _make(self, move: Move) -> Any:
        socket = self._socket
        match move:
            case Connect():
                from openenv.client.sync_socket import SyncSocket  # here: who only names a client loads no network

                self._origin = Origin()
                self._socket = SyncSocket.connect(self.options, move.timeout_s)
                return self._socket.subprotocol
            case Pause():
                self._conversation.interrupted.wait(move.seconds)
            case HangUp():
                self._abort()
            case Look():
                return hung_up() if socket is None else socket.ended
            case Tell():
                return socket is not None and socket.tell(move.frame, move.timeout_s)
            case Ask():
                if socket is None:
                    raise hung_up()
                return socket.ask(move)
            case Part():
                if socket is not None:
                    socket.close(move.timeout_s)
        return None

    def _abort(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.abort()
