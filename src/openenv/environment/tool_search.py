"""Two tools that stand for many: one finds tools by words, the other calls what was found."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from openenv.tools import Tool

__all__ = ["CALL", "MANY", "SEARCH", "found_by_words"]

MANY = 30
"""With more tools than these, a list of all takes more of a model's attention than a search."""

_SAYS_NOTHING = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "how", "in", "into", "is", "it", "me", "my", "of"}
    | {"on", "or", "that", "the", "them", "thi", "to", "what", "which", "with"}  # "this", as its s is left out
)

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_a-zA-Z]+")


def found_by_words(tools: Sequence[Tool], query: str, limit: int) -> list[Tool]:
    """The tools that have words of a query in name, title or description; best first.

    A word counts for more in a name, and for more the fewer tools have it.
    """
    bags = [_bag(tool) for tool in tools]
    asked = set(_words(query)) - _SAYS_NOTHING
    weights = {word: math.log(1 + len(tools) / n) for word in asked if (n := sum(word in bag for bag in bags))}
    scores = [sum(weight * bag[word] / (1 + bag[word]) for word, weight in weights.items()) for bag in bags]
    plain = query.strip().lower()
    ranked = sorted(
        range(len(tools)), key=lambda index: (tools[index].name.lower() == plain, scores[index]), reverse=True
    )
    return [tools[index] for index in ranked if scores[index] > 0 or tools[index].name.lower() == plain][:limit]


def _bag(tool: Tool) -> Counter[str]:
    bag = Counter(_words(tool.description))
    for word in _words(f"{tool.name} {tool.title or ''}"):
        bag[word] += 3
    return bag


def _words(text: str) -> list[str]:
    words = [word.lower() for word in _WORD.findall(text)]
    return [word.removesuffix("s") if len(word) > 3 else word for word in words]  # one of many is found by many


def search_tools(
    query: Annotated[str, Field(description="Words about what is to be done.")],
    limit: Annotated[int, Field(ge=1, le=50, description="Most tools to return.")] = 10,
) -> list[dict[str, Any]]:
    """Find tools by words. There are more tools than are listed: search, then use call_tool."""
    raise NotImplementedError


def call_tool(
    name: Annotated[str, Field(min_length=1, description="Name of a tool that search_tools found.")],
    arguments: Annotated[dict[str, Any], Field(description="Its arguments, as its inputSchema says.")] = {},  # noqa: B006
) -> None:
    """Call a tool that search_tools found."""


SEARCH = Tool.of(search_tools, annotations={"readOnlyHint": True})
CALL = Tool.of(call_tool)
