"""What code called, told within bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from threading import Lock
from typing import Any

from openenv.tools import NoJSONForm, result_of

__all__ = ["Kept", "ToolFailed", "plain"]

_SHOWN = 1000


class ToolFailed(Exception):
    """A tool returned a result that is an error; the message is what it says."""


def plain(returned: Any, *, has_schema: bool = True, wraps: bool = True) -> Any:
    """What a tool returned, as JSON has it.

    Raises:
        NoJSONForm: It has no such form.
        ToolFailed: The tool says so itself.
    """
    if returned is None:
        return None
    result = result_of(returned, has_schema=has_schema, wraps=wraps)
    blocks = result["content"]
    if result["is_error"]:
        raise ToolFailed("\n".join(one["text"] for one in blocks if one.get("type") == "text") or "the tool failed")
    if result["data"] is not None or not blocks:
        return result["data"]
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0].get("type") == "text" else blocks


class Kept:
    """What is kept of the calls of one run, while it runs: code that calls for ever does not fill the host's memory.

    A value that takes more than an eighth of the bytes is cut: ``{"cut": its beginning, "chars": its length}`` stands
    in its place. One without a JSON form is ``{"repr": ...}``.

    Args:
        calls: Where the calls are noted; from the end of it on they are of this run.
        max_bytes: How much of them is kept, as JSON.

    Attributes:
        left_out: How many calls did not fit.
    """

    def __init__(self, calls: list[dict[str, Any]], max_bytes: int) -> None:
        self.left_out = 0
        self._calls, self._max_bytes, self._left = calls, max_bytes, max_bytes
        self._first = self._next = len(calls)
        self._lock = Lock()  # inline code may have threads

    def take(self, *, is_last: bool = False) -> list[dict[str, Any]]:
        """Bring the calls that are over within the bounds; at last, all of them.

        Returns:
            What is kept of this run.
        """
        with self._lock:
            while self._next < len(self._calls) and (is_last or _is_over(self._calls[self._next])):
                entry = {key: _short(value, self._max_bytes // 8) for key, value in self._calls[self._next].items()}
                self._left -= len(json.dumps(entry)) + 2
                if self._left < 0:
                    del self._calls[self._next]
                    self.left_out += 1
                else:
                    self._calls[self._next] = entry
                    self._next += 1
            return self._calls[self._first : self._next]


def _is_over(call: Mapping[str, Any]) -> bool:
    return "result" in call or "error" in call


def _short(value: Any, max_bytes: int) -> Any:
    try:
        found = _each(value) if isinstance(value, Mapping) else plain(value)
        text = json.dumps(found)
    except ToolFailed as error:
        return {"failed": str(error)[:_SHOWN]}
    except (NoJSONForm, ValueError, TypeError, RecursionError):
        return {"repr": repr(value)[:_SHOWN]}
    return found if len(text) <= max_bytes else {"cut": text[: min(_SHOWN, max_bytes)], "chars": len(text)}


def _each(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Values by name, each by itself: one without a JSON form does not hide the others."""
    told = {}
    for name, value in values.items():
        try:
            told[str(name)] = plain(value)
        except NoJSONForm:
            told[str(name)] = {"repr": repr(value)[:_SHOWN]}
    return told
