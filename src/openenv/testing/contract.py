"""``EnvironmentContract``: a test class for environments to inherit, with one test for each rule."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel

from openenv.app import create_app
from openenv.client import SyncEnvClient
from openenv.errors import ConfigurationError
from openenv.server import AccessOptions
from openenv.session import AnyEnvironment
from openenv.testing.check import declared_by, evidence_of, hold
from openenv.testing.evidence import Declared, Evidence, Settings, new_action
from openenv.testing.loopback import serving
from openenv.testing.rules import Rule

__all__ = ["EnvironmentContract"]


class EnvironmentContract:
    """The tests that every environment passes. They need pytest and no plugin.

    Example::

        class TestMyEnvironment(EnvironmentContract):
            environment = MyEnvironment

            def make_action(self, rng):  # only where actions drawn from the schema would not do
                return MyAction(move=rng.choice("lr"))

    Attributes:
        environment: The environment class, or a function that makes one.
        action_cls, observation_cls: Its models, where the class does not name them.
        steps: Most steps of an episode.
        episodes: Episodes of the longest play.
        seed: Seed of the first episode.
    """

    environment: ClassVar[Callable[[], AnyEnvironment]]
    action_cls: ClassVar[type[BaseModel] | None] = None
    observation_cls: ClassVar[type[BaseModel] | None] = None
    steps: ClassVar[int] = 50
    episodes: ClassVar[int] = 2
    seed: ClassVar[int] = 0

    def make_action(self, rng: random.Random) -> Any:
        """An action, a model or a mapping, from random numbers and from them alone. Override it to make your own."""
        return new_action(self._found(), replace(self._settings(), actions=None), rng)

    def test_r01_it_can_be_built_and_called(self) -> None:
        self._hold(Rule.R01)

    def test_r02_reset_returns_the_declared_type(self) -> None:
        self._hold(Rule.R02)

    def test_r03_step_returns_the_declared_type(self) -> None:
        self._hold(Rule.R03)

    def test_r04_valid_actions_do_not_raise(self) -> None:
        self._hold(Rule.R04)

    def test_r05_the_state_is_a_state(self) -> None:
        self._hold(Rule.R05)

    def test_r06_the_state_has_the_episode_id(self) -> None:
        self._hold(Rule.R06)

    def test_r07_the_state_counts_steps(self) -> None:
        self._hold(Rule.R07)

    def test_r08_a_seed_gives_the_same_reset(self) -> None:
        self._hold(Rule.R08)

    def test_r09_seeds_are_used(self) -> None:
        self._hold(Rule.R09)

    def test_r10_rewards_are_finite(self) -> None:
        self._hold(Rule.R10)

    def test_r11_observations_survive_json(self) -> None:
        self._hold(Rule.R11)

    def test_r12_actions_can_be_drawn(self) -> None:
        self._hold(Rule.R12)

    def test_r13_it_can_be_closed(self) -> None:
        self._hold(Rule.R13)

    def test_r14_no_thread_is_left(self) -> None:
        self._hold(Rule.R14)

    def test_r15_sessions_do_not_mix(self) -> None:
        self._hold(Rule.R15)

    def test_r16_it_describes_itself(self) -> None:
        self._hold(Rule.R16)

    def test_r17_its_manifest_names_what_there_is(self) -> None:
        self._hold(Rule.R17)

    def test_r18_its_entry_point_is_its_client(self) -> None:
        self._hold(Rule.R18)

    def test_r19_what_is_deterministic_answers_alike(self) -> None:
        self._hold(Rule.R19)

    def test_r20_a_snapshot_is_the_whole_state(self) -> None:
        self._hold(Rule.R20)

    def test_r21_steps_together_are_steps(self) -> None:
        self._hold(Rule.R21)

    def test_r22_tools_return_what_they_say(self) -> None:
        self._hold(Rule.R22)

    def test_it_can_be_served_and_played(self) -> None:
        evidence = self._evidence()
        spec, anybody = evidence.spec, AccessOptions(enabled=False)  # whatever the variables say
        app = create_app(type(self).environment, spec.action_type, spec.observation_type, auth=anybody)
        rng = random.Random(self.seed)  # noqa: S311 - tests, not secrets
        with serving(app) as url, SyncEnvClient(url) as client:
            result = client.reset(seed=self.seed, episode_id="contract")
            played = 0
            while played < self.steps and not result.done:
                result = client.step(new_action(self._found(), self._settings(), rng))
                played += 1
            assert client.state()["step_count"] == played, f"{Rule.R07.name}: {Rule.R07.says}"

    @classmethod
    def _settings(cls) -> Settings:
        own = None if cls.make_action is EnvironmentContract.make_action else cls().make_action
        return Settings(cls.steps, cls.episodes, cls.seed, own, cls.action_cls, cls.observation_cls)

    @classmethod
    def _tested(cls) -> Callable[[], AnyEnvironment]:
        try:
            return cls.environment
        except AttributeError:
            raise ConfigurationError(f"say in {cls.__name__} what to test: environment = MyEnvironment") from None

    @classmethod
    def _found(cls) -> Declared:
        """What the environment declares; found out by the first test that asks."""
        if "_declared" not in vars(cls):
            cls._declared = declared_by(cls._tested(), cls._settings())
        return cls._declared

    @classmethod
    def _evidence(cls) -> Evidence:
        """What all tests look at; gathered by the first of them."""
        if "_gathered" not in vars(cls):
            cls._gathered = evidence_of(cls._tested(), cls._settings())
        return cls._gathered

    _declared: ClassVar[Declared]
    _gathered: ClassVar[Evidence]

    def _hold(self, rule: Rule) -> None:
        not_told = hold(rule, self._evidence())
        if not_told is not None:
            import pytest

            pytest.skip(f"{rule.name}: {not_told}")
