"""Large arrays of one msgpack frame: left out while it is written, and copied once, into their places."""

from __future__ import annotations

from typing import Any

import msgspec

from openenv.protocol.binary import ARRAY, BinaryForm
from openenv.types.ndarrays import ArrayParts

__all__ = ["ApartForm"]

_FEWEST_BYTES = 64 * 1024  # from here on msgpack counts bytes with four
_STAND_IN = b"openenv-array"  # and three bytes, so that what stands for it is a fixext of 16
_EXT_16, _EXT_32 = b"\xd8", b"\xc9"


class ApartForm(BinaryForm):
    """``BinaryForm`` for the values of one frame, which ``whole`` then completes."""

    def __init__(self) -> None:
        self._apart: dict[bytes, tuple[bytes, bytes | memoryview]] = {}  # heads and bodies, by what stands for them
        self._count = 0

    def array(self, parts: ArrayParts) -> Any:
        data = parts.data or b""
        if len(data) < _FEWEST_BYTES:
            return super().array(parts)
        name = _STAND_IN + self._count.to_bytes(3)
        self._count += 1
        head = msgspec.msgpack.encode([parts.dtype, parts.shape])
        size = (len(head) + len(data)).to_bytes(4)
        self._apart[_EXT_16 + bytes([ARRAY]) + name] = (_EXT_32 + size + bytes([ARRAY]) + head, data)
        return msgspec.msgpack.Ext(ARRAY, name)

    def kind(self, kind: str, fields: dict[str, Any]) -> Any:
        found = super().kind(kind, fields)
        # its length is written before it, so nothing can be left out of it
        return msgspec.msgpack.Ext(found.code, self._filled(found.data)) if self._apart else found

    def whole(self, frame: bytes) -> bytes | None:
        """The frame with everything in it; ``None`` if something in it looks like what stands for an array."""
        if not self._count:
            return frame
        pieces = self._pieces(frame)
        return None if self._apart or any(_STAND_IN in piece for piece in pieces[::3]) else b"".join(pieces)

    def _filled(self, frame: bytes) -> bytes:
        return b"".join(self._pieces(frame))

    def _pieces(self, frame: bytes) -> list[Any]:
        """The frame with the arrays that are in it: a piece of the frame, a head, a body, a piece of the frame, ..."""
        pieces: list[Any] = []
        for name in [*self._apart]:
            before, found, after = frame.partition(name)
            if found:
                pieces += [before, *self._apart.pop(name)]
                frame = after
        return [*pieces, frame]
