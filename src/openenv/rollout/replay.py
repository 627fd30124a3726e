"""Recorded runs, played again: whether an environment still answers as it did, and where it first does not."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openenv.app.resolve import Remote, resolve
from openenv.client import GenericEnvClient
from openenv.errors import ConfigurationError, ConnectFailed, RecordError
from openenv.record import (
    EventStore,
    EventWriter,
    Journal,
    Run,
    RunStatus,
    SessionOpened,
    Trajectory,
    open_recorded,
)
from openenv.rollout.difference import differences
from openenv.rollout.replay_episode import EpisodeReplay, ReplayOutcome, replay_episode
from openenv.rollout.sessions import close_sessions, connect_sessions
from openenv.rollout.stamp import LOCK_SETTING, LOCK_STAMP, StampedLog, read_lock
from openenv.rollout.target import served
from openenv.version import __version__

__all__ = ["EpisodeReplay", "ReplayReport", "ReplaySettings", "lock_differences", "replay_run"]

_CONCURRENCY = 8  # unless something else is asked for
_NOT_COMPARED = {"digest", "name", "notes"}  # of locks
_DIGEST_SHOWN = 19  # characters, the name of the algorithm among them

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """What to play again.

    Attributes:
        run: Beginning of the run's id; empty: the newest run.
        store: Directory of its event store, or of a server's journal.
        episode: Id of the one episode to play; ``None``: all of the run.
        environment: A name, path or URL to play against; ``None``: what the run names.
        concurrency: Sessions at the same time, from 1; ``None``: 8, or fewer where the server takes fewer.
        out: Directory of an event store to record this into, as a run of its own; ``None``: it is not recorded.
        headers: Additional headers for the server.

    Raises:
        ConfigurationError: ``concurrency`` is below 1.
    """

    run: str = ""
    store: Path = Path("runs")
    episode: str | None = None
    environment: str | None = None
    concurrency: int | None = None
    out: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.concurrency is not None and self.concurrency < 1:
            raise ConfigurationError(f"concurrency must be at least 1, not {self.concurrency}")


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """What has come of it.

    Attributes:
        run: Id of the run that was played again.
        environment: What it was played against.
        episodes: What came of each episode, in the order of the record.
        warnings: In what the environment is not the one that was recorded, a line each.
        deterministic: Whether the environment says that it can be played again; ``None`` if it does not tell.
        recorded_as: Id of the run that this was recorded as; empty if it was not.
        elapsed_s: Time from the first reset to the last answer.
    """

    run: str
    environment: str
    episodes: tuple[EpisodeReplay, ...]
    warnings: tuple[str, ...]
    deterministic: bool | None
    recorded_as: str
    elapsed_s: float

    def count(self, outcome: ReplayOutcome) -> int:
        """How many episodes came to this."""
        return sum(one.outcome == outcome for one in self.episodes)


async def replay_run(settings: ReplaySettings, *, on_progress: OnProgress | None = None) -> ReplayReport:
    """Ask an environment again what it was asked in a run, and compare the answers.

    Each episode has its seed, id, reset options and actions. It is played up to the first answer that differs in its
    observation, reward, ``done``, ``terminated``, ``truncated`` or metadata; fields that the class declares
    ``volatile`` do not count, and of errors only the code does.

    Args:
        settings: What to play again.
        on_progress: Called in the event loop with the episodes that are over, and how many there are.

    Raises:
        RecordError: There is no such run or episode, or nothing in it to compare; or ``out`` cannot be written.
        OpenEnvError: The environment is not found or cannot be served or reached.
    """
    with open_recorded(settings.store) as store:
        recorded = await asyncio.to_thread(_Recorded.of, store, settings)
        async with AsyncExitStack() as open_things:
            replay = await _begun(settings, recorded, open_things)
            report = await replay.run(on_progress or _ignore)
    if report.count("left out") == len(report.episodes):
        raise RecordError(f"nothing in run {report.run} can be played again: {report.episodes[0].told}")
    return report


def lock_differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what two environment locks differ, each as ``packages.numpy: '1.26.4' != '2.0.1'``."""
    return [str(one) for one in differences(_comparable(recorded), _comparable(now))]


