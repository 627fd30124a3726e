"""The steps of several sessions as one call, where their class has ``step_batch``."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from openenv.errors import EnvironmentFailure, OpenEnvError
from openenv.protocol import Failed, Observed, Reply, Request, Step
from openenv.session.episode.chronicle import Chronicle
from openenv.session.episode.lifecycle import Operation
from openenv.session.hosting.host import LocalHost
from openenv.session.prompt import Frame, Kept, unforeseen
from openenv.session.served.tool_actions import asks_for_list
from openenv.session.session import Session

__all__ = ["Group", "groups_of", "step_together"]

Group = list[tuple[Session, Step]]


def groups_of(sessions: Mapping[str, Session], requests: Sequence[Request]) -> tuple[list[Group], list[Request]]:
    """What may be asked together, and what is left. The groups have their turns: ``step_together`` has to follow.

    Args:
        sessions: Those that the connection holds, by id.
        requests: What came in one frame, in order.
    """
    groups: dict[int, Group] = {}
    left: list[Request] = []
    for request in requests:
        session = sessions.get(request.session)
        common = None
        if session is not None and isinstance(request, Step) and not (request.options or request.timeout_s):
            host = session.episode.host
            common = host.common if isinstance(host, LocalHost) and not session.is_busy else None
            if session.has_tools and asks_for_list(request.action):
                common = None
        if common is None or session is None or not isinstance(request, Step):
            left.append(request)
        else:
            session.take_turn()  # from here on it is busy: what comes next of it is left, and waits
            groups.setdefault(id(common), []).append((session, request))
    return [*groups.values()], left


async def step_together(
    group: Group, framed: Callable[[Reply, Request], Kept], again: Callable[[Request], Awaitable[Frame | None]]
) -> list[Frame]:
    """The answers to the steps of a group, in no order.

    Args:
        group: As ``groups_of`` found it.
        framed: Makes the frame of a reply.
        again: Gives the answer to a request that came before.
    """
    answers: list[Frame] = []
    before: list[Request] = []
    going: Group = []
    try:
        for session, request in group:
            try:
                is_new = request.id == 0 or session.numbered.begin_long(request)
            except OpenEnvError as error:
                answers.append(_frame(framed(Failed.of(error, request), request)))
                continue
            if is_new:
                going.append((session, request))
            else:
                before.append(request)
        replies = await _step_safely(going)
        for session, request in going:
            kept = framed(replies[session.id], request)
            if request.id:
                session.numbered.finish(request.id, kept)
            answers.append(_frame(kept))
    except BaseException:
        for session, request in going:
            session.numbered.abandon(request.id)
        raise
    finally:
        for session, _ in group:
            session.end_turn()
    for known in before:  # only now: their first run may wait for the turn
        if (kept_one := await again(known)) is not None:
            answers.append(kept_one)
    return answers


async def _step_safely(group: Group) -> dict[str, Reply]:
    try:
        return await _step(group)
    except Exception as error:  # noqa: BLE001 - what nobody foresaw must be an answer too, or the clients wait
        return {session.id: unforeseen(error, request) for session, request in group}


async def _step(group: Group) -> dict[str, Reply]:
    replies: dict[str, Reply] = {}
    ready: Group = []
    began = time.time()
    for session, request in group:
        try:
            session.admit(Operation.STEP)
            session.episode.begin_together()
        except OpenEnvError as error:
            replies[session.id] = Failed.of(error, request)
        else:
            ready.append((session, request))
    if not ready:
        return replies
    hosts = [session.episode.host for session, _ in ready]
    found = await LocalHost.step_together([one for one in hosts if isinstance(one, LocalHost)], [r for _, r in ready])
    for (session, request), answer in zip(ready, found, strict=True):
        replies[session.id] = _told(session, request, answer, began)
    await _settle(ready, replies)
    return replies


def _told(session: Session, request: Step, answer: Observed | EnvironmentFailure, began: float) -> Reply:
    try:
        session.episode.stepped_together(request, answer, began)
    except OpenEnvError as error:  # of the journal
        return Failed.of(error, request)
    return Failed.of(answer, request) if isinstance(answer, EnvironmentFailure) else answer


async def _settle(group: Group, replies: dict[str, Reply]) -> None:
    """Wait for the journal, of which a server has one; where it fails, that is the answer."""
    chronicles: list[Chronicle] = [one.episode.chronicle for one, _ in group if one.episode.chronicle is not None]
    failures = [failure for one in chronicles if (failure := await one.settled()) is not None]
    if failures:
        for session, request in group:
            if session.episode.chronicle is not None:
                replies[session.id] = Failed.of(failures[0], request)


def _frame(kept: Kept) -> Frame:
    assert kept[1] is not None  # every version has a form for the answer to a step
    return kept[1]
