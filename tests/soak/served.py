"""A served world as a process of its own: started, looked into, drained, started again on the same port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.soak.judge import Outage
from tests.soak.worlds import LEDGER_VARIABLE

from openenv import GenericEnvClient, SyncEnvClient

__all__ = ["Held", "ServedWorld", "children_of", "held_by"]

ROOT = Path(__file__).resolve().parents[2]
_STARTS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 40.0
_COUNTED = ("sockets", "files", "threads", "processes")
_TROUBLE = re.compile(
    r"^(?:.*(?:Exception ignored|never retrieved|\bERROR\b|Warning: ).*"
    r"|[A-Za-z_][\w.]*(?:Error|Exception|Disconnect).*)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Held:
    """What a process holds of the system."""

    sockets: int
    files: int
    threads: int
    processes: int = 0

    def more_than(self, before: Held) -> list[str]:
        """What it holds more than before, in words."""
        pairs = ((name, getattr(self, name), getattr(before, name)) for name in _COUNTED)
        return [f"{now} {name}, where {then} are right" for name, now, then in pairs if now > then]


def held_by(pid: int) -> Held:
    """What a process of this machine holds now."""
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(entry))
        except OSError:  # closed meanwhile, such as the one this directory is read through
            continue
    sockets = sum(link.startswith("socket:") for link in links)
    return Held(sockets, len(links) - sockets, len(list(Path(f"/proc/{pid}/task").iterdir())), len(children_of(pid)))


def children_of(pid: int) -> list[int]:
    """Process ids of the children of a process; none of one that is gone."""
    found: list[int] = []
    with suppress(OSError):
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):  # a thread that has ended meanwhile
                found += map(int, listed.read_text(encoding="ascii").split())
    return found


def _sum(held: Iterable[Held]) -> Held:
    found = [*held]
    return Held(*(sum(getattr(one, name) for one in found) for name in _COUNTED))


class ServedWorld:
    """One port, and one server process after the other behind it.

    Args:
        directory: Where its ledger and logs are kept.
        options: More options of ``openenv serve``.
        allowed: What its log may say although it sounds like trouble.
        workers: Processes that one server consists of.
    """

    def __init__(self, directory: Path, options: tuple[str, ...] = (), allowed: str = "(?!)", workers: int = 1) -> None:
        self.ledger = directory / "ledger"
        self.outages: list[Outage] = []
        self.wrong: list[str] = []
        self.pids: list[int] = []
        self.port = 0
        self.baseline = Held(0, 0, 0)
        self._directory = directory
        self._options = (*options, "--workers", str(workers)) if workers > 1 else options
        self._count = workers
        self._allowed = re.compile(allowed)
        self._forks = Held(0, 0, 0)
        self._goes_on = False
        self._process: subprocess.Popen[str] | None = None
        self._stopped_at = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.pids[-1]

    @property
    def workers(self) -> list[int]:
        """The processes that have sessions: the server itself, or each of its workers."""
        return children_of(self.pid) if self._count > 1 else [self.pid]

    @property
    def fork_servers(self) -> list[int]:
        """The processes that environments' own processes are started by, if there are any."""
        return [child for worker in self.workers for child in children_of(worker)]

    def start(self, world: str) -> None:
        """Start a server and wait until it takes connections. One that goes on with sessions is not used first."""
        log = self._log(len(self.pids))
        target = f"{Path(__file__).with_name('worlds.py')}:{world}"
        command = [sys.executable, "-m", "openenv", "serve", target, "--port", str(self.port), *self._options]
        with log.open("w", encoding="utf-8") as errors:
            process = self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, LEDGER_VARIABLE: str(self.ledger), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.pids.append(process.pid)
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)\s*$", line):
                self.port = int(found[1])
                break
        else:
            raise RuntimeError(f"the server did not start: {log.read_text(encoding='utf-8')}")
        if self._goes_on:
            return
        self._warm_up()
        held, forks = self._held()
        # the session that plain requests share takes no place and stays: a ledger that is open, perhaps on a thread
        # and the loop's pool of each other worker may not have had to do with anything yet
        self.baseline = Held(held.sockets, held.files + 1, held.threads + self._count, held.processes)
        if self.fork_servers:  # that session is a process: two lines to it; and one old journal is kept open
            # sessions that wake at the same time may need two more threads of the loop's pool, which keeps them
            more = self._count
            self.baseline = Held(held.sockets + 2, held.files + more, held.threads + 2 * more, held.processes)
            self._forks = Held(forks.sockets, forks.files, forks.threads, forks.processes + 1)

    def _held(self) -> tuple[Held, Held]:
        """What the server holds, and its fork servers: all of its processes together."""
        processes = {self.pid, *self.workers}
        return _sum(map(held_by, processes)), _sum(map(held_by, self.fork_servers))

    def kill_worker(self, pid: int) -> None:
        """SIGKILL for one of several workers, and wait until another one has taken its place."""
        began_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self._others_come({pid}, began_at)

    def roll(self) -> None:
        """SIGHUP, and wait until all workers were replaced, one after the other."""
        began_at, before = time.monotonic(), {*self.workers}
        os.kill(self.pid, signal.SIGHUP)
        self._others_come(before, began_at)

    def _others_come(self, gone: set[int], began_at: float) -> None:
        while gone & {*(up := self._up())} or len(up) < self._count:
            if time.monotonic() > began_at + _STARTS_WITHIN_S:
                self.wrong.append(f"nothing took the place of workers {gone}")
                break
            time.sleep(0.05)
        self.outages.append(Outage(began_at, time.monotonic(), restores=True))

    def _up(self) -> list[int]:
        with suppress(httpx.HTTPError):  # the worker that was asked is the one that died
            answer = httpx.get(f"{self.url}/ready", timeout=_STARTS_WITHIN_S, trust_env=False)
            return [one["pid"] for one in answer.json()["sessions"]["workers"] if one["up"]]
        return []

    def noted_up(self) -> None:
        """Note that players can reach it from now on."""
        if self._stopped_at:
            self.outages.append(Outage(self._stopped_at, time.monotonic(), self._goes_on))
            self._goes_on = False

    def crash(self) -> None:
        """SIGKILL at this moment; everything that it started has to be gone soon."""
        assert self._process is not None
        self._stopped_at = time.monotonic()
        self._goes_on = True
        self.kill()
        self._read_log()
        self._all_gone()

    def drain(self, goes_on: bool = False) -> None:
        """SIGTERM, and wait for its end, which has to be a clean one.

        Args:
            goes_on: Whether the next one takes over its sessions.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        self._stopped_at, self._goes_on = time.monotonic(), goes_on
        process.terminate()
        try:
            code = process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = "none: it had to be killed"
        process.stdout.close()
        self._process = None
        if code != 0:
            self.wrong.append(f"server {len(self.pids)} ended with exit code {code}")
        self._read_log()
        self._all_gone()

    def _read_log(self) -> None:
        log = self._log(len(self.pids) - 1).read_text(encoding="utf-8")
        for line, times in Counter(_TROUBLE.findall(log)).items():
            if self._allowed.search(line):
                continue
            self.wrong.append(f"server {len(self.pids)} logged {times} times: {line[:200]}")

    def end_outage(self) -> None:
        """Count what follows the last drain, when no server comes any more, as an outage too."""
        self.outages.append(Outage(self._stopped_at, time.monotonic()))

    def _all_gone(self) -> None:
        limit = time.monotonic() + _ENDS_WITHIN_S
        while (left := self._marked()) and time.monotonic() < limit:
            time.sleep(0.02)
        self.wrong += [f"process {pid} outlives server {len(self.pids)}" for pid in left]

    def _marked(self) -> list[int]:
        """Processes that have inherited where the ledger is."""
        mark = f"{LEDGER_VARIABLE}={self.ledger}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):  # gone meanwhile, or another user's
                if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def kill(self) -> None:
        """End it whatever it does; for a run that failed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def active(self) -> int:
        """Places that it says are taken."""
        answer = httpx.get(f"{self.url}/ready", timeout=_STARTS_WITHIN_S, trust_env=False)
        return int(answer.json()["sessions"]["active"])

    def settles(self, within_s: float, pause: Callable[[float], None] = time.sleep) -> list[str]:
        """Wait until all places are free and it holds no more than at its beginning; what does not come true."""
        limit = time.monotonic() + within_s
        while True:
            active = self.active()
            left = [f"{active} places are still taken"] if active else []
            held, forks = self._held()
            left += [f"the server holds {more}" for more in held.more_than(self.baseline)]
            left += [f"the fork server holds {more}" for more in forks.more_than(self._forks)]
            if not left or time.monotonic() > limit:
                return left
            pause(0.1)

    def _warm_up(self) -> None:
        """Use it once, so that what is made at the first use does not count as leaked later."""
        with ExitStack() as opened:
            for _ in range(self._count):  # each worker gets one
                opened.enter_context(SyncEnvClient(GenericEnvClient(self.url))).state()
        self.active()
        limit = time.monotonic() + _STARTS_WITHIN_S
        while self.active() and time.monotonic() < limit:
            time.sleep(0.02)

    def _log(self, number: int) -> Path:
        return self._directory / f"server-{number + 1}.log"
