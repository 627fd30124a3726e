"""What an environment class takes and returns, worked out once per class."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from openenv.environment.base import Environment, Isolation, Lifecycle
from openenv.errors import ConfigurationError
from openenv.types import Action, Observation, State

__all__ = ["EnvironmentPlan", "KeywordFilter", "class_of_factory", "plan_of_factory"]


@dataclass(frozen=True)
class KeywordFilter:
    """The keyword arguments a function takes.

    Attributes:
        names: Arguments that it names itself.
        takes_any: Whether it takes any other through ``**kwargs``.
    """

    names: frozenset[str]
    takes_any: bool

    @staticmethod
    def of(function: Callable[..., Any], positional: int = 0) -> KeywordFilter:
        """Read the signature of a function, leaving out the leading parameters that are passed by position."""
        parameters = list(inspect.signature(function).parameters.values())[positional:]
        return KeywordFilter(
            frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)),
            any(p.kind is p.VAR_KEYWORD for p in parameters),
        )

    def known(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the arguments that the function takes."""
        if self.takes_any:
            return dict(arguments)
        return {name: value for name, value in arguments.items() if name in self.names}

    def unknown(self, arguments: Mapping[str, Any]) -> list[str]:
        """Names of the arguments that it does not take."""
        return [] if self.takes_any else sorted(set(arguments) - self.names)


@dataclass(frozen=True)
class EnvironmentPlan:
    """All questions about an environment class, answered once.

    Attributes:
        name: The class's name.
        is_async: Whether ``reset_async`` or ``step_async`` is overridden, by no older class than its twin.
        reset: What ``reset`` (or its asynchronous twin, where that is overridden) takes.
        step: The same for ``step``; the action comes first and by position.
        lifecycle: ``strict`` or ``lenient``.
        concurrent: Whether several instances may live in one process.
        needs_own_thread: Whether it must never run in the server's thread.
        isolation: Where it wants to live; ``None``: wherever it is best.
        deterministic: Whether it says that it can be played again.
        volatile: Fields that may then differ.
        snapshots: Whether it takes snapshots.
        batches: Whether it steps several of its instances in one call.
        tools: Whether it is acted in by calling tools.
        action_type, observation_type, state_type: The class's type parameters, or the base types where it names none.
    """

    name: str
    is_async: bool
    reset: KeywordFilter
    step: KeywordFilter
    lifecycle: Lifecycle
    concurrent: bool
    needs_own_thread: bool
    action_type: type[Any]
    observation_type: type[Any]
    state_type: type[Any]
    isolation: Isolation | None = None
    deterministic: bool = False
    volatile: frozenset[str] = frozenset()
    snapshots: bool = False
    batches: bool = False
    tools: bool = False

    @staticmethod
    @cache
    def of(environment: type[Environment[Any, Any, Any]]) -> EnvironmentPlan:
        """The plan of an environment class.

        Raises:
            ConfigurationError: Its ``lifecycle`` is neither ``strict`` nor ``lenient``, or its ``reset`` or ``step``
                has to be awaited.
        """
        if environment.lifecycle not in typing.get_args(Lifecycle):
            raise ConfigurationError(
                f"{environment.__name__}.lifecycle must be 'strict' or 'lenient', not {environment.lifecycle!r}"
            )
        if environment.isolation not in (None, *typing.get_args(Isolation)):
            raise ConfigurationError(
                f"{environment.__name__}.isolation must be 'inline', 'thread' or 'process', "
                f"not {environment.isolation!r}"
            )
        if (environment.snapshot is Environment.snapshot) is not (environment.restore is Environment.restore):
            raise ConfigurationError(f"{environment.__name__} must have both snapshot() and restore(), or neither")
        async_reset = environment.reset_async is not Environment.reset_async
        async_step = environment.step_async is not Environment.step_async
        reset = environment.reset_async if async_reset else environment.reset
        step = environment.step_async if async_step else environment.step
        for name, has_twin in (("reset", async_reset), ("step", async_step)):
            if not has_twin and inspect.iscoroutinefunction(getattr(environment, name)):
                raise ConfigurationError(
                    f"{environment.__name__}.{name} is async, but nothing awaits it under that name; "
                    f"name it {name}_async (awaited ones are named reset_async/step_async)"
                )
        action, observation, state = _type_parameters(environment)
        return EnvironmentPlan(
            name=environment.__name__,
            is_async=async_reset or async_step,
            reset=KeywordFilter.of(reset, positional=1),
            step=KeywordFilter.of(step, positional=2),
            lifecycle=environment.lifecycle,
            concurrent=bool(environment.SUPPORTS_CONCURRENT_SESSIONS),
            needs_own_thread=bool(environment.REQUIRES_SINGLE_THREAD_EXECUTOR),
            action_type=action or _annotation(step, 1) or Action,
            observation_type=observation or _annotation(reset, "return") or Observation,
            state_type=state or State,
            isolation=environment.isolation,
            deterministic=bool(environment.deterministic),
            volatile=frozenset(environment.volatile),
            snapshots=environment.snapshot is not Environment.snapshot,
            batches=_has_batches(environment, is_async=async_reset or async_step),
            tools=bool(environment.offers_tools),
        )


