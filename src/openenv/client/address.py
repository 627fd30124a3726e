"""Where a server is: the URL a user types, and the addresses it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from openenv.errors import ConfigurationError

__all__ = ["Address"]

_WEBSOCKET = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_HTTP = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


@dataclass(frozen=True)
class Address:
    """A server's address.

    Attributes:
        websocket: URL of its ``/ws`` endpoint.
        http: Base URL for plain requests, without a slash at the end.
        is_local: Whether it is on this machine.
    """

    websocket: str
    http: str
    is_local: bool

    @staticmethod
    def parse(url: str) -> Address:
        """Read ``http``, ``https``, ``ws`` or ``wss`` URLs, with or without a path.

        Raises:
            ConfigurationError: It is none of these.
        """
        parts = urlsplit(url)
        if parts.scheme not in _WEBSOCKET or not parts.hostname:
            raise ConfigurationError(f"{url!r} is no server address; write it like http://localhost:8000")
        path = parts.path.rstrip("/").removesuffix("/ws")
        return Address(
            websocket=urlunsplit((_WEBSOCKET[parts.scheme], parts.netloc, f"{path}/ws", parts.query, "")),
            http=urlunsplit((_HTTP[parts.scheme], parts.netloc, path, "", "")),
            is_local=parts.hostname in ("localhost", "::1") or parts.hostname.startswith("127."),
        )
