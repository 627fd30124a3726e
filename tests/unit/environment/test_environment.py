"""What an author's class says, and what it may leave out."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Generic, TypeVar

import pytest

from openenv.environment import ComposedTransform, Environment, EnvironmentPlan, KeywordFilter, Transform
from openenv.environment.plan import plan_of_factory
from openenv.errors import ConfigurationError
from openenv.types import Action, Observation, State


class Go(Action):
    far: int = 0


class View(Observation):
    place: int = 0


class Place(State):
    place: int = 0


class Walk(Environment[Go, View, Place]):
    """A walk along a line."""

    def reset(self, seed: int | None = None) -> View:
        return View(place=self.rng.randrange(1000))

    def step(self, action: Go) -> View:
        return View(place=action.far)

    @property
    def state(self) -> Place:
        return Place()


O2 = TypeVar("O2")
A2 = TypeVar("A2")


class Turned(Environment[A2, O2, Place], Generic[O2, A2]):
    def reset(self) -> Any: ...

    def step(self, action: Any) -> Any: ...

    @property
    def state(self) -> Place:
        return Place()


class TurnedWalk(Turned[View, Go]): ...


class Mixed(Walk, Generic[A2]): ...


class Untyped(Environment):  # type: ignore[type-arg]
    def reset(self) -> View:
        return View()

    def step(self, action: Go) -> View:
        return View()

    @property
    def state(self) -> State:
        return State()


class Silent(Untyped):
    def reset(self):  # type: ignore[no-untyped-def]
        return View()

    def step(self, action):  # type: ignore[no-untyped-def]
        return View()


class Awaited(Environment[Go, View, Place]):
    async def reset_async(self, seed: int | None = None, level: int = 1) -> View:
        return View(place=level)

    async def step_async(self, action: Go, speed: int = 1) -> View:
        return View(place=action.far * speed)

    @property
    def state(self) -> Place:
        return Place()


class HalfAwaited(Walk):
    async def step_async(self, action: Go) -> View:
        return View(place=-action.far)


@pytest.mark.parametrize(
    ("cls", "types"),
    [
        (Walk, (Go, View, Place)),
        (TurnedWalk, (Go, View, Place)),
        (Mixed, (Go, View, Place)),
        (Untyped, (Go, View, State)),
        (Silent, (Action, Observation, State)),
        (Awaited, (Go, View, Place)),
    ],
)
def test_types_are_found_however_they_are_told(cls: Any, types: tuple[Any, ...]) -> None:
    plan = EnvironmentPlan.of(cls)
    assert (plan.action_type, plan.observation_type, plan.state_type) == types


def test_a_plan_says_what_a_class_takes() -> None:
    plan = EnvironmentPlan.of(Walk)
    assert (plan.name, plan.is_async, plan.lifecycle, plan.concurrent) == ("Walk", False, "strict", False)
    assert plan.reset.names == {"seed"}
    assert plan.step.names == frozenset()
    awaited = EnvironmentPlan.of(Awaited)
    assert awaited.is_async
    assert awaited.reset.names == {"seed", "level"}
    assert awaited.step.names == {"speed"}
    half = EnvironmentPlan.of(HalfAwaited)
    assert half.is_async
    assert half.reset.names == {"seed"}


def test_keywords_are_kept_or_named() -> None:
    def takes(self: object, action: object, a: int, *, b: int = 0) -> None: ...

    def takes_any(self: object, **more: int) -> None: ...

    some, every = KeywordFilter.of(takes, 2), KeywordFilter.of(takes_any, 1)
    assert some.known({"a": 1, "z": 2}) == {"a": 1}
    assert some.unknown({"z": 2, "b": 1, "y": 0}) == ["y", "z"]
    assert every.known({"z": 2}) == {"z": 2}
    assert every.unknown({"z": 2}) == []


def test_a_lifecycle_that_is_none_is_refused() -> None:
    odd: Any = type("Odd", (Walk,), {"lifecycle": "relaxed"})
    with pytest.raises(ConfigurationError, match=r"Odd.lifecycle must be 'strict' or 'lenient', not 'relaxed'"):
        EnvironmentPlan.of(odd)


async def test_an_asynchronous_class_needs_no_synchronous_methods() -> None:
    env = Awaited()
    assert (await env.reset_async(level=4)).place == 4
    assert (await env.step_async(Go(far=2), speed=3)).place == 6
    for call in (env.reset, lambda: env.step(Go())):
        with pytest.raises(TypeError, match="Awaited is asynchronous: await reset_async"):
            call()


def test_a_synchronous_class_needs_its_methods() -> None:
    class Lacking(Environment[Go, View, Place]):
        def reset(self) -> View:
            return View()

    with pytest.raises(TypeError, match="step"):
        Lacking()  # type: ignore[abstract]


def test_the_asynchronous_twins_pass_on_what_the_synchronous_ones_take() -> None:
    async def both() -> tuple[View, View]:
        env = Walk()
        return await env.reset_async(seed=1, episode_id="x"), await env.step_async(Go(far=3), timeout_s=1.0)

    assert asyncio.run(both())[1].place == 3


def test_the_same_seed_gives_the_same_episode() -> None:
    env = Walk()
    assert env.reseed(5) == 5
    first = env.reset().place
    env.reseed(5)
    assert env.reset().place == first
    drawn = env.reseed(None)
    place = env.reset().place
    env.reseed(drawn)
    assert env.reset().place == place


def test_rng_is_there_without_the_constructor_of_the_base() -> None:
    class Proud(Walk):
        def __init__(self) -> None:
            pass  # no super().__init__()

    one, other = Proud(), Proud()
    assert one.rng is one.rng
    assert one.rng is not other.rng


def test_metadata_comes_from_the_class() -> None:
    assert Walk().get_metadata().description == "A walk along a line."
    assert TurnedWalk().get_metadata().description == "TurnedWalk environment"


def test_transforms_apply_from_left_to_right() -> None:
    class Add(Transform[View]):
        def __call__(self, observation: View) -> View:
            return observation.model_copy(update={"place": observation.place + 1})

    class Double(Transform[View]):
        def __call__(self, observation: View) -> View:
            return observation.model_copy(update={"place": observation.place * 2})

    assert ComposedTransform(Add(), Double())(View(place=1)).place == 4
    assert ComposedTransform()(View(place=1)).place == 1


def test_a_factory_that_says_what_it_makes_is_known() -> None:
    def told() -> Walk:
        return Walk()

    def untold():  # type: ignore[no-untyped-def]
        return Walk()

    assert plan_of_factory(Walk) == plan_of_factory(told) == plan_of_factory(functools.partial(Walk))
    assert plan_of_factory(untold) is plan_of_factory(dict) is plan_of_factory(lambda: Walk()) is None  # noqa: PLW0108


class Confused(Walk):
    """Whose author wrote ``async def`` where a plain function belongs."""

    async def step(self, action: Go) -> View:
        return View()


class HalfConfused(Walk):
    """Asynchronous in ``step_async``, and confused in ``reset``."""

    async def reset(self, seed: int | None = None) -> View:
        return View()

    async def step_async(self, action: Go) -> View:
        return View()


@pytest.mark.parametrize(("cls", "name"), [(Confused, "step"), (HalfConfused, "reset")])
def test_an_awaited_function_under_the_plain_name_is_refused(cls: type[Walk], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is async.*name it {name}_async"):
        EnvironmentPlan.of(cls)
