"""How many sessions there may be at the same time, and whether several may share a process."""

from __future__ import annotations

from openenv.environment import EnvironmentPlan, Isolation
from openenv.errors import ConfigurationError

__all__ = ["CONCURRENT_CAPACITY", "Capacity"]

CONCURRENT_CAPACITY = 64
"""Sessions kept at the same time, unless told otherwise, where several may live side by side."""


class Capacity:
    """What was asked for, held against what the class allows.

    Args:
        asked: Sessions at the same time, 1 or more; ``None``: 64 where several may live side by side, else 1.
        isolation: Where environments are to live, as the server was told; ``None``: as their class says, and in
            processes where several are asked for and may not share one.

    Raises:
        ConfigurationError: ``asked`` is below 1.
    """

    def __init__(self, asked: int | None, isolation: Isolation | None) -> None:
        self.isolation = isolation
        self._asked = _checked(asked)
        self._plan: EnvironmentPlan | None = None

    @property
    def is_isolated(self) -> bool:
        """Whether environments live in processes of their own."""
        if self.isolation is not None:
            return self.isolation == "process"
        plan = self._plan
        if plan is None:
            return False
        return plan.isolation == "process" or (plan.isolation is None and self._wants_many and not plan.concurrent)

    @property
    def is_concurrent(self) -> bool:
        """Whether several environments may live side by side; False until that is known."""
        return self.is_isolated or (self._plan is not None and self._plan.concurrent)

    @property
    def wanted(self) -> Isolation | None:
        """Where environments are to live; ``None``: wherever it is best."""
        if self.is_isolated:
            return "process"
        return self.isolation or (None if self._plan is None else self._plan.isolation)

    @property
    def limit(self) -> int:
        """Sessions at the same time."""
        if self._asked is not None:
            return self._asked
        return CONCURRENT_CAPACITY if self.is_concurrent else 1

    def resize(self, asked: int) -> None:
        """Ask for another number.

        Raises:
            ConfigurationError: It is below 1, or the class does not support it.
        """
        before, self._asked = self._asked, _checked(asked)
        try:
            if self._plan is not None:
                self.learn(self._plan)
        except ConfigurationError:
            self._asked = before
            raise

    def isolate(self, isolation: Isolation) -> None:
        """Have environments live somewhere else.

        Raises:
            ConfigurationError: The class does not support that many sessions there.
        """
        before, self.isolation = self.isolation, isolation
        try:
            if self._plan is not None:
                self.learn(self._plan)
        except ConfigurationError:
            self.isolation = before
            raise

    def learn(self, plan: EnvironmentPlan) -> None:
        """Take note of the class.

        Raises:
            ConfigurationError: It cannot be served like this.
        """
        before, self._plan = self._plan, plan
        if self._wants_many and not self.is_concurrent:
            self._plan = before
            raise ConfigurationError(
                f"{plan.name} does not say that several of it may live in one process, so it cannot serve "
                f"{self._asked} sessions; set SUPPORTS_CONCURRENT_SESSIONS = True if they share nothing, "
                "or serve it with isolation='process'"
            )

    @property
    def _wants_many(self) -> bool:
        return (self._asked or 1) > 1


def _checked(asked: int | None) -> int | None:
    if asked is not None and asked < 1:
        raise ConfigurationError(f"the number of sessions must be 1 or more, not {asked}")
    return asked
