"""Environments asked one call at a time, without a session, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable

from openenv.errors import OpenEnvError
from openenv.protocol import EncodingFailed, Observed, to_json

__all__ = ["Answer", "answer", "answer_of", "kind_of"]

Answer = tuple[str, bytes | None]
"""What came, as ``kind_of`` calls it, and the observation as JSON."""


def kind_of(error: Exception | None) -> str:
    """What to call the outcome of a call."""
    if error is None:
        return "an observation"
    return error.code if isinstance(error, OpenEnvError) else "what cannot be encoded"


def answer_of(found: Observed | OpenEnvError) -> Answer:
    """The answer in what was found."""
    if isinstance(found, OpenEnvError):
        return kind_of(found), None
    try:
        return kind_of(None), to_json(found.observation)
    except EncodingFailed as error:
        return kind_of(error), None


async def answer(call: Awaitable[Observed]) -> Answer:
    """The answer to a call."""
    try:
        return answer_of(await call)
    except OpenEnvError as error:
        return answer_of(error)
