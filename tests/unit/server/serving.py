"""A real server on loopback, in a thread of the test's process, and three ways to talk to it."""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, Protocol

import httpx
import uvicorn
from fastapi import FastAPI
from tests.unit.session.worlds import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

V2 = "openenv.v2.json"


class Running:
    """A server that runs: where it is, and how many places it has taken."""

    def __init__(self, port: int, thread: threading.Thread) -> None:
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        self.thread = thread

    def active(self) -> int:
        """Places that are taken just now, as the server says."""
        answer = httpx.get(f"{self.url}/ready", timeout=PATIENCE_S)
        active: int = answer.json()["sessions"]["active"]
        return active

    def wait_idle(self) -> None:
        """Wait until no place is taken."""
        until = time.monotonic() + PATIENCE_S
        while self.active() and time.monotonic() < until:
            pass  # each look is a request of its own
        assert self.active() == 0

    def connect(self, *subprotocols: str) -> AbstractContextManager[ClientConnection]:
        """A WebSocket connection; without subprotocols it speaks v1."""
        return connect(
            f"ws://{self.address}/ws",
            subprotocols=list(subprotocols) or None,  # type: ignore[arg-type]
            compression=None,
            max_size=None,
            open_timeout=PATIENCE_S,
            proxy=None,
        )


@contextmanager
def serving(app: FastAPI, loop: str = "asyncio", **options: Any) -> Iterator[Running]:
    """Serve an application on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, loop=loop, log_level="error", lifespan="on", timeout_graceful_shutdown=30, **options)  # type: ignore[arg-type]
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="serving")
        thread.start()
        try:
            yield Running(listener.getsockname()[1], thread)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S * 2)
            assert not thread.is_alive(), "the server did not stop"


class Answer:
    """What came back, whatever brought it: an error code or a value."""

    def __init__(self, code: str | None, body: dict[str, Any], message: str = "") -> None:
        self.code, self.body, self.message = code, body, message

    @property
    def value(self) -> Any:
        assert self.code is None, (self.code, self.message)
        return self.body["observation"]["value"]

    def __repr__(self) -> str:
        return f"Answer({self.code}, {self.body}, {self.message!r})"


class Line(Protocol):
    """One client's session, over one of the ways in."""

    def reset(self, **options: Any) -> Answer: ...

    def step(self, **action: Any) -> Answer: ...

    def state(self) -> Answer: ...

    def say(self, text: str | bytes) -> Answer:
        """Send that very text and read the answer."""

    def start_step(self, **action: Any) -> None:
        """Send a step and do not wait."""

    def vanish(self) -> None:
        """Cut the connection without a word."""

    def close(self) -> None: ...


class V1Line:
    """Protocol v1."""

    def __init__(self, server: Running) -> None:
        self.ends = ExitStack()
        self.socket = self.ends.enter_context(server.connect())

    def say(self, text: str | bytes) -> Answer:
        self.socket.send(text)
        return self.read()

    def read(self) -> Answer:
        frame = json.loads(self.socket.recv(timeout=PATIENCE_S))
        data = frame["data"]
        if frame["type"] != "error":
            return Answer(None, data)
        newer = data.get("errors", [{}])[0]
        return Answer(newer.get("code", data["code"]), {**newer, **data}, data["message"])

    def reset(self, **options: Any) -> Answer:
        return self.say(json.dumps({"type": "reset", "data": options}))

    def start_step(self, **action: Any) -> None:
        self.socket.send(json.dumps({"type": "step", "data": action}))

    def step(self, **action: Any) -> Answer:
        self.start_step(**action)
        return self.read()

    def state(self) -> Answer:
        return self.say('{"type":"state"}')

    def vanish(self) -> None:
        cut(self.socket.socket)
        self.ends.close()

    def close(self) -> None:
        self.ends.close()


