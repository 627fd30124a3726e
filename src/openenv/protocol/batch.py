"""Frames that hold several messages: arrays of what would else be a frame each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Raw

from openenv.errors import InvalidJSON, InvalidRequest, OpenEnvError
from openenv.protocol.messages import Request

__all__ = ["MOST_IN_BATCH", "each_decoded", "is_batch", "joined", "parts"]

MOST_IN_BATCH = 4096
"""Requests that one frame may hold."""

_read_json = msgspec.json.Decoder(list[Raw]).decode
_read_msgpack = msgspec.msgpack.Decoder(list[Raw]).decode
_MSGPACK_ARRAYS = frozenset((*range(0x90, 0xA0), 0xDC, 0xDD))


def is_batch(frame: str | bytes) -> bool:
    """Whether a frame of protocol v2 is an array."""
    if isinstance(frame, str):
        return frame.startswith("[")
    return bool(frame) and (frame[0] in _MSGPACK_ARRAYS or frame[0] == 0x5B)


def parts(frame: str | bytes) -> list[bytes]:
    """The messages in an array, each as a frame of its own would hold it.

    Raises:
        InvalidJSON, InvalidRequest: It cannot be read, is empty, or holds more than ``MOST_IN_BATCH``.
    """
    is_json = isinstance(frame, str) or frame[:1] == b"["
    try:
        found = _read_json(frame) if is_json else _read_msgpack(frame)  # type: ignore[arg-type]  # bytes, if not JSON
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if is_json:
            raise InvalidJSON(f"the frame is not JSON: {error}") from None
        raise InvalidRequest(f"the frame cannot be read: {error}") from None
    if not 0 < len(found) <= MOST_IN_BATCH:
        raise InvalidRequest(f"an array holds 1 to {MOST_IN_BATCH} requests, not {len(found)}; send several frames")
    return [bytes(one) for one in found]


def joined(frames: Sequence[str | bytes]) -> str | bytes:
    """One frame with the messages of several of one form; the frame itself if there is but one."""
    if len(frames) == 1:
        return frames[0]
    if isinstance(frames[0], str):
        return "[" + ",".join(frames) + "]"  # type: ignore[arg-type]  # all are text
    count = len(frames)
    head = bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return head + b"".join(frames)  # type: ignore[arg-type]  # all are bytes


def each_decoded(decode: Callable[[bytes], Request], frame: str | bytes) -> list[Request | OpenEnvError]:
    """The requests of an array, one by one; in the place of one that cannot be read, what is wrong with it.

    Raises:
        InvalidJSON, InvalidRequest: As ``parts`` does.
    """
    return [_decoded(decode, part) for part in parts(frame)]


def _decoded(decode: Callable[[bytes], Request], part: bytes) -> Request | OpenEnvError:
    try:
        return decode(part)
    except OpenEnvError as error:
        return error
