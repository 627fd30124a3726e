"""The environment deals and pays exactly as Gymnasium's own."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import gymnasium
import pytest
from pydantic import ValidationError

from openenv import ActionInvalid
from openenv.schema import json_schema, sample
from openenv_blackjack import BlackjackAction, BlackjackObservation
from openenv_blackjack.server.environment import BlackjackEnvironment

RULES = [(True, False), (True, True), (False, False), (False, True)]
STICK, HIT = BlackjackAction(move="stick"), BlackjackAction(move="hit")


@pytest.fixture
def table() -> Iterator[BlackjackEnvironment]:
    environment = BlackjackEnvironment()
    yield environment
    environment.close()


def seen(observation: BlackjackObservation) -> tuple[int, int, int]:
    return observation.player_sum, observation.dealer_card, int(observation.usable_ace)


@pytest.mark.parametrize(("sab", "natural"), RULES)
def test_same_seed_same_cards_same_rewards(table: BlackjackEnvironment, sab: bool, natural: bool) -> None:
    theirs = gymnasium.make("Blackjack-v1", sab=sab, natural=natural)
    moves = random.Random(1)
    rewards = set()
    for seed in range(1500):
        ours = table.reset(seed=seed, sab=sab, natural=natural)
        assert seen(ours) == theirs.reset(seed=seed)[0]
        assert (ours.reward, ours.done) == (None, False)
        while not ours.done:
            move = moves.randrange(2)
            ours = table.step(HIT if move else STICK)
            observation, reward, terminated, truncated, _ = theirs.step(move)
            assert (*seen(ours), ours.reward) == (*observation, reward)
            assert (ours.done, ours.terminated, ours.truncated) == (terminated or truncated, terminated, truncated)
        rewards.add(ours.reward)
    theirs.close()
    assert rewards == {-1.0, 0.0, 1.0} | ({1.5} if natural and not sab else set())


def test_without_a_seed_the_cards_go_on(table: BlackjackEnvironment) -> None:
    def deals() -> list[tuple[int, int, int]]:
        return [seen(table.reset(seed=5)), *(seen(table.reset()) for _ in range(20))]

    first = deals()
    assert first == deals()
    assert len(set(first)) > 5


def test_rules_of_the_constructor_and_of_one_episode() -> None:
    environment = BlackjackEnvironment(sab=False, natural=True)

    def rules() -> tuple[bool, bool]:
        return environment.state.sab, environment.state.natural

    assert rules() == (False, True)
    natural = next(seed for seed in itertools.count() if seen(environment.reset(seed=seed)) == (21, 5, 1))

    def pays() -> float:
        assert seen(environment.reset(seed=natural)) == (21, 5, 1)
        return float(environment.step(STICK).reward or 0)

    assert pays() == 1.5
    environment.reset(seed=natural, natural=False)
    assert rules() == (False, False)
    assert environment.step(STICK).reward == 1.0
    environment.reset(seed=natural, sab=True)
    assert rules() == (True, True)
    assert environment.step(STICK).reward == 1.0
    assert pays() == 1.5, "an option must hold for one episode only"
    assert rules() == (False, True)
    environment.close()


@pytest.mark.parametrize("option", [{"sab": 1}, {"natural": "no"}])
def test_a_rule_that_is_none_changes_nothing(table: BlackjackEnvironment, option: dict[str, object]) -> None:
    table.reset(seed=3, episode_id="before", sab=False)
    with pytest.raises(ActionInvalid, match="must be true or false") as caught:
        table.reset(seed=4, **option)  # type: ignore[arg-type]
    assert caught.value.details["errors"][0]["loc"] == list(option)
    assert (table.state.episode_id, table.state.sab) == ("before", False)


def test_state_counts_the_steps(table: BlackjackEnvironment) -> None:
    assert (table.state.episode_id, table.state.step_count) == (None, 0)
    table.reset(seed=0, episode_id="one")
    observation = table.step(HIT)
    taken = 1
    while not observation.done:
        observation = table.step(HIT)
        taken += 1
    assert (table.state.episode_id, table.state.step_count) == ("one", taken)
    assert observation.player_sum > 21, "who only hits goes bust"
    table.reset(seed=0, episode_id="two")
    assert (table.state.episode_id, table.state.step_count) == ("two", 0)


def test_tables_do_not_share_cards(table: BlackjackEnvironment) -> None:
    other = BlackjackEnvironment()
    alone = [seen(table.reset(seed=seed)) for seed in range(20)]
    beside = []
    for seed in range(20):
        beside.append(seen(table.reset(seed=seed)))
        other.reset(seed=seed + 100)
        other.step(HIT)
    assert alone == beside
    other.close()


def test_moves_are_two_words() -> None:
    with pytest.raises(ValidationError, match="move"):
        BlackjackAction(move="double")  # type: ignore[arg-type]
    schema, rng = json_schema(BlackjackAction), random.Random(0)
    drawn = [sample(schema, rng) for _ in range(200)]
    assert {action["move"] for action in drawn} == {"stick", "hit"}
    assert 60 < sum(action["move"] == "hit" for action in drawn) < 140
