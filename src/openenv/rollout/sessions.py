"""The sessions of a run: as many connected clients as it wants and the server takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from openenv.client import GenericEnvClient
from openenv.errors import CapacityReached
from openenv.rollout.target import capacity

__all__ = ["close_sessions", "connect_sessions"]


async def connect_sessions(
    new_client: Callable[[], GenericEnvClient],
    clients: list[GenericEnvClient],
    wanted: int,
    *,
    fewer_from: tuple[str, Mapping[str, str]] | None,
) -> None:
    """Add a client with a session for each that is wanted; raises the first error.

    Args:
        new_client: Makes one that is not connected.
        clients: Grows by each client before it connects, so that whoever has the list can close them all.
        wanted: How many sessions, from 1.
        fewer_from: URL and headers of the server, where it may be fewer sessions if it does not take so many; ``None``:
            that is an error.
    """
    clients.append(new_client())
    failures = await _failures(clients)
    if fewer_from is not None:
        wanted = min(wanted, await capacity(*fewer_from) or wanted)
    if not failures:
        clients += [new_client() for _ in range(wanted - 1)]
        failures = await _failures(clients[1:])
    if failures:
        raise _explained(failures[0], wanted=wanted, ours=len(clients) - len(failures))


async def close_sessions(clients: list[GenericEnvClient]) -> None:
    """Close all of them; the work is done, so what fails then is nobody's concern."""
    await asyncio.gather(*(client.close() for client in clients), return_exceptions=True)


async def _failures(clients: list[GenericEnvClient]) -> list[BaseException]:
    results = await asyncio.gather(*(client.connect() for client in clients), return_exceptions=True)
    return [result for result in results if isinstance(result, BaseException)]


def _explained(failure: BaseException, *, wanted: int, ours: int) -> BaseException:
    if not isinstance(failure, CapacityReached):
        return failure
    places = failure.details.get("max_sessions", ours)
    others = failure.details.get("active_sessions", ours) - ours
    taken = f", {others} of them taken by others" if others > 0 else ""
    free = places - max(others, 0)
    fewer = f"run with --concurrency {free}, or " if free > 0 else ""
    return CapacityReached(
        f"the server has places for {places} sessions{taken}; this run wants {wanted}; "
        f"{fewer}start the server with --max-sessions {wanted + max(others, 0)}",
        details=failure.details,
    )
