"""Python code in a sandbox, served: models and client; the environment is in ``openenv_coding.server``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_coding.models import CodingAction, CodingObservation, CodingState

if TYPE_CHECKING:
    from openenv_coding.client import CodingClient

__all__ = ["CodingAction", "CodingClient", "CodingObservation", "CodingState"]


def __getattr__(name: str) -> Any:  # a server of this environment has no use for the client
    if name != "CodingClient":
        raise AttributeError(f"module 'openenv_coding' has no attribute {name!r}")
    from openenv_coding.client import CodingClient

    return CodingClient
