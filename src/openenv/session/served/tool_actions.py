"""The actions of environments with tools: lists, calls, and those of the author's own type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from openenv.session.served.actions import ActionParser

__all__ = ["ToolActionParser", "asks_for_list", "called_tool"]

_LIST = b"list_tools"


class _Tag(msgspec.Struct):
    type: Any = None
    tool_name: Any = None


_tag_of = msgspec.json.Decoder(_Tag).decode


class ToolActionParser:
    """Reads tool actions, and leaves the others to the parser of the author's own type.

    Args:
        own: Reads the author's own.
    """

    def __init__(self, own: ActionParser) -> None:
        from openenv.session.served.actions import ActionParser  # here: most environments have no tools
        from openenv.tools import CallToolAction, ListToolsAction

        own_type = own.action_type
        self._own = own
        self._ready = CallToolAction, ListToolsAction
        self._by_type = {
            "call_tool": own if issubclass(own_type, CallToolAction) else ActionParser(CallToolAction),
            "list_tools": own if issubclass(own_type, ListToolsAction) else ActionParser(ListToolsAction),
        }

    def parse(self, sent: Any) -> Any:
        """An action from JSON text, from a value, or as it is where it is a tool action already.

        Raises:
            ActionInvalid: It does not fit.
        """
        if isinstance(sent, self._ready):
            return sent
        kind = _tag(sent).type
        return (self._by_type.get(kind, self._own) if isinstance(kind, str) else self._own).parse(sent)


def asks_for_list(sent: Any) -> bool:
    """Whether an action, in whatever form it was sent, is a ``ListToolsAction``."""
    if isinstance(sent, (Raw, bytes)) and _LIST not in bytes(sent):
        return False
    return bool(_tag(sent).type == "list_tools")


def called_tool(sent: Any) -> str | None:
    """The name of the tool that an action calls, if it calls one."""
    tag = _tag(sent)
    return tag.tool_name if isinstance(tag.tool_name, str) and tag.type in (None, "call_tool") else None


def _tag(sent: Any) -> _Tag:
    """What an action says of its type; nothing where it cannot be read, which who reads it will tell."""
    if isinstance(sent, (Raw, bytes)):
        try:
            return _tag_of(sent)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return _Tag()
    if isinstance(sent, Mapping):
        return _Tag(sent.get("type"), sent.get("tool_name"))
    return _Tag(getattr(sent, "type", None), getattr(sent, "tool_name", None))
