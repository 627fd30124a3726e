"""Whose rights a sandboxed program has: a user of its own where that can be, else this one, without capabilities."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from openenv.sandbox import kernel

__all__ = ["Identity"]

_CAP_SETUID, _CAP_SYS_ADMIN = 7, 21
INSIDE_UID = 1000
"""User id inside when the user cannot be changed on the host."""

# Far from people, system users and what systemd gives to containers (uids.conf: up to 1,879,048,191).
_FIRST_UID, _LAST_UID = 1_879_050_000, 2_147_000_000
_FIRST_SMALL, _LAST_SMALL = 61_200, 65_000  # where only 65,536 users exist, as in a container without root


@dataclass(frozen=True)
class Identity:
    """Who a program is.

    Attributes:
        uid: Its user and group id, as it sees it.
        privileged: Whether this process can mount, and become that user.
        claim: Holds the user id for this sandbox alone, machine-wide; ``None`` if it is this process's own.
    """

    uid: int
    privileged: bool
    claim: socket.socket | None

    @classmethod
    def claimed(cls) -> Identity:
        """A user of nobody else's if this process may become another one, else its own."""
        privileged = kernel.effective_capability(_CAP_SYS_ADMIN) and kernel.effective_capability(_CAP_SETUID)
        if not privileged:
            return cls(INSIDE_UID, privileged=False, claim=None)
        for uid in _candidates():
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0openenv-sandbox-uid-{uid}")  # the kernel lets go of it whatever becomes of this process
            except OSError:
                claim.close()
                continue
            return cls(uid, privileged=True, claim=claim)
        raise OSError("no user id is free for another sandbox")

    @property
    def owner(self) -> int:
        """User id that owns its files as the host sees it; -1 for this process's own."""
        return self.uid if self.privileged else -1

    def become(self) -> None:
        """Become that user for good, with no group, no capability and no way back."""
        kernel.drop_capabilities(bounding_only=True)
        if self.privileged:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        kernel.drop_capabilities()
        kernel.no_new_privileges()

    def enter_user_namespace(self) -> None:
        """Without privileges: enter a user namespace that allows to mount, as ``uid`` inside."""
        uid, gid = os.geteuid(), os.getegid()
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{self.uid} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{self.uid} {gid} 1", encoding="ascii")


def _candidates() -> Iterator[int]:
    """User ids that exist here, in random order, so that two servers rarely meet."""
    mapped = [line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()]
    large = any(int(first) <= _FIRST_UID and int(first) + int(count) > _LAST_UID for first, _, count in mapped)
    first, last = (_FIRST_UID, _LAST_UID) if large else (_FIRST_SMALL, _LAST_SMALL)
    for _ in range(1000):
        yield random.randrange(first, last)  # noqa: S311 - spreads, keeps no secret
