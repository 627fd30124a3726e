"""The levels of a sandbox, and what each of them promises."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Finding", "Guarantee", "Level"]


class Guarantee(Enum):
    """What a program in a sandbox cannot do, whatever it tries."""

    NO_NETWORK = "no_network"
    """It reaches no address and no socket outside, loopback and abstract UNIX sockets included."""

    NO_HOST_FILES = "no_host_files"
    """It sees no file of the host but those it was given, and changes none."""

    NO_NEW_PRIVILEGES = "no_new_privileges"
    """It is no root, holds no capability and gains none, through set-user-id programs neither."""

    MEMORY = "memory"
    """It takes no more than ``Limits.memory_bytes``: in all where a control group can be made, else a process."""

    PROCESSES = "processes"
    """It has no more than ``Limits.processes`` processes and threads at a time."""

    DISK = "disk"
    """It stores no more than ``Limits.disk_bytes`` in its working directory, and as much in its temporary one."""


_CONTAINED = frozenset(Guarantee)


class Level(Enum):
    """How a sandbox is made, weakest first."""

    RLIMITS = "rlimits"
    NAMESPACES = "namespaces"
    BUBBLEWRAP = "bubblewrap"
    GVISOR = "gvisor"

    @property
    def claims(self) -> frozenset[Guarantee]:
        """What the level promises. A level above ``RLIMITS`` that cannot keep all of it here is not available."""
        if self is Level.RLIMITS:
            return frozenset({Guarantee.NO_NEW_PRIVILEGES, Guarantee.MEMORY, Guarantee.PROCESSES})
        return _CONTAINED


@dataclass(frozen=True)
class Finding:
    """What an experiment on this machine said about a level.

    Attributes:
        level: The level.
        available: Whether it can be used.
        guarantees: What was seen to hold; empty if it is not available.
        reason: Why it is not available and how to mend it, in one line; empty if it is.
        flaw: What ordinary programs cannot do in it, in one line. Such a level is used only where it is asked for.
    """

    level: Level
    available: bool
    guarantees: frozenset[Guarantee]
    reason: str = ""
    flaw: str = ""
