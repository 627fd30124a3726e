"""Starting a program in a sandbox."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from openenv.errors import ConfigurationError, RuntimeFailure
from openenv.sandbox.job import Bind, Job
from openenv.sandbox.levels import Guarantee, Level
from openenv.sandbox.limits import Limits
from openenv.sandbox.link import link
from openenv.sandbox.paths import system_paths
from openenv.sandbox.process import SandboxedProcess
from openenv.sandbox.workdir import WorkDirectory

__all__ = ["TOOLS", "WORKDIR", "Sandbox"]

WORKDIR = "/home/agent"
"""Where the working directory is inside, at every level but ``rlimits``, which has no inside."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OURS = ("/", "/proc", "/dev", "/tmp", "/etc", WORKDIR)  # noqa: S108 - inside
_ANSWER_S = 30.0

TOOLS = {
    Level.RLIMITS: (),
    Level.NAMESPACES: (),
    Level.BUBBLEWRAP: ("bwrap", "prlimit", "setpriv", "setsid"),
    Level.GVISOR: ("runsc",),
}
"""Programs of the host that a level uses."""


class Sandbox:
    """Starts programs at one level; ``choose`` makes it.

    Args:
        level: The level.
        guarantees: What was seen to hold at it on this machine.
    """

    def __init__(self, level: Level, guarantees: frozenset[Guarantee]) -> None:
        self.level = level
        self.guarantees = guarantees

    def __repr__(self) -> str:
        return f"Sandbox({self.level.value!r})"

    def spawn(
        self,
        argv: Sequence[str],
        *,
        limits: Limits | None = None,
        read_only: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        terminal: int | None = None,
        pass_fds: Sequence[int] = (),
        files: Mapping[str, bytes] | None = None,
    ) -> SandboxedProcess:
        """Start a program. Takes a few milliseconds, half a second under gVisor; may be called from any thread.

        It runs as a user without rights, in an empty working directory, and sees the programs and libraries of the
        system, a temporary directory of its own, and nothing else of the host. A program that cannot be found says
        so on its standard error and ends with exit code 127.

        Args:
            argv: The program and its arguments; without a slash it is looked for in ``PATH``.
            limits: What it may take; ``None`` means the defaults of ``Limits``.
            read_only: What else it sees, host path to inside path, such as ``python_paths()``. At level ``rlimits``
                it sees what every user does.
            env: Its environment. Nothing of this process's is passed on; ``HOME``, the working directory, ``PATH``
                and ``LANG`` are added where they are missing.
            stdin, stdout, stderr: Descriptors, which stay the caller's to close; ``None`` means ``/dev/null``.
            terminal: Descriptor of a terminal to be its standard input, output and error, and its controlling one.
            pass_fds: Descriptors that it has under the same numbers. gVisor passes none.
            files: Files of the working directory, relative path to content, there before the program starts.

        Raises:
            ConfigurationError: A path does not exist or is in the way of the sandbox's own, a limit of descriptors
                is passed, or ``terminal`` comes with another stream.
            RuntimeFailure: The sandbox could not be set up.
        """
        if not argv:
            raise ConfigurationError("argv is empty; its first entry is the program to start")
        if terminal is not None and (stdin, stdout, stderr) != (None, None, None):
            raise ConfigurationError("give either a terminal or stdin, stdout and stderr")
        if pass_fds and self.level is Level.GVISOR:
            raise ConfigurationError("gVisor passes no descriptors; use stdin and stdout, or another sandbox level")
        binds = _binds({**system_paths(), **(read_only or {})})
        shared, own = link().place()
        rlimits = self.level is Level.RLIMITS
        workdir = f"{own}/work" if rlimits else WORKDIR
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            streams = [null if fd is None else fd for fd in (stdin, stdout, stderr)]
            if terminal is not None:
                streams = [terminal] * 3
            targets = [0, 1, 2, *pass_fds]
            if len(set(targets)) < len(targets):
                raise ConfigurationError("pass_fds holds 0, 1 or 2, or a number twice")
            job = Job(
                level=self.level,
                argv=list(argv),
                env={"HOME": workdir, "PATH": _PATH, "LANG": "C.UTF-8", **(env or {})},
                limits=limits or Limits(),
                binds=binds,
                workdir=workdir,
                terminal=terminal is not None,
                targets=targets,
                scratch=own if rlimits else shared,
                tools={name: shutil.which(name) or name for name in TOOLS[self.level]},
            )
            return _start(job, [*streams, *pass_fds], files or {})
        finally:
            os.close(null)


def _start(job: Job, descriptors: Sequence[int], files: Mapping[str, bytes]) -> SandboxedProcess:
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory: WorkDirectory | None = None
    try:
        with theirs:
            link().send(job.encode(), theirs.fileno(), descriptors)
        control.settimeout(_ANSWER_S)
        ready, received, _, _ = socket.recv_fds(control, 65536, 1)
        answer = _answer(ready)
        directory = WorkDirectory(received[0], answer["uid"])
        for path, content in files.items():
            directory.write(path, content)
        control.send(b"go")
        pid = _answer(control.recv(65536))["pid"]
        control.settimeout(None)
    except TimeoutError as error:
        _give_up(control, directory)
        raise RuntimeFailure(f"sandbox level {job.level.value} does not answer within {_ANSWER_S:g} s") from error
    except BaseException as error:
        _give_up(control, directory)
        if isinstance(error, ConnectionError):
            raise RuntimeFailure(f"the keeper of sandboxes was killed: {error}; start the program again") from error
        raise
    return SandboxedProcess(pid, control, directory, job.workdir)


def _give_up(control: socket.socket, directory: WorkDirectory | None) -> None:
    control.close()
    if directory is not None:
        directory.close()


def _answer(message: bytes) -> dict[str, int]:
    if not message:
        raise RuntimeFailure("the sandbox was killed while it was set up; start the program again")
    answer = json.loads(message)
    if "failed" in answer:
        raise RuntimeFailure(f"the sandbox could not be set up: {answer['failed']}")
    return dict(answer)


def _binds(paths: Mapping[str, str]) -> list[Bind]:
    """What is shown, parents first, without what another entry shows already."""
    binds: list[Bind] = []
    for host, inside in sorted(paths.items(), key=lambda pair: pair[1]):
        _check(host, inside)
        if any(_covers(bind, host, inside) for bind in binds):
            continue
        link_text = os.readlink(host) if host == inside and os.path.islink(host) else ""
        binds.append(Bind(host, inside, link_text))
    return binds


def _check(host: str, inside: str) -> None:
    for path in (host, inside):
        if not path.startswith("/") or os.path.normpath(path) != path:
            raise ConfigurationError(
                f"read_only path {path!r} is not absolute and plain; write it without '.' and '..'"
            )
    if not os.path.exists(host):
        raise ConfigurationError(f"read_only path {host!r} does not exist on this machine")
    if inside in _OURS or inside.startswith((f"{WORKDIR}/", "/proc/", "/dev/")) or WORKDIR.startswith(f"{inside}/"):
        raise ConfigurationError(f"read_only path {inside!r} is the sandbox's own; show {host!r} at another place")


def _covers(bind: Bind, host: str, inside: str) -> bool:
    outer, inner = PurePosixPath(bind.inside), PurePosixPath(inside)
    if bind.link or not inner.is_relative_to(outer):
        return False
    return PurePosixPath(bind.host) / inner.relative_to(outer) == PurePosixPath(host)
