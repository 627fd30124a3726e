"""Serving an environment from several worker processes behind one port, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from openenv.app.binding import SharedPort
from openenv.app.resolve import Local
from openenv.errors import RecordError
from openenv.fleet.supervisor import Supervisor
from openenv.record.segments import DirectoryLock, segments_of, unwritable

__all__ = ["serve_workers"]

_WORKER = re.compile(r"worker-(\d+)")

log = logging.getLogger("openenv.server")


def serve_workers(
    local: Local,
    count: int,
    host: str,
    port: int,
    sessions: Mapping[str, Any],
    *,
    on_ready: Callable[[str, str | None, int], None],
    debug: bool = False,
    grace_s: int = 10,
    sockets: str = "auto",
    agent_port: int | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM. SIGHUP replaces one worker after the other; a second signal ends all at once.

    A worker that dies is started again. With a journal its sessions go on, if those of a single server would: each
    worker has the directory ``worker-0``, ``worker-1``, … in it. Sessions of a worker whose number is not in use any
    more wait there until so many workers are served again; for their clients they are lost.

    Args:
        local: What to serve.
        count: How many workers, 1 or more.
        host: Address or host name to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
        sessions: As ``load.SessionOptions.of`` takes them.
        on_ready: Called once with the URL, that of the port for agents if they have one of their own, and the number
            of sessions, when connections are taken.
        debug: Log everything.
        grace_s: Seconds that running requests are given when a worker is stopped.
        sockets: As ``serve`` takes them.
        agent_port: As ``serve`` takes it; all workers share it too.

    Returns:
        The exit code: 1 if environments did not let go in time, else 0.

    Raises:
        PortInUse: Something listens on that port.
        RecordError: The journal is required and cannot be kept.
        OpenEnvError: A worker could not be started, as its own class.
    """
    if debug:
        logging.basicConfig(level=logging.INFO)
        logging.getLogger("openenv").setLevel(logging.DEBUG)
    with contextlib.ExitStack() as ends:
        ports = [ends.enter_context(contextlib.closing(SharedPort(host, port)))]
        if agent_port is not None:
            ports.append(ends.enter_context(contextlib.closing(SharedPort(host, agent_port, "--agent-port"))))
        sessions, lock = _with_journal(sessions, count)
        if lock is not None:
            ends.callback(lock.release)
        journal = sessions.get("journal")

        def arguments(index: int) -> Mapping[str, Any]:
            own = {} if journal is None else {"journal": str(Path(journal) / f"worker-{index}")}
            return {
                "app": local.app,
                "name": local.name,
                "import_roots": list(local.import_roots),
                "credentials": [asdict(one) for one in local.credentials],
                "mcp_servers": list(local.mcp_servers),
                "sessions": {**sessions, **own},
                "host": host,
                "debug": debug,
                "grace_s": grace_s,
                "sockets": sockets,
            }

        listeners = [one.socket for one in ports]
        supervisor = Supervisor("openenv.app.child", arguments, count, listeners, name=local.name, grace_s=grace_s)
        agent_url = None if agent_port is None else ports[1].url
        return asyncio.run(supervisor.serve(lambda url: on_ready(url, agent_url, supervisor.desk.capacity)))


def _with_journal(sessions: Mapping[str, Any], count: int) -> tuple[Mapping[str, Any], DirectoryLock | None]:
    """The options as the journal can be kept, and what keeps other servers out of it."""
    if sessions.get("journal") is None or sessions.get("journal_mode") == "off":
        return {**sessions, "journal": None}, None
    path = Path(sessions["journal"])
    try:
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
        lock = DirectoryLock(path)
    except RecordError as error:
        if sessions.get("journal_is_required", True):
            raise
        log.warning("no journal is kept, so sessions will not survive a restart of the server: %s", error)
        return {**sessions, "journal": None}, None
    _tell_of_others(path, count)
    return sessions, lock


def _tell_of_others(path: Path, count: int) -> None:
    """Say whose sessions will not go on."""
    numbers = [int(found[1]) for one in path.iterdir() if (found := _WORKER.fullmatch(one.name))]
    if any(number >= count for number in numbers):
        log.warning(
            "%s has journals of %d workers; sessions of those from worker-%d on do not go on. Serve with --workers %d "
            "to go on with them",
            *(path, max(numbers) + 1, count, max(numbers) + 1),
        )
    if segments_of(path):
        log.warning("%s has the journal of a server without --workers, whose sessions do not go on", path)
