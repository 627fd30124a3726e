"""What a line between two workers begins with, and what is said on it besides the frames that it carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ["WELCOME", "Answered", "Carry", "Complete", "Serve", "Visit", "read_visit", "visit"]

WELCOME = b""
"""Said at once by the worker that is visited: what comes is handled by it, and not by one that comes after it."""


class _Said(msgspec.Struct, array_like=True, tag=True):
    """Both ends are of one version."""


class Carry(_Said):
    """The frames of a client's connection follow, and the answers to them.

    Attributes:
        subprotocol: What is spoken; empty: v1, of which the line is the whole connection.
    """

    subprotocol: str


class Serve(_Said):
    """An HTTP request; its body follows.

    Attributes:
        scope: What of its ASGI scope is more than a constant.
    """

    scope: dict[str, Any]


class Answered(_Said):
    """The status and headers of the answer; its body follows."""

    status: int
    headers: list[tuple[bytes, bytes]]


class Complete(_Said):
    """That was the last part of the body."""


Visit = Carry | Serve | Answered | Complete

read_visit: Callable[[bytes], Visit] = msgspec.msgpack.Decoder(Visit).decode
visit: Callable[[Visit], bytes] = msgspec.msgpack.Encoder().encode
