"""When a silent connection counts as dead."""

from __future__ import annotations

import pytest

from openenv.client.breaks import Break, Broken
from openenv.client.sockets import Silence


class Signs:
    def __init__(self) -> None:
        self.heard = self.unsent = 0

    def __call__(self) -> tuple[int, int]:
        return self.heard, self.unsent


def test_silence_is_asked_about_once_and_then_final() -> None:
    silence = Silence(20, Signs())
    assert silence.should_ping()
    with pytest.raises(Broken, match="no sign of life for 40 s") as caught:
        silence.should_ping()
    assert caught.value.why is Break.CONNECTION_LOST


def test_whatever_arrives_is_a_sign() -> None:
    signs = Signs()
    silence = Silence(20, signs)
    for _ in range(3):
        assert silence.should_ping()
        signs.heard += 1
        assert not silence.should_ping()


def test_whatever_leaves_is_a_sign_but_not_what_is_added() -> None:
    signs = Signs()
    silence = Silence(20, signs)
    signs.unsent = 1000
    assert silence.should_ping()
    signs.unsent = 900
    assert not silence.should_ping()
    assert silence.should_ping()
    signs.unsent = 906  # the ping itself
    with pytest.raises(Broken):
        silence.should_ping()
