"""A world whose answers are easy to change, and runs of it that are recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.rollout_worlds import forward

from openenv.rollout import RolloutSettings, run_rollout

WORLD = '''"""A world whose answers are easy to change."""

import itertools
import time

from openenv import Action, Environment, Observation, State

turns = itertools.count()


class Turn(Action):
    by: int


class Board(Observation):
    board: list[int]
    drawn: float = 0.0
    at: float = 0.0


class Game(Environment[Turn, Board, State]):
    SUPPORTS_CONCURRENT_SESSIONS = True
    volatile = frozenset({"at"})

    def reset(self, seed=None, episode_id=None, level=1, lock="none"):
        self.turn, self.level, self.episode = 0, level, episode_id
        return self.seen(metadata={"episode": episode_id, "option": lock})

    def step(self, action):
        self.turn += action.by
        return self.seen(reward=self.turn / 3, done=self.turn >= 4)

    def seen(self, **fields):
        return Board(board=[0, self.turn, LAST, self.level], drawn=self.rng.random(), at=time.monotonic(), **fields)

    @property
    def state(self):
        return State()


class Chance(Game):
    def seen(self, **fields):
        return Board(board=[next(turns)], **fields)
'''


def game(directory: Path, last: str = "9", name: str = "Game") -> str:
    """The world as a target; ``last`` is the code of the third place of its board."""
    path = directory / "game.py"
    path.write_text(WORLD.replace("LAST", last), encoding="utf-8")
    return f"{path}:{name}"


async def rollout(environment: str, out: Path, **fields: Any) -> str:
    """Play and record; the run's id."""
    asked = {"episodes": 6, "concurrency": 3, "seed": 5, **fields}
    report = await run_rollout(RolloutSettings(environment=environment, out=out, **asked), forward)
    assert report.status == "complete"
    return report.run