def _comparable(lock: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in lock.items() if name not in _NOT_COMPARED}
    if isinstance(code := told.get("code"), Mapping):  # how many bytes they are adds nothing
        told["code"] = str(code.get("digest"))[:_DIGEST_SHOWN]
    return told


def _ignore(over: int, episodes: int) -> None:
    pass


@dataclass(frozen=True)
class _Recorded:
    """What is to be played again.

    Attributes:
        store: Where it is.
        run: The run.
        episodes: Ids of the episodes.
        locks: The environment locks that are known of it.
    """

    store: EventStore
    run: Run
    episodes: Sequence[str]
    locks: Sequence[Mapping[str, Any]]

    @staticmethod
    def of(store: EventStore, settings: ReplaySettings) -> _Recorded:
        """Raises RecordError."""
        runs = [store.run(settings.run)] if settings.run else store.runs()[:1]
        if not runs:
            raise RecordError(f"no runs in {settings.store}; record one with: openenv rollout ENV")
        (run,) = runs
        found = [one.episode for one in store.episodes(run.id)]
        if not found:
            raise RecordError(f"run {run.id} has no episodes, so there is nothing to play again")
        if settings.episode is not None:
            if settings.episode not in found:
                raise RecordError(
                    f"run {run.id} has no episode {settings.episode!r}; it begins with {', '.join(found[:3])}"
                )
            found = [settings.episode]
        return _Recorded(store, run, found, _locks(run, settings.store))

    async def trajectory(self, episode: str) -> Trajectory:
        """An episode, read in a thread."""
        return await asyncio.to_thread(lambda: Trajectory.of(self.store.events(self.run.id, episode)))


def _locks(run: Run, directory: Path) -> list[Mapping[str, Any]]:
    if not run.settings.get("journal"):
        lock = run.settings.get(LOCK_SETTING)
        return [lock] if isinstance(lock, dict) else []
    opened = (entry.environment for _, entry in Journal.scan(directory) if isinstance(entry, SessionOpened))
    return list({lock["digest"]: lock for lock in opened if "digest" in lock}.values())


async def _begun(settings: ReplaySettings, recorded: _Recorded, open_things: AsyncExitStack) -> _Replay:
    """A replay whose sessions are open; ``open_things`` closes what is to be closed."""
    target = settings.environment or str(recorded.run.settings.get("target") or recorded.run.environment)
    wanted = min(settings.concurrency or _CONCURRENCY, len(recorded.episodes))
    clients: list[GenericEnvClient] = []
    try:
        is_remote = isinstance(resolve(target), Remote)
        url, lent = await open_things.enter_async_context(served(target, settings.concurrency and wanted))
        open_things.push_async_callback(close_sessions, clients)
        await connect_sessions(
            lambda: GenericEnvClient(url, headers=settings.headers, owned=lent),
            clients,
            wanted,
            fewer_from=(url, settings.headers) if settings.concurrency is None else None,
        )
    except (ConfigurationError, ConnectFailed) as error:
        if settings.environment is not None:
            raise
        hint = f"{error}; to play run {recorded.run.id} against another environment, name it with --environment"
        raise type(error)(hint, details=error.details) from error
    hello = clients[0].hello if is_remote else None
    lock = await read_lock(url, settings.headers)
    return _Replay(settings, recorded, clients, lock, hello.environment if hello is not None else target)


