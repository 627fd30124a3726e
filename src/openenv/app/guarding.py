"""Who may do what at a server, where that is said on the command line or by environment variables."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openenv.settings import Mode, load_settings, secret_source

if TYPE_CHECKING:
    from openenv.server import AccessOptions

__all__ = ["Guard", "guard", "guard_of_settings", "token_variable", "unasked_tokens"]

log = logging.getLogger("openenv.server")

_ROLES: dict[Mode, tuple[str, ...]] = {
    "simulation": ("orchestrator", "grader", "observer"),
    "production": ("agent", "observer"),
}
_WITH_TOKENS = ("orchestrator", "agent", "grader", "observer")


@dataclass(frozen=True)
class Guard:
    """What was decided.

    Attributes:
        options: Fields of ``SessionOptions.of``, of JSON values.
        drawn: Tokens that nobody knows yet, by the names of their roles.
        given: Roles whose tokens come from the settings.
    """

    options: dict[str, Any]
    drawn: dict[str, str] = field(default_factory=dict, repr=False)
    given: tuple[str, ...] = ()


def guard(
    *, auth: bool, mode: Mode | None, allowed_hosts: Sequence[str] = (), allowed_origins: Sequence[str] = ()
) -> Guard:
    """Decide it. Tokens that the settings do not have are drawn.

    Args:
        auth: Whether tokens have to be shown.
        mode: What is served for; ``None``: what the application says.
        allowed_hosts, allowed_origins: As ``AccessOptions`` takes them.

    Raises:
        ConfigurationError: A token cannot be read.
    """
    options: dict[str, Any] = {
        "mode": mode,
        "auth": auth,
        "allowed_hosts": list(allowed_hosts),
        "allowed_origins": list(allowed_origins),
    }
    if not auth:
        return Guard(options)
    from openenv.server import Role, drawn_tokens  # here: who only starts workers needs no server

    roles = _ROLES[mode or "simulation"]
    settings = load_settings(only=[f"{role}_token" for role in roles])
    given = {role: token for role in roles if (token := getattr(settings, f"{role}_token")) is not None}
    drawn = {role.value: token for role, token in drawn_tokens(Role(one) for one in roles if one not in given).items()}
    options["tokens"] = {**given, **drawn}
    return Guard(options, drawn, tuple(given))


def unasked_tokens() -> str | None:
    """Which tokens are set though nobody is asked for one, as the beginning of a sentence; ``None``: none are."""
    settings = load_settings(only=[f"{role}_token" for role in _WITH_TOKENS])
    set_ones = [role for role in _WITH_TOKENS if getattr(settings, f"{role}_token") is not None]
    if not set_ones:
        return None
    return f"nobody is asked for the token of {', '.join(secret_source(token_variable(role)) for role in set_ones)}"


def token_variable(role: str) -> str:
    """The environment variable that holds the token of a role."""
    return f"OPENENV_{role.upper()}_TOKEN"


def guard_of_settings(mode: Mode) -> AccessOptions | None:
    """Who may do what as the environment variables alone say it, for another server than ours; ``None``: anybody.

    A role whose token no variable has is nobody's, since nobody could be told of one that is drawn.

    Raises:
        ConfigurationError: A variable cannot be, or a token cannot be read.
    """
    settings = load_settings(only=("auth", "allowed_hosts"))
    told = None if settings.auth else unasked_tokens()
    if told is not None:
        log.warning("%s; set OPENENV_AUTH=1", told)
    if not (settings.auth or settings.allowed_hosts):
        return None
    from openenv.server import AccessOptions, Role  # here: see above

    of_roles = load_settings(only=[f"{role}_token" for role in _ROLES[mode]]) if settings.auth else None
    tokens = {Role(role): getattr(of_roles, f"{role}_token", None) for role in _ROLES[mode]}
    known = {role: token for role, token in tokens.items() if token is not None}
    if settings.auth and not known:
        log.warning("nobody is let in: OPENENV_AUTH is set, and %s is not", token_variable(_ROLES[mode][0]))
    return AccessOptions(settings.auth, known, settings.allowed_hosts)
