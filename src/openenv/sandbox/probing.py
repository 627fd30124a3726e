"""Which levels hold on this machine, found out by trying."""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openenv.errors import ConfigurationError, OpenEnvError
from openenv.sandbox.level_gvisor import GVISOR_TASKS
from openenv.sandbox.levels import Finding, Guarantee, Level
from openenv.sandbox.limits import MIB, Limits
from openenv.sandbox.paths import python_paths
from openenv.sandbox.process import Ended
from openenv.sandbox.spawning import TOOLS, Sandbox

__all__ = ["choose", "probe"]

_LIMITS = Limits(memory_bytes=128 * MIB, processes=24, disk_bytes=4 * MIB)
_TIME_S = 20.0
# In the order in which the experiment tries them.
_TRIALS = (
    Guarantee.NO_NETWORK,
    Guarantee.NO_HOST_FILES,
    Guarantee.NO_NEW_PRIVILEGES,
    Guarantee.DISK,
    Guarantee.PROCESSES,
    Guarantee.MEMORY,
)
# Trials whose limit may take the whole sandbox with it, report and all, which keeps the promise too.
_DEADLY = (Guarantee.PROCESSES, Guarantee.MEMORY)
_PACKAGES = {"bwrap": "bubblewrap", "runsc": "runsc", "setpriv": "util-linux", "prlimit": "util-linux"}
_NEEDED = frozenset({Guarantee.NO_NETWORK, Guarantee.NO_HOST_FILES})


def choose(level: str | Level | None = None) -> Sandbox:
    """The sandbox to use.

    Args:
        level: A level by name; ``None`` takes the strongest on this machine in which ordinary programs work, and
            none that leaves network or host files open. gVisor, the strongest, starts programs some ten times slower
            than the others.

    Raises:
        ConfigurationError: There is no such level, it is not available here, or none is that keeps network and host
            files closed; the message says how to mend it.
    """
    if level is not None:
        finding = _finding(_named(level))
        if not finding.available:
            raise ConfigurationError(f"sandbox level {finding.level.value} is not available: {finding.reason}")
        return Sandbox(finding.level, finding.guarantees)
    for candidate in reversed(Level):
        finding = _finding(candidate)
        if finding.available and not finding.flaw and finding.guarantees >= _NEEDED:
            return Sandbox(finding.level, finding.guarantees)
    why = "; ".join(f"{found.level.value}: {found.reason}" for found in probe() if found.reason)
    raise ConfigurationError(
        f"no sandbox here keeps network and host files closed ({why}). Mend one of these with apt-get install "
        "bubblewrap, or say sandbox='rlimits' to run untrusted programs with resource limits only"
    )


def probe() -> tuple[Finding, ...]:
    """Try every level, once a process; weakest first. gVisor takes about a second."""
    return tuple(_finding(level) for level in Level)


def _named(level: str | Level) -> Level:
    try:
        return Level(level)
    except ValueError:
        names = ", ".join(known.value for known in Level)
        raise ConfigurationError(f"there is no sandbox level {level!r}; there are {names}") from None


@functools.cache
def _finding(level: Level) -> Finding:
    if not sys.platform.startswith("linux"):
        return _missing(level, "sandboxes need Linux")
    absent = [name for name in TOOLS[level] if shutil.which(name) is None]
    if absent:
        packages = " ".join(sorted({_PACKAGES.get(name, "util-linux") for name in absent}))
        return _missing(level, f"{', '.join(absent)} not found; apt-get install {packages}")
    try:
        held, said, flaw = _experiment(level)
    except OpenEnvError as error:
        return _missing(level, str(error))
    broken = sorted(guarantee.value for guarantee in level.claims - held)
    if said or (broken and level is not Level.RLIMITS):
        return _missing(level, said or f"an experiment here broke {', '.join(broken)}")
    return Finding(level, available=True, guarantees=held & level.claims, flaw=flaw)


def _missing(level: Level, reason: str) -> Finding:
    return Finding(level, available=False, guarantees=frozenset(), reason=" ".join(reason.split()))


def _experiment(level: Level) -> tuple[frozenset[Guarantee], str, str]:
    """What held when a program tried to break each guarantee, what went wrong if it could not try, and the flaw."""
    with tempfile.TemporaryDirectory(prefix="openenv-") as directory, socket.socket() as listener:
        secret = Path(directory, "secret")
        secret.write_text("secret", encoding="ascii")
        os.chmod(directory, 0o755)  # noqa: S103 - it is the sandbox that is to keep it closed
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        task: dict[str, Any] = {
            "port": listener.getsockname()[1],
            "secret": str(secret),
            "memory_bytes": _LIMITS.memory_bytes,
            "processes": _LIMITS.processes + (GVISOR_TASKS if level is Level.GVISOR else 0),
            "disk_bytes": _LIMITS.disk_bytes,
        }
        held: set[Guarantee] = set()
        flaw = ""
        first = 0
        while first < len(_TRIALS):
            said, ended = _run(level, {**task, "first": first})
            for line in said.splitlines():
                if line.startswith('{"flaw"'):
                    flaw = json.loads(line)["flaw"]
            answers = [json.loads(line) for line in said.splitlines() if line.startswith('{"trial"')]
            held |= {Guarantee(answer["trial"]) for answer in answers if answer["yes"]}
            first += len(answers)
            if first == len(_TRIALS):
                break
            if ended is None or _TRIALS[first] not in _DEADLY:
                how = "nothing came of it" if ended is None else f"it ended with exit code {ended.exit_code}"
                return frozenset(), f"a program in it does not run: {said or how}", flaw
            held.add(_TRIALS[first])
            first += 1
        return frozenset(held), "", flaw


def _run(level: Level, task: Mapping[str, Any]) -> tuple[str, Ended | None]:
    """What the program of the experiment said, and how it ended, if it did in time."""
    source = Path(__file__).with_name("experiment.py").read_bytes()
    reading, writing = os.pipe()
    with open(reading, "rb") as errors:
        try:
            process = Sandbox(level, level.claims).spawn(
                [sys.executable, "-I", "-S", "experiment.py"],
                limits=_LIMITS,
                read_only=python_paths(),
                stderr=writing,
                files={"experiment.py": source, "task.json": json.dumps(task).encode()},
            )
        finally:
            os.close(writing)
        with process:
            try:
                ended = process.wait(_TIME_S)
            except TimeoutError:
                ended = None
        return errors.read(4000).decode(errors="replace").strip(), ended
