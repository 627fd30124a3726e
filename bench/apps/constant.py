"""Servers that answer every message with the same observation, so that nothing is left but the way there and back.

usage: constant.py tcp|picows|uvicorn PORT

``tcp`` does not even look at what comes; ``picows`` and ``uvicorn`` are what ``openenv serve`` and ``create_app`` stand
on.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvicorn
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

ANSWER = (
    b'{"type":"observation","data":{"observation":{"metadata":{},"message":"hello","counter":1},"reward":5.0,'
    b'"done":false}}'
)
FRAME = bytes((0x81, len(ANSWER))) + ANSWER
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Blind(asyncio.Protocol):
    """Accepts, then sends a frame for whatever is read."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.answer = ACCEPTED

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answer)
        self.answer = FRAME


class Constant(WSListener):
    """The same over picows."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, ANSWER)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The same over ASGI."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": ANSWER.decode()})


async def serve(kind: str, port: int) -> None:
    """Listen until killed."""
    if kind == "tcp":
        server = await asyncio.get_running_loop().create_server(Blind, "127.0.0.1", port)
    else:
        server = await ws_create_server(lambda _: Constant(), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "uvicorn":
        uvicorn.run(application, port=port, lifespan="off", log_level="warning")
    else:
        uvloop.run(serve(kind, port))
