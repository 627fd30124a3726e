"""Who may do what at a server that is started from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from openenv.settings import Mode, load_settings

__all__ = ["Guard", "guard"]

_ROLES: dict[Mode, tuple[str, ...]] = {
    "simulation": ("orchestrator", "grader", "observer"),
    "production": ("agent", "observer"),
}


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
