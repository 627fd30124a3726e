"""Holds blackjack to the rules that every environment keeps."""

from __future__ import annotations

from openenv.testing import EnvironmentContract
from openenv_blackjack.server.environment import BlackjackEnvironment


class TestBlackjack(EnvironmentContract):
    environment = BlackjackEnvironment
