"""Which names a server answers to, and which web pages may speak to it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from openenv.errors import Forbidden
from openenv.server.exposure import is_address, is_loopback

__all__ = ["Hosts", "host_name"]


class Hosts:
    """Refuses what a web page has brought here under a foreign name, which is how it gets at servers on loopback.

    ``Host`` is compared where the server listens on loopback, or where names are given; the server's own address and,
    on loopback, every name of loopback are let in. ``Origin``, if there is one, must be of the host that is asked, or
    given. Where no address is known, as under a test client, ``Host`` is not compared.

    Args:
        hosts: Names besides, without port; ``*`` for any, ``*.example.org`` for those below one.
        origins: Origins besides, such as ``https://example.org``; ``*`` for any.

    Attributes:
        bound: The address or host name that is listened on, where that is known.
    """

    def __init__(self, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._hosts = frozenset(one.lower() for one in hosts)
        self._origins = frozenset(one.lower().rstrip("/") for one in origins)
        self.bound: str | None = None
        self.check = lru_cache(maxsize=256)(self._check)  # clients are few, and each says the same every time

    def _check(self, host: str | None, origin: str | None, address: str | None, *, strictly: bool = False) -> None:
        """Let a request in.

        Args:
            host, origin: The headers.
            address: Where it came in, as ASGI has it.
            strictly: Whether a server that listens everywhere compares ``Host`` too, where it came in on loopback.

        Raises:
            Forbidden: It is not let in.
        """
        name = host_name(host)
        if name is not None and not self._is_ours(name, address, strictly):
            raise Forbidden(
                f"this server does not answer to the name {name!r}; start it with --allowed-host {name} if it should"
            )
        if origin is not None and not self._may_speak(origin, name):
            raise Forbidden(
                f"pages of {origin} may not speak to this server; start it with --allowed-origin {origin} if they may"
            )

    def _is_ours(self, name: str, address: str | None, strictly: bool) -> bool:
        here = address if address is not None and is_address(address) else None
        listens = here if strictly or self.bound is None else self.bound
        is_local = listens is not None and is_loopback(listens)
        if not (is_local or self._hosts):
            return True
        if name in (here, self.bound) or (is_local and _is_local_name(name)) or "*" in self._hosts:
            return True
        return name in self._hosts or any(one[0] == "*" and name.endswith(one[1:]) for one in self._hosts if one)

    def _may_speak(self, origin: str, name: str | None) -> bool:
        if "*" in self._origins or origin.lower() in self._origins:
            return True
        try:
            page = urlsplit(origin).hostname
        except ValueError:
            return False
        if page is None or name is None:
            return False
        return page == name or (_is_local_name(page) and _is_local_name(name))


def host_name(host: str | None) -> str | None:
    """The name in a ``Host`` header, without its port and in lower case."""
    if host is None:
        return None
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].removesuffix(".")


def _is_local_name(name: str) -> bool:
    return name.endswith(".localhost") or (not name.startswith("/") and is_loopback(name))
