"""What a user may set about a client, and which types it speaks."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from openenv.client.address import Address
from openenv.client.values import Values

__all__ = ["MAX_MESSAGE_BYTES", "ClientOptions", "Closable", "types_of"]

MAX_MESSAGE_BYTES = 100 * 1024 * 1024
"""Largest message a client takes from a server, unless told otherwise."""


class Closable(Protocol):
    """Something a client ends together with itself, such as the server that was started for it."""

    def close(self) -> None:
        """End it; safe to call twice."""


@dataclass(frozen=True)
class ClientOptions:
    """Settings that the asynchronous and the synchronous client share.

    Attributes:
        address: The server.
        values: Types of actions, observations and states.
        connect_timeout_s: Seconds to wait for the connection.
        message_timeout_s: Seconds to wait for any answer; ``None``: as long as the connection lives.
        max_message_bytes: Largest message taken.
        headers: Additional headers of the handshake.
        owned: Ended when the client is closed.
    """

    address: Address
    values: Values[Any, Any, Any]
    connect_timeout_s: float
    message_timeout_s: float | None
    max_message_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict)
    owned: Closable | None = None


def types_of(cls: type[Any], base: type[Any]) -> tuple[type[Any] | None, ...]:
    """The A, O, S of ``class MyClient(base[A, O, S])``; ``None`` for each that is no model."""
    for owner in cls.__mro__:
        for candidate in getattr(owner, "__orig_bases__", ()):
            origin = typing.get_origin(candidate)
            if isinstance(origin, type) and issubclass(origin, base):
                found = [a if hasattr(a, "model_validate") else None for a in typing.get_args(candidate)]
                if any(found):
                    return (*found, None, None, None)[:3]
    return None, None, None
