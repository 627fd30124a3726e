"""The client's end at random, against a model server behind a network that loses, repeats and delays frames."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from openenv.errors import EpisodeLost, LocalProtocolError, OpenEnvError
from openenv.protocol import (
    Admission,
    ClientConnection,
    ClientSession,
    Ended,
    Failed,
    Observed,
    Open,
    Opened,
    Reply,
    Request,
    Resume,
    Resumed,
    Step,
)
from openenv.protocol.v2 import V2ServerCodec
from openenv.protocol.window import ReplyWindow

V2 = "openenv.v2.json"
WHICH = st.integers(0, 3)
RARELY = st.integers(0, 5).map(lambda drawn: drawn == 5)


@dataclass(eq=False)
class Life:
    """A session as the server keeps it.

    Attributes:
        ran: The tags of the steps that it ran, in order.
    """

    id: str
    window: ReplyWindow[Reply] = field(default_factory=ReplyWindow)
    ran: list[str] = field(default_factory=list)
    over: bool = False


@dataclass(eq=False)
class Line:
    """One connection: frames on their way, and what the server holds there."""

    connection: ClientConnection
    up: list[Any] = field(default_factory=list)
    down: list[Any] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)  # nonces whose session the client may use here


@dataclass(eq=False)
class Player:
    """One client: its session, and what it was told.

    Attributes:
        waits_for: The tag of the step that is unanswered.
        heard: The ids of the replies that arrived, none twice.
    """

    session: ClientSession
    waits_for: str | None = None
    asked: int = 0
    heard: list[int] = field(default_factory=list)


class Client(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.codec = V2ServerCodec()
        self.lives: dict[str, Life] = {}  # by nonce
        self.lines: list[Line] = []  # the last one is that of the client; frames of the others may still arrive
        self.players: list[Player] = []
        self.begun = 0

    # The client ----------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.players = [self._new_player() for _ in range(2)]
        self.connect(True)

    @rule(cut=RARELY)
    def connect(self, cut: bool) -> None:
        """The connection is cut, and another one introduces both sessions."""
        if not cut:
            return
        if self.lines:
            self.lines[-1].down.clear()
        self.lines = [*self.lines[-2:], Line(ClientConnection(V2))]
        for player in self.players:
            self._introduce(player)

    @rule(which=WHICH)
    def ask(self, which: int) -> None:
        player, line = self.players[which % 2], self.lines[-1]
        if player.session.nonce not in line.reached:
            return
        player.asked += 1
        tag = f"{player.session.nonce} {player.asked}"
        request = Step(action=msgspec.Raw(json.dumps(tag).encode()))
        if player.waits_for is not None:
            with pytest.raises(LocalProtocolError, match="unanswered"):
                line.connection.send(request, player.session)
            return
        line.up.append(line.connection.send(request, player.session))
        player.waits_for = tag

    @rule(which=WHICH, weary=RARELY)
    def give_up(self, which: int, weary: bool) -> None:
        """Nobody waits for the answer any more; its request may still run."""
        player = self.players[which % 2]
        if weary and player.waits_for is not None:
            player.session.withdraw()
            player.waits_for = None

    # The network ---------------------------------------------------------------------------------

    @rule(which=WHICH, copies=st.integers(1, 2))
    @precondition(lambda self: any(line.up for line in self.lines))
    def arrives(self, which: int, copies: int) -> None:
        """A frame arrives at the server, perhaps twice, perhaps on a connection that is long dead."""
        lines = [line for line in reversed(self.lines) if line.up]
        line = lines[which % len(lines)]
        frame = line.up.pop(0)
        for _ in range(copies):
            line.down += [self.codec.encode(reply) for reply in self._serve(line, self.codec.decode(frame))]
        if line is not self.lines[-1]:
            line.down.clear()

    @rule(copies=st.integers(1, 2))
    @precondition(lambda self: self.lines and self.lines[-1].down)
    def is_answered(self, copies: int) -> None:
        line = self.lines[-1]
        frame = line.down.pop(0)
        for copy in range(copies):
            news = line.connection.receive(frame)
            if news is not None:
                assert copy == 0 or isinstance(news, Ended), "the same frame is no news twice"
                self._hear(line, news)

    @rule(exchanges=st.integers(1, 4))
    def flows(self, exchanges: int) -> None:
        """For a while nothing goes wrong."""
        for _ in range(exchanges):
            for which in range(2):
                if self.players[which].waits_for is None:
                    self.ask(which)
            if self.lines[-1].up:
                self.arrives(0, 1)
            if self.lines[-1].down:
                self.is_answered(1)

    @rule(which=WHICH, up=st.booleans(), lost=RARELY)
    def is_lost(self, which: int, up: bool, lost: bool) -> None:
        frames = self.lines[which % len(self.lines)].up if up else self.lines[-1].down
        if lost and frames:
            frames.pop(0)

    @rule(which=WHICH)
    def server_ends_a_session(self, which: int) -> None:
        life = self.lives.get(self.players[which % 2].session.nonce)
        if life is None or life.over or len(life.ran) < 3:
            return
        life.over = True
        if life.id in self.lines[-1].held:
            notice = Ended(session=life.id, reason="idle", message="nobody asked for anything")
            self.lines[-1].down.append(self.codec.encode(notice))

    # What must hold ------------------------------------------------------------------------------

    @invariant()
    def nothing_runs_twice(self) -> None:
        for life in self.lives.values():
            assert max(Counter(life.ran).values(), default=0) <= 1
            numbers = [int(tag.split()[1]) for tag in life.ran]
            assert numbers == sorted(numbers)

    @invariant()
    def no_answer_comes_twice(self) -> None:
        for player in self.players:
            assert player.heard == sorted(set(player.heard))

    @invariant()
    def who_waits_has_something_unanswered(self) -> None:
        for player in self.players:
            assert (player.session.unanswered is None) is (player.waits_for is None)

    def teardown(self) -> None:
        """With a network that works, everybody who waits is answered, and still nothing runs twice."""
        if not self.players:
            return
        self.connect(True)
        line = self.lines[-1]
        for _ in range(20):
            while line.up:
                self.arrives(0, 1)
            while line.down:
                self.is_answered(1)
        assert [player.waits_for for player in self.players] == [None, None]
        self.nothing_runs_twice()

    # The model -----------------------------------------------------------------------------------

    def _new_player(self) -> Player:
        self.begun += 1
        return Player(ClientSession(f"nonce{self.begun}"))

    def _introduce(self, player: Player) -> None:
        line, request = self.lines[-1], player.session.introduction()
        assert isinstance(request, Resume if player.session.is_open else Open)
        line.up.append(line.connection.send(request, player.session))

    def _hear(self, line: Line, news: Reply) -> None:
        nonce = news.nonce if isinstance(news, Opened) else self._nonce_of(news.session)
        player = next((one for one in self.players if one.session.nonce == nonce), None)
        assert player is not None, "news of nobody"
        if isinstance(news, Opened | Resumed):
            line.reached.add(player.session.nonce)
            again = line.connection.send_again(player.session)
            assert (again is None) is (player.waits_for is None)
            line.up += [] if again is None else [again]
        elif isinstance(news, Ended) or (isinstance(news, Failed) and news.code == "EPISODE_LOST"):
            assert self.lives[player.session.nonce].over
            line.connection.forget(player.session)
            self.players[self.players.index(player)] = another = self._new_player()
            self._introduce(another)
        else:
            assert isinstance(news, Observed), news
            assert news.observation == player.waits_for, "the answer to something else"
            player.heard.append(news.id)
            player.waits_for = None

    def _nonce_of(self, session: str) -> str | None:
        return next((nonce for nonce, life in self.lives.items() if life.id == session), None)

    def _serve(self, line: Line, request: Request) -> list[Reply]:
        try:
            reply = self._answer(line, request)
        except OpenEnvError as error:
            return [Failed.of(error, request)]
        reply.session, reply.id = request.session or reply.session, request.id
        return [reply]

    def _answer(self, line: Line, request: Request) -> Reply:
        if isinstance(request, Open):
            life = self.lives.setdefault(request.nonce, Life(f"id of {request.nonce}"))
            if life.over:
                raise EpisodeLost("gone", details={"reason": "idle", "nonce": request.nonce})
            line.held.add(life.id)
            return Opened(session=life.id, nonce=request.nonce, token=f"token of {life.id}")
        nonce = self._nonce_of(request.session)
        assert nonce is not None, "a session that nobody opened"
        life = self.lives[nonce]
        if life.over:
            raise EpisodeLost("gone", details={"reason": "idle"})
        if isinstance(request, Resume):
            assert request.token == f"token of {life.id}"
            line.held.add(life.id)
            return Resumed(last_id=life.window.highest)
        return self._step(life, request)

    def _step(self, life: Life, request: Request) -> Reply:
        assert isinstance(request, Step)
        assert request.id > 0
        heard = [player.heard for player in self.players if player.session.id == life.id]
        assert not heard or request.ack <= max(heard[0], default=0), "acknowledged what it never had"
        if life.window.admit(request.id, request.ack) is Admission.FRESH:
            tag = msgspec.json.decode(request.action)
            life.ran.append(tag)
            life.window.finish(request.id, Observed(observation=tag))
        return life.window.reply(request.id)


TestClient = Client.TestCase
TestClient.settings = settings(
    max_examples=250,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
