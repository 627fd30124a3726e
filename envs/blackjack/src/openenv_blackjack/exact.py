"""Exact expected returns of blackjack strategies, by dynamic programming over the rules.

It shares nothing with the environment: neither Gymnasium nor random numbers are used, so it can judge what is played.

The deck is endless: each card drawn is 1 (an ace) to 9 with probability 1/13 each, or 10 with 4/13. Write h for a hand
(its best sum, and whether an ace in it counts as 11), d for the dealer's open card, h + c for the hand with another
card, and p(h, d) for the probability that the player hits. Only the last step is rewarded, so the expected return is

    v(h, d)     = p(h, d) * hit(h, d) + (1 - p(h, d)) * stick(h, d)
    hit(h, d)   = sum over cards c of P(c) * (-1 if h + c is over 21, else v(h + c, d))
    stick(h, d) = P(dealer ends below h, or over 21) - P(dealer ends above h, up to 21)

and the value of a strategy is v averaged over the player's first two cards and the open card. The dealer draws until
the best sum is 17 or more, so also stands on an ace and a six. ``stick`` of a natural follows ``Rules`` instead. The
best strategy takes the greater of hit and stick, which is the Bellman optimality equation. A card always raises the
sum with aces counted as 1, so hands taken in descending order of that sum need no iteration.

Source: R. Sutton and A. Barto, Reinforcement Learning: An Introduction, 2nd edition, 2018; the game is example 5.1, the
equations are those of sections 3.5 and 3.6 without discount.

All arithmetic is on fractions; nothing is rounded before the result becomes a float.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Literal

__all__ = ["Move", "Policy", "Rules", "Seen", "best_strategy", "exact_value"]

Move = Literal["stick", "hit"]

Seen = tuple[int, int, bool]
"""What a player sees: own sum (4 to 21), the dealer's open card (1 to 10), whether an ace counts as 11."""

Policy = Callable[[int, int, bool], float]
"""From (player_sum, dealer_card, usable_ace) to the probability of hitting, 0 to 1."""

_Hand = tuple[int, bool]  # best sum, whether an ace counts as 11
_Chooser = Callable[[Seen, Fraction, Fraction], Fraction]  # seen, worth of stick, of hit -> probability of hitting

_CARDS: Mapping[int, Fraction] = {card: Fraction(4 if card == 10 else 1, 13) for card in range(1, 11)}
_NATURAL: _Hand = (21, True)  # as the first two cards
_HANDS = sorted(  # all that can be held after two cards; a further card leads to an earlier one
    [(total, False) for total in range(4, 22)] + [(total, True) for total in range(12, 22)],
    key=lambda hand: hand[0] - 10 * hand[1],
    reverse=True,
)


@dataclass(frozen=True)
class Rules:
    """What a natural is worth: an ace and a ten as the first two cards, stuck with.

    Attributes:
        sab: It wins 1, also against 21 in more than two cards, and draws against a natural.
        natural: It wins 1.5 instead of 1, and draws against any 21. Without effect while ``sab`` holds.
    """

    sab: bool = True
    natural: bool = False


_DEFAULT_RULES = Rules()


def exact_value(policy: Policy | Literal["best", "random"], rules: Rules = _DEFAULT_RULES) -> float:
    """Expected return of one episode, between -1 and 1.5.

    Args:
        policy: Probability of hitting by what is seen; ``"random"`` is 1/2 always, ``"best"`` is the strategy that
            ``best_strategy`` gives.
        rules: Rules of the game.

    Raises:
        ValueError: The policy is an unknown word, or gave a number that is no probability.
    """
    if policy == "best":
        return float(_value(_greater, rules))
    if policy == "random":
        return float(_value(lambda seen, stick, hit: Fraction(1, 2), rules))
    if isinstance(policy, str):
        raise ValueError(f"policy must be a function, 'best' or 'random', not {policy!r}")

    def chance(seen: Seen, stick: Fraction, hit: Fraction) -> Fraction:
        given = policy(*seen)
        if not 0 <= given <= 1:
            raise ValueError(f"the policy gave {given!r} for {seen}; it must give the probability of hitting, 0 to 1")
        return Fraction(given)

    return float(_value(chance, rules))


