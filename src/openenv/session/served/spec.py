"""What is served: how to build an environment, and the types that go in and come out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from openenv.environment import Environment, EnvironmentPlan
from openenv.environment.plan import plan_of_factory
from openenv.errors import ConfigurationError
from openenv.protocol import fields_beside, rich_fields
from openenv.session.served.actions import ActionParser

if TYPE_CHECKING:
    from openenv.tools import Mode

__all__ = ["AnyEnvironment", "EnvironmentSpec"]

AnyEnvironment = Environment[Any, Any, Any]


@dataclass(frozen=True)
class EnvironmentSpec:
    """One environment, ready to be served.

    Attributes:
        name: Name it is served under.
        factory: Builds one instance; called once per session.
        action_type, observation_type, state_type: pydantic models of what goes in and comes out.
        plan: What its class takes, where the class is known without building an instance.
        mode: What its tools are there for: an episode that is trained on, or the real thing.
        credentials: Secrets that the environment is given, by name; in no repr, and in nothing that is kept or sent.
        mounts: Outside MCP servers that are mounted besides; ``with_mounts`` sets them.
    """

    name: str
    factory: Callable[[], AnyEnvironment]
    action_type: type[BaseModel]
    observation_type: type[BaseModel]
    state_type: type[BaseModel]
    plan: EnvironmentPlan | None
    mode: Mode = "simulation"
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    mounts: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @staticmethod
    def of(
        env: Callable[[], AnyEnvironment],
        action_type: type[BaseModel] | None = None,
        observation_type: type[BaseModel] | None = None,
        name: str | None = None,
    ) -> EnvironmentSpec:
        """The spec of an environment class or factory; types it is not told come from the class.

        Raises:
            ConfigurationError: ``env`` is an instance or cannot be called, or a type is no pydantic model.
        """
        if isinstance(env, Environment):
            cls = type(env).__name__
            raise ConfigurationError(
                f"got an instance of {cls}; every session builds its own, so pass the class {cls} "
                f"or a function that makes one, such as lambda: {cls}(...)"
            )
        if not callable(env):
            raise ConfigurationError(f"env must be an Environment class or a function that makes one, not {env!r}")
        plan = plan_of_factory(env)
        action = action_type or (plan.action_type if plan else None)
        observation = observation_type or (plan.observation_type if plan else None)
        for what, given in (("action", action), ("observation", observation)):
            if not (isinstance(given, type) and issubclass(given, BaseModel)):
                raise ConfigurationError(
                    f"the {what} type must be a pydantic model, not {given!r}; pass {what}_cls, or write "
                    "class MyEnv(Environment[MyAction, MyObservation, State]); one of several kinds is a model with "
                    "a field that is a union of theirs"
                )
        assert action is not None and observation is not None  # for the type checker: the loop has seen to it
        default_name = plan.name if plan else getattr(env, "__name__", type(env).__name__)
        state = plan.state_type if plan else None
        return EnvironmentSpec(
            name=name or default_name,
            factory=env,
            action_type=action,
            observation_type=observation,
            state_type=state if isinstance(state, type) and issubclass(state, BaseModel) else _any_state(),
            plan=plan,
        )

    def equipped(
        self, mode: Mode | None, credentials: Mapping[str, str] | None, mounts: Sequence[Mapping[str, Any]] = ()
    ) -> EnvironmentSpec:
        """The same with what is given of these."""
        spec = self.with_mounts(mounts) if mounts else self
        own = spec.credentials if credentials is None else dict(credentials)
        return replace(spec, mode=mode or spec.mode, credentials=own)

    def with_mounts(self, servers: Sequence[Mapping[str, Any]]) -> EnvironmentSpec:
        """The same with outside MCP servers mounted.

        Args:
            servers: Each as ``ServerDescription.of`` takes it, and its ``name``.

        Raises:
            ConfigurationError: It has no tools, or a server cannot be described so.
        """
        spec = replace(self, mounts=(*self.mounts, *servers))
        return replace(spec, plan=plan_of_factory(spec.build))

    @functools.cached_property
    def build(self) -> Callable[[], AnyEnvironment]:
        """The factory, or what does the same and mounts what is to be mounted."""
        if not self.mounts:
            return self.factory
        from openenv.session.served.mounted import mounting  # here: most servers mount none

        return mounting(self.factory, self.mounts)

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether actions and observations can only hold plain JSON, as their classes tell."""
        action, observation = rich_fields(self.action_type), rich_fields(self.observation_type)
        if action is None or observation is None:
            return False
        return action <= {"metadata"} and observation <= fields_beside(self.observation_type)

    @functools.cached_property
    def actions(self) -> ActionParser:
        """Reads actions of its own type."""
        return ActionParser(self.action_type)

    def parse_action(self, sent: Any) -> Any:
        """An action of its own type from JSON text (``Raw`` or bytes), or from a value; see ``ActionParser``.

        Raises:
            ActionInvalid: It does not fit; ``details["errors"]`` says which field and why.
        """
        return self.actions.parse(sent)


def _any_state() -> type[BaseModel]:
    from openenv.types import State

    return State