class V2Line:
    """Protocol v2, one session on its connection."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.id = self.acknowledged = 0
        self.ended = False
        self.connect()
        opened = self.ask(type="open", nonce=secrets.token_hex(16)).body
        self.session, self.token = opened["session"], opened["token"]

    def connect(self) -> None:
        self.ends = ExitStack()
        self.socket = self.ends.enter_context(self.server.connect(V2))
        self.hello = json.loads(self.socket.recv(timeout=PATIENCE_S))
        self.connected = True

    def come_back(self) -> None:
        """Go on with the session on another connection."""
        self.connect()
        self.ask(type="resume", session=self.session, token=self.token)

    def ask(self, **frame: Any) -> Answer:
        return self.say(json.dumps(frame))

    def say(self, text: str | bytes) -> Answer:
        self.socket.send(text)
        return self.read()

    def read(self) -> Answer:
        frame = json.loads(self.socket.recv(timeout=PATIENCE_S))
        self.acknowledged = max(self.acknowledged, frame["id"])
        if frame["type"] == "error":
            return Answer(frame["code"], frame["details"], frame["message"])
        return Answer(None, frame)

    def frame(self, kind: str, **more: Any) -> str:
        self.id += 1
        return json.dumps({"type": kind, "session": self.session, "id": self.id, "ack": self.acknowledged, **more})

    def reset(self, **options: Any) -> Answer:
        own = {name: options.pop(name) for name in ("seed", "episode_id") if name in options}
        return self.say(self.frame("reset", options=options, **own))

    def start_step(self, **action: Any) -> None:
        self.again = self.frame("step", action=action)
        self.socket.send(self.again)

    def step(self, **action: Any) -> Answer:
        self.start_step(**action)
        return self.read()

    def state(self) -> Answer:
        return self.say(self.frame("state"))

    def vanish(self) -> None:
        cut(self.socket.socket)
        self.ends.close()
        self.connected = False

    def close(self) -> None:
        """End the session, which the end of the connection does not."""
        if self.ended:
            return
        self.ended = True
        with suppress(ConnectionClosed, OSError):  # the server may have ended before
            if not self.connected:
                self.come_back()
            self.socket.send(self.frame("close"))
            while json.loads(self.socket.recv(timeout=PATIENCE_S))["type"] not in ("closed", "error"):
                pass  # replies that nobody had read
        self.ends.close()


class HttpLine:
    """HTTP with a private session."""

    def __init__(self, server: Running) -> None:
        self.client = httpx.Client(base_url=server.url, timeout=PATIENCE_S)
        self.address = server.address
        self.session = self.client.post("/sessions").json()["session_id"]
        self.client.cookies.clear()
        self.client.headers["X-OpenEnv-Session"] = self.session
        self.half_open: list[socket.socket] = []

    def read(self, answer: httpx.Response) -> Answer:
        body = answer.json()
        if answer.is_success:
            return Answer(None, body)
        return Answer(body["error"]["code"], body["error"]["details"], body["error"]["message"])

    def reset(self, **options: Any) -> Answer:
        return self.read(self.client.post("/reset", json=options))

    def step(self, **action: Any) -> Answer:
        return self.read(self.client.post("/step", json={"action": action}))

    def state(self) -> Answer:
        return self.read(self.client.get("/state"))

    def say(self, text: str | bytes) -> Answer:
        return self.read(self.client.post("/step", content=text))

    def start_step(self, **action: Any) -> None:
        host, port = self.address.split(":")
        body = json.dumps({"action": action})
        request = (
            f"POST /step HTTP/1.1\r\nHost: {self.address}\r\nX-OpenEnv-Session: {self.session}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        plain = socket.create_connection((host, int(port)), PATIENCE_S)
        plain.sendall(request.encode())
        self.half_open.append(plain)

    def vanish(self) -> None:
        for plain in self.half_open:
            cut(plain)
        self.half_open.clear()

    def close(self) -> None:
        self.vanish()
        if not self.client.is_closed:
            self.client.delete(f"/sessions/{self.session}")
            self.client.close()


LINES: dict[str, type[V1Line] | type[V2Line] | type[HttpLine]] = {"v1": V1Line, "v2": V2Line, "http": HttpLine}


def cut(plain: socket.socket) -> None:
    """Reset a TCP connection, as when a process is killed with data unread."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    plain.shutdown(socket.SHUT_RDWR)
    plain.close()
