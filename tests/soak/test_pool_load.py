"""The load of pools sees wrong answers and memory that grows."""

from __future__ import annotations

import pytest
from tests.soak.pool import Player, growing
from tests.soak.pool_world import Chained, Count


def test_a_player_knows_each_answer() -> None:
    world, player = Chained(), Player(3, seed=1)
    seed, length = player.begin()
    player.began(seed, _seen(world.reset(seed, length)))
    for _ in range(3):
        player.acted(_seen(world.step(Count(**player.act()))))


@pytest.mark.parametrize("wrong", ["ran twice", "did not run", "another environment"])
def test_a_player_sees_a_wrong_answer(wrong: str) -> None:
    world, player = Chained(), Player(3, seed=1)
    seed, length = player.begin()
    first = world.reset(seed, length)
    player.began(seed, _seen(first))
    action = Count(**player.act())
    answer = first if wrong == "did not run" else world.step(action)
    if wrong == "ran twice":
        answer = world.step(action)
    elif wrong == "another environment":
        answer = answer.model_copy(update={"instance": "other"})
    with pytest.raises(AssertionError, match="session 3, episode 1"):
        player.acted(_seen(answer))


def test_memory_that_grows_is_seen_after_the_warm_up() -> None:
    warm = [(float(t), 50.0 + min(t, 20), 100.0) for t in range(100)]
    assert list(growing(warm)) == []
    leak = [(float(t), 50.0, 100.0 + 0.2 * t) for t in range(100)]
    assert [who for who, _ in growing(leak)] == ["server"]


def _seen(answer: object) -> dict[str, object]:
    return {name: getattr(answer, name) for name in ("instance", "turn", "sum")}
