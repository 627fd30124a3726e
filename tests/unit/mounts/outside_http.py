"""A small MCP server over Streamable HTTP, in plain Python, that tells what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["OutsideHttp", "served"]

STATELESS = "2026-07-28"
NAMES = ("echo", "events", "progress", "hang", "ask", "broken", "lost", "nonsense", "region")


class OutsideHttp:
    """What the server does and has seen.

    Attributes:
        era: ``older`` or ``stateless``.
        seen: Each request: its HTTP method, headers (lower case) and message.
        sessions: Those that are known.
        refuse: HTTP status that everything is answered with, if it is above 0.
    """

    def __init__(self, era: str) -> None:
        self.era = era
        self.url = ""
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.sessions: set[str] = set()
        self.refuse = 0
        self.location = ""
        self.answers: dict[Any, Any] = {}
        self.answered = threading.Event()
        self.cancelled = threading.Event()
        self.ending = threading.Event()

    def told(self, method: str) -> list[dict[str, str]]:
        """The headers of the requests with that MCP method."""
        return [headers for _, headers, message in self.seen if message.get("method") == method]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: OutsideHttp

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_DELETE(self) -> None:
        self._note("DELETE", {})
        self.state.sessions.discard(self.headers.get("mcp-session-id", ""))
        self._plain(200, b"")

    def do_GET(self) -> None:
        self._note("GET", {})
        assert self.headers["last-event-id"] == "s.1"
        self._stream()
        self._event({"id": self.state.answers["broken"], "result": _text("mended")}, "s.2")

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        state = self._note("POST", message)
        if state.refuse:
            self.send_response(state.refuse)
            self.send_header("location", state.location)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        if "method" not in message:
            state.answers[message["id"]] = message
            state.answered.set()
            self._plain(202, b"")
        elif "id" not in message:
            if message["method"] == "notifications/cancelled":
                state.cancelled.set()
            self._plain(202, b"")
        elif state.era == "older" and not self._older(message):
            return
        else:
            self._respond(message)

    def _older(self, message: dict[str, Any]) -> bool:
        """Whether the request may come; else it was answered."""
        if message["method"] == "initialize":
            return True
        session = self.headers.get("mcp-session-id")
        if session is None:
            self._plain(400, b"no session")
        elif session not in self.state.sessions:
            self._plain(404, b"")
        else:
            assert self.headers["mcp-protocol-version"] == "2025-06-18"
            return True
        return False

    def _respond(self, message: dict[str, Any]) -> None:
        state, id, method, params = self.state, message["id"], message["method"], message.get("params") or {}
        if method == "initialize":
            session = f"session-{len(state.seen)}"
            state.sessions.add(session)
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "x"}}
            self._json({"id": id, "result": result}, ("mcp-session-id", session))
        elif method == "server/discover":
            self._json({"id": id, "result": {"supportedVersions": [STATELESS], "capabilities": {"tools": {}}}})
        elif method == "tools/list":
            schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
            tools = [{"name": name, "inputSchema": schema} for name in NAMES]
            self._json({"id": id, "result": {"tools": tools}})
        else:
            self._call(id, params)

    def _call(self, id: Any, params: dict[str, Any]) -> None:
        state, name = self.state, params["name"]
        if name in ("echo", "region"):
            self._json({"id": id, "result": _text(json.dumps(params.get("arguments")))})
        elif name == "nonsense":
            self._plain(200, b"<html>", "application/json")
        elif name == "events":
            self._stream()
            self.wfile.write(b": hello\n\nid: s.0\ndata:\n\n")
            self._event({"id": id, "result": _text("by events")})
        elif name == "progress":
            self._stream()
            token = params["_meta"]["progressToken"]
            for one in (token, "another"):
                said = {"progressToken": one, "progress": 0.5}
                self._event({"method": "notifications/progress", "params": said})
            self._event({"id": id, "result": _text("done")})
        elif name == "hang":
            self._stream()
            self._event({"method": "notifications/message", "params": {"level": "info", "data": "hangs"}})
            self._wait_for_the_end()
        elif name == "ask":
            self._ask(id, params)
        elif name == "broken":
            state.answers["broken"] = id
            self._stream()
            self.wfile.write(b"id: s.1\nretry: 1\ndata:\n\n")
        elif name == "lost":
            self._stream()
            self._event({"method": "notifications/message", "params": {"data": "going"}})

    def _ask(self, id: Any, params: dict[str, Any]) -> None:
        question = {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}}
        if self.state.era == "stateless":
            given = params.get("inputResponses")
            if given is None:
                asked = {"which": {"method": "elicitation/create", "params": question}}
                self._json({"id": id, "result": {"resultType": "input_required", "inputRequests": asked}})
            else:
                self._json({"id": id, "result": _text(json.dumps(given["which"]))})
            return
        self._stream()
        self.state.answered.clear()
        self._event({"id": "q-1", "method": "elicitation/create", "params": question})
        assert self.state.answered.wait(20)
        self._event({"id": id, "result": _text(json.dumps(self.state.answers["q-1"]["result"]))})

    def _wait_for_the_end(self) -> None:
        """Until the client is gone, or the test is over."""
        while not self.state.ending.wait(0.02):
            try:
                self.wfile.write(b": alive\n\n")
                self.wfile.flush()
            except OSError:
                self.state.cancelled.set()
                return

    # Answers ----------------------------------------------------------------------------------------------------

    def _note(self, method: str, message: dict[str, Any]) -> OutsideHttp:
        self.state.seen.append((method, {key.lower(): value for key, value in self.headers.items()}, message))
        return self.state

    def _json(self, message: dict[str, Any], *headers: tuple[str, str]) -> None:
        if self.state.era == "stateless" and "resultType" not in message["result"]:
            message["result"]["resultType"] = "complete"
        self._plain(200, json.dumps({"jsonrpc": "2.0", **message}).encode(), "application/json", *headers)

    def _plain(self, status: int, body: bytes, kind: str = "text/plain", *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("content-type", kind), ("content-length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def _event(self, message: dict[str, Any], id: str = "") -> None:
        head = f"id: {id}\n" if id else ""
        self.wfile.write(f"{head}data: {json.dumps({'jsonrpc': '2.0', **message})}\n\n".encode())
        self.wfile.flush()


def _text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}


@contextmanager
def served(era: str) -> Iterator[OutsideHttp]:
    """The server, on a free port of this machine."""
    state = OutsideHttp(era)
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    http.daemon_threads = True
    state.url = f"http://127.0.0.1:{http.server_port}/mcp"
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        state.ending.set()
        http.shutdown()
        http.server_close()
        thread.join()
