"""Where a server is: the URL a user types, and the addresses it stands for."""

from __future__ import annotations

import ipaddress
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
        wrong = f"{url!r} is no server address; write it like http://localhost:8000"
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError as error:  # brackets that do not match, a port that is no number
            raise ConfigurationError(f"{wrong} ({error})") from None
        if parts.scheme not in _WEBSOCKET or not host or port == 0:
            raise ConfigurationError(wrong)
        path = parts.path.rstrip("/").removesuffix("/ws")
        return Address(
            websocket=urlunsplit((_WEBSOCKET[parts.scheme], parts.netloc, f"{path}/ws", parts.query, "")),
            http=urlunsplit((_HTTP[parts.scheme], parts.netloc, path, "", "")),
            is_local=_is_local(host),
        )


def _is_local(host: str) -> bool:
    if host.rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name
        return False
    return address.is_loopback or address.is_unspecified
