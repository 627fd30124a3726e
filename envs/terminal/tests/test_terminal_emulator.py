"""What bytes look like on the screen, well formed or not."""

from __future__ import annotations

import random

import pytest

from openenv_terminal.server.emulator import Emulator


def shown(*pieces: bytes, rows: int = 4, columns: int = 10) -> Emulator:
    emulator = Emulator(rows, columns, 5)
    for piece in pieces:
        emulator.feed(piece)
    return emulator


def test_lines_scroll_off_and_the_last_are_kept() -> None:
    emulator = shown(b"\r\n".join(b"%d" % n for n in range(20)))
    assert emulator.screen() == "16\n17\n18\n19"
    assert emulator.scrollback() == "11\n12\n13\n14\n15"
    assert emulator.cursor() == (3, 2)
    assert emulator.position() == 19


def test_what_is_new_begins_where_the_cursor_stood() -> None:
    emulator = shown(b"old\r\n$ ")
    position = emulator.position()
    emulator.feed(b"new\r\n1\r\n2\r\n3\r\n4\r\n$ ")
    assert emulator.since(position) == "$ new\n1\n2\n3\n4\n$"
    emulator.feed(b"\x1b[H\x1b[2Jall")
    assert emulator.since(position + 5) == "all"


def test_a_character_may_be_split_between_reads() -> None:
    data = "aé漢🙂b".encode()
    whole = shown(data).screen()
    assert whole == "aé漢🙂b"
    assert shown(*(data[n : n + 1] for n in range(len(data)))).screen() == whole


def test_half_of_a_wide_character_is_a_blank() -> None:
    assert shown("漢字".encode(), b"\rx").screen() == "x 字"


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert shown(b"a\xff\xfeb").screen() == "a��b"


@pytest.mark.parametrize("end", [b"\x07", b"\x1b\\", b"\x18"])
@pytest.mark.parametrize("begin", [b"\x1b]0;", b"\x1bP", b"\x1b_", b"\x1b^", b"\x1bX"])
def test_strings_for_the_terminal_are_not_shown_however_they_are_cut(begin: bytes, end: bytes) -> None:
    data = b"a" + begin + b"title" * 9 + end + b"b"
    assert shown(data).screen() == "ab"
    assert shown(*(data[n : n + 1] for n in range(len(data)))).screen() == "ab"


def test_it_answers_where_the_cursor_is_but_not_endlessly() -> None:
    emulator = shown(b"ab")
    assert emulator.feed(b"\x1b[6n") == b"\x1b[1;3R"
    assert emulator.feed(b"x") == b""
    assert len(emulator.feed(b"\x1b[6n" * 5000)) < 5000


def test_marks_over_one_character_stay_few() -> None:
    emulator = shown(b"a")
    for _ in range(50):
        emulator.feed("\u0301".encode() * 50 + b"\x1b[m")
    assert len(emulator.screen()) < 20


def test_no_sequence_breaks_it() -> None:
    rng = random.Random(5)
    parts = [b"\x1b", b"[", b"?", b">", b";", b"1", b"999999999", b"\x9b", b"\xc2\x9b", b"]", b"P", b"\n", b"\r", b"\b"]
    parts += [bytes([n]) for n in range(32, 127)] + ["漢".encode(), b"\xff", "\u0301".encode()]
    for _ in range(300):
        emulator = shown(b"".join(rng.choice(parts) for _ in range(200)))
        emulator.screen(), emulator.since(0), emulator.cursor()
        emulator.skip()
        emulator.feed(b"\x1bc\x1b[r\x1b[2J\x1b[Hok")
        assert emulator.screen().startswith("ok")


def test_a_new_shell_begins_at_the_left_without_what_was_set_up() -> None:
    emulator = shown(b"\x1b[1;2rab")
    emulator.begin_line()
    emulator.feed(b"1\r\n2\r\n3\r\n4")
    assert emulator.cursor() == (3, 1)
    assert emulator.screen().endswith("2\n3\n4")
