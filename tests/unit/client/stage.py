"""A server in memory, and a stage that makes a conversation's moves against it and breaks where it is told to."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import pytest

from openenv import GenericEnvClient
from openenv.client.breaks import Break, Broken
from openenv.client.conversation import Conversation
from openenv.client.moves import Ask, Connect, HangUp, Look, Move, Moves, Part, Pause, Tell
from openenv.errors import ConnectFailed, EpisodeLost, OpenEnvError, SessionNotFound, Unauthorized
from openenv.protocol import (
    AgentGranted,
    Close,
    Closed,
    Failed,
    GetOutcome,
    GetState,
    GrantAgent,
    Hello,
    Limits,
    Observed,
    Open,
    Opened,
    OutcomeIs,
    Reply,
    ReplyWindow,
    Request,
    Reset,
    Resume,
    Resumed,
    StateIs,
    Step,
    server_codec,
)
from openenv.protocol.window import Admission

T = TypeVar("T")

V2 = "openenv.v2.json"
LOST_BEFORE, LOST_AFTER, REFUSED = "before it arrived", "after it arrived", "no connection"
DENIED = "the token is not known any more"


class Session:
    """One session: what ran in it, and the replies it keeps."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.token = secrets.token_hex(4)
        self.ran: list[str] = []
        self.loses: OpenEnvError | None = None  # what the next step costs
        self.window: ReplyWindow[Reply] = ReplyWindow()

    def answer(self, request: Request) -> Reply:
        """Run a request, or find what it answered."""
        if self.window.admit(request.id, request.ack) is not Admission.FRESH:
            return self.window.reply(request.id)
        reply = self._run(request)
        reply.session, reply.id = self.name, request.id
        self.window.finish(request.id, reply)
        return reply

    def _run(self, request: Request) -> Reply:
        if isinstance(request, Step) and self.loses is not None:
            return Failed.of(self.loses, request)
        self.ran.append(kind(request).lower())
        match request:
            case Close():
                return Closed()
            case GetState():
                return StateIs(state={"steps": self.ran.count("step")})
            case GetOutcome():
                return OutcomeIs(phase="running", steps=self.ran.count("step"))
            case GrantAgent():
                return AgentGranted(mcp_url=f"/sessions/{self.name}/mcp", token=f"{self.name}.a")
            case Step(action=action) if msgspec.json.decode(action) == {"type": "list_tools"}:
                return Observed(observation={"tools": [{"name": "go"}]})
            case _:
                return Observed(observation={"session": self.name, "steps": self.ran.count("step")})


class MemoryServer:
    """Answers frames as a server of v2 does, at once."""

    def __init__(self, *features: str) -> None:
        self.features = list(features)
        self.sessions: dict[str, Session] = {}
        self.gone: dict[str, OpenEnvError] = {}
        self.opened: dict[str, Session] = {}
        self.refusals: list[OpenEnvError] = []
        self.requests: list[Request] = []
        self._codec = server_codec([V2])

    def greet(self) -> str | bytes:
        """The first frame of a connection."""
        limits = Limits(max_message_bytes=10_000, capacity=9, lease_s=900)
        return self.frame(
            Hello(protocol="openenv.v2", library="9", environment="memory", environment_version=None,
                  features=self.features, limits=limits)
        )  # fmt: skip

    def frame(self, reply: Reply) -> str | bytes:
        """A reply as it goes over the wire."""
        frame = self._codec.encode(reply)
        assert frame is not None
        return frame

    def answer(self, frame: str | bytes, attached: set[str]) -> str | bytes:
        """The answer to a frame on a connection that reaches the ``attached`` sessions."""
        request = self._codec.decode(frame)
        self.requests.append(request)
        try:
            return self.frame(self._answer(request, attached))
        except OpenEnvError as error:
            return self.frame(Failed.of(error, request))

    def end(self, session: Session, error: OpenEnvError) -> None:
        """End a session on the server's side."""
        self.gone[session.name] = error
        del self.sessions[session.name]

    def _answer(self, request: Request, attached: set[str]) -> Reply:
        if isinstance(request, Open):
            if self.refusals:
                raise self.refusals.pop(0)
            session = self.opened.get(request.nonce)
            if session is None:
                session = self.opened[request.nonce] = Session(f"s{len(self.opened) + 1}")
                self.sessions[session.name] = session
            attached.add(session.name)
            return Opened(session=session.name, nonce=request.nonce, token=session.token, lease_s=900)
        if request.session in self.gone:
            raise self.gone[request.session]
        if isinstance(request, Resume):
            session = self.sessions.get(request.session)
            if session is None or session.token != request.token:
                raise SessionNotFound("no such session")
            attached.add(session.name)
            return Resumed(session=session.name, last_id=session.window.highest)
        if request.session not in attached or request.session not in self.sessions:
            raise SessionNotFound("no such session here")
        return self.sessions[request.session].answer(request)


