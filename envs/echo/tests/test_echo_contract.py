"""Holds echo to the rules that every environment keeps."""

from __future__ import annotations

from openenv.testing import EnvironmentContract
from openenv_echo.server.environment import EchoEnvironment


class TestEcho(EnvironmentContract):
    environment = EchoEnvironment
