"""ReplyWindow against a model: nothing runs twice, kept replies come back, what is over is stale."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openenv.errors import SessionBusy, StaleRequest
from openenv.protocol import Admission, Reply, ReplyWindow, StateIs

SIZE = 4


class WindowMachine(RuleBasedStateMachine):
    """The model: every id that ever ran, the reply it had, and the highest ack that was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.window = ReplyWindow(SIZE)
        self.ran: dict[int, Reply | None] = {}  # None: running
        self.ack = 0

    @property
    def highest(self) -> int:
        return max(self.ran, default=0)

    @property
    def held(self) -> list[int]:
        return [i for i, reply in self.ran.items() if reply is None or i > self.ack]

    def expected(self, id_: int, ack: int) -> Admission | type[Exception]:
        if ack > self.highest:
            return StaleRequest
        self.ack = max(self.ack, ack)
        if id_ in self.held:
            return Admission.RUNNING if self.ran[id_] is None else Admission.ANSWERED
        if id_ <= self.highest:
            return StaleRequest
        return SessionBusy if len(self.held) >= SIZE else Admission.FRESH

    def ask(self, id_: int, ack: int) -> None:
        expected = self.expected(id_, ack)
        if isinstance(expected, type):
            with pytest.raises(expected):
                self.window.admit(id_, ack)
            return
        assert self.window.admit(id_, ack) is expected
        if expected is Admission.FRESH:
            assert id_ not in self.ran, "nothing runs twice"
            self.ran[id_] = None
        elif expected is Admission.ANSWERED:
            assert self.window.reply(id_) is self.ran[id_]
        else:
            with pytest.raises(LookupError, match="has no reply yet"):
                self.window.reply(id_)

    @rule(skip=st.integers(0, 2), behind=st.integers(0, SIZE))
    def ask_anew(self, skip: int, behind: int) -> None:
        self.ask(self.highest + 1 + skip, max(0, self.highest - behind))

    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        self.ask(data.draw(st.integers(0, self.highest)), data.draw(st.integers(0, self.highest)))

    @rule(ahead=st.integers(1, 3))
    def acknowledge_what_never_came(self, ahead: int) -> None:
        self.ask(self.highest + 1, self.highest + ahead)

    @precondition(lambda self: any(reply is None for reply in self.ran.values()))
    @rule(data=st.data())
    def finish_one(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from([i for i, reply in self.ran.items() if reply is None]))
        self.ran[id_] = StateIs(state=id_, id=id_)
        self.window.finish(id_, self.ran[id_])

    @rule(id_=st.integers(0, 50))
    def finish_what_is_not_running(self, id_: int) -> None:
        if self.ran.get(id_, self) is not None and id_ not in self.held:
            self.window.finish(id_, StateIs(state="never asked"))

    @invariant()
    def holds_no_more_than_its_size(self) -> None:
        assert len(self.held) <= SIZE


WindowMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestWindow = WindowMachine.TestCase


def test_a_full_window_says_what_to_do_and_costs_no_id() -> None:
    window = ReplyWindow(2)
    for id_ in (1, 2):
        window.admit(id_, 0)
        window.finish(id_, StateIs(state=id_, id=id_))
    with pytest.raises(SessionBusy, match="2 requests of this session are unacknowledged"):
        window.admit(3, 0)
    assert window.admit(3, 1) is Admission.FRESH


def test_what_is_over_is_said_to_be_over() -> None:
    window = ReplyWindow()
    window.admit(5, 0)
    with pytest.raises(StaleRequest, match="request 4 is over: 5 was already asked"):
        window.admit(4, 0)
    with pytest.raises(StaleRequest, match="ack 6 is for a request that never came; the highest is 5"):
        window.admit(6, 6)


def test_an_ack_of_a_running_request_does_not_forget_that_it_runs() -> None:
    window = ReplyWindow()
    window.admit(1, 0)
    assert window.admit(1, 1) is Admission.RUNNING
    window.finish(1, StateIs(state=1, id=1))
    with pytest.raises(StaleRequest):
        window.admit(1, 1)
