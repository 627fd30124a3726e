"""A model behind the Anthropic Messages API, on loopback: a policy answers instead of weights."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Call", "Model", "Policy", "Said", "model"]


@dataclass(frozen=True)
class Call:
    """A tool that the model wants called."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What the model has seen so far.

    Attributes:
        tools: Names of the tools that it may call.
        results: The texts of the results of its calls, in their order.
    """

    tools: frozenset[str]
    results: Sequence[str]


Policy = Callable[[Said], Call | str]
"""What the model does next: call a tool, or say something and be done."""


@dataclass
class Model:
    """The endpoint.

    Attributes:
        url: Where it is.
        requests: The bodies of the requests that came with tools.
    """

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def model(policy: Policy) -> Iterator[Model]:
    """Serve a policy as a model on a free port, until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    served = _Served(policy, Model(f"http://127.0.0.1:{server.server_port}"))
    server.served = served  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield served.model
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class _Served:
    policy: Policy
    model: Model


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(200, "application/json", b"")

    def do_GET(self) -> None:
        self._answer(404, "application/json", b"{}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if self.path.partition("?")[0] != "/v1/messages":
            self._answer(200, "application/json", b'{"input_tokens": 1}')  # of /v1/messages/count_tokens
            return
        block = self._next(body)
        if body.get("stream"):
            self._answer(200, "text/event-stream", b"".join(_events(block, body["model"])))
        else:
            whole = _message(body["model"]) | {"content": [block], "stop_reason": _reason(block)}
            self._answer(200, "application/json", json.dumps(whole).encode())

    def _next(self, body: dict[str, Any]) -> dict[str, Any]:
        """The one content block of the answer."""
        served: _Served = self.server.served  # type: ignore[attr-defined]
        tools = frozenset(tool["name"] for tool in body.get("tools", ()))
        if not tools:  # a request on the side, such as one for a title
            return {"type": "text", "text": "A game"}
        served.model.requests.append(body)
        results = list(_results(body["messages"]))
        move = served.policy(Said(tools, results))
        if isinstance(move, str):
            return {"type": "text", "text": move}
        return {"type": "tool_use", "id": f"toolu_{len(results):04}", "name": move.name, "input": move.arguments}

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _results(messages: Sequence[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block.get("type") == "tool_result":
                content = block.get("content", "")
                yield content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _reason(block: dict[str, Any]) -> str:
    return "tool_use" if block["type"] == "tool_use" else "end_turn"


def _message(name: str) -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": name,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _events(block: dict[str, Any], name: str) -> Iterator[bytes]:
    """One answer as the API streams it."""
    if block["type"] == "tool_use":
        start = block | {"input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    else:
        start = block | {"text": ""}
        delta = {"type": "text_delta", "text": block["text"]}
    ended = {"stop_reason": _reason(block), "stop_sequence": None}
    for event in (
        {"type": "message_start", "message": _message(name)},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ):
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
