"""Traffic of many sessions whose server is the test."""

from __future__ import annotations

import json
from typing import Any

from openenv.client.trunk_session import TrunkSession
from openenv.client.trunk_traffic import Traffic
from openenv.client.values import Values
from openenv.errors import OpenEnvError
from openenv.protocol import ClientConnection

Frame = dict[str, Any]


class Choosy(Values[Any, Any, Any]):
    """Types that cannot read everything."""

    def decode_state(self, state: Any) -> Any:
        return 1 / state["number"]


class Stage:
    """Traffic whose server is the test."""

    def __init__(self, *features: str, limit: int = 1 << 20) -> None:
        self.features, self.limit = list(features), limit
        self.now = 0.0
        self.queued: list[int] = []
        self.traffic = Traffic(
            Choosy(None, None, None),
            self._leave,
            lambda _, position: self.queued.append(position),
            None,
            lambda: self.now,
        )
        self.told: dict[int, list[Any]] = {}
        self.sessions: list[TrunkSession] = []

    def connect(self) -> None:
        connection = ClientConnection("openenv.v2.json")
        limits = {"max_message_bytes": self.limit, "capacity": 9}
        hello = {"protocol": "2", "library": "9", "environment": "x", "environment_version": None}
        connection.receive(json.dumps({"type": "hello", **hello, "features": self.features, "limits": limits}))
        self.traffic.begin(connection)

    def ask(self, number: int, request: Any) -> None:
        while len(self.sessions) <= number:
            self.sessions.append(TrunkSession(self.now + 60))
            self.traffic.add(self.sessions[-1])
        self.traffic.ask(self.sessions[number], request, self.told.setdefault(number, []).append)

    def sent(self) -> list[list[Frame]]:
        """What goes out now: the frames, each as the requests in it."""
        frames = []
        while (frame := self.traffic.next_frame()) is not None:
            content = json.loads(frame)
            frames.append(content if isinstance(content, list) else [content])
        return frames

    def say(self, *replies: Frame) -> bool:
        """Have the server send these in one frame; whether that answered something."""
        return self.traffic.take(json.dumps(list(replies)))

    def open(self, count: int) -> None:
        """Have so many sessions, named by their numbers, with nothing asked."""
        for number in range(count):
            self.ask(number, None)
        for frame in self.sent():
            self.say(*(opened(one, self.number_of(one["nonce"])) for one in frame))
        assert [self.told.pop(number) for number in range(count)] == [[None]] * count

    def number_of(self, nonce: str) -> int:
        return next(at for at, session in enumerate(self.sessions) if session.wire.nonce == nonce)

    def _leave(self, session: TrunkSession, error: OpenEnvError) -> None:
        session.error = error
        self.traffic.leave(session)
        self.traffic.tell(session, error)


def opened(request: Frame, number: int) -> Frame:
    assert request["type"] == "open"
    return {"type": "opened", "session": str(number), "nonce": request["nonce"], "token": f"t{number}"}


def observed(request: Frame, **fields: Any) -> Frame:
    return {"type": "observation", "session": request["session"], "id": request["id"], "observation": {}, **fields}


def failed(request: Frame, code: str, **details: Any) -> Frame:
    address = {"session": request["session"], "id": request.get("id", 0)}
    return {"type": "error", **address, "code": code, "message": "m", "retryable": False, "details": details}
