"""Server-sent events: whatever pieces they come in, they are the ones that were sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openenv.mcp.sse import KEEP_ALIVE, EventLog, SseDecoder, SseEvent, event


def test_an_event() -> None:
    assert event(b'{"a":1}') == b'event: message\ndata: {"a":1}\n\n'
    assert event(b"", "s.0", 500) == b"id: s.0\nevent: message\nretry: 500\ndata: \n\n"
    assert event(b"a\nb\r\nc\rd") == b"event: message\ndata: a\ndata: b\ndata: c\ndata: d\n\n"


STREAM = (
    b"\xef\xbb\xbf: comment\nid: s.0\nretry: 250\ndata\n\n"
    b"data:a\ndata:  b\r\nevent: message\r\n\r\n"
    b"retry: x\nretry: -1\nretry: 9999999999\nid: bad\0id\nunknown: y\ndata: \xc3\xa9\n\n"
    b": alive\n\nevent: other\n\n"
    b"id: s.1\revent: other\rdata: last\r\r"
    b"data: not complete\n"
)
EVENTS = [
    SseEvent("", "s.0", 250),
    SseEvent("a\n b", "s.0", 250),
    SseEvent("é", "s.0", 250),
    SseEvent("last", "s.1", 250, "other"),
]


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_a_stream_cut_in_two(at: int) -> None:
    decoder = SseDecoder()
    assert [*decoder.feed(STREAM[:at]), *decoder.feed(b""), *decoder.feed(STREAM[at:])] == EVENTS


@given(st.lists(st.integers(0, len(STREAM))))
def test_a_stream_cut_anywhere(cuts: list[int]) -> None:
    decoder, found, before = SseDecoder(), [], 0
    for cut in [*sorted(cuts), len(STREAM)]:
        found += decoder.feed(STREAM[before:cut])
        before = cut
    assert found == EVENTS


def test_byte_by_byte() -> None:
    decoder = SseDecoder()
    assert [found for byte in STREAM for found in decoder.feed(bytes([byte]))] == EVENTS


def test_an_event_is_there_with_its_last_byte() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == [SseEvent("a")]


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
def test_a_line_ends_once(end: bytes) -> None:
    decoder = SseDecoder()
    stream = end.join((b"data: a", b"data: b", b"", b""))
    found = [found for byte in stream for found in decoder.feed(bytes([byte]))]
    assert found == [SseEvent("a\nb")]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    mark = b"\xef\xbb\xbf"
    decoder = SseDecoder()
    assert decoder.feed(mark + b"data: a\n\n") == [SseEvent("a")]
    assert decoder.feed(mark + b"data: b\n\n") == []


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r"))


@given(st.lists(st.tuples(LINES, st.none() | st.integers(0, 10**8))))
def test_what_is_written_is_read(sent: list[tuple[str, int | None]]) -> None:
    wire, expected, last = b"", [], None
    for number, (text, retry) in enumerate(sent):
        wire += event(text.encode(), f"s.{number}", retry) + KEEP_ALIVE
        last = last if retry is None else retry
        expected.append(SseEvent(text, f"s.{number}", last))
    assert SseDecoder().feed(wire) == expected


@given(st.binary())
def test_any_bytes_are_a_stream(found: bytes) -> None:
    SseDecoder().feed(found)


@pytest.mark.parametrize("piece", [b"data: 0123456789", b"data: 01234\ndata: 56789\n", b": 0123456789abcd"])
def test_an_event_may_be_too_long(piece: bytes) -> None:
    with pytest.raises(ValueError, match="more than 15 bytes"):
        SseDecoder(15).feed(piece)


def test_an_event_may_be_as_long_as_that() -> None:
    decoder = SseDecoder(15)
    for _ in range(3):
        assert decoder.feed(b"data: 012345678") == []
        assert decoder.feed(b"\n") == []
        assert decoder.feed(b"\n") == [SseEvent("012345678")]


def test_many_short_events_are_not_too_long() -> None:
    assert len(SseDecoder(20).feed(b"data: 0123\n\n" * 10)) == 10


def wire(log: EventLog, texts: str) -> list[bytes]:
    return [log.add(text.encode()) for text in texts]


def test_a_log_knows_what_came_after() -> None:
    log = EventLog("s")
    first = log.add(b"", 500)
    rest = wire(log, "abc")
    assert first == event(b"", "s.0", 500)
    assert rest[0] == event(b"a", "s.1")
    assert log.after("s.0") == rest
    assert log.after("s.2") == rest[2:]
    assert log.after("s.3") == []


@pytest.mark.parametrize("id", ["s.4", "s.-1", "s.", "s", "", "t.1", "s.1.1", "s.x", "s.²", f"s.{'1' * 20}"])
def test_a_log_knows_only_its_own(id: str) -> None:
    log = EventLog("s")
    wire(log, "abcd")
    assert log.after(id) is None


def test_a_log_keeps_the_latest() -> None:
    size = len(event(b"a", "s.0"))
    log = EventLog("s", max_bytes=2 * size)
    sent = wire(log, "abcd")
    assert log.after("s.0") == log.after("s.1") == sent[2:]
    assert log.after("s.3") == []
    large = log.add(b"x" * 1000)
    assert log.after("s.3") == [large]
    assert log.after("s.2") == [large]
    assert log.size == len(large)


def test_an_empty_log() -> None:
    assert EventLog("s").after("s.0") is None


@pytest.mark.parametrize(("id", "stream"), [("a.3", "a"), ("a.b.3", "a.b"), ("a", ""), ("", "")])
def test_the_stream_of_an_id(id: str, stream: str) -> None:
    assert EventLog.stream_of(id) == stream
