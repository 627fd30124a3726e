"""The exact values, held against play and against what is known of the game."""

from __future__ import annotations

import itertools
import math
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from openenv_blackjack import BlackjackAction
from openenv_blackjack.exact import Rules, Seen, best_strategy, exact_value
from openenv_blackjack.server.environment import BlackjackEnvironment
from openenv_blackjack.strategy import best, random_move

EPISODES = 20_000
DECK = list(range(1, 11))
ALL_RULES = [Rules(sab=True, natural=False), Rules(sab=False, natural=False), Rules(sab=False, natural=True)]

Agent = Callable[[Mapping[str, Any], random.Random], dict[str, Any]]


def returns(agent: Agent, rules: Rules) -> list[float]:
    """What the agent got in each episode; the same cards and the same moves whatever the rules are."""
    environment = BlackjackEnvironment(sab=rules.sab, natural=rules.natural)
    got = []
    for seed in range(EPISODES):
        rng = random.Random(seed)
        observation = environment.reset(seed=seed)
        while not observation.done:
            observation = environment.step(BlackjackAction(**agent(observation.model_dump(), rng)))
        got.append(float(observation.reward or 0))
    environment.close()
    return got


def standard_errors_off(played: list[float], exact: float) -> float:
    return abs(statistics.fmean(played) - exact) / (statistics.stdev(played) / math.sqrt(len(played)))


@pytest.mark.parametrize(
    ("name", "agent"), [("best", lambda observation, rng: best(observation)), ("random", random_move)]
)
def test_exact_values_are_what_is_played(name: Any, agent: Agent) -> None:
    played = {rules: returns(agent, rules) for rules in ALL_RULES}
    for rules, got in played.items():
        assert standard_errors_off(got, exact_value(name, rules)) < 4, rules
    # The rules differ by less than the error of a mean. Over the same cards the difference itself can be seen.
    for one, other in itertools.combinations(ALL_RULES, 2):
        difference = [a - b for a, b in zip(played[one], played[other], strict=True)]
        exact = exact_value(name, one) - exact_value(name, other)
        assert standard_errors_off(difference, exact) < 4, (one, other)
        assert standard_errors_off(difference, 0) > 4, "too few episodes to tell the rules apart"


def test_no_other_move_is_better() -> None:
    table, value = best_strategy(), exact_value("best")
    assert exact_value(lambda *seen: float(table[seen] == "hit")) == value
    for changed in table:

        def neighbour(*seen: Any, changed: Seen = changed) -> float:
            return float((table[seen] == "hit") != (seen == changed))

        assert exact_value(neighbour) < value, changed


def hits(player_sum: int, usable_ace: bool) -> str:
    """Cards of the dealer against which the best strategy hits; T is a ten, A an ace."""
    table = best_strategy()
    cards = [*range(2, 11), 1]
    return "".join(
        {1: "A", 10: "T"}.get(card, str(card)) for card in cards if table[player_sum, card, usable_ace] == "hit"
    )


def test_the_best_strategy_is_the_known_one() -> None:
    """Sutton and Barto, figure 5.2."""
    everything = "23456789TA"
    for player_sum in range(4, 12):
        assert hits(player_sum, False) == everything
    assert hits(12, False) == "23789TA"
    for player_sum in range(13, 17):
        assert hits(player_sum, False) == "789TA"
    for player_sum in range(17, 22):
        assert hits(player_sum, False) == ""
    for player_sum in range(12, 18):
        assert hits(player_sum, True) == everything
    assert hits(18, True) == "9TA"
    for player_sum in range(19, 22):
        assert hits(player_sum, True) == ""


def test_the_best_strategy_does_not_depend_on_the_rules() -> None:
    assert best_strategy(ALL_RULES[0]) == best_strategy(ALL_RULES[1]) == best_strategy(ALL_RULES[2])


