"""What is to be started in a sandbox, as its owner says it to the keeper."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from openenv.sandbox.levels import Level
from openenv.sandbox.limits import Limits

__all__ = ["Bind", "Job"]


@dataclass(frozen=True)
class Bind:
    """A host path that is visible inside, read-only.

    Attributes:
        host: Absolute path on the host.
        inside: Absolute path inside.
        link: What the symbolic link at ``inside`` says, if it is to be one; empty if the path itself is shown.
    """

    host: str
    inside: str
    link: str = ""


@dataclass(frozen=True)
class Job:
    """One program to start.

    Attributes:
        level: How it is contained.
        argv: The program and its arguments.
        env: Its whole environment.
        limits: What it may take.
        binds: What it sees, parents before what lies in them.
        workdir: Absolute path of its working directory inside.
        terminal: Whether its standard input is a terminal that becomes its own.
        targets: Number inside of each descriptor that came with the job.
        scratch: Directory for mounts that only this sandbox sees.
        tools: Programs of the host that the level needs, name to path.
    """

    level: Level
    argv: Sequence[str]
    env: dict[str, str]
    limits: Limits
    binds: Sequence[Bind]
    workdir: str
    terminal: bool
    targets: Sequence[int]
    scratch: str = ""
    tools: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As bytes; undecodable names of files survive."""
        return json.dumps({**asdict(self), "level": self.level.value}).encode("ascii")

    @classmethod
    def decode(cls, encoded: bytes) -> Job:
        """From ``encode``."""
        fields = json.loads(encoded)
        fields["level"] = Level(fields["level"])
        fields["limits"] = Limits(**fields["limits"])
        fields["binds"] = [Bind(**bind) for bind in fields["binds"]]
        return cls(**fields)
