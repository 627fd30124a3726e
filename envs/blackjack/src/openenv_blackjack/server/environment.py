"""The environment: Gymnasium's own blackjack behind reset, step and state."""

from __future__ import annotations

from typing import Any, Final

import gymnasium

from openenv import ActionInvalid, Environment
from openenv_blackjack.models import BlackjackAction, BlackjackObservation, BlackjackState, Move

__all__ = ["BlackjackEnvironment"]

_GYMNASIUM_ACTIONS: Final[dict[Move, int]] = {"stick": 0, "hit": 1}


class BlackjackEnvironment(Environment[BlackjackAction, BlackjackObservation, BlackjackState]):
    """Blackjack against a dealer who draws to 17, from an endless deck: Gymnasium's Blackjack-v1.

    The reward of the last step is 1 for a win, 0 for a draw and -1 for a loss; before that it is 0. The same seed
    deals the same cards as ``gymnasium.make("Blackjack-v1", ...).reset(seed=seed)``.

    Args:
        sab: Rules of Sutton and Barto: a natural (ace and ten as the first two cards) wins unless the dealer has one
            too, then it is a draw.
        natural: A win with a natural pays 1.5; without effect while ``sab`` holds.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True
    deterministic = True

    def __init__(self, sab: bool = True, natural: bool = False) -> None:
        self._default_rules = (sab, natural)
        self._state = BlackjackState(sab=sab, natural=natural)
        self._game = _make(sab, natural)

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        sab: bool | None = None,
        natural: bool | None = None,
    ) -> BlackjackObservation:
        """Deal two cards to the player and two to the dealer, one of them open.

        Args:
            seed: Seed of all cards of the episode, 0 or more; ``None`` goes on with the cards of the last one.
            episode_id: Name of the episode.
            sab, natural: Rules of this episode alone; ``None`` for those of the constructor.

        Raises:
            ActionInvalid: A rule is neither true nor false.
        """
        rules = (
            _rule("sab", sab, self._default_rules[0]),
            _rule("natural", natural, self._default_rules[1]),
        )
        if rules != (self._state.sab, self._state.natural):
            self._game.close()
            self._game = _make(*rules)
        self._state = BlackjackState(episode_id=episode_id, sab=rules[0], natural=rules[1])
        seen, _ = self._game.reset(seed=seed)
        return _observation(seen)

    def step(self, action: BlackjackAction) -> BlackjackObservation:
        """Hit or stick. Sticking, or going over 21, ends the episode."""
        seen, reward, terminated, truncated, _ = self._game.step(_GYMNASIUM_ACTIONS[action.move])
        self._state.step_count += 1
        return _observation(
            seen,
            reward=float(reward),
            done=terminated or truncated,
            terminated=terminated,
            truncated=truncated,
        )

    @property
    def state(self) -> BlackjackState:
        return self._state

    def close(self) -> None:
        self._game.close()


def _make(sab: bool, natural: bool) -> gymnasium.Env[tuple[int, int, int], int]:
    # the checker only repeats, at every step, what the tests of this package check
    return gymnasium.make("Blackjack-v1", sab=sab, natural=natural, disable_env_checker=True)


def _rule(name: str, value: object, default: bool) -> bool:
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ActionInvalid(
            f"{name} must be true or false, not {value!r}",
            details={"errors": [{"loc": [name], "msg": "must be true or false", "type": "bool_type"}]},
        )
    return value


def _observation(seen: tuple[int, int, int], **outcome: Any) -> BlackjackObservation:
    player_sum, dealer_card, usable_ace = seen
    return BlackjackObservation(player_sum=player_sum, dealer_card=dealer_card, usable_ace=bool(usable_ace), **outcome)
