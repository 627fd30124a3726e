"""A load client of tools over HTTP: one connection, no sleep, every answer looked at."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Mapping
from typing import Any

from bench.spinning import PATIENCE_S

__all__ = ["Caller", "older_caller", "peer_caller", "stateless_caller"]

_ADD = {"first": 20, "second": 22}
_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_BOTH = {"Accept": "application/json, text/event-stream"}


class Caller:
    """Calls a tool again and again.

    Args:
        port: Of the server on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._call = b""

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def prepare(self, message: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """What ``calls`` is to send."""
        self._call = self._spelled(message, headers)

    def calls(self, count: int) -> float:
        """Call so often; returns the seconds. A wrong answer is a ``ConnectionError``."""
        begun = time.perf_counter()
        for _ in range(count):
            self._socket.sendall(self._call)
            _, body = self._answer()
            if b"42" not in body or b'"error"' in body:
                raise ConnectionError(f"instead of the sum: {body[:300]!r}")
        return time.perf_counter() - begun

    def ask(
        self, message: Mapping[str, Any], headers: Mapping[str, str], path: str = "/mcp"
    ) -> tuple[dict[str, str], Any]:
        """The headers and the JSON that answer one message."""
        self._socket.sendall(self._spelled(message, headers, path))
        told, body = self._answer()
        return told, json.loads(body) if body else None

    def _spelled(self, message: Mapping[str, Any], headers: Mapping[str, str], path: str = "/mcp") -> bytes:
        body = json.dumps(message).encode()
        all_headers = {
            "Host": f"127.0.0.1:{self._port}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
        return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body

    def _answer(self) -> tuple[dict[str, str], bytes]:
        data, until = b"", time.perf_counter() + PATIENCE_S
        while True:
            head, end, body = data.partition(b"\r\n\r\n")
            if end:
                lines = head.decode("latin-1").split("\r\n")
                told = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
                if len(body) >= int(told.get("content-length", "0")):
                    return told, body
            while not select.select([self._socket], [], [], 0)[0]:  # it spins: see load.py
                if time.perf_counter() > until:
                    raise ConnectionError(f"no answer within {PATIENCE_S:g} s")
            piece = self._socket.recv(65536)
            if not piece:
                raise ConnectionError("the server has hung up")
            data += piece


def peer_caller(port: int) -> Caller:
    """One that speaks as clients of 0.10 do: JSON-RPC without a handshake, in a session that is there."""
    caller = Caller(port)
    _, made = caller.ask({"jsonrpc": "2.0", "id": 1, "method": "openenv/session/create", "params": {}}, {})
    params = {"name": "add", "arguments": _ADD, "session_id": made["result"]["session_id"]}
    caller.prepare({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}, {})
    return caller


def older_caller(port: int) -> Caller:
    """An MCP client of 2025-11-25, with its handshake done."""
    caller = Caller(port)
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    told, _ = caller.ask({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, _BOTH)
    headers = {**_BOTH, "Mcp-Session-Id": told["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    caller.ask({"jsonrpc": "2.0", "method": "notifications/initialized"}, headers)
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "add", "arguments": _ADD}}
    caller.prepare(call, headers)
    return caller


def stateless_caller(port: int) -> Caller:
    """An MCP client of 2026-07-28, in the session that requests share, whose episode somebody else has begun."""
    caller = Caller(port)
    caller.ask({}, {}, path="/reset")
    headers = {**_BOTH, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "add"}
    params = {"name": "add", "arguments": _ADD, "_meta": _META}
    caller.prepare({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}, headers)
    return caller
