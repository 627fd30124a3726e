"""Actions, observations and states between their types and what the protocol carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, cast

from openenv.errors import ActionInvalid, RemoteProtocolError
from openenv.protocol import EncodingFailed, Observed, is_model
from openenv.types import ActT, ObsT, StateT, StepResult
from openenv.types.tagged import TAGGED

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Values", "observation_as"]


@dataclass
class Values(Generic[ActT, ObsT, StateT]):
    """The types of one environment. Where there is none, values are plain dictionaries.

    Attributes:
        action_type, observation_type, state_type: pydantic models, or ``None``.
    """

    action_type: type[Any] | None
    observation_type: type[Any] | None
    state_type: type[Any] | None

    def encode_action(self, action: ActT) -> Any:
        """What of an action goes into a ``Step``; the protocol writes it in the form that is spoken.

        Raises:
            ActionInvalid: It is nothing that can be sent in any form.
        """
        if not isinstance(action, Mapping) and not is_model(action):
            try:
                TAGGED.write(action)
            except EncodingFailed as error:
                raise ActionInvalid(f"the action cannot be sent as JSON: {error}; pass a model or a dict") from error
        return action

    def decode_result(self, reply: Observed) -> StepResult[ObsT]:
        """What a ``reset`` or ``step`` answered."""
        metadata = dict(reply.metadata)
        if reply.seed is not None:
            metadata["seed"] = reply.seed
        if reply.episode_id is not None:
            metadata["episode_id"] = reply.episode_id
        return StepResult(
            observation=self.decode_observation(reply),
            reward=reply.reward,
            done=reply.done,
            terminated=reply.terminated,
            truncated=reply.truncated,
            metadata=metadata,
        )

    def decode_observation(self, reply: Observed) -> ObsT:
        """The observation of such an answer."""
        cls = self.observation_type
        return cast(ObsT, reply.observation if cls is None else observation_as(cls, reply))

    def decode_state(self, state: Any) -> StateT:
        """What ``state`` answered."""
        if self.state_type is None:
            return cast(StateT, state)
        return cast(StateT, _validated(self.state_type, state))


def observation_as(cls: type[Any], reply: Observed) -> Any:
    """The observation of an answer as a model, with what travels beside it.

    Raises:
        RemoteProtocolError: It is none.
    """
    beside = {
        "reward": reply.reward,
        "done": reply.done,
        "terminated": reply.terminated,
        "truncated": reply.truncated,
        "metadata": reply.metadata,
    }
    known = {name: value for name, value in beside.items() if name in cls.model_fields}
    content = {**known, **reply.observation} if isinstance(reply.observation, dict) else reply.observation
    return _validated(cls, content)


def _validated(cls: type[BaseModel], content: Any) -> BaseModel:
    from pydantic import ValidationError  # here: a client without types needs no pydantic

    try:
        return cls.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "answer"
        raise RemoteProtocolError(
            f"the server's answer is no {cls.__name__}: {field}: {first['msg']}; "
            "client and server may have different versions of the environment",
            details={"answer": content},
        ) from error
