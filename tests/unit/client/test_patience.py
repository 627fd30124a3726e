"""How long a broken connection is tried again: pauses, their chance, and their bounds."""

from __future__ import annotations

import random

import pytest

from openenv.client.patience import LONGEST_PAUSE_S, Patience


class World:
    """A clock, and a chance that can be set."""

    def __init__(self, limit_s: float = 60.0, chance: float = 1.0) -> None:
        self.now = 100.0
        self.chance = chance
        self.patience = Patience(limit_s, lambda: self.now, lambda: self.chance)

    def pauses(self, attempt_s: float = 0.0) -> list[float]:
        """All pauses of one break, each followed by an attempt that fails after ``attempt_s``."""
        found = []
        self.patience.broke()
        while (pause_s := self.patience.pause()) is not None:
            found.append(pause_s)
            self.now += pause_s + attempt_s
        return found


def test_pauses_double_up_to_the_longest() -> None:
    found = World().pauses()
    assert found[:10] == pytest.approx([0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])
    assert max(found) == LONGEST_PAUSE_S
    assert sum(found) == pytest.approx(60)


@pytest.mark.parametrize("seed", range(20))
def test_pauses_are_drawn_by_chance_between_none_and_the_longest_of_their_turn(seed: int) -> None:
    draw = random.Random(seed)
    world = World()
    longest = [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]
    world.patience.broke()
    found = []
    for most in longest:
        world.chance = draw.random()
        pause_s = world.patience.pause()
        assert pause_s == pytest.approx(world.chance * most)
        found.append(pause_s)
    assert len(set(found)) > 8


def test_attempts_take_of_the_time_too() -> None:
    world = World(limit_s=10)
    assert len(world.pauses(attempt_s=4)) == 3  # at 0, 4 and 8 s
    assert World(limit_s=0).pauses() == []


def test_a_connection_that_breaks_again_soon_continues_the_series() -> None:
    world = World(limit_s=10)
    world.patience.broke()
    assert [world.patience.pause() for _ in range(4)] == pytest.approx([0, 0.05, 0.1, 0.2])
    world.now += 6
    world.patience.connected()
    world.now += 1  # with a connection: not counted
    world.patience.broke()
    assert world.patience.left_s == pytest.approx(4)
    assert world.patience.pause() == pytest.approx(0.4)


@pytest.mark.parametrize("how", ["an answer", "a long life"])
def test_what_makes_everything_new(how: str) -> None:
    world = World(limit_s=10)
    world.patience.broke()
    world.patience.pause()
    world.now += 9
    world.patience.connected()
    if how == "an answer":
        world.patience.renew()
    else:
        world.now += 2 * LONGEST_PAUSE_S
    world.patience.broke()
    assert world.patience.left_s == pytest.approx(10)
    assert world.patience.pause() == 0


def test_it_never_ends_before_its_time_however_often_it_is_asked() -> None:
    world = World(limit_s=1e9)
    world.patience.broke()
    assert [world.patience.pause() for _ in range(5000)][-1] == LONGEST_PAUSE_S
