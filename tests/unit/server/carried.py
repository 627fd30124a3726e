"""A carrier without a network: frames go in one by one, and what it puts is kept."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from tests.unit.session.worlds import Ledger, Move, Seen, World, threads_left

from openenv.protocol import Hello, Limits, Observed, Open, Opened, Reply, Request, Reset, Resume, server_codec
from openenv.protocol.batch import is_batch, joined
from openenv.protocol.negotiation import client_codec
from openenv.record import Journal
from openenv.server.carrier import Carrier, Frame
from openenv.session import EnvironmentSpec, JournalOptions, Openings, Peer, Session, SessionEngine, SharedSession

__all__ = ["Carried", "Together", "Wire"]

JSON, MSGPACK = "openenv.v2.json", "openenv.v2.msgpack"


def _no_room(descriptor: int, start: int, length: int) -> None:
    raise OSError(errno.EOPNOTSUPP, "so that all is written")


def _greeting() -> Hello:
    limits = Limits(max_message_bytes=8 << 20, capacity=64)
    return Hello(
        protocol="2", library="1", environment="world", environment_version=None, features=["batch"], limits=limits
    )


class Together(World):
    """A world of which several are stepped in one call; ``sizes`` says how many each time."""

    ledger: Ledger
    sizes: list[int]

    @classmethod
    def step_batch(cls, environments: Sequence[World], actions: Sequence[Move]) -> Sequence[Any]:
        assert len({id(one) for one in environments}) == len(environments)
        cls.sizes.append(len(environments))
        return cls.answers(environments, actions)

    @classmethod
    def answers(cls, environments: Sequence[World], actions: Sequence[Move]) -> Sequence[Any]:
        return [one.step(action) for one, action in zip(environments, actions, strict=True)]


class Wire:
    """A connection, seen from its client.

    Attributes:
        frames: What was put, undecoded.
        gate: Whether what is put leaves; while it is not set, ``put`` has to be awaited.
    """

    def __init__(self, carried: Carried, subprotocol: str | None) -> None:
        self.client = client_codec(subprotocol)
        self.frames: list[Frame] = []
        self.gate: asyncio.Event | None = None
        self.hung_up = False
        self._taken = 0
        self._changed = asyncio.Event()
        codec = server_codec([subprotocol] if subprotocol else [], plain=True)
        self.carrier = Carrier(codec, carried.peer, _greeting, self._put, self._hang_up)

    def take(self, *requests: Request | Frame, array: bool = True) -> Awaitable[None] | None:
        """Have an array taken, or, without ``array``, the only request alone."""
        frames = [self.client.encode(one) if isinstance(one, Request) else one for one in requests]
        frame = joined(frames)
        if array and len(frames) == 1:
            frame = f"[{frame}]" if isinstance(frame, str) else b"\x91" + frame
        return self.carrier.take(frame)

    async def ask(self, *requests: Request | Frame, array: bool = True) -> list[Reply]:
        """Have an array taken; as many replies as it has requests."""
        under_way = self.take(*requests, array=array)
        if under_way is not None:
            await under_way
        return await self.replies(len(requests))

    async def replies(self, most: int) -> list[Reply]:
        """The next replies, in the order in which they came."""
        found: list[Reply] = []
        async with asyncio.timeout(20):
            while len(found) < most:
                while self._taken == len(self.frames):
                    self._changed.clear()
                    await self._changed.wait()
                frame = self.frames[self._taken]
                self._taken += 1
                found += self.client.decode_all(frame) if is_batch(frame) else [self.client.decode(frame)]
        assert len(found) == most, found
        return found

    async def open(self, count: int, first: int = 0) -> list[str]:
        """Open sessions and begin an episode in each; their ids."""
        opened = await self.ask(*(Open(nonce=f"n{number}") for number in range(first, first + count)))
        ids = {one.nonce: one.session for one in opened if isinstance(one, Opened)}
        names = [ids[f"n{number}"] for number in range(first, first + count)]
        for one in await self.ask(*(Reset(session=name, id=1, seed=7) for name in names)):
            assert isinstance(one, Observed), one
        return names

    def _put(self, frame: Frame) -> Awaitable[None] | None:
        if self.gate is None or self.gate.is_set():
            self._leaves(frame)
            return None
        return self._put_later(self.gate, frame)

    async def _put_later(self, gate: asyncio.Event, frame: Frame) -> None:
        await gate.wait()
        self._leaves(frame)

    def _leaves(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._changed.set()

    def _hang_up(self) -> None:
        self.hung_up = True


class Carried:
    """An engine, and connections to it; what a test leaves is looked at when the block ends.

    Args:
        cls: What is served.
        capacity: Most sessions.
        journal: Where its journal is.
        breaks: What the engine says when it is closed, if that fails.

    Attributes:
        write: What the journal writes with.
    """

    def __init__(
        self,
        cls: type[World],
        capacity: int = 64,
        journal: JournalOptions | None = None,
        breaks: type[Exception] | None = None,
    ) -> None:
        self.write: Callable[[int, bytes], int] = os.write
        self._breaks = breaks
        self.ledger = cls.ledger
        self.engine = SessionEngine(EnvironmentSpec.of(cls, Move, Seen, "world"), capacity, journal=journal)
        self._shared = SharedSession(self.engine)
        self._openings = Openings(self.engine, self._shared.give_way)
        self._wires: list[Wire] = []

    def peer(self, codec: Any, send: Any) -> Peer:
        return Peer(self.engine, self._openings, self._shared, codec, send)

    def session(self, name: str) -> Session:
        return self.engine.sessions.get(name)

    def resume(self, name: str) -> Resume:
        return Resume(session=name, token=self.session(name).token)

    def connect(self, subprotocol: str | None = JSON) -> Wire:
        self._wires.append(Wire(self, subprotocol))
        return self._wires[-1]

    def _write(self, descriptor: int, data: bytes) -> int:
        return self.write(descriptor, data)

    async def __aenter__(self) -> Carried:
        opening = partial(Journal.open, write=self._write, reserve=_no_room)
        with patch.object(Journal, "open", opening):
            await self.engine.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ledger.gate.set()
        for wire in self._wires:
            if wire.gate is not None:
                wire.gate.set()
            await wire.carrier.leave()
        with nullcontext() if self._breaks is None else pytest.raises(self._breaks):
            await self.engine.aclose()
        assert self.engine.active == 0
        self.ledger.check_closed_once()
        assert not threads_left()
