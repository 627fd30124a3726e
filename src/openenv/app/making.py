"""``make``: from a name, a path or a URL to a client that plays."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from openenv.app.resolve import Local, Remote, resolve
from openenv.client import EnvClient, GenericEnvClient, SyncEnvClient
from openenv.errors import ConfigurationError, OpenEnvError
from openenv.runtime import EmbeddedRuntime

if TYPE_CHECKING:
    from openenv.client import MCPToolClient, SyncMCPToolClient

__all__ = ["ClientArguments", "embedded", "make"]


class ClientArguments(TypedDict, total=False):
    """What may be set about the client; see ``EnvClient``."""

    action_type: type[Any]
    observation_type: type[Any]
    state_type: type[Any]
    connect_timeout_s: float
    message_timeout_s: float | None
    max_message_bytes: int
    headers: Mapping[str, str]
    token: str | None
    reconnect_timeout_s: float
    liveness_timeout_s: float
    queue_timeout_s: float
    on_queued: Callable[[int], None] | None


@overload
def make(
    target: str,
    *,
    asynchronous: Literal[False] = False,
    client_class: type[MCPToolClient[Any, Any, Any]],
    max_sessions: int | None = None,
    start_timeout_s: float = 120.0,
    **client: Unpack[ClientArguments],
) -> SyncMCPToolClient[Any, Any, Any]: ...
@overload
def make(
    target: str,
    *,
    asynchronous: Literal[True],
    client_class: type[MCPToolClient[Any, Any, Any]],
    max_sessions: int | None = None,
    start_timeout_s: float = 120.0,
    **client: Unpack[ClientArguments],
) -> MCPToolClient[Any, Any, Any]: ...
@overload
def make(
    target: str,
    *,
    asynchronous: Literal[False] = False,
    client_class: type[EnvClient[Any, Any, Any]] | None = None,
    max_sessions: int | None = None,
    start_timeout_s: float = 120.0,
    **client: Unpack[ClientArguments],
) -> SyncEnvClient[Any, Any, Any]: ...
@overload
def make(
    target: str,
    *,
    asynchronous: Literal[True],
    client_class: type[EnvClient[Any, Any, Any]] | None = None,
    max_sessions: int | None = None,
    start_timeout_s: float = 120.0,
    **client: Unpack[ClientArguments],
) -> EnvClient[Any, Any, Any]: ...
@overload
def make(
    target: str,
    *,
    asynchronous: bool,
    client_class: type[EnvClient[Any, Any, Any]] | None = None,
    max_sessions: int | None = None,
    start_timeout_s: float = 120.0,
    **client: Unpack[ClientArguments],
) -> SyncEnvClient[Any, Any, Any] | EnvClient[Any, Any, Any]: ...


def make(
    target: str,
    *,
    asynchronous: bool = False,
    client_class: type[EnvClient[Any, Any, Any]] | None = None,
    max_sessions: int | None = None,
    start_timeout_s: float = 120.0,
    **client: Unpack[ClientArguments],
) -> SyncEnvClient[Any, Any, Any] | EnvClient[Any, Any, Any]:
    """A client of an environment, whose server is started with it and ends with it.

    Example::

        with openenv.make("blackjack") as env:
            result = env.reset(seed=7)

    Starting a server takes a moment, in which the caller waits; inside an event loop that has other things to do,
    write ``await asyncio.to_thread(openenv.make, "blackjack", asynchronous=True)``.

    Args:
        target: Name of an installed environment (``blackjack``); path of a directory with ``openenv.yaml``
            (``./my_env``) or of a Python file (``my_env.py``, ``my_env.py:MyEnvironment``); something importable
            (``module:attribute``, an app, an Environment class or a function that makes one); or the URL of a
            server that runs already, which is only connected to.
        asynchronous: ``True`` for an ``EnvClient``, whose methods are awaited.
        client_class: The asynchronous class of the client, such as ``MCPToolClient``, which calls tools by name.
            ``None``: the one that the environment's package names, else one of dictionaries.
        max_sessions: Sessions that the started server keeps at the same time; ``None``: what its app says.
        start_timeout_s: Seconds until the started server must be listening.
        **client: Options of the client. Types that are not given are those of its class.

    Raises:
        EnvironmentNotFound: There is nothing by that name or path.
        ConfigurationError: What is there cannot be served, or not so.
        RuntimeFailure: The server ended before it was listening, or did not listen in time.
    """
    if client_class is not None and not (isinstance(client_class, type) and issubclass(client_class, EnvClient)):
        raise ConfigurationError(f"client_class must be a subclass of EnvClient, not {client_class!r}")
    found = resolve(target)
    made: EnvClient[Any, Any, Any]
    if isinstance(found, Remote):
        if max_sessions is not None:
            raise ConfigurationError(f"{found.url} runs already; its sessions are set where it is started")
        made = (client_class or _untyped(client))(found.url, **client)
    else:
        client_class = client_class or (_client_class(found) if found.client else _untyped(client))
        sessions = {"max_sessions": max_sessions}
        server = embedded(found, sessions=sessions, start_timeout_s=start_timeout_s).start()
        try:
            made = client_class(server.url, owned=server, **client)
        except BaseException:
            server.close()
            raise
    return made if asynchronous else made.sync()


def embedded(
    local: Local,
    *,
    sessions: Mapping[str, Any] = MappingProxyType({}),
    start_timeout_s: float = 120.0,
    host: str = "127.0.0.1",
    port: int = 0,
    agent_port: int | None = None,
    debug: bool = False,
) -> EmbeddedRuntime:
    """The runtime that serves an environment from a child process; nothing is started yet.

    Args:
        local: What to serve.
        sessions: Fields of ``load.SessionOptions``.
        start_timeout_s: Seconds until it must be listening.
        host, port: Where to listen.
        agent_port: Port of the agents, if they are to have one of their own.
        debug: Log everything.
    """
    return EmbeddedRuntime(
        "openenv.app.child",
        {
            "app": local.app,
            "name": local.name,
            "import_roots": list(local.import_roots),
            "credentials": [asdict(one) for one in local.credentials],
            "mcp_servers": list(local.mcp_servers),
            "sessions": dict(sessions),
            "host": host,
            "port": port,
            "agent_port": agent_port,
            "debug": debug,
        },
        name=local.name,
        start_timeout_s=start_timeout_s,
    )


def _untyped(client: ClientArguments) -> type[EnvClient[Any, Any, Any]]:
    asked = {"action_type", "observation_type", "state_type"} & client.keys()
    return EnvClient if asked else GenericEnvClient


def _client_class(local: Local) -> type[EnvClient[Any, Any, Any]]:
    """The typed client that a package names."""
    module, _, attribute = (local.client or "").partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except OpenEnvError:
        raise
    except Exception as error:  # whatever the package raises; a client that is not its own would hide it
        raise ConfigurationError(
            f"the client {local.client} of {local.name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, EnvClient)):
        raise ConfigurationError(f"{local.client} is named as the client of {local.name}, but is no EnvClient class")
    return found