def _has_batches(environment: type[Environment[Any, Any, Any]], *, is_async: bool) -> bool:
    own = inspect.getattr_static(environment, "step_batch")
    if own is inspect.getattr_static(Environment, "step_batch"):
        return False
    name = environment.__name__
    if not isinstance(own, (classmethod, staticmethod)) or inspect.iscoroutinefunction(own.__func__):
        raise ConfigurationError(
            f"{name}.step_batch must be a class method that is not async: "
            "@classmethod def step_batch(cls, environments, actions)"
        )
    if is_async or environment.REQUIRES_SINGLE_THREAD_EXECUTOR:
        other = "step_async" if is_async else "REQUIRES_SINGLE_THREAD_EXECUTOR"
        raise ConfigurationError(f"{name} has step_batch and {other}; with step_batch all live on one common thread")
    return True


_UNIONS = (typing.Union, types.UnionType, typing.Annotated)


def _type_parameters(cls: type[Any]) -> tuple[type[Any] | None, type[Any] | None, type[Any] | None]:
    """The A, O, S of ``Environment[A, O, S]`` as the class sees them; None where one is no class. A union of actions is
    told as it is: whoever serves the class refuses it, unless they are given a class."""
    given = _arguments(cls)
    found = [one if isinstance(one, type) else None for one in given]
    if given and typing.get_origin(given[0]) in _UNIONS:
        found[0] = given[0]
    return tuple((*found, None, None, None)[:3])  # type: ignore[return-value]


def _arguments(cls: type[Any]) -> tuple[Any, ...]:
    """What a class passes to ``Environment[...]``, through generic bases of its own too."""
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin = typing.get_origin(base) or base
        if not (isinstance(origin, type) and issubclass(origin, Environment)):
            continue
        given = typing.get_args(base)
        if origin is not Environment:
            meaning = dict(zip(getattr(origin, "__parameters__", ()), given, strict=False))
            given = tuple(meaning.get(a, a) if isinstance(a, typing.TypeVar) else a for a in _arguments(origin))
        if given:
            return given
    return ()


def _annotation(method: Callable[..., Any], where: int | str) -> type[Any] | None:
    """The class that a method's parameter (by position) or return is annotated with, if any."""
    try:
        hints = typing.get_type_hints(method)
    except (NameError, TypeError):  # names known to a type checker alone
        return None
    if isinstance(where, int):
        names = list(inspect.signature(method).parameters)
        if len(names) <= where:
            return None
        where = names[where]
    found = hints.get(where)
    return found if isinstance(found, type) else None


def plan_of_factory(factory: Callable[[], Any]) -> EnvironmentPlan | None:
    """The plan of the class a factory builds, where that can be told without calling it."""
    found = class_of_factory(factory)
    return None if found is None else EnvironmentPlan.of(found)


def class_of_factory(factory: Callable[[], Any]) -> type[Environment[Any, Any, Any]] | None:
    """The class a factory builds, where that can be told without calling it."""
    if isinstance(factory, functools.partial):
        return class_of_factory(factory.func)
    if isinstance(factory, type):
        return factory if issubclass(factory, Environment) else None
    try:
        returned = typing.get_type_hints(factory).get("return")
    except (NameError, TypeError):  # names known to a type checker alone, or a callable without annotations
        return None
    known = isinstance(returned, type) and issubclass(returned, Environment) and not inspect.isabstract(returned)
    return returned if known else None
