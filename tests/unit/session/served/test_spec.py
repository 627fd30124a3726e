"""What can be served, and what is refused with advice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.session.worlds import Move, Seen, world

from openenv.environment import Environment
from openenv.errors import ConfigurationError
from openenv.session import EnvironmentSpec
from openenv.types import Action, State


class Jump(Action):
    height: int = 1


class Either(Environment[Move | Jump, Seen, State]):
    """Takes actions of two kinds."""

    def reset(self) -> Seen:
        return Seen()

    def step(self, action: Move | Jump) -> Seen:
        return Seen()

    @property
    def state(self) -> State:
        return State()


@pytest.mark.parametrize(
    ("given", "types", "says"),
    [
        (
            Either,
            (None, None),
            "must be a pydantic model, not .*Move . .*; one of several kinds is a model",
        ),
        (world()(), (Move, Seen), "pass the class World"),
        ("blackjack", (Move, Seen), "must be an Environment class or a function"),
        (world(), (dict, Seen), "pass action_cls"),
        (lambda: None, (Move, None), "pass observation_cls"),
        (world(lifecycle="Strict"), (Move, Seen), "must be 'strict' or 'lenient', not 'Strict'"),
    ],
)
def test_what_cannot_be_served_is_refused_with_advice(given: Any, types: tuple[Any, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        EnvironmentSpec.of(given, *types)


class EitherSeen(Environment[Move, Seen | State, State]):  # type: ignore[type-var]
    """Observes in two ways."""

    reset = step = Either.step
    state = Either.state


def test_a_union_of_observations_is_served() -> None:
    assert EnvironmentSpec.of(EitherSeen).action_type is Move


def test_a_union_is_no_matter_where_a_class_is_given() -> None:
    assert EnvironmentSpec.of(Either, Move).action_type is Move
