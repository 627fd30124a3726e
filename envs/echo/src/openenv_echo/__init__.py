"""Echo: an environment that answers what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_echo.models import EchoAction, EchoObservation, EchoState

if TYPE_CHECKING:
    from openenv_echo.client import EchoClient

__all__ = ["EchoAction", "EchoClient", "EchoObservation", "EchoState"]


def __getattr__(name: str) -> Any:  # a server of this environment has no use for the client
    if name != "EchoClient":
        raise AttributeError(f"module 'openenv_echo' has no attribute {name!r}")
    from openenv_echo.client import EchoClient

    return EchoClient
