"""What is to be played: the settings of a rollout, and the id and seeds of each of its episodes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from openenv.errors import ConfigurationError

__all__ = ["EpisodePlan", "RolloutSettings", "draw_seed", "plan_episode"]

_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """What a rollout plays.

    Attributes:
        environment: A name, path or URL. A URL is connected to; everything else is served for the time of the run.
        episodes: How many, from 1.
        concurrency: Sessions at the same time, from 1; never more than there are episodes.
        seed: From 0 to 2**63 - 1; everything random in the run comes from it, and neither the concurrency nor the
            order of the answers changes it.
        out: Directory of the event store.
        max_steps: An episode is cut after so many steps, and counts like one that ended.
        headers: Additional headers for the server.
        reconnect_delays_s: Seconds to wait before each further attempt to reach a server that cannot be reached any
            more; after the last one the run stops.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    environment: str
    episodes: int
    concurrency: int = 8
    seed: int
    out: Path = Path("runs")
    max_steps: int = 1000
    headers: Mapping[str, str] = field(default_factory=dict)
    reconnect_delays_s: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8, 1.6)

    def __post_init__(self) -> None:
        for name in ("episodes", "concurrency", "max_steps"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise ConfigurationError(f"a seed is an integer from 0 to 2**63 - 1, not {self.seed}")

    @property
    def sessions(self) -> int:
        """Sessions really used."""
        return min(self.concurrency, self.episodes)


@dataclass(frozen=True)
class EpisodePlan:
    """One episode before it is played.

    Attributes:
        index: Its number in the run, from 0.
        id: Its name, unique in the run; two runs with the same seed have the same names.
        seed: What the environment's reset is given, 0 to 2**63 - 1.
        agent_seed: What the agent's ``rng`` is seeded with.
    """

    index: int
    id: str
    seed: int
    agent_seed: int


def plan_episode(run_seed: int, index: int) -> EpisodePlan:
    """The plan of the episode with this index; it depends on nothing else."""
    seed = _derived(run_seed, index, "environment")
    return EpisodePlan(index, f"{index:06d}-{seed & 0xFFFFFFFF:08x}", seed, _derived(run_seed, index, "agent"))


def draw_seed() -> int:
    """A seed for a run that was given none; short, because people type it again."""
    return secrets.randbelow(2**32)


def _derived(run_seed: int, index: int, use: str) -> int:
    # a hash, so that neighbouring seeds and indices give unrelated streams
    digest = blake2b(f"openenv rollout/{run_seed}/{index}/{use}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
