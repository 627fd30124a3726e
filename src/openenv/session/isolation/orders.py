"""What the server and its fork server say to each other: one message a datagram, a descriptor beside some."""

from __future__ import annotations

import array
import socket
from typing import Any

import msgspec
from msgspec import Struct

from openenv.session.isolation.reference import FactoryReference
from openenv.session.served.spec import EnvironmentSpec
from openenv.tools.modes import Mode

__all__ = [
    "Ended",
    "Kill",
    "Limits",
    "Prepare",
    "Ready",
    "Refused",
    "Start",
    "Surroundings",
    "receive",
    "receive_fd",
    "send",
]

_LARGEST = 128 * 1024


class Limits(Struct, frozen=True):
    """What a worker may use.

    Attributes:
        memory_bytes: Address space beyond what it has at its start; ``None``: any.
        cpu_s: Processor time in whole seconds; ``None``: any.
    """

    memory_bytes: int | None = None
    cpu_s: int | None = None


class Surroundings(Struct, frozen=True):
    """What environments are given besides: see ``EnvironmentSpec``. It holds secrets."""

    mode: Mode = "simulation"
    credentials: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Surroundings(mode={self.mode!r}, credentials of {', '.join(self.credentials) or 'nothing'})"


class Prepare(Struct, tag=True):
    """To the fork server, once and first: import what is served.

    Attributes:
        reference: What that is.
        limits: What its workers may use.
        surroundings: What its environments are given; never on a command line.
    """

    reference: FactoryReference
    limits: Limits
    surroundings: Surroundings = Surroundings()

    def load(self) -> EnvironmentSpec:
        """Import and find the spec; raises as ``FactoryReference.load``."""
        return self.reference.load().equipped(self.surroundings.mode, self.surroundings.credentials)


class Start(Struct, tag=True):
    """To the fork server: start a worker. Its end of its control socket comes beside."""

    number: int


class Kill(Struct, tag=True):
    """To the fork server: kill a worker and all that it started. One that is gone already is passed over."""

    number: int


class Ready(Struct, tag=True):
    """From the fork server: workers can be started.

    Attributes:
        forks: Whether by forking. If not, each imports anew, which is slower.
    """

    forks: bool


class Refused(Struct, tag=True):
    """From the fork server, which ends: what is served cannot be imported. The fields are those of an error."""

    code: str
    message: str
    details: dict[str, Any] = {}


class Ended(Struct, tag=True):
    """From the fork server: a worker is gone, and so is what it left in its process group.

    Attributes:
        number: Which.
        exit_code: What it ended with.
        signal: What killed it; 0: nothing did.
        cpu_s: Processor time that it used.
        not_started: Why it was never there, if it was not.
    """

    number: int
    exit_code: int = 0
    signal: int = 0
    cpu_s: float = 0.0
    not_started: str | None = None


Order = Prepare | Start | Kill | Ready | Refused | Ended

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Order).decode


def send(way: socket.socket, order: Order, descriptor: int | None = None) -> None:
    """Send one message, and a copy of a descriptor beside it.

    Raises:
        BlockingIOError: The way is full; nothing was sent.
        OSError: There is nobody at the other end.
    """
    if descriptor is None:
        way.send(_encode(order))
    else:
        socket.send_fds(way, [_encode(order)], [descriptor])


def receive(way: socket.socket) -> tuple[Order | None, int | None]:
    """The next message and the descriptor beside it; no message: the other end was closed.

    Raises:
        BlockingIOError: There is none yet.
    """
    data, descriptor = receive_fd(way)
    return (_decode(data) if data else None), descriptor


def receive_fd(way: socket.socket) -> tuple[bytes, int | None]:
    """The next datagram, empty at the end, and the descriptor beside it; more than one is refused by closing them.

    Raises:
        BlockingIOError: There is none yet.
    """
    descriptors = array.array("i")
    try:
        data, ancillary, _, _ = way.recvmsg(_LARGEST, socket.CMSG_SPACE(descriptors.itemsize), socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return b"", None
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, (descriptors[0] if descriptors else None)
