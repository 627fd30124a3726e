"""A scripted MCP server over HTTP, and a bridge to it whose client is the test."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

from openenv.client.stdio_bridge import bridge_stdio

WAIT_S = 20.0


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # connections come at once, and the usual 5 may wait


"""How long something that must happen is waited for; only a failing test waits that long."""


@dataclass
class Heard:
    """One HTTP request.

    Attributes:
        verb: ``POST``, ``GET`` or ``DELETE``.
        headers: By lower-case name.
        body: What was posted, as JSON; ``None`` if nothing.
    """

    verb: str
    headers: dict[str, str]
    body: Any

    @property
    def says(self) -> str:
        """The method of the message, or the verb."""
        return str(self.body.get("method", "response")) if isinstance(self.body, dict) else self.verb


@dataclass
class Answer:
    """What is answered: a body, or the pieces of a stream, which may wait for something.

    Attributes:
        body: JSON, text, or nothing.
        stream: Gives pieces of an event stream; the connection is cut where it ends, if ``cut``.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    stream: Callable[[], Iterator[bytes]] | None = None
    cut: bool = False


Script = Callable[[Heard], Answer]


class ScriptedServer:
    """Answers as its script says, and keeps what it heard."""

    def __init__(self, script: Script) -> None:
        self.heard: list[Heard] = []
        self.arrived: Queue[Heard] = Queue()
        self.hung_up = threading.Event()  # a client closed a stream before its end
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None: ...

            def handle_any(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                raw = self.rfile.read(size)
                heard = Heard(
                    self.command,
                    {name.lower(): value for name, value in self.headers.items()},
                    json.loads(raw) if raw else None,
                )
                server.heard.append(heard)
                server.arrived.put(heard)
                answer = script(heard)
                with suppress(ConnectionError):
                    self.stream(answer) if answer.stream is not None else self.whole(answer)

            do_POST = do_GET = do_DELETE = handle_any

            def whole(self, answer: Answer) -> None:
                kind = "text/plain" if isinstance(answer.body, str) else "application/json"
                body = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
                body = b"" if answer.body is None else body
                self.send_response(answer.status)
                for name, value in {"content-type": kind, **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def stream(self, answer: Answer) -> None:
                self.send_response(200)
                for name, value in {"content-type": "text/event-stream", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                assert answer.stream is not None
                try:
                    for piece in answer.stream():
                        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                        self.wfile.flush()
                except ConnectionError:
                    server.hung_up.set()
                    raise
                if not answer.cut:
                    self.wfile.write(b"0\r\n\r\n")
                self.close_connection = True

        self._http = _Server(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/mcp"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def next(self, says: str) -> Heard:
        """The next request of that kind; others are passed over."""
        while True:
            heard = self.arrived.get(timeout=WAIT_S)
            if heard.says == says:
                return heard


class Talk:
    """A client on the other ends of a bridge's input and output."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        source, self._to = os.pipe()
        self._from, sink = os.pipe()
        self._lines = os.fdopen(self._from, "rb")
        self._said = False
        self.code: int | None = None
        self._fds = (source, sink)

        def work() -> None:
            self.code = asyncio.run(bridge_stdio(url, headers=headers, source=source, sink=sink))
            os.close(sink)

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def say(self, message: Any) -> None:
        """Send a message, or a line as it is."""
        line = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        view = memoryview(line)
        while view:
            view = view[os.write(self._to, view) :]

    def ask(self, id: int | str, method: str, params: Any = None) -> None:
        """Send a request."""
        self.say({"jsonrpc": "2.0", "id": id, "method": method, **({} if params is None else {"params": params})})

    def hear(self) -> Any:
        """The next message that comes back."""
        line = self._lines.readline()
        assert line.endswith(b"\n"), "the bridge ended"
        return json.loads(line)

    def stop_reading(self) -> None:
        """Close the end that the bridge writes to."""
        self._lines.close()

    def end(self) -> int | None:
        """Say no more; the exit code."""
        if not self._said:
            self._said = True
            os.close(self._to)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return self.code

    def rest(self) -> list[Any]:
        """All that is still to be heard, once it has ended."""
        return [json.loads(line) for line in self._lines]

    def close(self) -> None:
        """End it, whatever has happened."""
        self.end()
        self._lines.close()
        with suppress(OSError):
            os.close(self._fds[0])


@contextmanager
def talking(script: Script, headers: Mapping[str, str] | None = None) -> Iterator[tuple[Talk, ScriptedServer]]:
    """A client that talks to a scripted server through a bridge."""
    server = ScriptedServer(script)
    talk = Talk(server.url, headers or {})
    try:
        yield talk, server
    finally:
        talk.close()
        server.close()


def result(heard: Heard, **value: Any) -> dict[str, Any]:
    """The answer to a request."""
    return {"jsonrpc": "2.0", "id": heard.body["id"], "result": value}


def event(message: Any, id: str = "") -> bytes:
    """A message as an event of a stream."""
    head = f"id: {id}\n" if id else ""
    return f"{head}data: {json.dumps(message)}\n\n".encode()


def older(more: Script | None = None, session: str = "s1.x", *, gets: bool = False) -> Script:
    """A server of the older era: the handshake, and ``more`` for all other requests; for a GET too, if it ``gets``."""

    def answer(heard: Heard) -> Answer:
        if heard.says == "initialize":
            told = result(
                heard, protocolVersion="2025-06-18", capabilities={}, serverInfo={"name": "n", "version": "1"}
            )
            return Answer(told, headers={"Mcp-Session-Id": session})
        if heard.verb == "DELETE":
            return Answer(status=200)
        if more is not None and (gets if heard.verb == "GET" else "id" in heard.body):
            return more(heard)
        return Answer(status=405 if heard.verb == "GET" else 202)

    return answer


def begin(talk: Talk) -> None:
    """The handshake of the older era."""
    asked = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    talk.ask(0, "initialize", asked)
    assert talk.hear()["result"]["protocolVersion"] == "2025-06-18"
    talk.say({"jsonrpc": "2.0", "method": "notifications/initialized"})


def stateless(**params: Any) -> dict[str, Any]:
    """Parameters of a request of the era without sessions."""
    return {**params, "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}
