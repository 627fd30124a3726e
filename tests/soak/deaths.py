"""What killed processes during a run, and which environments went with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tests.soak.claims import Claim

__all__ = ["Death", "Deaths", "How"]

_IS_GONE_WITHIN_S = 1.0
"""How long environments may still be built, or closed, after the server, or their fork server, was killed."""
_IS_DRAINED_WITHIN_S = 15.0
_ARE_REPLACED_WITHIN_S = 60.0
"""How long environments may be closed after all workers were told to end, one after the other."""


class How(Enum):
    """What ended a process that environments lived in."""

    KILLED = "worker kill -9"
    STOPPED = "worker SIGSTOP"
    FORK_SERVER = "fork server kill -9"
    ONE_OF_SEVERAL = "server's worker kill -9"
    ROLLED = "server's workers replaced"
    SERVER = "server kill -9"
    DRAINED = "server drained"
    MEMORY = "out of memory"
    DEADLINE = "over a deadline"


@dataclass(frozen=True)
class Death:
    """Something that was done to processes.

    Attributes:
        at: When. Monotonic seconds.
        pids: The processes that environments lived in; of a server: none, since all of them go with it.

    A server that is drained closes its environments, and leaves to the next one what that can go on with.
    """

    how: How
    at: float
    pids: frozenset[int] = frozenset()


@dataclass
class Instance:
    """An environment, as the ledger has it. Monotonic seconds.

    Attributes:
        closed_at: When it was closed last; 0: never.
        died_at: When it wrote that it is about to die; 0: it did not.
        episode: The one that it began last.
    """

    pid: int
    created_at: float
    closes: int = 0
    closed_at: float = 0.0
    died_at: float = 0.0
    episode: str = ""


class Deaths:
    """Says what an environment died of.

    Args:
        deaths: What was done to processes.
        claims: By episode; a request that took too long costs its environment's process its life.
    """

    def __init__(self, deaths: Iterable[Death], claims: dict[str, Claim]) -> None:
        self._deaths = sorted(deaths, key=lambda one: one.at)
        self._claims = claims

    def of(self, instance: Instance, before: float) -> Death | None:
        """What an environment died of until then; ``None``: nothing that is known.

        With their server, environments may be closed as well; another death leaves no time for that.
        """
        if instance.closes:
            return next((one for one in self._deaths if self._left_alone(one, instance, before)), None)
        if instance.died_at:
            return Death(How.MEMORY, instance.died_at)
        for death in self._deaths:
            if death.at > before:
                break
            if self._meets(death, instance):
                return death
        claim = self._claims.get(instance.episode)
        for span in claim.timeouts if claim is not None else ():
            if instance.created_at <= span.ended_at and span.began_at <= before:
                return Death(How.DEADLINE, span.began_at)
        return None

    def within(self, began_at: float, ended_at: float) -> int:
        """How many there were in that time."""
        return sum(began_at <= one.at <= ended_at for one in self._deaths)

    @staticmethod
    def _left_alone(death: Death, instance: Instance, before: float) -> bool:
        since = instance.closed_at - death.at
        within = {
            How.SERVER: _IS_GONE_WITHIN_S,
            How.ONE_OF_SEVERAL: _IS_GONE_WITHIN_S,
            How.DRAINED: _IS_DRAINED_WITHIN_S,
            How.ROLLED: _ARE_REPLACED_WITHIN_S,
        }.get(death.how, -1.0)
        is_hit = not death.pids or instance.pid in death.pids
        return is_hit and death.at <= before and 0 <= since <= within

    @staticmethod
    def _meets(death: Death, instance: Instance) -> bool:
        if death.how is How.SERVER:
            return instance.created_at <= death.at + _IS_GONE_WITHIN_S
        return instance.pid in death.pids and instance.created_at <= death.at + _IS_GONE_WITHIN_S