class Stage:
    """Makes moves in a world where time passes only in pauses.

    Args:
        server: Who answers.
        faults: By the number of the ``Connect`` or ``Ask`` since the stage began: what goes wrong there.
        options: Of the client.
    """

    def __init__(self, server: MemoryServer, faults: Mapping[int, str] | None = None, **options: Any) -> None:
        self.server = server
        self.faults = dict(faults or {})
        self.now = 0.0
        self.chance = 1.0
        self.moves: list[Move] = []
        self.exchanges = 0
        self.at_once = 0  # steps that began with their frame
        self.connections = 0
        self.inbox: list[str | bytes] = []
        self.before_ask: Callable[[Ask], None] = lambda move: None
        self.is_connected = False
        self._attached: set[str] = set()
        self.talk: Conversation[Any, Any, Any] = Conversation(
            GenericEnvClient("http://localhost:1", **options).options,
            clock=lambda: self.now, chance=lambda: self.chance,
        )  # fmt: skip

    def reset(self) -> Any:
        """Begin an episode; its observation."""
        return self.talk.result(self.play(self.talk.ask(Reset(), None))).observation

    def step(self, timeout_s: float | None = None) -> Any:
        """Take a step; its observation."""
        return self.talk.result(self._asked(Step(action={}, timeout_s=timeout_s), timeout_s)).observation

    def state(self) -> Any:
        """Where the episode stands."""
        return self.talk.state(self.play(self.talk.ask(GetState(), None)))

    def end(self) -> None:
        """Close the client."""
        self.play(self.talk.end())
        self.talk.closed()

    @property
    def pauses(self) -> list[float]:
        """The pauses so far, in seconds."""
        return [move.seconds for move in self.moves if isinstance(move, Pause)]

    def cut(self) -> None:
        """Break the connection while nobody asks."""
        self.is_connected = False

    def _asked(self, request: Request, timeout_s: float | None) -> Reply:
        """What a request is answered, with one move where that is enough, as clients do."""
        asked = self.talk.ask_at_once(request)
        if asked is None:
            return self.play(self.talk.ask(request, timeout_s))
        self.moves.append(asked)
        self.at_once += 1
        answer: Any = None
        error: BaseException | None = None
        try:
            answer = self._make(asked)
        except BaseException as raised:  # noqa: BLE001 - as a client does
            error = raised
        if isinstance(answer, Observed):
            return answer
        moves = self.talk.asked(request, asked)
        assert next(moves) == asked
        return self.play(moves, answer, error)

    def play(self, moves: Moves[T], answer: Any = None, error: BaseException | None = None) -> T:
        """Make the moves of one call."""
        while True:
            try:
                move = moves.send(answer) if error is None else moves.throw(error)
            except StopIteration as stop:
                result: T = stop.value
                return result
            self.moves.append(move)
            try:
                answer, error = self._make(move), None
            except BaseException as raised:  # noqa: BLE001 - as a client does
                answer, error = None, raised

    def _make(self, move: Move) -> Any:
        match move:
            case Connect():
                return self._connect()
            case Ask():
                return self._ask(move)
            case Tell():
                if self.is_connected:
                    self.inbox.append(self.server.answer(move.frame, self._attached))
                return self.is_connected
            case Look():
                return None if self.is_connected else Broken(Break.CONNECTION_LOST, "cut")
            case Pause():
                self.now += move.seconds
            case HangUp() | Part():
                self.is_connected = False
        return None

    def _connect(self) -> str:
        fault = self._fault()
        if fault == DENIED:
            raise Unauthorized("who are you?")
        if fault is not None:
            raise ConnectFailed("refused")
        self.connections += 1
        self.is_connected = True
        self._attached = set()
        self.inbox = [self.server.greet()]
        return V2

    def _ask(self, move: Ask) -> Reply:
        fault = self._fault()
        self.before_ask(move)
        if fault == LOST_BEFORE or not self.is_connected:
            self._lose()
        if move.frame is not None:
            self.inbox.append(self.server.answer(move.frame, self._attached))
        if fault is not None:
            self._lose()
        while self.inbox:
            reply = move.take(self.inbox.pop(0))
            if reply is not None:
                return reply
        raise Broken(Break.TIMEOUT, "nothing came")

    def _lose(self) -> None:
        self.is_connected = False
        raise Broken(Break.CONNECTION_LOST, "cut")

    def _fault(self) -> str | None:
        self.exchanges += 1
        return self.faults.pop(self.exchanges, None)


def server() -> MemoryServer:
    """A server with all optional parts."""
    return MemoryServer("resume", "queue")


def lost(call: Any) -> str:
    """The reason with which a call says that the episode was lost."""
    with pytest.raises(EpisodeLost) as caught:
        call()
    return str(caught.value.details["reason"])


def kind(request: Request) -> str:
    """The name of its message."""
    return type(request).__name__.removeprefix("_")  # as it arrives, a step is of a class of its own


def only(memory: MemoryServer) -> Session:
    """The one session that was ever opened."""
    (session,) = memory.opened.values()
    return session
