"""The warning that a server without authentication can be reached from elsewhere."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["EXPOSURE", "Exposure", "is_address", "is_loopback", "warn_if_exposed"]

log = logging.getLogger("openenv.server")


@lru_cache(maxsize=64)  # looked up at every request, and there are few
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # another host name, or a Unix socket's path
        return host.startswith("/")


@lru_cache(maxsize=64)
def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Exposure:
    """Whether it was said that others can reach the sessions: by who listens, or at the first request."""

    def __init__(self) -> None:
        self._said = self._is_quiet = False

    def keep_quiet(self) -> None:
        """Another process of the same server says it."""
        self._said = self._is_quiet = True

    def listening(self, host: str) -> bool:
        """Say it if that address is not loopback; returns whether it was said."""
        if is_loopback(host) or self._is_quiet:
            return False
        self._said = True
        log.warning(
            "LISTENING ON %s WITHOUT AUTHENTICATION: anyone who can reach it may reset, step and read every session. "
            "Start it with --auth, listen on 127.0.0.1, or put a proxy that checks who is asking in front of it.",
            host,
        )
        return True

    def reached(self, scope: Mapping[str, Any]) -> None:
        """Say it, once, if a request or connection came in at an address that is not loopback.

        Args:
            scope: Its ASGI scope. A server that listens puts an IP address there; names are those of test clients.
        """
        host = (scope.get("server") or ("",))[0]
        if not self._said and is_address(host):
            self.listening(host)


EXPOSURE = Exposure()
"""Of this process: applications under any server keep quiet once ``warn_if_exposed`` has spoken."""


def warn_if_exposed(host: str) -> bool:
    """Say loudly that anyone who reaches that address controls every session; returns whether it was said."""
    return EXPOSURE.listening(host)
