"""What is served: how to build an environment, and the types that go in and come out."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import Raw
from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaValidator

from openenv.environment import Environment, EnvironmentPlan
from openenv.errors import ActionInvalid, ConfigurationError
from openenv.protocol import EncodingFailed, fields_beside, rich_fields, to_json
from openenv.types.tagged import TAGGED

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["AnyEnvironment", "EnvironmentSpec", "plan_of_factory"]

AnyEnvironment = Environment[Any, Any, Any]


@dataclass(frozen=True)
class EnvironmentSpec:
    """One environment, ready to be served.

    Attributes:
        name: Name it is served under.
        factory: Builds one instance; called once per session.
        action_type, observation_type, state_type: pydantic models of what goes in and comes out.
        plan: What its class takes, where the class is known without building an instance.
    """

    name: str
    factory: Callable[[], AnyEnvironment]
    action_type: type[BaseModel]
    observation_type: type[BaseModel]
    state_type: type[BaseModel]
    plan: EnvironmentPlan | None

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
                    "class MyEnv(Environment[MyAction, MyObservation, State])"
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

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether actions and observations can only hold plain JSON, as their classes tell."""
        action, observation = rich_fields(self.action_type), rich_fields(self.observation_type)
        if action is None or observation is None:
            return False
        return action <= {"metadata"} and observation <= fields_beside(self.observation_type)

    @functools.cached_property
    def _action_adapter(self) -> TypeAdapter[Any]:
        from pydantic import TypeAdapter  # here: a server waits for its first session without it

        return TypeAdapter(self.action_type)

    @functools.cached_property
    def _read_json(self) -> Callable[[bytes], Any]:
        validator = self._action_adapter.validator
        return validator.validate_json if isinstance(validator, SchemaValidator) else self._action_adapter.validate_json

    def parse_action(self, sent: Any) -> Any:
        """An action from JSON text (``Raw`` or bytes), or from the value that was sent where it needed more than JSON.

        Raises:
            ActionInvalid: It does not fit; ``details["errors"]`` says which field and why.
        """
        is_text = isinstance(sent, (Raw, bytes))
        try:
            return self._read_json(bytes(sent)) if is_text else self._action_adapter.validate_python(sent)
        except ValidationError as error:
            write = to_json if is_text else TAGGED.write
            errors = [_sendable(dict(entry), write) for entry in error.errors(include_url=False, include_context=False)]
            first = errors[0]
            field = ".".join(str(part) for part in first["loc"]) or "action"
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise ActionInvalid(
                f"invalid {self.action_type.__name__}: {field}: {first['msg']}{more}",
                details={"errors": errors},
            ) from None
        except BaseException as error:  # an author's validator may raise anything, also sys.exit; no await is in here
            told = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise ActionInvalid(
                f"invalid {self.action_type.__name__}: its validator raised {told}",
                details={"errors": [{"loc": [], "msg": told, "type": "validator_raised"}]},
            ) from error


def _sendable(entry: dict[str, Any], write: Callable[[Any], Any]) -> dict[str, Any]:
    """One field's error as it can be sent; an input that a validator made into something else is left out."""
    entry["loc"] = list(entry["loc"])
    try:
        write(entry["input"])
    except EncodingFailed:
        del entry["input"]
    return entry


def _any_state() -> type[BaseModel]:
    from openenv.types import State

    return State


def plan_of_factory(factory: Callable[[], Any]) -> EnvironmentPlan | None:
    """The plan of the class a factory builds, where that can be told without calling it."""
    if isinstance(factory, functools.partial):
        return plan_of_factory(factory.func)
    if isinstance(factory, type):
        return EnvironmentPlan.of(factory) if issubclass(factory, Environment) else None
    try:
        returned = typing.get_type_hints(factory).get("return")
    except (NameError, TypeError):  # names known to a type checker alone, or a callable without annotations
        return None
    known = isinstance(returned, type) and issubclass(returned, Environment) and not inspect.isabstract(returned)
    return EnvironmentPlan.of(returned) if known else None
