"""Whom a frame is for, without reading more of it than that."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from openenv.protocol.batch import parts

__all__ = ["Address", "address_of", "addresses_of", "numbered_id", "owner_of", "rejoined"]


class Address(msgspec.Struct, frozen=True, gc=False):
    """What a request of protocol v2 says of the session that it concerns.

    Attributes:
        type: What is asked.
        session: Id of the session; empty where there is none yet.
        nonce: Of an ``open``.
        fork: Of an ``open``: the session that it begins from.
    """

    type: str = ""
    session: str = ""
    nonce: str = ""
    fork: str = ""


_NOBODY = Address()
_read_json: Callable[[str | bytes], Address] = msgspec.json.Decoder(Address).decode
_read_msgpack: Callable[[bytes], Address] = msgspec.msgpack.Decoder(Address).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def address_of(frame: str | bytes, *, is_json: bool) -> Address:
    """Whom a request is for; nobody where it cannot be read, which whoever is asked next will say."""
    try:
        return _read_json(frame) if is_json or isinstance(frame, str) else _read_msgpack(frame)
    except _UNREADABLE:
        return _NOBODY


def addresses_of(frame: str | bytes, *, is_json: bool) -> list[tuple[bytes, Address]]:
    """The requests of an array, each with whom it is for.

    Raises:
        InvalidJSON, InvalidRequest: The array cannot be read.
    """
    return [(part, address_of(part, is_json=is_json)) for part in parts(frame)]


def rejoined(requests: Iterable[bytes], *, is_json: bool) -> str | bytes:
    """One array of several requests, as ``addresses_of`` gave them."""
    found = [*requests]
    if is_json:
        return f"[{b','.join(found).decode()}]"
    return b"\xdc%b%b" % (len(found).to_bytes(2, "big"), b"".join(found))


def numbered_id(owner: int) -> str:
    """What the ids of the sessions of a server's process begin with."""
    return f"{owner}-"


def owner_of(session_id: str) -> int | None:
    """The number of the process that such an id names; ``None`` if it names none."""
    number, dash, _ = session_id.partition("-")
    return int(number) if dash and number.isdecimal() and number.isascii() and len(number) < 6 else None
