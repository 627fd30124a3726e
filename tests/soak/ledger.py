"""What environments write down of themselves, outside of server and client: one line for everything they did."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

Did = Literal["create", "reset", "step", "die", "close"]


class Entry(msgspec.Struct, omit_defaults=True):
    """One thing that an environment did.

    Attributes:
        at: When it was done: seconds of the monotonic clock, which all processes of a machine share.
        pid: The process it lives in.
        instance: The environment, one name for each that was built.
        episode: What the environment calls the episode it is in.
        turn: How many steps the environment has taken in it, this one included.
        meant_episode, meant_turn: The same as the player who sent the action had it in mind.
        seed: Of a reset.
        number: The action.
        sum: Checksum of the episode so far.
        mood: Of a reset: what this environment's answers say besides, which another one's might not.
    """

    at: float
    pid: int
    instance: str
    did: Did
    episode: str = ""
    turn: int = 0
    meant_episode: str = ""
    meant_turn: int = 0
    seed: int = 0
    number: int = 0
    sum: str = ""
    mood: str = ""


class Ledger:
    """Appends entries to a file that others append to at the same time."""

    def __init__(self, path: Path | str, instance: str) -> None:
        self._instance = instance
        self._pid = os.getpid()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, did: Did, **fields: str | int) -> None:
        """Append one line with one write, so that lines of several processes never mix."""
        entry = Entry(at=time.monotonic(), pid=self._pid, instance=self._instance, did=did, **fields)  # type: ignore[arg-type]
        os.write(self._file, msgspec.json.encode(entry) + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read(path: Path | str) -> Iterator[Entry]:
    """The entries of a ledger, in the order in which they were written."""
    decode = msgspec.json.Decoder(Entry).decode
    with open(path, "rb") as lines:
        for line in lines:
            yield decode(line)


def first_sum(seed: int) -> str:
    """The checksum of an episode that has begun."""
    return _digest(f"seed {seed}")


def next_sum(before: str, number: int) -> str:
    """The checksum after one more action. It depends on all actions before, and on their order."""
    return _digest(f"{before} {number}")


def padding(sum_: str, size: int) -> str:
    """Text of that many characters, which follows from the checksum."""
    return (sum_ * (size // len(sum_) + 1))[:size]


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
