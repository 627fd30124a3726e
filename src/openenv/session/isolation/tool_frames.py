"""What a server and a worker say to each other about tools: offers, notes, and calls that are not wanted any more."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from openenv.errors import ExecutionFailed, InvalidRequest, RemoteProtocolError
from openenv.protocol import Failed
from openenv.protocol.encoding import UNENCODABLE
from openenv.session.isolation.frames import CANCEL, LARGEST_NOTE, NOTE, OFFER, Frame, reading_failure
from openenv.tools.notes import Note, note_from, note_text

__all__ = [
    "cancel_frame",
    "note_frame",
    "offer_frame",
    "offered_frame",
    "reading_cancel",
    "reading_note",
    "reading_offer",
    "reading_offered",
]


class _Offer(Struct, array_like=True):
    method: str
    params: dict[str, Any]


_decode_offer = msgspec.json.Decoder(_Offer).decode
_decode_offered = msgspec.json.Decoder(dict[str, Any]).decode
_NUMBER = struct.Struct("<Q")


def offer_frame(method: str, params: Mapping[str, Any]) -> Frame:
    """A question for what is offered.

    Raises:
        InvalidRequest: The parameters have no JSON form.
    """
    try:
        return OFFER, msgspec.json.encode(_Offer(method, dict(params)))
    except UNENCODABLE as error:
        raise InvalidRequest(f"{method}: {error}") from error


def reading_offer(frame: Frame) -> tuple[str, dict[str, Any]]:
    """The same, read: method and parameters."""
    found = _decode_offer(frame[1])
    return found.method, found.params


def offered_frame(offered: object) -> Frame:
    """What is offered, as a frame.

    Raises:
        ExecutionFailed: It is no JSON object.
    """
    try:
        if isinstance(offered, dict):
            return OFFER, msgspec.json.encode(offered)
        raise TypeError(f"a {type(offered).__name__} is no JSON object")
    except UNENCODABLE as error:
        raise ExecutionFailed(f"what is offered cannot be sent: {error}") from error


def reading_offered(frame: Frame) -> dict[str, Any] | Failed:
    """The same, read.

    Raises:
        RemoteProtocolError: It is something else.
    """
    kind, body = frame
    if kind != OFFER:
        return reading_failure(frame, "an offer was asked for")
    try:
        return _decode_offered(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RemoteProtocolError(f"what is offered cannot be read: {error}") from None


def note_frame(note: Note) -> Frame | None:
    """A note as a frame; ``None`` for one that has no JSON form, or is too large."""
    try:
        body = note_text(note)
    except UNENCODABLE:
        return None
    return (NOTE, body) if len(body) <= LARGEST_NOTE else None


def reading_note(frame: Frame) -> Note:
    """The same, read.

    Raises:
        RemoteProtocolError: It is something else.
    """
    try:
        return note_from(frame[1])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a note cannot be read: {error}") from None


def cancel_frame(number: int) -> Frame:
    """That the answer to the request of that number, counted from 1, is not wanted any more."""
    return CANCEL, _NUMBER.pack(number)


def reading_cancel(frame: Frame) -> int:
    """The same, read."""
    number: int = _NUMBER.unpack(frame[1])[0]
    return number
