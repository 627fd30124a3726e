"""The models authors subclass: what an agent sends, what it gets back, where the episode stands."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from openenv.types.arrays import with_arrays

__all__ = ["Action", "EnvironmentMetadata", "Observation", "State"]


class _Model(BaseModel):
    """Fields annotated with numpy types are read from lists and numbers, and described as such in schemas."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return with_arrays(handler(source))


class Action(_Model):
    """What an agent sends. Subclass it and add fields.

    Unknown fields are refused unless the subclass sets ``model_config = ConfigDict(extra=...)``.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, arbitrary_types_allowed=True)

    metadata: dict[str, Any] = Field(default_factory=dict, description="Free-form facts about the action.")


class Observation(_Model):
    """What an agent gets back from ``reset`` and ``step``. Subclass it and add fields.

    Attributes:
        done: Whether the episode is over. Alone it means *terminated*.
        reward: Reward of this step, any finite number; ``None`` where none is given, as after a reset.
        terminated: The task came to its own end (won, lost, solved). ``None`` leaves it to ``done``.
        truncated: The episode was cut from outside, by a step or time limit. ``None`` leaves it to ``done``.
        metadata: Free-form facts that are not part of the observation proper.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, arbitrary_types_allowed=True)

    done: bool = Field(default=False, description="Whether the episode is over.")
    reward: bool | int | float | None = Field(default=None, description="Reward of this step, if any.")
    terminated: bool | None = Field(default=None, description="The task came to its own end.")
    truncated: bool | None = Field(default=None, description="The episode was cut from outside.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="Free-form facts beside the observation.")


class State(_Model):
    """Where an episode stands. Unknown fields are kept.

    Attributes:
        episode_id: Name of the running episode, ``None`` before the first reset.
        step_count: Steps taken since the last reset, 0 or more.
    """

    model_config = ConfigDict(extra="allow", validate_assignment=True, arbitrary_types_allowed=True)

    episode_id: str | None = Field(default=None, description="Name of the running episode.")
    step_count: int = Field(default=0, ge=0, description="Steps taken since the last reset.")


class EnvironmentMetadata(BaseModel):
    """What an environment says of itself."""

    name: str = Field(description="Name of the environment.")
    description: str = Field(description="What there is to do in it.")
    readme_content: str | None = Field(default=None, description="Text of its README.")
    version: str | None = Field(default=None, description="Version of the environment.")
    author: str | None = Field(default=None, description="Who made it.")
    documentation_url: str | None = Field(default=None, description="Where to read more.")