@cache
def best_strategy(rules: Rules = _DEFAULT_RULES) -> Mapping[Seen, Move]:
    """The move of greatest expected return for everything that can be seen while an episode runs.

    These are 280 entries; where both moves are worth the same it sticks. The table is the same for all rules: they
    differ in the worth of a natural alone, with which sticking is always best.
    """
    worth = _worths(_greater)
    for dealer_card in _CARDS:  # a natural looks like any other 21 with an ace: one move must be best for both
        stick, hit = worth[(*_NATURAL, dealer_card)]
        assert min(stick, _stick_with_natural(dealer_card, rules)) > hit
    return MappingProxyType(
        {
            (total, dealer_card, usable_ace): "hit" if hit > stick else "stick"
            for (total, usable_ace, dealer_card), (stick, hit) in worth.items()
        }
    )


def _greater(seen: Seen, stick: Fraction, hit: Fraction) -> Fraction:
    return Fraction(hit > stick)


def _value(chooser: _Chooser, rules: Rules) -> Fraction:
    """Expected return of a whole episode."""
    worth = _worths(chooser)
    value = Fraction(0)
    for dealer_card, chance_of_dealer in _CARDS.items():
        for first, chance_of_first in _CARDS.items():
            for second, chance_of_second in _CARDS.items():
                total, usable_ace = hand = _add(_add((0, False), first), second)
                stick, hit = worth[(*hand, dealer_card)]
                chance_of_hit = chooser((total, dealer_card, usable_ace), stick, hit)
                if hand == _NATURAL:
                    stick = _stick_with_natural(dealer_card, rules)
                chance = chance_of_dealer * chance_of_first * chance_of_second
                value += chance * (chance_of_hit * hit + (1 - chance_of_hit) * stick)
    return value


def _worths(chooser: _Chooser) -> dict[tuple[int, bool, int], tuple[Fraction, Fraction]]:
    """stick(h, d) and hit(h, d) of the module's docstring, for a chooser that goes on playing."""
    worth: dict[tuple[int, bool, int], tuple[Fraction, Fraction]] = {}
    value: dict[tuple[int, bool, int], Fraction] = {}
    for dealer_card in _CARDS:
        for hand in _HANDS:
            stick, hit = _stick(hand[0], dealer_card), Fraction(0)
            for card, chance in _CARDS.items():
                after = _add(hand, card)
                hit += chance * (-1 if after[0] > 21 else value[(*after, dealer_card)])
            chance_of_hit = chooser((hand[0], dealer_card, hand[1]), stick, hit)
            worth[(*hand, dealer_card)] = stick, hit
            value[(*hand, dealer_card)] = chance_of_hit * hit + (1 - chance_of_hit) * stick
    return worth


def _add(hand: _Hand, card: int) -> _Hand:
    """The hand with another card; an ace counts as 11 wherever that does not exceed 21."""
    total, usable_ace = hand
    hard = total - 10 * usable_ace + card
    # an ace that does not count as 11 need not be remembered: the sum only grows
    if (usable_ace or card == 1) and hard + 10 <= 21:
        return hard + 10, True
    return hard, False


@cache
def _dealer_ends(hand: _Hand) -> Mapping[int, Fraction]:
    """Probabilities of the dealer's score, 17 to 21, or 0 for over 21, from what is held now."""
    if hand[0] > 21:
        return {0: Fraction(1)}
    if hand[0] >= 17:
        return {hand[0]: Fraction(1)}
    ends: dict[int, Fraction] = {}
    for card, chance in _CARDS.items():
        for score, chance_of_score in _dealer_ends(_add(hand, card)).items():
            ends[score] = ends.get(score, Fraction(0)) + chance * chance_of_score
    return ends


@cache
def _stick(player_sum: int, dealer_card: int) -> Fraction:
    """Expected reward of sticking with anything but a natural."""
    worth = Fraction(0)
    for score, chance in _dealer_ends(_add((0, False), dealer_card)).items():
        worth += chance * ((player_sum > score) - (player_sum < score))
    return worth


def _stick_with_natural(dealer_card: int, rules: Rules) -> Fraction:
    """Expected reward of sticking with a natural."""
    if rules.sab:
        missing = {1: 10, 10: 1}.get(dealer_card)  # the hidden card that makes a natural of the dealer's
        return 1 - _CARDS.get(missing or 0, Fraction(0))
    return _stick(21, dealer_card) * (Fraction(3, 2) if rules.natural else 1)
