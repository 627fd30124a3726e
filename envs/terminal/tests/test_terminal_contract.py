"""Holds the terminal to the rules that every environment keeps."""

from __future__ import annotations

import random

from openenv.testing import EnvironmentContract
from openenv_terminal import TerminalAction
from openenv_terminal.server.environment import TerminalEnvironment


class TestTerminal(EnvironmentContract):
    environment = TerminalEnvironment
    steps = 6

    def make_action(self, rng: random.Random) -> TerminalAction:
        commands = [
            "echo a b",
            "mkdir -p d && cd d && pwd",
            "exit 3",
            "ls /nowhere",
            "printf '\\377'",
            "cd",
            "(exit 5)",
        ]
        return TerminalAction(text=rng.choice(commands))
