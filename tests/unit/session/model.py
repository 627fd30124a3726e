"""What the random test of sessions knows of each client, and the environment that tells what it ran."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.unit.session.still import Room, Wire
from tests.unit.session.worlds import Move, Seen

from openenv.protocol import Failed, Opened, Request, Resume, Resumed


class Tagged(Room):
    """Writes which request it ran, and says who it is, how far it has come, and what it was asked."""

    ran: list[str]

    async def reset_async(self) -> Seen:
        self.count = 0
        return Seen(value=[self.number, 0])

    async def step_async(self, action: Move) -> Seen:
        tag, _, held = action.how.partition(" ")
        self.ran.append(tag)
        if held:
            await self.diary.open.wait()
        self.count += 1
        return Seen(value=[self.number, self.count])


@dataclass(eq=False)
class Sent:
    """One numbered request of a client.

    Attributes:
        expects: The count that the reply is to show; ``None``: a refusal. What is not ``certain`` may also be lost.
        replies: All that came.
    """

    request: Request
    expects: int | None
    certain: bool
    tag: str = ""
    replies: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Client:
    """What a client knows of its session, and what the model does."""

    nonce: str
    opened: Opened | None = None
    sent: list[Sent] = field(default_factory=list)
    acked: int = 0
    count: int | None = None  # None: no episode
    wires: set[Wire] = field(default_factory=set)
    detached_at: float = 0.0
    was_held: bool = False
    close_asked: bool = False
    instance: int | None = None
    gone: str | None = None

    @property
    def unanswered(self) -> int:
        return sum(not one.replies for one in self.sent)

    def ack(self) -> int:
        for number, one in enumerate(self.sent, 1):
            if not one.replies:
                return number - 1
        return len(self.sent)

    def judge_open(self, reply: Any, wire: Wire | None) -> None:
        if isinstance(reply, Failed):
            allowed = {"CAPACITY_REACHED", "SERVER_DRAINING"} if self.opened is None else set()
            assert reply.code in allowed | {"EPISODE_LOST"}, reply
            assert reply.details["nonce"] == self.nonce
            return
        assert isinstance(reply, Opened)
        if self.opened is not None:
            assert (reply.session, reply.token) == (self.opened.session, self.opened.token)
        elif wire is None:
            return  # nobody heard it
        self.opened = self.opened or reply
        self._hold(wire)

    def judge_resume(self, reply: Any, wire: Wire | None, request: Resume) -> None:
        assert self.opened is not None
        if isinstance(reply, Failed):
            right = request.token == self.opened.token
            assert reply.code in ({"EPISODE_LOST"} if right else {"EPISODE_LOST", "SESSION_NOT_FOUND"}), reply
            return
        assert isinstance(reply, Resumed)
        assert request.token == self.opened.token
        assert reply.last_id == len(self.sent)
        self._hold(wire)

    def _hold(self, wire: Wire | None) -> None:
        if wire is not None:
            self.wires.add(wire)
            self.was_held = True
