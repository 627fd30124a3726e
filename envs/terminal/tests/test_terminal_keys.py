"""Keys by name."""

from __future__ import annotations

import pytest

from openenv_terminal.keys import NAMED_KEYS, UnknownKey, key_bytes


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("ls<Enter>", b"ls\r"),
        ("a\nb", b"a\rb"),
        ("<C-c><c-C><C-[><C-@><C-_>", b"\x03\x03\x1b\x00\x1f"),
        ("<M-x><m->>", b"\x1bx\x1b>"),
        ("<up><ESC><F12>", b"\x1b[A\x1b\x1b[24~"),
        ("a < b > c <lt>Esc>", b"a < b > c <Esc>"),
        ("<<EOF", b"<<EOF"),
        ("<>< ><1>", b"<>< ><1>"),
        ("é漢<Tab>", "é漢\t".encode()),
        ("", b""),
    ],
)
def test_what_is_typed(text: str, sent: bytes) -> None:
    assert key_bytes(text) == sent


@pytest.mark.parametrize("text", ["<Entre>", "x<C-ß>", "<C-1>", "<F13>"])
def test_a_name_of_no_key_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(UnknownKey, match=r"is no key; there are <Enter>, <Tab>"):
        key_bytes(text)


def test_half_a_surrogate_pair_cannot_be_typed() -> None:
    with pytest.raises(UnknownKey, match="character 1 "):
        key_bytes("a\ud800")


def test_every_named_key_sends_something_else() -> None:
    assert len({key_bytes(f"<{name}>") for name in NAMED_KEYS}) == len(NAMED_KEYS)