def dealer_hands(hand: list[int], chance: float) -> Iterator[tuple[list[int], int, float]]:
    """Every way the dealer can end, card by card: the hand, its score (0 if bust) and its probability."""
    total = sum(hand) + (10 if 1 in hand and sum(hand) <= 11 else 0)
    if len(hand) >= 2 and total >= 17:
        yield hand, total if total <= 21 else 0, chance
        return
    for card in DECK:
        yield from dealer_hands([*hand, card], chance / 13 * (4 if card == 10 else 1))


@pytest.mark.parametrize("rules", ALL_RULES)
def test_sticking_is_worth_what_counting_every_hand_gives(rules: Rules) -> None:
    ends: dict[tuple[bool, int], float] = {}
    for hand, score, chance in dealer_hands([], 1):
        key = sorted(hand) == [1, 10], score
        ends[key] = ends.get(key, 0) + chance
    assert sum(ends.values()) == pytest.approx(1)
    expected = 0.0
    for first, second in itertools.product(DECK + [10] * 3, repeat=2):
        natural = {first, second} == {1, 10}
        total = first + second + (10 if 1 in (first, second) else 0)
        for (dealer_natural, score), chance in ends.items():
            reward = float((total > score) - (total < score))
            if natural and rules.sab and not dealer_natural:
                reward = 1.0
            elif natural and rules.natural and not rules.sab and reward == 1:
                reward = 1.5
            expected += reward * chance / 169
    assert exact_value(lambda *seen: 0, rules) == pytest.approx(expected, abs=1e-12)


def test_who_only_hits_loses() -> None:
    assert exact_value(lambda *seen: 1) == -1


def test_the_rules_differ_by_the_odds_of_a_natural() -> None:
    """By hand, for one who always sticks; the dealer's cards do not depend on the player's."""

    def always(*seen: Any) -> float:
        return 0

    sab, plain, bonus = (exact_value(always, rules) for rules in ALL_RULES)
    natural = 2 * (1 / 13) * (4 / 13)  # of either side
    # sab turns the draws of a natural against a 21 of three cards or more into wins
    long_21 = (sab - plain) / natural
    assert 0.05 < long_21 < 0.1
    # the bonus is half a win more for each natural that meets no 21 at all
    assert bonus - plain == pytest.approx(0.5 * natural * (1 - natural - long_21), rel=1e-9)


def test_the_random_policy_is_one_half_everywhere() -> None:
    for rules in ALL_RULES:
        assert exact_value("random", rules) == exact_value(lambda *seen: 0.5, rules)


def test_natural_pays_nothing_more_under_sab() -> None:
    assert exact_value("best", Rules(sab=True, natural=True)) == exact_value("best", Rules(sab=True))


def test_a_policy_is_asked_for_what_can_be_seen_and_no_more() -> None:
    asked = set()

    def policy(player_sum: int, dealer_card: int, usable_ace: bool) -> float:
        asked.add((player_sum, dealer_card, usable_ace))
        return 0.5

    exact_value(policy)
    assert asked == set(best_strategy())
    assert len(asked) == 280


@pytest.mark.parametrize("chance", [-0.1, 1.5, math.nan])
def test_what_is_no_probability_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match="probability of hitting"):
        exact_value(lambda *seen: chance)


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(ValueError, match="'best' or 'random'"):
        exact_value("worst")  # type: ignore[arg-type]


def test_agents_answer_with_actions() -> None:
    observation = {"player_sum": 16, "dealer_card": 10, "usable_ace": False, "done": False}
    assert best(observation) == {"move": "hit"}
    assert best({**observation, "dealer_card": 6}) == {"move": "stick"}
    rng = random.Random(2)
    drawn = [random_move(observation, rng)["move"] for _ in range(400)]
    assert 140 < drawn.count("hit") < 260
    rng.seed(2)
    assert drawn == [random_move(observation, rng)["move"] for _ in range(400)]


def test_the_judge_knows_nothing_of_the_game_it_judges() -> None:
    code = (
        "import sys, openenv_blackjack.exact, openenv_blackjack.strategy\n"
        "print(*{'gymnasium', 'numpy', 'openenv_blackjack.server', 'fastapi'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
