"""Who may do what: the roles, the one table of what each may, and the check of a request."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Protocol

from openenv.errors import ConfigurationError, Forbidden, OpenEnvError, Unauthorized
from openenv.server.bearer import bearer_in, session_named
from openenv.server.exposure import EXPOSURE, Exposure
from openenv.server.hosts import Hosts

__all__ = ["CONTROL", "TABLE", "Access", "AccessOptions", "Role", "drawn_tokens"]

_SHORTEST_TOKEN = 16

Scope = Mapping[str, Any]


class Role(StrEnum):
    """What somebody is to a server."""

    ORCHESTRATOR = "orchestrator"
    """Controls episodes: a trainer. May do everything."""
    AGENT = "agent"
    """Plays one episode over MCP; sees neither rewards nor what controls the episode."""
    GRADER = "grader"
    """Reads the state and the outcome."""
    OBSERVER = "observer"
    """Follows the events."""


_O, _A, _G, _V = Role.ORCHESTRATOR, Role.AGENT, Role.GRADER, Role.OBSERVER

ANYBODY: Final[frozenset[Role]] = frozenset()
"""Also who shows no token."""

TABLE: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "health": ANYBODY,  # GET /health
        "ready": ANYBODY,  # GET /ready
        "connect": frozenset({_O}),  # WebSocket /ws
        "converse": frozenset({_O}),  # WebSocket /mcp, of older clients; in production as "mcp"
        "reset": frozenset({_O}),  # POST /reset
        "step": frozenset({_O}),  # POST /step
        "open": frozenset({_O}),  # POST /sessions
        "close": frozenset({_O}),  # DELETE /sessions/{session_id}
        "agent": frozenset({_O}),  # POST /sessions/{session_id}/agent
        "state": frozenset({_O, _G}),  # GET /state, GET /sessions/{session_id}/state
        "outcome": frozenset({_O, _G}),  # GET /sessions/{session_id}/outcome
        "events": frozenset({_O, _G, _V}),  # GET /sessions/{session_id}/events
        "schema": frozenset({_O, _G, _V}),  # GET /schema
        "metadata": frozenset({_O, _G, _V}),  # GET /metadata
        "lock": frozenset({_O, _G, _V}),  # GET /lock
        "mcp": frozenset({_O, _A}),  # any method, /mcp and /sessions/{session_id}/mcp
    }
)
"""Who may do what. An agent's token is good for the MCP endpoint of its own session alone."""

CONTROL = frozenset(("connect", "reset", "step", "open", "close", "agent", "state", "outcome", "events"))
"""What does not exist in production."""

_AGENT_PLANE = frozenset(("health", "mcp"))
"""What exists at a port for agents."""


class Guarded(Protocol):
    """A session as far as its agents are concerned."""

    @property
    def id(self) -> str:
        """Its name."""

    def admits(self, token: str) -> bool:
        """Whether an agent's token is good for its running episode."""


