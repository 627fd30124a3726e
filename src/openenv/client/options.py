"""What a user may set about a client, and which types it speaks."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from openenv.client.address import Address
from openenv.client.values import Values
from openenv.errors import ConfigurationError

__all__ = ["MAX_MESSAGE_BYTES", "ClientOptions", "Closable", "Ending", "types_of", "with_token"]

MAX_MESSAGE_BYTES = 100 * 1024 * 1024
"""Largest message a client takes from a server, unless told otherwise."""


class Closable(Protocol):
    """Something a client ends together with itself, such as the server that was started for it."""

    def close(self) -> None:
        """End it; safe to call twice."""


@runtime_checkable
class Ending(Closable, Protocol):
    """Something that may also end by itself, and knows whether it has."""

    @property
    def ended(self) -> bool:
        """Whether it is gone, so that nobody need wait for it to come back."""


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
        reconnect_timeout_s: Seconds without a connection after which a break is final; 0: at once.
        liveness_timeout_s: Seconds of silence, while an answer is waited for, until the server is pinged; after as
            many again without a sign the connection counts as lost.
        queue_timeout_s: Seconds to wait for a place where all are taken.
        on_queued: Is told the position in that queue, 1 is next.
    """

    address: Address
    values: Values[Any, Any, Any]
    connect_timeout_s: float
    message_timeout_s: float | None
    max_message_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # they may hold secrets
    owned: Closable | None = None
    reconnect_timeout_s: float = 60.0
    liveness_timeout_s: float = 20.0
    queue_timeout_s: float = 0.0
    on_queued: Callable[[int], object] | None = None

    def __post_init__(self) -> None:
        for name in ("connect_timeout_s", "message_timeout_s", "max_message_bytes", "liveness_timeout_s"):
            value = getattr(self, name)
            if not (_is_finite(value) and value > 0) and not (name == "message_timeout_s" and value is None):
                raise ConfigurationError(f"{name} must be a number greater than 0, not {value!r}")
        for name in ("reconnect_timeout_s", "queue_timeout_s"):
            value = getattr(self, name)
            if not (_is_finite(value) and value >= 0):
                raise ConfigurationError(f"{name} must be a number, 0 or greater, not {value!r}")

    @property
    def owned_ended(self) -> bool:
        """Whether the server that was started for this client is known to be gone."""
        return isinstance(self.owned, Ending) and self.owned.ended


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def with_token(headers: Mapping[str, str] | None, token: str | None) -> Mapping[str, str]:
    """The headers, and the one that shows the token, if there is one.

    Raises:
        ConfigurationError: The token is none, or stands in the headers as well.
    """
    if token is None:
        return headers or {}
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("a token is a text without spaces, of ASCII characters")
    if any(name.lower() == "authorization" for name in headers or {}):
        raise ConfigurationError("give either token= or a header Authorization, not both")
    return {**(headers or {}), "Authorization": f"Bearer {token}"}


def types_of(written: Any, base: type[Any]) -> tuple[type[Any] | None, ...]:
    """The A, O, S that a subclass of ``base`` or ``base[A, O, S]`` itself names; ``None`` for each that is no model."""
    found = [a if hasattr(a, "model_validate") else None for a in _arguments(written, base)]
    return (*found, None, None, None)[:3]


def _arguments(written: Any, base: type[Any]) -> tuple[Any, ...]:
    """The type arguments of ``base`` as ``written`` fixes them, through subclasses that are generic themselves."""
    origin = typing.get_origin(written) or written
    if not (isinstance(origin, type) and issubclass(origin, base)):
        return ()
    if origin is base:
        return typing.get_args(written)
    given = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(written), strict=False))
    for parent in origin.__dict__.get("__orig_bases__", ()):
        arguments = _arguments(parent, base)
        if arguments:
            return tuple(given.get(a, a) if isinstance(a, typing.TypeVar) else a for a in arguments)
    return ()
