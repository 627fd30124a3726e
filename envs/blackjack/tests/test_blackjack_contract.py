"""Holds blackjack to the rules that every environment keeps."""

from __future__ import annotations

from openenv_blackjack.server.environment import BlackjackEnvironment

from openenv.testing import EnvironmentContract


class TestBlackjack(EnvironmentContract):
    environment = BlackjackEnvironment