class _Replay:
    def __init__(
        self,
        settings: ReplaySettings,
        recorded: _Recorded,
        clients: list[GenericEnvClient],
        lock: dict[str, Any] | None,
        environment: str,
    ) -> None:
        self._settings, self._recorded, self._clients = settings, recorded, clients
        self._lock, self._environment = lock, environment
        told = [*recorded.locks, *([lock] if lock is not None else [])]
        self._volatile = frozenset(name for one in told for name in one.get("volatile") or ())
        self._stamps: dict[str, int] = {}  # episodes by the digest of the lock that they were recorded with
        self._reading = asyncio.Lock()  # of the record: one episode at a time
        self._waiting = iter(enumerate(recorded.episodes))
        self._found: dict[int, EpisodeReplay] = {}

    async def run(self, on_progress: OnProgress) -> ReplayReport:
        own = self._describe()
        began = time.perf_counter()
        with _recording(self._settings.out, self._recorded.run, own) as writer:
            on_progress(0, len(self._recorded.episodes))
            playing = [asyncio.create_task(self._play(client, writer, own.id, on_progress)) for client in self._clients]
            try:
                await asyncio.gather(*playing)
            finally:
                for task in playing:
                    task.cancel()
                await asyncio.gather(*playing, return_exceptions=True)
        return ReplayReport(
            run=self._recorded.run.id,
            environment=self._environment,
            episodes=tuple(self._found[index] for index in sorted(self._found)),
            warnings=tuple(self._warnings()),
            deterministic=None if self._lock is None else self._lock.get("deterministic"),
            recorded_as="" if self._settings.out is None else own.id,
            elapsed_s=time.perf_counter() - began,
        )

    async def _play(
        self, client: GenericEnvClient, writer: EventWriter | None, own_id: str, on_progress: OnProgress
    ) -> None:
        digest = self._lock["digest"] if self._lock is not None else None
        for index, episode in self._waiting:
            async with self._reading:
                trajectory = await self._recorded.trajectory(episode)
            if stamp := trajectory.events[0].request.get(LOCK_STAMP):
                self._stamps[str(stamp)] = self._stamps.get(str(stamp), 0) + 1
            log = None if writer is None else StampedLog(writer, own_id, episode, digest)
            run = self._recorded.run
            self._found[index] = await replay_episode(client, run, trajectory, self._volatile, log)
            on_progress(len(self._found), len(self._recorded.episodes))

    def _describe(self) -> Run:
        replayed = self._recorded.run
        return Run(
            id=secrets.token_hex(5),
            started_at=time.time(),
            environment=self._environment,
            agent=f"replay of {replayed.id}",
            seed=replayed.seed,
            settings={
                "replay_of": replayed.id,
                "episodes": len(self._recorded.episodes),
                "concurrency": len(self._clients),
                **({LOCK_SETTING: self._lock} if self._lock is not None else {}),
            },
            versions={"openenv": __version__, "python": ".".join(map(str, sys.version_info[:3]))},
        )

    def _warnings(self) -> Iterator[str]:
        if self._lock is None:
            return
        for lock in self._recorded.locks:
            if lock.get("digest") != self._lock["digest"] and (told := lock_differences(lock, self._lock)):
                yield f"the environment is not the one that was recorded: {'; '.join(told)}"
        known = {lock.get("digest") for lock in self._recorded.locks} | {self._lock["digest"]}
        if LOCK_STAMP not in self._recorded.run.settings.get("reset_options", {}):
            for digest, episodes in self._stamps.items():
                if digest not in known:
                    yield f"{episodes} episodes were recorded with another environment, of which only {digest} is known"


@contextmanager
def _recording(out: Path | None, replayed: Run, own: Run) -> Iterator[EventWriter | None]:
    """A writer into a run of its own, which is ended with the context; ``None`` if nothing is to be recorded."""
    if out is None:
        yield None
        return
    if replayed.settings.get("journal") and any(out.glob("*.journal")):
        raise ConfigurationError(f"{out} holds a server's journal; name another directory with --out")
    with EventStore.open(out, create=True) as store:
        store.begin_run(own)
        status: RunStatus = "failed"
        try:
            with EventWriter(store) as writer:
                yield writer
            status = "complete"
        except (asyncio.CancelledError, KeyboardInterrupt):
            status = "interrupted"
            raise
        finally:
            store.end_run(own.id, status, time.time())
