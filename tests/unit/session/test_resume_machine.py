"""Clients, connections and sessions at random against a model: nothing runs twice, is silently fresh or left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.session.model import Client, Sent, Tagged
from tests.unit.session.still import Clock, Diary, House, StillLoop, Wire, settled

from openenv.errors import EpisodeLost
from openenv.protocol import Close, Closed, Ended, Failed, Observed, Open, Request, Reset, Resume, Step
from openenv.session import Ending, Placement
from openenv.session.hosting.placement import SpeedRecord

CAPACITY, LEASE_S, RECLAIMABLE_S, UNCLAIMED_S, PATIENCE_S = 2, 200.0, 60.0, 60.0, 40.0
WHICH, WIRES = st.integers(0, 3), st.integers(0, 2)
_LOST = {"EPISODE_LOST", "SESSION_CLOSED"}


class Server(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.inline = patch.object(SpeedRecord, "placement", property(lambda _: Placement.INLINE))
        self.inline.start()
        self.runner = asyncio.Runner(loop_factory=lambda: StillLoop(self.clock))
        self.clients: list[Client] = []
        self.wires: list[Wire] = []
        self.pending: list[tuple[asyncio.Task[Any], Wire, Client, Request, Sent | None]] = []
        self.drain: asyncio.Task[None] | None = None
        self.do(self._begin())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        result = self.runner.run(self._settling(work))
        self._collect()
        return result

    async def _settling(self, work: Coroutine[Any, Any, Any]) -> Any:
        result = await work
        await settled()
        return result

    async def _begin(self) -> None:
        self.ran: list[str] = []
        cls = type("Tagged", (Tagged,), {"diary": Diary(), "ran": self.ran})
        self.house = House(self.clock, CAPACITY, lease_s=LEASE_S, base=cls)
        self.wires = [self.house.connect() for _ in range(3)]

    # What the clients do -------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        """One session at least, whose episode runs."""
        self.open(0, 0, patient=False)
        self.ask(0, "reset")

    @rule(which=st.integers(0, 4), wire=WIRES, patient=st.booleans())
    def open(self, which: int, wire: int, patient: bool) -> None:
        """A new session, or one more time the open of one that there was."""
        if which >= len(self.clients):
            self.clients.append(Client(f"nonce {len(self.clients)}"))
            which = -1
        request = Open(nonce=self.clients[which].nonce, queue_timeout_s=PATIENCE_S if patient else 0.0)
        self._ask(self._wire(wire), self.clients[which], request)

    @rule(which=WHICH, wire=WIRES, right=st.sampled_from([True, True, True, False]))
    @precondition(lambda self: self._opened())
    def resume(self, which: int, wire: int, right: bool) -> None:
        client = self._client(which)
        token = client.opened.token if right else client.opened.token[:-1] + "."
        self._ask(self._wire(wire), client, Resume(session=client.opened.session, token=token))

    @rule(which=WHICH, kind=st.sampled_from(["reset", *["step"] * 6, *["held step"] * 3, "close"]))
    @precondition(lambda self: self._attached())
    def ask(self, which: int, kind: str) -> None:
        attached = self._attached()
        client = attached[which % len(attached)]
        if client.unanswered > 3:
            return
        self._ask_new(client, sorted(client.wires, key=self.wires.index)[0], kind)

    @rule(which=WHICH, wire=WIRES, back=st.integers(1, 4), acknowledge=st.booleans())
    @precondition(lambda self: any(client.sent for client in self._opened()))
    def send_again(self, which: int, wire: int, back: int, acknowledge: bool) -> None:
        """An old frame, on whatever connection: as it was, or with what is acknowledged since."""
        clients = [client for client in self._opened() if client.sent]
        client = clients[which % len(clients)]
        sent = client.sent[-min(back, len(client.sent))]
        on = sorted(client.wires, key=self.wires.index)[0] if wire and client.wires else self._wire(wire)
        request = sent.request
        if acknowledge:
            request = msgspec.structs.replace(request, ack=min(client.ack(), request.id - 1))
        self._ask(on, client, request, sent)

    @rule(which=WHICH, wire=WIRES)
    @precondition(lambda self: any(len(client.wires) < 3 for client in self._opened()))
    def ask_where_it_is_not_held(self, which: int, wire: int) -> None:
        client, on = self._client(which), self._wire(wire)
        if on in client.wires:
            return
        reply = self.do(on.ask(Step(session=client.opened.session, id=99, action=msgspec.Raw(b'{"how":"stray"}'))))
        assert isinstance(reply, Failed)
        assert reply.code in {"SESSION_NOT_FOUND", "EPISODE_LOST" if client.gone else ""}

    @rule(wire=WIRES)
    def cut(self, wire: int) -> None:
        """A connection ends, and another one is made."""
        on = self._wire(wire)
        self.wires.remove(on)
        self.wires.append(self.house.connect())
        for client in self.clients:
            if on in client.wires:
                client.wires.discard(on)
                client.detached_at = self.clock.now
        self.do(on.cut())

    # What happens to the server ------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 9.0, 60.0, 60.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        for client in self.clients:
            if client.unanswered:
                client.detached_at = self.clock.now + seconds
        self.do(self.house.passes(seconds))
        for client in self._opened():
            over = not client.wires and self.clock.now - client.detached_at >= LEASE_S
            assert client.unanswered or not over or self._why_gone(client), "its lease is over"

    @rule()
    @precondition(lambda self: any(client.unanswered for client in self.clients))
    def let_go(self) -> None:
        """Steps that are held up go on."""

        async def opened() -> None:
            self.house.diary.open.set()
            await settled()
            self.house.diary.open.clear()

        self.do(opened())

    @rule()
    @precondition(lambda self: self.drain is None and len(self.ran) > 6)
    def stop(self) -> None:
        async def begun() -> None:
            self.drain = asyncio.create_task(self.house.engine.drain())

        self.do(begun())

    # What must hold ------------------------------------------------------------------------------

    @invariant()
    def holds(self) -> None:
        self._places_are_living_sessions()
        self._nothing_runs_twice()
        self._nobody_shares_an_environment()
        self._sessions_end_for_a_reason()
        self._an_end_is_told_once_and_last()

    def _places_are_living_sessions(self) -> None:
        diary, engine = self.house.diary, self.house.engine
        assert engine.active == diary.made - diary.count("closed") <= CAPACITY
        assert diary.made <= len(self.clients)
        assert not engine.waiting or engine.active == CAPACITY
        assert diary.most_alive() <= CAPACITY

    def _nothing_runs_twice(self) -> None:
        ran = Counter(self.ran)
        for client in self.clients:
            for sent in client.sent:
                answered = any(isinstance(reply, Observed) for reply in sent.replies)
                if sent.tag:
                    assert ran[sent.tag] <= 1
                    assert ran[sent.tag] == 1 or not answered
                    refused = [reply for reply in sent.replies if isinstance(reply, Failed)]
                    assert not (refused and ran[sent.tag]), (refused, sent)
        assert not ran["stray"]

    def _nobody_shares_an_environment(self) -> None:
        instances = [client.instance for client in self.clients if client.instance is not None]
        assert len(set(instances)) == len(instances)

    def _sessions_end_for_a_reason(self) -> None:
        for client in self._opened():
            reason = self._why_gone(client)
            if client.gone is not None or reason is None:
                assert client.gone == reason
                continue
            client.gone = reason
            waited_s = self.clock.now - client.detached_at
            lease_s = LEASE_S if client.was_held else UNCLAIMED_S
            assert {
                Ending.CLOSED: client.close_asked,
                Ending.SERVER_STOPPED: self.drain is not None,
                Ending.LEASE_EXPIRED: not client.wires and waited_s >= lease_s,
                Ending.RECLAIMED: not client.wires and waited_s >= RECLAIMABLE_S,
            }[Ending(reason)], (reason, client)

    def _an_end_is_told_once_and_last(self) -> None:
        for wire in self.house.wires:
            ended: set[str] = set()
            for one in wire.heard:
                if isinstance(one, Ended):
                    assert one.session not in ended
                    ended.add(one.session)
                elif one.session in ended:
                    assert isinstance(one, Failed)
                    assert one.code in _LOST

    def _who_held_it_was_told(self) -> None:
        for client in self._opened():
            told = [client.opened.session in {ended.session for ended in wire.notices(Ended)} for wire in client.wires]
            assert client.close_asked or all(told)

    def teardown(self) -> None:
        async def ended() -> None:
            if self.drain is None:
                self.drain = asyncio.create_task(self.house.engine.drain())
            self.house.diary.open.set()
            await settled()
            assert self.drain.done()
            await self.house.end()

        try:
            self.do(ended())
            self._nothing_runs_twice()
            self._an_end_is_told_once_and_last()
            self._who_held_it_was_told()
            assert [request for _, _, _, request, _ in self.pending] == []
        finally:
            self.runner.close()
            self.inline.stop()

    # The model -----------------------------------------------------------------------------------

    def _wire(self, number: int) -> Wire:
        return self.wires[number % len(self.wires)]

    def _opened(self) -> list[Any]:
        return [client for client in self.clients if client.opened is not None]

    def _attached(self) -> list[Any]:
        return [client for client in self._opened() if client.wires]

    def _client(self, number: int) -> Any:
        return self._opened()[number % len(self._opened())]

    def _ask(self, wire: Wire, client: Client, request: Request, sent: Sent | None = None) -> None:
        if sent is not None and wire in client.wires and not client.gone:
            client.acked = max(client.acked, request.ack)

        async def begun() -> None:
            self.pending.append((wire.begin(request), wire, client, request, sent))

        self.do(begun())

    def _ask_new(self, client: Client, wire: Wire, kind: str) -> None:
        assert client.opened is not None
        number = len(client.sent) + 1
        where = {"session": client.opened.session, "id": number, "ack": client.ack()}
        certain = not (client.close_asked or self.drain or client.gone)
        tag = ""
        if kind == "reset":
            client.count = 0
            request: Request = Reset(**where)
        elif kind == "close":
            client.close_asked = True
            request = Close(**where)
        else:
            tag = f"{client.nonce.split()[1]}-{number}"
            client.count = None if client.count is None else client.count + 1
            how = tag + (" held" if kind == "held step" else "")
            request = Step(action=msgspec.Raw(msgspec.json.encode({"how": how})), **where)
        sent = Sent(request, client.count, certain, tag)
        client.sent.append(sent)
        self._ask(wire, client, request, sent)

    def _collect(self) -> None:
        """Judge the replies that have come."""
        ready = [one for one in self.pending if one[0].done()]
        self.pending = [one for one in self.pending if not one[0].done()]
        for task, wire, client, request, sent in ready:
            alive = wire in self.wires
            if task.cancelled():
                assert isinstance(request, Open)
                assert not alive
                continue
            self._judge(task.result(), wire if alive else None, client, request, sent)

    def _judge(self, reply: Any, wire: Wire | None, client: Client, request: Request, sent: Sent | None) -> None:
        if isinstance(request, Open):
            client.judge_open(reply, wire)
        elif isinstance(request, Resume):
            client.judge_resume(reply, wire, request)
        else:
            assert sent is not None
            assert (reply.session, reply.id) == (request.session, request.id)
            self._judge_numbered(reply, wire, client, request, sent)

    def _judge_numbered(self, reply: Any, wire: Wire | None, client: Client, request: Request, sent: Sent) -> None:
        if isinstance(reply, Failed) and reply.code == "STALE_REQUEST":
            assert request.id <= client.acked
            return
        lost = isinstance(reply, Failed) and reply.code in {"EPISODE_LOST", "SESSION_NOT_FOUND"}
        if lost and (sent.replies or wire not in client.wires or self._why_gone(client)):
            return
        if sent.replies:
            assert reply is sent.replies[0], "another answer than the first time"
            return
        sent.replies.append(reply)
        if isinstance(reply, Failed):
            if not (reply.code == "RESET_NEEDED" and sent.expects is None):
                assert reply.code in _LOST, reply
                assert not sent.certain, reply
        elif isinstance(reply, Observed):
            instance, count = reply.observation.value
            client.instance = client.instance or instance
            assert client.instance == instance, "silently another environment"
            assert count == sent.expects
        else:
            assert isinstance(reply, Closed)

    def _why_gone(self, client: Any) -> str | None:
        try:
            self.house.engine.sessions.get(client.opened.session)
        except EpisodeLost as error:
            return str(error.details["reason"])
        return None


TestServer = Server.TestCase
TestServer.settings = settings(
    phases=[Phase.generate],
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
