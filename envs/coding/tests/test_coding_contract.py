"""Holds the coding environment to the rules that every environment keeps."""

from __future__ import annotations

import random

from openenv.testing import EnvironmentContract
from openenv_coding import CodingAction
from openenv_coding.server.environment import CodingEnvironment

SNIPPETS = (
    "x = [1]",
    "x = [*x, len(x)] if 'x' in dir() else []",
    "print(x)",
    "import random\nrandom.random()",
    "1 / 0",
    "x = (",
    "open('note', 'a').write('more')",
    "{'a', 'b', 'c'}",
    "import sys\nsys.exit(3)",
)


class TestCoding(EnvironmentContract):
    environment = CodingEnvironment
    steps = 12

    def make_action(self, rng: random.Random) -> CodingAction:
        if rng.random() < 0.1:
            return CodingAction(operation=rng.choice(("wait", "interrupt", "restart")))
        return CodingAction(code=rng.choice(SNIPPETS))
