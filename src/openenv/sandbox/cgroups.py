"""Control groups: memory and processes of a sandbox, counted and limited by the kernel.

Groups are made inside that of this process, so its own limits stay in force above them. Both interfaces are known:
version 1 (Documentation/admin-guide/cgroup-v1) and version 2 (Documentation/admin-guide/cgroup-v2.rst).
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ControlGroup", "Hierarchies", "group_name", "remove_abandoned", "remove_group", "start_time"]

_NAME = re.compile(r"openenv-(\d+)-(\d+)-\d+")


@dataclass(frozen=True)
class Hierarchies:
    """Where groups can be made.

    Attributes:
        memory: Directory for memory, or ``None``.
        processes: Directory for processes, or ``None``; in version 2 the same.
        version: 1 or 2; 0 if there is none.
    """

    memory: Path | None
    processes: Path | None
    version: int

    @classmethod
    def of_this_process(cls, proc: Path = Path("/proc/self")) -> Hierarchies:
        """Those of this process in which a group could be made.

        Args:
            proc: The process' directory in ``/proc``.
        """
        mounts = [line.split(" ") for line in (proc / "mounts").read_text(encoding="utf-8").splitlines()]
        groups = [line.split(":", 2) for line in (proc / "cgroup").read_text(encoding="utf-8").splitlines()]
        found: dict[str, Path] = {}
        for controller in ("memory", "pids"):
            for _, controllers, path in groups:
                for mount in mounts:
                    if (
                        controller in controllers.split(",")
                        and mount[2] == "cgroup"
                        and controller in mount[3].split(",")
                    ):
                        own = Path(mount[1] + path)
                        if os.access(own, os.W_OK | os.X_OK):
                            found[controller] = own
        if found:
            return cls(found.get("memory"), found.get("pids"), 1)
        for _, controllers, path in groups:
            for mount in mounts:
                if not controllers and mount[2] == "cgroup2":
                    own = Path(mount[1] + path)
                    # A group with processes in it has no controllers to hand down; its parent may, if delegated.
                    for place in (own, own.parent):
                        if _hands_down(place):
                            return cls(place, place, 2)
        return cls(None, None, 0)


def _hands_down(place: Path) -> bool:
    """Whether a group of version 2 made here would count memory and processes."""
    try:
        handed = set((place / "cgroup.subtree_control").read_text(encoding="ascii").split())
        if not {"memory", "pids"} <= handed:
            (place / "cgroup.subtree_control").write_text("+memory +pids", encoding="ascii")
    except OSError:
        return False
    return os.access(place, os.W_OK | os.X_OK) and os.access(place / "cgroup.procs", os.W_OK)


class ControlGroup:
    """One sandbox's groups.

    Args:
        hierarchies: Where to make them.
        name: Name of their directories.
    """

    def __init__(self, hierarchies: Hierarchies, name: str) -> None:
        self._places: list[Path] = []
        self._limits_memory = False
        for parent in dict.fromkeys((hierarchies.memory, hierarchies.processes)):
            if parent is not None:
                with contextlib.suppress(OSError):  # then nothing is limited there, which the limits below see
                    (parent / name).mkdir()
                    self._places.append(parent / name)

    @property
    def limits_memory(self) -> bool:
        """Whether the memory of all processes together is limited."""
        return self._limits_memory

    def limit(self, memory_bytes: int, processes: int) -> None:
        """Set the limits: memory in bytes, processes and threads; this process is in the group and counts."""
        limited = [_limit_memory(place, memory_bytes) for place in self._places]
        self._limits_memory = any(limited)
        for place in self._places:
            _written(place / "pids.max", processes)

    def join(self) -> None:
        """Put this process, and all that it starts from here on, in the groups. May take the kernel 10 ms."""
        for place in self._places:
            (place / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

    def processes(self) -> set[int]:
        """The processes in the groups, this one aside."""
        listed: set[int] = set()
        for place in self._places:
            with contextlib.suppress(OSError):
                listed |= {int(pid) for pid in (place / "cgroup.procs").read_text(encoding="ascii").split()}
        return listed - {os.getpid()}

    def forbid_more(self) -> None:
        """From here on nothing in the group can start a process."""
        for place in self._places:
            _written(place / "pids.max", 0)

    def out_of_memory(self) -> bool:
        """Whether the kernel killed something in the group for want of memory."""
        for file in (place / name for place in self._places for name in ("memory.events", "memory.oom_control")):
            with contextlib.suppress(OSError):
                for line in file.read_text(encoding="ascii").splitlines():
                    if line.startswith("oom_kill ") and int(line.split()[1]):
                        return True
        return False


def group_name(pid: int) -> str:
    """Name of the groups that a process makes: it tells later whether its maker still lives."""
    return f"openenv-{pid}-{start_time(pid)}-0"


def remove_group(hierarchies: Hierarchies, name: str) -> bool:
    """Remove the groups of that name, which must be empty; whether none is left."""
    parents = {hierarchies.memory, hierarchies.processes} - {None}
    removed = [parent is not None and _removed(parent / name) for parent in parents]
    return all(removed)


def remove_abandoned(hierarchies: Hierarchies) -> None:
    """Remove groups whose makers were killed before they could."""
    for parent in {hierarchies.memory, hierarchies.processes} - {None}:
        assert parent is not None
        for place in parent.glob("openenv-*"):
            named = _NAME.fullmatch(place.name)
            if named and start_time(int(named[1])) != int(named[2]):
                _removed(place)


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 if there is none. With its id it names it for good."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return 0
    return int(after_name.split()[19])


def _limit_memory(place: Path, memory_bytes: int) -> bool:
    if _written(place / "memory.max", memory_bytes):
        _written(place / "memory.swap.max", 0)
        return True
    if not _written(place / "memory.limit_in_bytes", memory_bytes):
        return False
    _written(place / "memory.memsw.limit_in_bytes", memory_bytes)  # memory and swap together, where it is counted
    return True


def _written(file: Path, value: int) -> bool:
    if not file.exists():
        return False
    try:
        file.write_text(str(value), encoding="ascii")
    except OSError:
        return False
    return True


def _removed(place: Path) -> bool:
    try:
        place.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
