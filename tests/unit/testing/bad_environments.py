"""A good environment, and for each rule one that breaks it and no other."""

from __future__ import annotations

import random
import threading
from typing import Any, ClassVar

from pydantic import Field, field_validator

from openenv import Action, Environment, Observation, State
from openenv.testing import Rule


class Roll(Action):
    sides: int = Field(default=6, ge=1)


class Rolled(Observation):
    face: int = 0
    more: dict[str, Any] = {}  # noqa: RUF012 - as authors write it


class Table(State):
    rolls: list[int] = []  # noqa: RUF012 - as authors write it


class Good(Environment[Roll, Rolled, Table]):
    """Rolls a die until it shows a six."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        self._table = Table()
        self._is_open = True

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Rolled:
        self._table = Table(episode_id=episode_id)
        return Rolled(face=self.rng.randint(1, 6))

    def step(self, action: Roll) -> Rolled:
        self._table.step_count += 1
        face = self.rng.randint(1, 6)
        self._table.rolls.append(face)
        return Rolled(face=face, reward=face / 6, done=face == 6)

    @property
    def state(self) -> Table:
        return self._table

    def close(self) -> None:
        self._is_open = False


class GoodAwaited(Environment[Roll, Rolled, State]):
    """The same, awaited, never done, without a claim to be concurrent."""

    def __init__(self) -> None:
        self._state = State()

    async def reset_async(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Rolled:
        self._state = State(episode_id=episode_id)
        return Rolled(face=self.rng.randint(1, 6))

    async def step_async(self, action: Roll, timeout_s: float | None = None, **kwargs: Any) -> Rolled:
        self._state.step_count += 1
        return Rolled(face=self.rng.randint(1, action.sides))

    @property
    def state(self) -> State:
        return self._state


class ClosesAwaited(GoodAwaited):
    """Its close has to be awaited."""

    async def close(self) -> None:  # type: ignore[override]
        self._state = State()


class NeedsAnArgument(Good):
    def __init__(self, port: int) -> None:
        super().__init__()


class NeedsATask(Good):
    def reset(self, task_id: str) -> Rolled:
        return Rolled()


class OtherReset(Good):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        super().reset(seed, episode_id)
        return Observation()


class NoStep(Good):
    def step(self, action: Roll) -> Any:
        super().step(action)


class Fragile(Good):
    def step(self, action: Roll) -> Rolled:
        super().step(action)
        raise KeyError("die")


class LateState(Good):
    def __init__(self) -> None:
        self._is_open = True

    @property
    def state(self) -> Table:
        return self._table  # not there before the first reset


class OwnEpisodeId(Good):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Rolled:
        return super().reset(seed, "mine")


class CountsOn(Good):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Rolled:
        counted = self._table.step_count
        seen = super().reset(seed, episode_id)
        self._table.step_count = counted
        return seen


class Unseeded(Good):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Rolled:
        super().reset(seed, episode_id)
        return Rolled(face=random.SystemRandom().getrandbits(64))


class Remembers(Good):
    """Shows what is left of the episode before."""

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Rolled:
        left = len(self._table.rolls)
        super().reset(seed, episode_id)
        return Rolled(face=left)


class TakesNoSeed(Good):
    def reset(self, episode_id: str | None = None) -> Rolled:
        super().reset(None, episode_id)
        return Rolled(face=random.SystemRandom().getrandbits(64))


class ConstantSeed(Good):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Rolled:
        self.rng.seed(42)
        return super().reset(seed, episode_id)


class InfiniteReward(Good):
    def step(self, action: Roll) -> Rolled:
        super().step(action)
        return Rolled(reward=float("inf"))


class NoJson(Good):
    def step(self, action: Roll) -> Rolled:
        super().step(action)
        return Rolled(more={"lock": threading.Lock()})


class NotANumber(Good):
    def step(self, action: Roll) -> Rolled:
        super().step(action)
        return Rolled(more={"share": [float("nan")]})


class Written(Rolled):
    face: Any = 0


class ReadOtherwise(Good, Environment[Roll, Written, Table]):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        super().reset(seed, episode_id)
        return Written.model_construct(face=1, done="maybe")  # type: ignore[arg-type]


class Workday(Action):
    """Knows more of its field than its schema says."""

    day: str

    @field_validator("day")
    @classmethod
    def _is_a_day(cls, day: str) -> str:
        if not day.endswith("day"):
            raise ValueError("not a day")
        return day


class UndrawableAction(Environment[Workday, Rolled, Table]):
    reset, step, state, __init__ = Good.reset, Good.step, Good.state, Good.__init__  # type: ignore[assignment]


class ClosesOnce(Good):
    def close(self) -> None:
        if not self._is_open:
            raise OSError("closed already")
        super().close()


class ClosesAfterReset(Good):
    def close(self) -> None:
        if self._table.episode_id is None:
            raise OSError("nothing to close")


class ClosesOnceAwaited(ClosesAwaited):
    is_open = True

    async def close(self) -> None:  # type: ignore[override]
        if not self.is_open:
            raise OSError("closed already")
        self.is_open = False


class LeavesAThread(Good):
    threads: ClassVar[list[threading.Thread]] = []
    over: ClassVar[threading.Event] = threading.Event()

    def __init__(self) -> None:
        super().__init__()
        thread = threading.Thread(target=self.over.wait, name="left-behind", daemon=True)
        thread.start()
        self.threads.append(thread)


class SharesItsPosition(Good):
    position = 0

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Rolled:
        type(self).position = 0
        return super().reset(seed, episode_id)

    def step(self, action: Roll) -> Rolled:
        type(self).position += 1
        super().step(action)
        return Rolled(face=self.position)


class OnlyOne(Good):
    alive = 0

    def __init__(self) -> None:
        super().__init__()
        if type(self).alive:
            raise OSError("the port is taken")
        type(self).alive = 1

    def close(self) -> None:
        type(self).alive = 0


class NoDescription(Good):
    def get_metadata(self) -> Any:
        return {"name": "die"}


BAD: dict[type[Environment[Any, Any, Any]], Rule] = {
    NeedsAnArgument: Rule.R01,
    NeedsATask: Rule.R01,
    OtherReset: Rule.R02,
    NoStep: Rule.R03,
    Fragile: Rule.R04,
    LateState: Rule.R05,
    OwnEpisodeId: Rule.R06,
    CountsOn: Rule.R07,
    Unseeded: Rule.R08,
    Remembers: Rule.R08,
    TakesNoSeed: Rule.R09,
    ConstantSeed: Rule.R09,
    InfiniteReward: Rule.R10,
    NoJson: Rule.R11,
    NotANumber: Rule.R11,
    ReadOtherwise: Rule.R11,
    UndrawableAction: Rule.R12,
    ClosesOnce: Rule.R13,
    ClosesAfterReset: Rule.R13,
    ClosesOnceAwaited: Rule.R13,
    LeavesAThread: Rule.R14,
    SharesItsPosition: Rule.R15,
    OnlyOne: Rule.R15,
    NoDescription: Rule.R16,
}
