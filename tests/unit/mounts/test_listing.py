"""What is taken of what a server lists."""

from __future__ import annotations

from typing import Any

import pytest

from openenv.errors import ConfigurationError, ToolsetUnavailable
from openenv.mcp.happenings import Answer, Opened, Refused
from openenv.mcp.messages import McpError
from openenv.mcp.versions import Era
from openenv.mounts import ServerDescription
from openenv.mounts.link import Link, Listener
from openenv.mounts.listing import hash_of, listed, taken

DESCRIPTION = ServerDescription("desk", url="http://x")


class Pages(Link):
    """Answers requests with pages, one after the other."""

    def __init__(self, *pages: Any, capabilities: dict[str, Any] | None = None) -> None:
        self.opened = Opened(Era.OLDER, "2025-11-25", {}, {"tools": {}} if capabilities is None else capabilities, "")
        self.pages = [*pages]
        self.asked: list[dict[str, Any]] = []

    async def request(self, method: str, params: Any, listener: Listener, **more: Any) -> Any:
        self.asked.append(params)
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        return page if isinstance(page, Refused) else Answer(1, method, page)


async def test_all_pages() -> None:
    pages = Pages({"tools": [{"name": "a"}], "nextCursor": "2"}, {"tools": [{"name": "b"}], "nextCursor": None})
    assert [one["name"] for one in await listed("desk", pages)] == ["a", "b"]
    assert pages.asked == [{}, {"cursor": "2"}]


async def test_a_server_without_tools() -> None:
    assert await listed("desk", Pages({}, capabilities={})) == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ({"tools": [{"name": "a"}], "nextCursor": "x"}, "without end"),
        ({"tools": [3]}, "something else"),
        ({}, "something else"),
        (Refused(1, "tools/list", McpError(-32603, "not now")), "does not list its tools: not now"),
    ],
)
async def test_lists_that_are_none(page: Any, said: str) -> None:
    with pytest.raises(ToolsetUnavailable, match=said):
        await listed("desk", Pages(page))


def test_the_hash_is_of_what_a_model_reads() -> None:
    tool = {"name": "a", "description": "b", "inputSchema": {"x": 1, "y": 2}, "annotations": {}}
    same = {**tool, "inputSchema": {"y": 2, "x": 1}, "title": "A", "_meta": {"z": 1}, "outputSchema": None}
    assert hash_of(tool) == hash_of(same)
    for key, value in (
        ("description", "c"),
        ("inputSchema", {"x": 2, "y": 2}),
        ("outputSchema", {}),
        ("annotations", None),
    ):
        assert hash_of({**tool, key: value}) != hash_of(tool)


def test_tools_that_lack_something() -> None:
    [mounted] = taken(DESCRIPTION, [{"name": "a", "description": None, "inputSchema": None, "_meta": 3}]).values()
    assert (mounted.tool.description, mounted.tool.input_schema, mounted.tool.meta) == ("", {"type": "object"}, None)


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ([{"name": "a"}, {"name": "a"}], "two tools a"),
        ([{"name": "reset"}], "controls the episode.*give the server a prefix, or deny.*openenv.yaml"),
        ([{"name": "no such name"}], "give the server a prefix, or deny.*openenv.yaml"),
    ],
)
def test_names_that_cannot_be(tools: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        taken(DESCRIPTION, tools)


async def test_a_cursor_that_comes_again_ends_the_asking() -> None:
    pages = Pages({"tools": [{"name": "a"}], "nextCursor": "x"})
    with pytest.raises(ToolsetUnavailable, match="without end"):
        await listed("desk", pages)
    assert pages.asked == [{}, {"cursor": "x"}]
