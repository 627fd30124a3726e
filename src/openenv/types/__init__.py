"""The words everyone uses: what an agent sends, what it gets back, and what an environment says of itself."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openenv.types.result import ActT, ObsT, StateT, StepResult

if TYPE_CHECKING:
    from openenv.types.content import (
        AudioContent,
        Content,
        FileContent,
        ImageContent,
        TextContent,
        as_content,
        content_to_anthropic,
        content_to_openai,
    )
    from openenv.types.models import Action, EnvironmentMetadata, Observation, State

_HOME = {
    "Action": "openenv.types.models",
    "AudioContent": "openenv.types.content",
    "Content": "openenv.types.content",
    "EnvironmentMetadata": "openenv.types.models",
    "FileContent": "openenv.types.content",
    "ImageContent": "openenv.types.content",
    "Observation": "openenv.types.models",
    "State": "openenv.types.models",
    "TextContent": "openenv.types.content",
    "as_content": "openenv.types.content",
    "content_to_anthropic": "openenv.types.content",
    "content_to_openai": "openenv.types.content",
}

__all__ = [
    "ActT",
    "Action",
    "AudioContent",
    "Content",
    "EnvironmentMetadata",
    "FileContent",
    "ImageContent",
    "ObsT",
    "Observation",
    "State",
    "StateT",
    "StepResult",
    "TextContent",
    "as_content",
    "content_to_anthropic",
    "content_to_openai",
]


def __getattr__(name: str) -> Any:  # a client without types needs no pydantic, which is half of the time to import one
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'openenv.types' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value
