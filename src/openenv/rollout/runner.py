"""The concurrent loop: many sessions, each playing one episode after another until all are played."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from openenv.app.resolve import Remote, resolve
from openenv.client import GenericEnvClient
from openenv.errors import ConnectFailed, OpenEnvError, RecordError
from openenv.record import EventStore, EventWriter, Run, RunStatus
from openenv.rollout.agent import RANDOM, Agent, AgentFunction, agent_of, load_agent
from openenv.rollout.episode import Outcome, play_episode
from openenv.rollout.plan import EpisodePlan, RolloutSettings, plan_episode
from openenv.rollout.report import Progress, RolloutReport, Tally
from openenv.rollout.sessions import close_sessions, connect_sessions
from openenv.rollout.stamp import LOCK_SETTING, ServerLock, StampedLog
from openenv.rollout.target import random_player, served
from openenv.version import __version__

__all__ = ["run_rollout"]

_PROGRESS_EVERY_S = 0.2

T = TypeVar("T")

OnProgress = Callable[[Progress], None]


async def run_rollout(
    settings: RolloutSettings,
    agent: str | Agent | AgentFunction,
    *,
    on_progress: OnProgress | None = None,
    stop: asyncio.Event | None = None,
) -> RolloutReport:
    """Play many episodes at once and record every step of them.

    An episode that fails is recorded and counted with the code of its error; the others go on. The run stops early,
    with what there is and the reason in the report, if the server cannot be reached any more or events cannot be
    stored.

    Example::

        settings = RolloutSettings(environment="blackjack", episodes=1000, concurrency=32, seed=7)
        report = await run_rollout(settings, lambda observation: {"move": "stick"})
        print(report.mean_return())

    Args:
        settings: What to play.
        agent: What chooses the actions: ``random``, ``module:function``, or a function (see ``AgentFunction``).
        on_progress: Called a few times a second in the event loop, the first time before the first episode and the
            last time when the run is over.
        stop: Set it to end the run early; episodes that have begun are recorded as interrupted.

    Returns:
        What has come of it. A run that was told to stop before it began, while its server was started or connected
        to, is not recorded and its report names no run.

    Raises:
        OpenEnvError: The run could not begin: the environment, agent, store or server is not as it must be. A run that
            has begun raises nothing of its own. If the call is cancelled, its run is recorded as interrupted.
    """
    early = _prepared(agent)  # before a server is started for nothing
    stop = stop or asyncio.Event()
    async with AsyncExitStack() as open_things:
        begun = await _unless(stop, _begun(settings, early, open_things))
        if begun is None:
            name = early.name if isinstance(early, Agent) else early
            return _report(_Facts("", settings.label or settings.environment, name, settings.sessions), settings)
        return await _Rollout(settings, *begun, on_progress or _ignore).run(stop)


async def _begun(
    settings: RolloutSettings, early: Agent | str, open_things: AsyncExitStack
) -> tuple[Agent, list[GenericEnvClient], ServerLock]:
    """The agent, a connected client for each session, and what they play; ``open_things`` closes what has to be."""
    server = served(settings.environment, settings.concurrency and settings.sessions)
    url, lent = await open_things.enter_async_context(server)
    agent = early if isinstance(early, Agent) else await random_player(url, settings.headers)
    clients: list[GenericEnvClient] = []
    open_things.push_async_callback(close_sessions, clients)

    def new_client() -> GenericEnvClient:
        return GenericEnvClient(
            url, headers=settings.headers, reconnect_timeout_s=settings.reconnect_timeout_s, owned=lent
        )

    fewer_from = (url, settings.headers) if settings.concurrency is None else None
    await connect_sessions(new_client, clients, settings.sessions, fewer_from=fewer_from)
    lock = ServerLock(url, settings.headers)
    await lock.begin(clients)
    return agent, clients, lock


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What comes of the work; ``None`` if it is told to stop before, when the work is cancelled."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _prepared(agent: str | Agent | AgentFunction) -> Agent | str:
    """The agent, or the name of the random one, which can only be made when the server has told its action schema."""
    if isinstance(agent, Agent) or agent == RANDOM:
        return agent
    return load_agent(agent) if isinstance(agent, str) else agent_of(agent)


def _ignore(progress: Progress) -> None:
    pass


@dataclass(frozen=True)
class _Facts:
    """What a report says of a run beside its settings and its outcomes; ``run`` is empty if it never began."""

    run: str
    environment: str
    agent: str
    sessions: int


class _Rollout:
    def __init__(
        self,
        settings: RolloutSettings,
        agent: Agent,
        clients: list[GenericEnvClient],
        lock: ServerLock,
        on_progress: OnProgress,
    ) -> None:
        self._settings, self._agent, self._clients, self._on_progress = settings, agent, clients, on_progress
        self._lock = lock
        named = settings.label or _told_name(settings.environment, clients)
        self._facts = _Facts(secrets.token_hex(5), named, agent.name, len(clients))
        self._id = self._facts.run
        self._next = 0
        self._tally = Tally()
        self._began = 0.0

    async def run(self, stop: asyncio.Event) -> RolloutReport:
        settings = self._settings
        status: RunStatus = "interrupted"  # unless it comes to another end
        stopped_by: tuple[OpenEnvError, ...] = ()
        with EventStore.open(settings.out, create=True) as store:
            store.begin_run(self._describe())
            self._began = time.perf_counter()
            try:
                with EventWriter(store) as writer:
                    status = await self._play_all(writer, stop)
            except OpenEnvError as error:
                status, stopped_by = "failed", (error,)
            except Exception:
                status = "failed"
                raise
            finally:
                elapsed_s = time.perf_counter() - self._began
                try:
                    store.end_run(self._id, status, time.time())
                except RecordError as error:
                    stopped_by = stopped_by or (error,)
                    status = "failed"
                self._on_progress(self._tally.progress(settings.episodes, elapsed_s))
        return _report(self._facts, settings, self._tally, status, stopped_by, elapsed_s)

    def _describe(self) -> Run:
        settings = self._settings
        return Run(
            id=self._id,
            started_at=time.time(),
            environment=self._facts.environment,
            agent=self._agent.name,
            seed=settings.seed,
            settings={
                "episodes": settings.episodes,
                "concurrency": self._facts.sessions,
                "max_steps": settings.max_steps,
                **({"target": settings.environment} if settings.environment != self._facts.environment else {}),
                **({"reset_options": dict(settings.reset_options)} if settings.reset_options else {}),
                **({LOCK_SETTING: self._lock.lock} if self._lock.lock is not None else {}),
            },
            versions={"openenv": __version__, "python": ".".join(map(str, sys.version_info[:3]))},
        )

    async def _play_all(self, writer: EventWriter, stop: asyncio.Event) -> RunStatus:
        """Play until everything is played, one session gives up, or the run is told to stop."""
        sessions = [asyncio.create_task(self._play_session(client, writer)) for client in self._clients]
        ticking, stopping = asyncio.create_task(self._tick()), asyncio.create_task(stop.wait())
        playing = asyncio.gather(*sessions)
        try:
            first: list[asyncio.Future[Any]] = [playing, ticking, stopping]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                playing.result()
                return "complete"
            if ticking.done():  # it never ends by itself
                ticking.result()
            return "interrupted"
        finally:
            for task in (*sessions, ticking, stopping):
                task.cancel()
            await asyncio.gather(*sessions, ticking, stopping, playing, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            self._on_progress(self._tally.progress(self._settings.episodes, time.perf_counter() - self._began))
            await asyncio.sleep(_PROGRESS_EVERY_S)

    async def _play_session(self, client: GenericEnvClient, writer: EventWriter) -> None:
        while self._next < self._settings.episodes:
            await self._reconnect(client)
            if self._next < self._settings.episodes:  # still: others went on meanwhile
                index, self._next = self._next, self._next + 1
                await self._play(client, self._plan(index), writer)

    def _plan(self, index: int) -> EpisodePlan:
        return plan_episode(self._settings.seed, index, self._settings.reset_options)

    async def _play(self, client: GenericEnvClient, plan: EpisodePlan, writer: EventWriter) -> None:
        log = StampedLog(writer, self._id, plan.id, await self._lock.digest(client))
        outcome = Outcome(plan.index)
        self._tally.begin(outcome)
        try:
            await play_episode(client, self._agent, plan, log, self._settings.max_steps, outcome)
        finally:
            self._tally.end(outcome)

    async def _reconnect(self, client: GenericEnvClient) -> None:
        """Make sure that there is a connection, so that no episode is spent on finding out that there is none."""
        for delay_s in (*self._settings.reconnect_delays_s, None):
            try:
                await client.connect()  # does nothing as long as there is one
            except OpenEnvError as error:
                if delay_s is None:
                    raise _gone(client, error) from error
                await asyncio.sleep(delay_s)
            else:
                return


def _told_name(environment: str, clients: list[GenericEnvClient]) -> str:
    """What the environment is called: as the user calls it, but by its own name instead of a URL."""
    hello = clients[0].hello
    return hello.environment if hello is not None and isinstance(resolve(environment), Remote) else environment


def _report(
    facts: _Facts,
    settings: RolloutSettings,
    tally: Tally | None = None,
    status: RunStatus = "interrupted",
    stopped_by: tuple[OpenEnvError, ...] = (),
    elapsed_s: float = 0.0,
) -> RolloutReport:
    tally = tally or Tally()
    finished = tally.in_order()
    return RolloutReport(
        run=facts.run,
        store=settings.out,
        environment=facts.environment,
        agent=facts.agent,
        seed=settings.seed,
        sessions=facts.sessions,
        status=status,
        stopped_by=stopped_by,
        episodes=settings.episodes,
        returns=tuple(outcome.return_ for outcome in finished),
        lengths=tuple(outcome.length for outcome in finished),
        cut=sum(outcome.was_cut for outcome in finished),
        errors=dict(tally.errors),
        interrupted=tally.interrupted,
        steps=tally.steps,
        elapsed_s=elapsed_s,
    )


def _gone(client: GenericEnvClient, error: OpenEnvError) -> OpenEnvError:
    where = client.options.address.http
    what = "is gone" if isinstance(error, ConnectFailed) else "gives no session any more"
    return type(error)(f"the run was stopped: the server at {where} {what} ({error})", details=error.details)
