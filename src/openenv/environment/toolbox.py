"""The tools of one environment, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from openenv.errors import ConfigurationError
from openenv.tools import Mode, Tool, Toolset

__all__ = ["Found", "Toolbox", "VisibleFailed"]

_MOST_NAMES = 20


@dataclass(frozen=True)
class Found:
    """A tool, and how it is called.

    Attributes:
        tool: What it is.
        is_method: Whether its function takes the environment first.
        toolset: Where it is from, if it is no function.
    """

    tool: Tool
    is_method: bool = False
    toolset: Toolset | None = None


class VisibleFailed(Exception):
    """Nobody can tell whether something is there."""


class Toolbox:
    """Tools by name: methods of the class, functions that were added, and toolsets that are mounted.

    Two tools may have one name if they are of different modes.

    Args:
        methods: Tools of the class; their functions take the environment first.
        toolsets: What is mounted.

    Attributes:
        toolsets: As given.
        version: Rises when a tool is added.
        is_new: Whether no reset has returned yet: a ``visible`` that misses an attribute then means that the tool is
            not there.

    Raises:
        ConfigurationError: A name is taken.
    """

    def __init__(self, methods: Iterable[Tool], toolsets: Sequence[Toolset] = ()) -> None:
        self.toolsets = list(toolsets)
        self.version = 0
        self.is_new = True
        self._found: dict[str, list[Found]] = {}
        for tool in methods:
            self._put(Found(tool, is_method=True))
        self._has_visible = any(one.tool.visible for one in self)

    @property
    def can_change(self) -> bool:
        """Whether some tools are there at one time and not at another."""
        return self._has_visible

    def __iter__(self) -> Iterator[Found]:
        """All tools, also those that are not there now."""
        for found in self._found.values():
            yield from found
        for toolset in self.toolsets:
            for tool in toolset.tools():
                yield Found(tool, toolset=toolset)

    def add(self, tool: Tool) -> None:
        """Add a tool whose function does not take the environment.

        Raises:
            ConfigurationError: Its name is taken.
        """
        self._put(Found(tool))
        self.version += 1
        self._has_visible = self._has_visible or tool.visible is not None

    def there(self, environment: Any, mode: Mode) -> list[Found]:
        """The tools that can be called now."""
        return [found for found in self if self._is_there(found.tool, environment, mode)]

    def find(self, name: str, environment: Any, mode: Mode) -> Found | None:
        """The tool of that name, if it can be called now."""
        for found in self._found.get(name, ()):
            if self._is_there(found.tool, environment, mode):
                return found
        for toolset in self.toolsets:
            for tool in toolset.tools():
                if tool.name == name and self._is_there(tool, environment, mode):
                    return Found(tool, toolset=toolset)
        return None

    def shows(self, name: str, is_there: Callable[[], bool]) -> bool:
        """Ask whether something is there.

        Raises:
            VisibleFailed: Its ``visible`` raised.
        """
        try:
            return is_there()
        except Exception as error:  # whatever an author's function raises
            if self.is_new and isinstance(error, AttributeError):
                return False
            told = f"visible of {name} raised {type(error).__name__}: {error}; it must work in every state"
            raise VisibleFailed(told) from error

    def not_found(self, name: str, environment: Any, mode: Mode) -> str:
        """Why there is no such tool, with those that there are, for a model to act on."""
        names = list(dict.fromkeys(found.tool.name for found in self.there(environment, mode)))
        is_elsewhere = any(found.tool.name == name for found in self)
        near = [] if is_elsewhere else get_close_matches(name, names, n=3)
        said = f"the tool {name} is not there now" if is_elsewhere else f"there is no tool {name!r}"
        if near:
            return f"{said}; did you mean {' or '.join(near)}?"
        more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return f"{said}; there are: {', '.join(names[:_MOST_NAMES])}{more}" if names else f"{said}, and no other"

    def check_toolsets(self) -> None:
        """Look at the names that mounted tools have.

        Raises:
            ConfigurationError: One is taken.
        """
        owners = dict.fromkeys(self._found, "the environment")
        for toolset in self.toolsets:
            for name in {tool.name for tool in toolset.tools()}:
                if name in owners:
                    raise ConfigurationError(
                        f"the toolset {toolset.name} has a tool {name}, and so has {owners[name]}; "
                        "mount it with a prefix, or without that tool "
                        "(prefix and deny, of OutsideServer or under mcp_servers in openenv.yaml)"
                    )
                owners[name] = f"the toolset {toolset.name}"

    def _is_there(self, tool: Tool, environment: Any, mode: Mode) -> bool:
        return (
            tool.is_there(environment, mode)
            if tool.visible is None
            else self.shows(f"the tool {tool.name}", lambda: tool.is_there(environment, mode))
        )

    def _put(self, found: Found) -> None:
        tool = found.tool
        others = self._found.setdefault(tool.name, [])
        if any(None in (tool.mode, other.tool.mode) or tool.mode == other.tool.mode for other in others):
            raise ConfigurationError(f"two tools are named {tool.name}; name one otherwise: @tool(name=...)")
        others.append(found)
