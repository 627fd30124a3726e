"""The frames between this side and the interpreter inside.

A request is one byte of kind, the token, four bytes of length and the body. An answer is four bytes of length, the
token of its request and fields of four bytes of length and a content each. Numbers are unsigned and big-endian. The
interpreter's side of it is ``inside``; whatever comes from there is not trusted.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CUT_OFF",
    "HELLO",
    "TOKEN_BYTES",
    "Broken",
    "Ran",
    "Request",
    "begin",
    "fields_of",
    "run",
    "settle",
    "tests",
]

TOKEN_BYTES = 16
HELLO = bytes(TOKEN_BYTES)
"""What the interpreter says in place of a token when it is ready."""

CUT_OFF = 113
"""Exit code of an interpreter that cannot answer because the code has closed its descriptors."""

_NUMBERS = 5


class Broken(Exception):
    """The answer is none: the code inside has meddled with the interpreter."""


@dataclass(frozen=True)
class Request:
    """Something to ask of the interpreter."""

    kind: bytes
    body: bytes = b""

    def encode(self, token: bytes) -> bytes:
        """The frame."""
        return self.kind + token + len(self.body).to_bytes(4, "big") + self.body


def begin(max_value_chars: int, max_images: int, max_image_bytes: int, seed: int) -> Request:
    """Begin an episode within these bounds; the seed, 0 to 2**64 - 1, is that of module ``random``."""
    return Request(b"B", b"".join(n.to_bytes(8, "big") for n in (max_value_chars, max_images, max_image_bytes, seed)))


def run(step: int, code: str) -> Request:
    """Run the code of a step."""
    return Request(b"R", step.to_bytes(4, "big") + code.encode("utf-8", "surrogatepass"))


def tests(code: str) -> Request:
    """Run the tests of an episode."""
    return Request(b"T", code.encode("utf-8", "surrogatepass"))


def settle() -> Request:
    """Wait until the interrupt that was sent has arrived, or a second at most."""
    return Request(b"S")


def fields_of(body: bytes, token: bytes) -> list[bytes]:
    """The fields of an answer.

    Raises:
        Broken: The token is another one, or the lengths do not add up.
    """
    if body[:TOKEN_BYTES] != token:
        raise Broken
    fields, at = [], TOKEN_BYTES
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at : at + 4], "big")
        if at + 4 > len(body) or end > len(body):
            raise Broken
        fields.append(body[at + 4 : end])
        at = end
    return fields


@dataclass(frozen=True)
class Ran:
    """The answer to ``run``.

    Attributes:
        exit_code: 0 to 255.
        value: Beginning of the value, or ``None``.
        value_chars: Length of the whole value.
        images: PNG images.
        images_dropped: How many were left out.
        interrupted: Whether an interrupt arrived.
    """

    exit_code: int
    value: str | None
    value_chars: int
    images: list[bytes]
    images_dropped: int
    interrupted: bool

    @staticmethod
    def of(fields: list[bytes]) -> Ran:
        """Read the fields.

        Raises:
            Broken: Some are missing, or out of range.
        """
        if len(fields) <= _NUMBERS or any(len(field) != 8 for field in fields[:_NUMBERS]):
            raise Broken
        code, has_value, chars, dropped, interrupted = (int.from_bytes(field, "big") for field in fields[:_NUMBERS])
        if code > 255:
            raise Broken
        value = fields[_NUMBERS].decode(errors="replace") if has_value else None
        return Ran(code, value, chars, fields[_NUMBERS + 1 :], dropped, interrupted > 0)
