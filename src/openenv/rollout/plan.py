"""What is to be played: the settings of a rollout, and the id and seeds of each of its episodes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from openenv.errors import ConfigurationError

__all__ = ["EpisodePlan", "RolloutSettings", "draw_seed", "plan_episode"]

_LARGEST_SEED = 2**63 - 1
_INDEX = "{index}"
_CONCURRENCY = 8  # unless something else is asked for


@dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """What a rollout plays.

    Attributes:
        environment: A name, path or URL. A URL is connected to; everything else is served for the time of the run.
        episodes: How many, from 1.
        concurrency: Sessions at the same time, from 1; never more than there are episodes. ``None``: 8, or fewer where
            the server takes fewer.
        seed: From 0 to 2**63 - 1; everything random in the run comes from it, and neither the concurrency nor the
            order of the answers changes it.
        out: Directory of the event store.
        label: What the record calls the environment; ``None``: as it is named here, or for a URL the name that the
            server there tells.
        max_steps: An episode is cut after so many steps, and counts like one that ended.
        reset_options: Further arguments of every reset, as JSON values; a ``seed`` among them is given instead of the
            episode's own. In texts, also inside of lists and mappings, ``{index}`` stands for the episode's number in
            the run, from 0; a text that is nothing else becomes the number itself.
        headers: Additional headers for the server.
        reconnect_delays_s: Seconds to wait before each further attempt to reach a server that cannot be reached any
            more; after the last one the run stops.
        reconnect_timeout_s: Seconds that a session whose connection broke may take to go on, before its episode counts
            as lost.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    environment: str
    episodes: int
    concurrency: int | None = None
    seed: int
    out: Path = Path("runs")
    label: str | None = None
    max_steps: int = 1000
    reset_options: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    reconnect_delays_s: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8, 1.6)
    reconnect_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("episodes", "concurrency", "max_steps"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise ConfigurationError(f"a seed is an integer from 0 to 2**63 - 1, not {self.seed}")
        if "episode_id" in self.reset_options:
            raise ConfigurationError(
                "episode_id is no option of a rollout's resets: a rollout names its episodes itself"
            )

    @property
    def sessions(self) -> int:
        """Sessions wanted."""
        return min(self.concurrency or _CONCURRENCY, self.episodes)


@dataclass(frozen=True)
class EpisodePlan:
    """One episode before it is played.

    Attributes:
        index: Its number in the run, from 0.
        id: Its name, unique in the run; two runs with the same seed have the same names.
        seed: What the environment's reset is given, 0 to 2**63 - 1.
        agent_seed: What the agent's ``rng`` is seeded with.
        reset_options: Further arguments of its reset; they come before ``seed``.
    """

    index: int
    id: str
    seed: int
    agent_seed: int
    reset_options: Mapping[str, Any] = field(default_factory=dict)


def plan_episode(run_seed: int, index: int, reset_options: Mapping[str, Any] | None = None) -> EpisodePlan:
    """The plan of the episode with this index; it depends on nothing else.

    Args:
        run_seed: Seed of the run.
        index: The episode's number in the run, from 0.
        reset_options: Those of the run's settings.
    """
    seed = _derived(run_seed, index, "environment")
    name, agent_seed = f"{index:06d}-{seed & 0xFFFFFFFF:08x}", _derived(run_seed, index, "agent")
    return EpisodePlan(index, name, seed, agent_seed, _with_index(dict(reset_options or {}), index))


def draw_seed() -> int:
    """A seed for a run that was given none; short, because people type it again."""
    return secrets.randbelow(2**32)


def _with_index(value: Any, index: int) -> Any:
    """The value with the episode's number wherever it asks for it."""
    if isinstance(value, str):
        return index if value == _INDEX else value.replace(_INDEX, str(index))
    if isinstance(value, Mapping):
        return {name: _with_index(one, index) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_index(one, index) for one in value]
    return value


def _derived(run_seed: int, index: int, use: str) -> int:
    # a hash, so that neighbouring seeds and indices give unrelated streams
    digest = blake2b(f"openenv rollout/{run_seed}/{index}/{use}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
