"""What can be seen of the sessions of one environment."""

from __future__ import annotations

from openenv.environment import EnvironmentPlan
from openenv.session.lifetime.builder import Builder
from openenv.session.lifetime.capacity import Capacity
from openenv.session.lifetime.places import Census, SessionPlaces
from openenv.session.lifetime.recovery import NoRecovery
from openenv.session.lifetime.rescue import Rescue
from openenv.session.lifetime.table import SessionTable
from openenv.types import EnvironmentMetadata

__all__ = ["Standing"]


class Standing:
    """Answers questions about an engine; nothing here changes anything.

    Args:
        capacity: What may be.
        builder: What is known of the environment.
        places: Who has a place.
        rescue: Which environments hang.

    Attributes:
        sessions: The sessions by their ids.
        recovery: Finds them, those of the server before included.
        agents_at: Where agents reach a session over MCP, with ``{session}`` for its id: a path, also behind a port of
            the same host (``:9000/sessions/...``).
    """

    def __init__(self, capacity: Capacity, builder: Builder, places: SessionPlaces, rescue: Rescue) -> None:
        self.sessions = SessionTable()
        self.recovery = NoRecovery(self.sessions)
        self.agents_at = "/sessions/{session}/mcp"
        self._capacity = capacity
        self._builder = builder
        self._places = places
        self._rescue = rescue
        self._draining = False

    @property
    def capacity(self) -> int:
        """Sessions that are kept at the same time, those of other processes of the same server included."""
        return self._places.capacity

    @property
    def limit(self) -> int:
        """The same as this process knows it: what was asked for, or what suits the class."""
        return self._capacity.limit

    @property
    def active(self) -> int:
        """Places taken: sessions that live, open or close just now."""
        return self._places.taken

    async def census(self) -> Census:
        """How the whole server stands, other processes of it included."""
        return await self._places.census()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return self._places.waiting

    @property
    def stuck(self) -> int:
        """Environments that hang in a call that does not return."""
        return self._rescue.stuck

    @property
    def failure(self) -> str | None:
        """Why no session can go on, if none can."""
        if self.stuck:
            return f"{self.stuck} environments hang in a call that does not return; serve with --isolation process"
        return None if self.recovery.failure is None else self.recovery.failure.message

    @property
    def is_isolated(self) -> bool:
        """Whether environments live in processes of their own."""
        return self._capacity.is_isolated

    @property
    def is_draining(self) -> bool:
        """Whether the server is stopping."""
        return self._draining

    @property
    def metadata(self) -> EnvironmentMetadata | None:
        """What the environment says of itself, once one was built."""
        return self._builder.metadata

    @property
    def is_known(self) -> bool:
        """Whether the class is known: at once where one is served, from the first session where a factory is."""
        return self._builder.plan is not None

    @property
    def plan(self) -> EnvironmentPlan | None:
        """What the class takes, once it is known."""
        return self._builder.plan

    @property
    def is_concurrent(self) -> bool:
        """Whether several instances may live side by side; False until that is known."""
        return self._capacity.is_concurrent

    @property
    def has_tools(self) -> bool:
        """Whether it is acted in by calling tools."""
        return self._builder.plan is not None and self._builder.plan.tools

    @property
    def is_lenient(self) -> bool:
        """Whether a step without a reset is legal."""
        return self._builder.plan is not None and self._builder.plan.lifecycle == "lenient"
