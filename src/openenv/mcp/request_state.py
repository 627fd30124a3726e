"""What a client of the stateless era carries for the server from one round of a call to the next."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

from openenv.mcp.headers import NAME_OF
from openenv.mcp.messages import INVALID_PARAMS, McpError, Request

__all__ = ["inputs_so_far", "sealed", "state_of", "unsealed"]

_sorted = msgspec.json.Encoder(order="sorted").encode


def sealed(state: dict[str, Any], key: bytes) -> str:
    """A state as text that only who has the key can make; everybody can read it.

    Args:
        state: JSON values.
        key: A secret of any length.
    """
    payload = msgspec.json.encode(state)
    return f"{_as_text(payload)}.{_as_text(_mac(payload, key))}"


def unsealed(text: str, key: bytes) -> dict[str, Any]:
    """The state in a text.

    Raises:
        McpError: It was not made with this key, or was changed since (-32602).
    """
    payload_text, _, mac_text = text.partition(".")
    payload, mac = _as_bytes(payload_text), _as_bytes(mac_text)
    if not hmac.compare_digest(mac, _mac(payload, key)):
        raise McpError(INVALID_PARAMS, "Invalid params: 'requestState' is not what this server gave")
    return msgspec.json.decode(payload, type=dict[str, Any])


def state_of(request: Request, inputs: dict[str, Any], bound_to: str = "") -> dict[str, Any]:
    """The state of a call that asks for more.

    Args:
        request: The call.
        inputs: The answers that there are so far, by name.
        bound_to: What else it is good for, such as the session and the number of its episode.
    """
    return {"call": _call(request), "for": bound_to, "inputs": inputs}


def inputs_so_far(
    request: Request, text: str | None, responses: dict[str, Any], key: bytes, bound_to: str = ""
) -> dict[str, Any]:
    """The answers that a call comes with: those of earlier rounds in its state, and those of this one.

    Args:
        request: The call.
        text: Its ``requestState``; ``None`` in the first round.
        responses: Its ``inputResponses``.
        key: What states are sealed with.
        bound_to: As it was for ``state_of``.

    Raises:
        McpError: The state was changed, or is that of another call (-32602).
    """
    if text is None:
        return responses
    try:
        state = unsealed(text, key)
    except McpError as problem:
        raise McpError(problem.code, problem.message, id=request.id) from None
    if state.get("call") != _call(request) or state.get("for") != bound_to:
        raise McpError(INVALID_PARAMS, "Invalid params: 'requestState' belongs to another call", id=request.id)
    return {**state["inputs"], **responses}


def _call(request: Request) -> list[str]:
    """Which call it is: the method, the name, and a digest of the arguments."""
    name = request.params.get(NAME_OF.get(request.method, ""))
    arguments = _sorted(request.params.get("arguments") or {})
    return [request.method, str(name), hashlib.sha256(arguments).hexdigest()]


def _mac(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"openenv.mcp.request_state:" + payload, "sha256")


def _as_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _as_bytes(text: str) -> bytes:
    """What a text stands for; nothing where it is not the one way to write it."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if _as_text(raw) == text else b""
