"""The frames between this side and the interpreter inside.

A request is one byte of kind, the token, four bytes of length and the body. An answer is four bytes of length, the
token of its request and fields of four bytes of length and a content each. Numbers are unsigned and big-endian. The
interpreter's side of it is ``inside``; whatever comes from there is not trusted.

Where code may call tools (``inside_tools``), any number of calls come before the answer to ``run``. A call looks like
an answer whose fields are ``call``, the name of the tool and its arguments as JSON; the host sends a ``Reply`` to each.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CUT_OFF",
    "HELLO",
    "RUN",
    "TOKEN_BYTES",
    "Broken",
    "Called",
    "Ran",
    "Reply",
    "Request",
    "begin",
    "fields_of",
    "offer",
    "plug",
    "run",
    "settle",
    "tests",
]

TOKEN_BYTES = 16
HELLO = bytes(TOKEN_BYTES)
"""What the interpreter says in place of a token when it is ready."""

CUT_OFF = 113
"""Exit code of an interpreter that cannot answer because the code has closed its descriptors."""

RUN = b"R"
"""Kind of the request that runs the code of a step."""

_NUMBERS = 5
_CALL = b"call"


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
    return Request(RUN, step.to_bytes(4, "big") + code.encode("utf-8", "surrogatepass"))


def tests(code: str) -> Request:
    """Run the tests of an episode."""
    return Request(b"T", code.encode("utf-8", "surrogatepass"))


def settle() -> Request:
    """Wait until the interrupt that was sent has arrived, or a second at most."""
    return Request(b"S")


def plug(code: bytes) -> Request:
    """Let code call tools: ``inside_tools``, compiled. There is no answer."""
    return Request(b"P", code)


def offer(tools: str) -> Request:
    """The tools that there are now, as ``linking`` writes them. There is no answer."""
    return Request(b"O", tools.encode())


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
class Called:
    """A call from inside.

    Attributes:
        name: Of the tool.
        arguments: JSON, which nobody has looked at.
    """

    name: str
    arguments: bytes

    @staticmethod
    def of(fields: list[bytes]) -> Called | None:
        """Read the fields; ``None``: they are those of an answer."""
        if len(fields) != 3 or fields[0] != _CALL:
            return None
        return Called(fields[1].decode(errors="replace"), fields[2])


@dataclass(frozen=True)
class Reply:
    """The answer to a call.

    Attributes:
        body: What the tool returned, as JSON; or why it failed.
        failed: Which of the two.
    """

    body: str
    failed: bool = False

    def request(self, tools: str, *, is_late: bool) -> Request:
        """The frame.

        Args:
            tools: The tools that there are now, if they are others than before; else empty.
            is_late: Whether the time is up, so that an interrupt is on its way.
        """
        fields = (
            b"\2" if is_late else b"\0" if self.failed else b"\1",
            self.body.encode("utf-8", "replace"),
            tools.encode(),
        )
        return Request(b"A", b"".join(len(field).to_bytes(4, "big") + field for field in fields))


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
