"""Bare WebSocket servers that say what a test tells them to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tests.unit.client.servers import WAIT_S
from websockets.sync.server import ServerConnection, serve

Handler = Callable[[ServerConnection], None]


@contextmanager
def raw_server(handler: Handler, **options: Any) -> Iterator[str]:
    """A bare WebSocket server that does with each connection what ``handler`` says; its URL."""
    with serve(handler, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join(WAIT_S)


def v2_server(answer: Callable[[ServerConnection, dict[str, Any]], None]) -> AbstractContextManager[str]:
    """A bare v2 server: it greets and opens; ``answer`` gets every other request."""

    def handler(connection: ServerConnection) -> None:
        limits = {"max_message_bytes": 1 << 20, "capacity": 1}
        hello = {"protocol": "openenv.v2", "library": "9", "environment": "raw", "environment_version": None}
        connection.send(json.dumps({"type": "hello", **hello, "features": [], "limits": limits}))
        for frame in connection:
            request = json.loads(frame)
            if request["type"] == "open":
                opened = {"session": "s", "nonce": request["nonce"], "token": "t"}
                connection.send(json.dumps({"type": "opened", **opened}))
            else:
                answer(connection, request)

    return raw_server(handler, subprotocols=["openenv.v2.json"])
