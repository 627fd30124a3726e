"""Holds reasoning_gym to the rules that every environment keeps."""

from __future__ import annotations

from openenv.testing import EnvironmentContract
from openenv_reasoning_gym.server.environment import ReasoningGymEnvironment


class TestReasoningGym(EnvironmentContract):
    environment = ReasoningGymEnvironment


class TestSeveralTurns(EnvironmentContract):
    @staticmethod
    def environment() -> ReasoningGymEnvironment:  # type: ignore[override]
        return ReasoningGymEnvironment(dataset=["word_sorting", "chain_sum"], split="test", max_turns=3)
