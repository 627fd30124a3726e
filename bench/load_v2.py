"""The load client in protocol v2: many sessions over one connection, in single frames or in arrays. It spins too."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Literal

import msgspec

from bench.spinning import BINARY, PATIENCE_S, TEXT, Message, Spinning, masked

__all__ = ["Encoding", "MuxedLoad", "muxed"]

Encoding = Literal["json", "msgpack"]

_ACTION = {"message": "hello"}


class _Step(msgspec.Struct, tag="step"):
    session: str
    id: int
    ack: int
    action: dict[str, Any]


class _Reply(msgspec.Struct):
    """What is looked at of a reply; the rest is passed over."""

    type: str
    session: str
    id: int = 0
    nonce: str = ""


class MuxedLoad:
    """Sessions over one connection that have been reset. Every reply is checked for whose it is.

    Args:
        connection: Has agreed on that encoding.
        encoding: Of all frames.
        count: How many sessions.
    """

    def __init__(self, connection: Spinning, encoding: Encoding, count: int) -> None:
        self._connection = connection
        self._kind = TEXT if encoding == "json" else BINARY
        codec = msgspec.json if encoding == "json" else msgspec.msgpack
        self._encode = codec.Encoder().encode
        self._one, self._several = codec.Decoder(_Reply).decode, codec.Decoder(list[_Reply]).decode
        self._is_array = _is_json_array if encoding == "json" else _is_msgpack_array
        self._last: dict[str, int] = {}  # id of the last request of each session
        self._next("hello")
        for number in range(count):
            self._send({"type": "open", "nonce": f"{number}-{time.time_ns()}"})
            session = self._next("opened").session
            self._send({"type": "reset", "session": session, "id": 1, "ack": 0, "seed": 7})
            self._next("observation")
            self._last[session] = 1

    def steps(self, count: int) -> float:
        """Take ``count`` steps in all, in single frames, one on the way in each session; returns the seconds."""
        left = count
        begun = time.perf_counter()
        for session in [*self._last][:left]:
            self._send(self._step(session))
            left -= 1
        waiting = count - left
        while waiting:
            for reply in self._replies():
                self._check(reply)
                if left:
                    self._send(self._step(reply.session))
                    left -= 1
                else:
                    waiting -= 1
        return time.perf_counter() - begun

    def batches(self, count: int) -> float:
        """Take ``count`` times a step in all sessions, each time as one array; returns the seconds."""
        begun = time.perf_counter()
        for _ in range(count):
            self._send([self._step(session) for session in self._last])
            waiting = len(self._last)
            while waiting:
                for reply in self._replies():
                    self._check(reply)
                    waiting -= 1
        return time.perf_counter() - begun

    def end(self) -> None:
        """Close the sessions."""
        for session, last in self._last.items():
            self._send({"type": "close", "session": session, "id": last + 1, "ack": last})
            self._next("closed")

    def _step(self, session: str) -> _Step:
        last = self._last[session]
        self._last[session] = last + 1
        return _Step(session, last + 1, last, _ACTION)

    def _send(self, value: Any) -> None:
        self._connection.send(masked(self._encode(value), self._kind))

    def _check(self, reply: _Reply) -> None:
        if reply.type != "observation" or reply.id != self._last[reply.session]:
            raise ConnectionError(f"instead of an observation: {reply}")

    def _next(self, kind: str) -> _Reply:
        message = self._connection.next()
        replies: list[_Reply] = self._several(message) if self._is_array(message) else [self._one(message)]
        (reply,) = replies
        if reply.type != kind:
            raise ConnectionError(f"instead of {kind}: {bytes(message[:300])!r}")
        return reply

    def _replies(self) -> Sequence[_Reply]:
        """The next ones; there are some."""
        give_up_at = time.perf_counter() + PATIENCE_S
        while not (messages := self._connection.received()):
            if time.perf_counter() > give_up_at:
                raise ConnectionError(f"no answer for {PATIENCE_S:g} s")
        found: list[_Reply] = []
        for message in messages:
            if self._is_array(message):
                found += self._several(message)
            else:
                found.append(self._one(message))
        return found


@contextmanager
def muxed(port: int, sessions: int, encoding: Encoding) -> Iterator[MuxedLoad]:
    """So many new sessions over one new connection, reset once; closed in the end."""
    with closing(Spinning(port, f"openenv.v2.{encoding}")) as connection:
        load = MuxedLoad(connection, encoding, sessions)
        yield load
        load.end()


def _is_json_array(message: Message) -> bool:
    return message[0] == 0x5B


def _is_msgpack_array(message: Message) -> bool:
    return 0x90 <= message[0] <= 0x9F or message[0] in (0xDC, 0xDD)
