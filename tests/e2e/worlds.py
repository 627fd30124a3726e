"""Environments as their authors write them, in files."""

from __future__ import annotations

from pathlib import Path

COUNTER = '''"""Counts its steps."""

import os

from openenv import Action, Environment, Observation, State


class Add(Action):
    amount: int = 1


class Sum(Observation):
    total: int
    pid: int


class Counter(Environment[Add, Sum, State]):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed=None):
        self.total = 0
        return Sum(total=0, pid=os.getpid())

    def step(self, action):
        self.total += action.amount
        return Sum(total=self.total, pid=os.getpid(), reward=float(action.amount))

    @property
    def state(self):
        return State()
'''

STUCK = '''"""Its step says that it runs, then waits until somebody opens the file that it was told of."""

from openenv import Action, Environment, Observation, State


class Wait(Action):
    says: str
    until: str


class Stuck(Environment[Wait, Observation, State]):
    def reset(self, seed=None):
        return Observation()

    def step(self, action):
        open(action.says, "w").close()
        open(action.until).close()
        return Observation()

    def close(self):
        print("environment closed", flush=True)

    @property
    def state(self):
        return State()
'''


def write(path: Path, text: str) -> Path:
    """Write a file, and the directories it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def manifest(directory: Path, app: str, name: str = "counter") -> Path:
    """Write an ``openenv.yaml``."""
    return write(directory / "openenv.yaml", f"spec_version: 1\nname: {name}\ntype: space\napp: {app}\nport: 8000\n")
