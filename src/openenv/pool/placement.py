"""Which endpoint a session is opened at."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from openenv.pool.endpoint import Endpoint

__all__ = ["Placement"]


class Placement:
    """Chooses the least loaded endpoint: the one with the fewest sessions, relative to how many it takes."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints

    def choose(self, tried: Collection[Endpoint]) -> Endpoint | None:
        """Where to open a session; ``None`` where every endpoint was ``tried``.

        One that is gone is chosen where there is no other: it may be back.
        """
        left = [one for one in self._endpoints if one not in tried]
        up = [one for one in left if one.is_up]
        return min(up or left, key=_load, default=None)

    def relief(self, endpoint: Endpoint) -> Endpoint | None:
        """An endpoint that came back and would be less loaded than ``endpoint`` even with a session of it."""
        back = [one for one in self._endpoints if one.is_returning and one.is_up and one is not endpoint]
        for one in back:
            if one.load() <= endpoint.load(more=-1):
                return one
            one.is_returning = False  # it has its share
        return None


def _load(endpoint: Endpoint) -> float:
    return endpoint.load()