@dataclass(frozen=True)
class AccessOptions:
    """Whether and how requests are checked.

    Attributes:
        enabled: Whether a token has to be shown.
        tokens: That of each role, of 16 characters or more, no two the same. A role without one is nobody's. That of
            ``AGENT`` is good in production alone, where every MCP client has an environment of its own.
        allowed_hosts: Names that the server answers to besides its own; see ``Hosts``.
        allowed_origins: Web pages that may speak to it besides those of its own host.

    Raises:
        ConfigurationError: A token is too short, or that of two roles.
    """

    enabled: bool = True
    tokens: Mapping[Role, str] = field(default_factory=dict, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for role, token in self.tokens.items():
            if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
                raise ConfigurationError(
                    f"the token of the {Role(role).value} must have {_SHORTEST_TOKEN} characters or more, ASCII "
                    "without spaces; `python -c 'import secrets; print(secrets.token_urlsafe(32))'` makes one"
                )
        if len(set(self.tokens.values())) < len(self.tokens):
            raise ConfigurationError("two roles have the same token; each needs its own")


def drawn_tokens(roles: Iterable[Role]) -> dict[Role, str]:
    """New tokens."""
    return {role: f"oe-{role.value}-{secrets.token_urlsafe(32)}" for role in roles}


class Access:
    """Lets requests in, or not.

    Args:
        options: ``None``: nobody needs a token.
        find: Gives the session with an id if it lives; raises ``OpenEnvError`` if there is none.
        exposure: Is told of every request that nobody has to show a token for.

    Attributes:
        enabled: Whether a token has to be shown.
        tokens: That of each role.
        hosts: Which names and pages are let in.
        production: Whether there is no control at all.
        agent_port: The port of the agents, where they have one of their own.
    """

    def __init__(
        self,
        options: AccessOptions | None = None,
        find: Callable[[str], Guarded] | None = None,
        exposure: Exposure = EXPOSURE,
    ) -> None:
        self._find = find
        self._exposure = exposure
        self._bound: str | None = None
        self.production = False
        self.agent_port: int | None = None
        self.configure(options or AccessOptions(enabled=False))

    def configure(self, options: AccessOptions) -> None:
        """Check as these say from now on."""
        self.enabled, self.tokens = options.enabled, options.tokens
        self._digests = [(role, _digest(token)) for role, token in options.tokens.items()]
        self.hosts = Hosts(options.allowed_hosts, options.allowed_origins)
        self.hosts.bound = self._bound

    def listening(self, host: str) -> None:
        """Take note of the address or host name that is listened on; say so loudly if that is a danger."""
        self.hosts.bound = self._bound = host
        if not self.enabled:
            self._exposure.listening(host)

    def check(self, scope: Scope, operation: str) -> Role | None:
        """Let a request in that is not for MCP.

        Args:
            scope: Its ASGI scope.
            operation: Its row in ``TABLE``.

        Returns:
            Whose it is; ``None``: that was not asked. Everybody is an orchestrator where no token is needed.

        Raises:
            Unauthorized: It shows no token, or none that is good.
            Forbidden: The role may not do that, or it comes from a host or page that is not let in.
        """
        allowed = TABLE[operation]
        if not self.enabled:
            self._exposure.reached(scope)
        if not allowed:
            return None
        if self.is_agent_plane(scope) and operation not in _AGENT_PLANE:
            raise Forbidden("this is the port of the agents; there is nothing but MCP")
        host, origin, token = _credentials(scope)
        self.hosts.check(host, origin, _address(scope))
        if not self.enabled:
            return Role.ORCHESTRATOR
        role = self._role(token) or self._agent(token)
        if role is None:
            raise _unauthorized(token)
        if role not in allowed:
            raise Forbidden(f"the token of {_WHO[role]} does not allow {operation}")
        return role

    def is_agent_plane(self, scope: Scope) -> bool:
        """Whether a request came in at the port of the agents."""
        return self.agent_port is not None and _port(scope) == self.agent_port

    def admit_mcp(self, scope: Scope, session: Guarded | None) -> Role:
        """Let a request for MCP in.

        Args:
            scope: Its ASGI scope.
            session: The session that it is about; ``None``: one that is to be opened, or found by other means.

        Returns:
            Whose it is.

        Raises:
            Unauthorized: It shows no token, or none that is good for this session and its running episode. Where no
                token is needed, one that is shown has to be good all the same.
            Forbidden: The role may not use MCP, or not at this port, or it comes from a host or page that is not let
                in.
        """
        host, origin, token = _credentials(scope)
        self.hosts.check(host, origin, _address(scope), strictly=True)
        role = self._role(token) if self.enabled else self._where_none_is_needed(scope, token, session)
        if role is Role.AGENT and not self.production:
            role = None
        if role is None and session is not None and token is not None and session.admits(token):
            role = Role.AGENT
        if role is None:
            raise _unauthorized(token)
        if role not in TABLE["mcp"]:
            raise Forbidden(f"the token of {_WHO[role]} does not allow MCP")
        if role is Role.AGENT and self.agent_port not in (None, _port(scope)):
            raise Forbidden(f"agents are served at port {self.agent_port}")
        return role

    def _role(self, token: str | None) -> Role | None:
        """The role of a token that is not of one session. All are compared, so that the time tells nothing."""
        shown, found = _digest(token or ""), None
        for role, digest in self._digests:
            if hmac.compare_digest(digest, shown):
                found = role
        return found

    def _agent(self, token: str | None) -> Role | None:
        """The role of an agent's token, wherever its session is asked for."""
        named = session_named(token)
        if token is None or named is None or self._find is None:
            return None
        try:
            session = self._find(named)
        except OpenEnvError:
            return None
        return Role.AGENT if session.admits(token) else None

    def _where_none_is_needed(self, scope: Scope, token: str | None, session: Guarded | None) -> Role | None:
        self._exposure.reached(scope)
        is_about = session is not None and token is not None
        if is_about and self.production:  # tokens that are not the session's may be those of a proxy in front
            is_about = token is not None and session is not None and token.partition(".")[0] == session.id
        return None if is_about else Role.ORCHESTRATOR


_WHO = {
    Role.ORCHESTRATOR: "the orchestrator",
    Role.AGENT: "an agent",
    Role.GRADER: "the grader",
    Role.OBSERVER: "the observer",
}


def _unauthorized(token: str | None) -> Unauthorized:
    if token is None:
        return Unauthorized("show a token: Authorization: Bearer <token>")
    return Unauthorized("the token is wrong, of another episode, or has expired")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()  # of one length, so that comparing tells nothing of it


def _credentials(scope: Scope) -> tuple[str | None, str | None, str | None]:
    """Host, origin and bearer token of a request."""
    host = origin = token = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.decode("latin-1")
        elif name == b"origin":
            origin = value.decode("latin-1")
        elif name == b"authorization":
            token = bearer_in(value)
    return host, origin, token


def _address(scope: Scope) -> str | None:
    server = scope.get("server")
    return str(server[0]) if server else None


def _port(scope: Scope) -> int | None:
    server = scope.get("server")
    return server[1] if server else None
