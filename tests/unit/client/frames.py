"""The client's end of a WebSocket after its handshake, and frames as servers send them."""

from __future__ import annotations

from collections.abc import Iterable

from websockets.client import ClientProtocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from openenv.client.websocket import WebSocket

LIMIT = 200_000


def connected(follows: bytes = b"", pieces: Iterable[int] = (), limit: int = LIMIT) -> tuple[WebSocket, ServerProtocol]:
    """A client whose handshake a server has answered; ``follows`` comes directly behind the answer."""
    web = WebSocket(ClientProtocol(parse_uri("ws://localhost/ws"), max_size=limit), limit)
    web.greet({"X-Test": "1"}, "test")
    server = ServerProtocol(max_size=None)
    server.receive_data(web.take_unsent())
    (request,) = server.events_received()
    server.send_response(server.accept(request))
    feed(web, b"".join(server.data_to_send()) + follows, pieces)
    return web, server


def feed(web: WebSocket, data: bytes, pieces: Iterable[int] = ()) -> None:
    """Have it read data, in pieces of these sizes, then the rest as large as it has room for."""
    sizes = iter(pieces)
    while data:
        room = web.room()
        size = min(next(sizes, len(data)), len(room), len(data))
        room[:size] = data[:size]
        web.filled(size)
        data = data[size:]


def framed(head: int, body: bytes) -> bytes:
    """A frame as servers send it."""
    size = len(body)
    if size < 126:
        return bytes((head, size)) + body
    return (
        bytes((head, 126)) + size.to_bytes(2) + body if size < 65536 else bytes((head, 127)) + size.to_bytes(8) + body
    )
