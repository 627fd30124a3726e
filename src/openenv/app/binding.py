"""Where a server listens: the TCP socket, and the URL that goes with it."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys

from openenv.errors import ConfigurationError, OpenEnvError, PortInUse

__all__ = ["BACKLOG", "SharedPort", "bind", "url_of"]

BACKLOG = 2048
"""Connections that may wait to be accepted."""


def bind(host: str, port: int, option: str = "--port") -> socket.socket:
    """A TCP socket that listens at an address.

    Args:
        host: Address or host name.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
        option: What another port is chosen with, for errors.

    Raises:
        PortInUse: Another process listens there.
        ConfigurationError: The host is unknown or not this machine's, or the port is not allowed.
    """
    listener = _bound(host, port, option)
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(host, port, option, error) from None
    return listener


class SharedPort:
    """A port that several processes listen on.

    On Linux each has a socket of its own, among which the kernel divides the connections; with a process goes its
    socket, and the others get all that come. Elsewhere all have one socket. The port is kept while nobody listens.

    Args:
        host: Address or host name to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
        option: What another port is chosen with, for errors.

    Raises:
        PortInUse: Another process listens there.
        ConfigurationError: As ``bind`` does.
    """

    def __init__(self, host: str, port: int, option: str = "--port") -> None:
        alone = bind(host, port, option)  # fails where somebody else shares the port
        self._host, self._port, self._option = host, alone.getsockname()[1], option
        self._is_divided = sys.platform == "linux"
        self._held = alone
        if self._is_divided:
            alone.close()
            self._held = self.socket()

    @property
    def url(self) -> str:
        """The address at which this machine reaches it."""
        return url_of(self._held)

    def socket(self) -> socket.socket:
        """A socket for another process, which has to begin to listen on it."""
        if self._is_divided:
            return _bound(self._host, self._port, self._option, shared=True)
        return self._held.dup()

    def close(self) -> None:
        """Let the port go."""
        self._held.close()


def _bound(host: str, port: int, option: str, *, shared: bool = False) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"a port is a number from 0 to 65535, not {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigurationError(
            f"cannot listen on {host!r}: {error}; --host takes an address such as 127.0.0.1"
        ) from None
    # the protocol is named since accepted sockets inherit it, and asyncio turns Nagle's algorithm off for TCP alone
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _keep_alive(listener)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _refused(host, port, option, error) from None
    except BaseException:
        listener.close()
        raise
    return listener


def _refused(host: str, port: int, option: str, error: OSError) -> OpenEnvError:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"port {port} on {host} is in use; stop what listens there, or choose another with {option}")
    return ConfigurationError(f"cannot listen on {host}, port {port}: {error.strerror}")


def _keep_alive(listener: socket.socket) -> None:
    """Let the kernel find out, within about two minutes, that a silent client is gone. Accepted sockets inherit it."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # not every system has all three
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def url_of(listener: socket.socket) -> str:
    """The address at which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{address}:{port}" if address.version == 4 else f"http://[{address}]:{port}"
