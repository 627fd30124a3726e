"""One WebSocket without I/O: whatever comes in whatever pieces, it reads what the library would read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.client.frames import LIMIT, connected, feed, framed
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from openenv.client.websocket import WebSocket

SIZES = st.sampled_from([0, 1, 125, 126, 127, 128, 500, 65_535, 65_536, 65_537, 66_000, 150_000])
MESSAGES = st.one_of(
    SIZES.map(lambda size: b"\x81" * size),
    SIZES.map(lambda size: "ä" * (size // 2) + "x" * (size % 2)),
)


def written(server: ServerProtocol, message: str | bytes, cuts: int, ping: bool) -> bytes:
    """A message in so many further fragments, perhaps with a ping among them."""
    data = message.encode() if isinstance(message, str) else message
    send = server.send_text if isinstance(message, str) else server.send_binary
    step = len(data) // (cuts + 1) + 1
    parts = [data[at : at + step] for at in range(0, len(data), step)] or [b""]
    send(parts[0], fin=len(parts) == 1)
    for index, part in enumerate(parts[1:], 2):
        if ping:
            server.send_ping(b"there?")
        server.send_continuation(part, fin=index == len(parts))
    return b"".join(server.data_to_send())


@given(
    st.lists(st.tuples(MESSAGES, st.sampled_from([0, 0, 0, 1, 3]), st.booleans()), max_size=6),
    st.lists(st.sampled_from([1, 2, 3, 4, 5, 10, 11, 127, 128, 130, 4096, 65_000, 65_536, 100_000]), max_size=40),
)
def test_all_messages_arrive_however_they_are_cut(sent: list[tuple[str | bytes, int, bool]], pieces: list[int]) -> None:
    _, server = connected()
    stream = b"".join(written(server, *one) for one in sent)
    web, _ = connected(stream, pieces)
    assert list(web.messages) == [message for message, _, _ in sent]
    assert all(type(got) is type(one[0]) for got, one in zip(web.messages, sent, strict=True))
    assert web.is_open
    server.receive_data(web.take_unsent())
    pongs = [frame for frame in server.events_received() if isinstance(frame, Frame)]
    assert all(frame.opcode is Opcode.PONG and bytes(frame.data) == b"there?" for frame in pongs)
    assert bool(pongs) == any(cuts and ping and len(message) > 1 for message, cuts, ping in sent)


STREAM = (
    framed(0x82, b"abcde") + framed(0x81, b"") + framed(0x89, b"?") + framed(0x82, b"x" * 130) + framed(0x81, b"yz")
)


@pytest.mark.parametrize("at", range(1, 20))
def test_every_pair_of_cuts(at: int) -> None:
    for second in range(1, len(STREAM) - at):
        web, _ = connected()
        feed(web, STREAM, [at, second])
        assert list(web.messages) == [b"abcde", "", b"x" * 130, "yz"], second


def test_every_cut_of_a_large_frame() -> None:
    large = bytes(range(256)) * 300
    for at in range(1, 300):
        web, _ = connected()
        feed(web, framed(0x82, large), [at])
        assert list(web.messages) == [large], at


@pytest.mark.parametrize("limit", [10, 200])
def test_the_limit_holds_for_small_messages_too(limit: int) -> None:
    web, _ = connected(limit=limit)
    feed(web, framed(0x82, b"x" * limit))
    feed(web, framed(0x82, b"x" * (limit + 1)))
    assert list(web.messages) == [b"x" * limit]
    assert not web.is_open


@given(MESSAGES)
def test_what_is_sent_is_what_the_library_reads(message: str | bytes) -> None:
    web, server = connected()
    server.receive_data(web.packed(message))
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert bytes(frame.data) == (message.encode() if isinstance(message, str) else message)
    assert (frame.opcode is Opcode.TEXT) == isinstance(message, str)


WRONG = {
    "masked": (b"\x81\x82abcd\x00\x00", 1002),
    "masked in its middle": (framed(0x82, b"so") + b"\x82\x82ab", 1002),
    "no such opcode": (framed(0x83, b"x"), 1002),
    "compressed": (framed(0xC1, b"x"), 1002),
    "continued without a beginning": (framed(0x80, b"x"), 1002),
    "begun anew": (framed(0x01, b"x") + framed(0x81, b"y"), 1002),
    "a long ping": (framed(0x89, b"x" * 126), 1002),
    "no text": (framed(0x81, b"\xff"), 1007),
    "no text, in a long frame": (framed(0x81, b"x" * 70_000 + b"\xff"), 1007),
    "no text, in fragments": (framed(0x01, b"x") + framed(0x80, b"\xff"), 1007),
    "too large": (framed(0x82, b"x" * (LIMIT + 1)), 1009),
    "too large together": (framed(0x02, b"x" * LIMIT) + framed(0x80, b"x"), 1009),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
def test_what_no_server_may_send_ends_the_connection(name: str, piece: int) -> None:
    data, code = WRONG[name]
    web, server = connected()
    feed(web, data + framed(0x82, b"never read"), [piece] * 2000)
    assert not web.is_open
    assert set(web.messages) <= {b"so"}
    server.receive_data(web.take_unsent())
    assert server.close_rcvd is not None
    assert server.close_rcvd.code == code
    web.ended()
    sent = web.end.sent
    assert sent is not None
    assert sent.code == code


def test_what_came_before_a_goodbye_is_there() -> None:
    web, server = connected()
    feed(web, framed(0x82, b"last") + framed(0x88, (1012).to_bytes(2) + b"so") + framed(0x82, b"never read"))
    assert list(web.messages) == [b"last"]
    assert not web.is_open
    assert web.close_code is None
    server.receive_data(web.take_unsent())  # the goodbye is returned
    assert server.close_rcvd is not None
    web.ended()
    assert web.close_code == 1012
    web.ended()  # again


@pytest.mark.parametrize("data", [b"", b"\x82", framed(0x82, b"x" * 200)[:-1], framed(0x82, b"x" * 70_000)[:-1]])
def test_an_end_in_the_middle_is_one(data: bytes) -> None:
    web, _ = connected(data)
    assert web.is_open
    web.ended()
    assert not web.is_open
    assert web.close_code == 1006
    assert not web.messages


def test_a_goodbye_that_came_with_the_answer_to_the_handshake() -> None:
    """As of a server that stops just then: nobody has read further, and nobody waits for the end."""
    web, _ = connected(framed(0x88, b"\x03\xf4"))
    assert not web.is_open
    assert web.end.rcvd is not None
    assert web.end.rcvd.code == web.close_code == 1012


def test_our_own_goodbye() -> None:
    web, server = connected()
    web.part()
    assert not web.is_open
    server.receive_data(web.take_unsent())
    feed(web, b"".join(server.data_to_send()))
    web.ended()
    assert web.close_code == 1000


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_a_refused_handshake(piece: int) -> None:
    web = WebSocket(ClientProtocol(parse_uri("ws://localhost/ws")), LIMIT)
    web.greet(None, None)
    feed(web, b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nn", [piece] * 60)
    assert not web.is_decided
    feed(web, b"o!!")
    assert web.is_decided
    assert "404" in str(web.refused)
    assert not web.is_open


@pytest.mark.parametrize("data", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 101 S\r\n"])
def test_no_handshake_at_all(data: bytes) -> None:
    web = WebSocket(ClientProtocol(parse_uri("ws://localhost/ws")), LIMIT)
    web.greet(None, None)
    feed(web, data)
    web.ended()
    assert web.is_decided
    assert web.refused is not None
