"""Output within bounds, and answers that are not believed."""

from __future__ import annotations

import random

import pytest

from openenv_coding.server.capture import Capture
from openenv_coding.server.frames import Broken, Ran, fields_of


@pytest.mark.parametrize("limit", [2, 3, 10, 101])
def test_the_beginning_and_the_end_are_kept(limit: int) -> None:
    rng = random.Random(limit)
    for length in (0, 1, limit - 1, limit, limit + 1, 5 * limit):
        data = bytes(rng.choices(b"abcdef", k=length))
        capture = Capture(limit)
        at = 0
        while at < length:
            step = rng.randint(1, limit * 2)
            capture.feed(data[at : at + step])
            at += step
        assert capture.total == length
        assert capture.truncated == (length > limit)
        if length <= limit:
            assert capture.text() == data.decode()
        else:
            tail = limit // 2
            middle = f"\n... {length - limit} bytes left out ...\n"
            assert capture.text() == data[: limit - tail].decode() + middle + data[-tail:].decode()


def field(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


TOKEN = b"t" * 16
GOOD = b"".join(field(n.to_bytes(8, "big")) for n in (3, 1, 5, 0, 1)) + field(b"value") + field(b"png")


def test_an_answer_is_read() -> None:
    assert Ran.of(fields_of(TOKEN + GOOD, TOKEN)) == Ran(3, "value", 5, [b"png"], 0, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x" * 16 + GOOD,
        TOKEN,
        TOKEN + GOOD[:-1],
        TOKEN + GOOD + b"\0",
        TOKEN + field(b"\0"),
        TOKEN + b"".join(field(bytes(8)) for _ in range(5)),
        TOKEN + b"".join(field(bytes([255] * 8)) for _ in range(5)) + field(b""),
    ],
)
def test_what_makes_no_sense_is_not_believed(body: bytes) -> None:
    with pytest.raises(Broken):
        Ran.of(fields_of(body, TOKEN))
