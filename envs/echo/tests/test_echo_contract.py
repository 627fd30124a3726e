"""Holds echo to the rules that every environment keeps."""

from __future__ import annotations

from openenv_echo.server.environment import EchoEnvironment

from openenv.testing import EnvironmentContract


class TestEcho(EnvironmentContract):
    environment = EchoEnvironment
