"""The words everyone uses: what an agent sends, what it gets back, and what an environment says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use
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

# a client without types needs no pydantic, which is half of the time to import one
__getattr__ = on_first_use(__name__, _HOME)
