"""The warning that a server without authentication can be reached from elsewhere."""

from __future__ import annotations

import ipaddress
import logging

__all__ = ["is_loopback", "warn_if_exposed"]

log = logging.getLogger("openenv.server")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # another host name, or a Unix socket's path
        return host.startswith("/")


def warn_if_exposed(host: str) -> bool:
    """Say loudly that anyone who reaches that address controls every session; returns whether it was said."""
    if is_loopback(host):
        return False
    log.warning(
        "LISTENING ON %s WITHOUT AUTHENTICATION: anyone who can reach it may reset, step and read every session. "
        "Listen on 127.0.0.1, or put a proxy that checks who is asking in front of it.",
        host,
    )
    return True
