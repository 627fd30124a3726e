"""What may be asked with: the arguments of a reset, and times."""

from __future__ import annotations

import math
from typing import Any

from openenv.errors import LocalProtocolError
from openenv.protocol import Reset

__all__ = ["check_time", "reset_of"]


def reset_of(seed: int | None, episode_id: str | None, timeout_s: float | None, options: dict[str, Any]) -> Reset:
    """The request that begins an episode.

    Raises:
        LocalProtocolError: An argument is none that can be sent.
    """
    check_time(timeout_s)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63):
        raise LocalProtocolError(f"a seed is an integer from 0 to 2**63 - 1, not {seed!r}")
    if episode_id is not None and not (isinstance(episode_id, str) and len(episode_id) <= 255):
        raise LocalProtocolError(f"an episode_id is a text of at most 255 characters, not {episode_id!r}")
    return Reset(seed=seed, episode_id=episode_id, timeout_s=timeout_s, options=options)


def check_time(timeout_s: float | None) -> None:
    """Raise ``LocalProtocolError`` if it is no number of seconds, nor ``None``."""
    if timeout_s is None:
        return
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if not (is_number and timeout_s > 0 and math.isfinite(timeout_s)):
        raise LocalProtocolError(f"timeout_s is a number of seconds greater than 0, not {timeout_s!r}")
