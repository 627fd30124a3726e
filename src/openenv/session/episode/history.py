"""What was asked in the running episode, so that it can be played again in another environment."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from openenv.errors import EpisodeLost, OpenEnvError
from openenv.protocol import Observed, Reset, Step, V2ServerCodec
from openenv.session.hosting.host import Host

__all__ = ["LONGEST_HISTORY", "Diverged", "History", "Move", "evidence", "was_cancelled"]

LONGEST_HISTORY = 100_000
"""Requests of one episode that are remembered; a longer one cannot be played again."""

_codec = V2ServerCodec()

Move = Reset | Step
Told = Callable[[Move, Observed | OpenEnvError], Awaitable[None]]


class Diverged(Exception):
    """Played again, the episode went another way. Never leaves this package.

    Attributes:
        index: Position of the first answer that differed; 0 is the reset.
    """

    def __init__(self, index: int) -> None:
        super().__init__(f"the answer to request {index} of the episode was another one")
        self.index = index


def evidence(answer: Observed | OpenEnvError, volatile: frozenset[str] = frozenset()) -> bytes:
    """A digest of what was answered: the same for the same answer.

    Args:
        answer: What the environment answered, or the error it did.
        volatile: Fields of the observation and of its metadata that do not count.
    """
    if isinstance(answer, OpenEnvError):
        return f"error {answer.code}".encode()
    plain = msgspec.structs.replace(answer, session="", id=0, seed=None, episode_id=None)
    told = msgspec.json.decode(_codec.encode(plain))  # numbers are written in more than one way
    for part in (told.get("observation"), told.get("metadata")) if volatile else ():
        for name in volatile if isinstance(part, dict) else ():
            part.pop(name, None)
    return hashlib.blake2b(msgspec.json.encode(told), digest_size=16).digest()


def was_cancelled(answer: Observed | OpenEnvError) -> bool:
    """Whether a call of a tool was ended early: nobody knows how far it had come."""
    if isinstance(answer, OpenEnvError):
        return False
    observation = answer.observation
    error = observation.get("error") if isinstance(observation, dict) else getattr(observation, "error", None)
    kind = error.get("error_type") if isinstance(error, dict) else getattr(error, "error_type", None)
    return kind == "cancelled" and isinstance(kind, str)


@dataclass
class History:
    """The moves of one episode, from its reset or from a snapshot on.

    Attributes:
        moves: What was asked.
        proofs: Digests of what was answered; ``None`` where none was kept.
        snapshot: State of the environment before the first move; ``None``: the first move is a reset.
        is_whole: Whether nothing is missing, so that it can be played.
        volatile: Fields of answers that do not count when it is.
    """

    moves: list[Move] = field(default_factory=list)
    proofs: list[bytes | None] = field(default_factory=list)
    snapshot: bytes | None = None
    is_whole: bool = False
    volatile: frozenset[str] = frozenset()

    def add(self, move: Move, proof: bytes | None, volatile: frozenset[str] = frozenset()) -> None:
        """Take note of a move and what was answered; a reset begins anew."""
        if isinstance(move, Reset):
            self.moves, self.proofs, self.snapshot, self.is_whole = [], [], None, True
        elif len(self.moves) >= LONGEST_HISTORY:
            self.spoil()
        if self.is_whole:
            self.volatile = volatile
            if isinstance(move, Step) and isinstance(move.action, Raw):
                move.action = move.action.copy()  # else it keeps the frame that it came in
            self.moves.append(move)
            self.proofs.append(proof)

    def take(self, move: Move, answer: Observed | OpenEnvError, volatile: frozenset[str], *, proves: bool) -> None:
        """Take note of a move as ``add`` does, with a proof if wanted. One that cannot be played again spoils it."""
        if was_cancelled(answer):  # played again, it would go on to its end
            self.spoil()
        else:
            self.add(move, evidence(answer, volatile) if proves else None, volatile)

    def rebase(self, snapshot: bytes) -> None:
        """What is to come begins at this snapshot."""
        self.moves, self.proofs, self.snapshot, self.is_whole = [], [], snapshot, True

    def spoil(self) -> None:
        """The episode cannot be played again: something happened to it that is no move."""
        self.moves, self.proofs, self.snapshot, self.is_whole = [], [], None, False

    def copy(self) -> History:
        """The same moves, to go on differently."""
        return History([*self.moves], [*self.proofs], self.snapshot, self.is_whole, self.volatile)

    async def play(self, host: Host, told: Told | None = None) -> None:
        """Bring a fresh environment to where this one stood.

        Args:
            host: Where it lives.
            told: Awaited with each move and its answer.

        Raises:
            Diverged: It answered otherwise.
            WorkerDied: It ended its process.
            OpenEnvError: Its snapshot could not be restored.
        """
        if self.snapshot is not None:
            await host.restore(self.snapshot)
        for index, (move, proof) in enumerate(zip(self.moves, self.proofs, strict=True)):
            answer: Observed | OpenEnvError
            try:
                answer = await (host.reset(move) if isinstance(move, Reset) else host.step(move))
            except EpisodeLost:
                raise
            except OpenEnvError as error:
                answer = error
            if proof is not None and evidence(answer, self.volatile) != proof:
                raise Diverged(index)
            if told is not None:
                await told(move, answer)
