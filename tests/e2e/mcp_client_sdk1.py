"""Plays the workshop with the Python SDK 1.x, in a virtual environment of its own; prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.exceptions import McpError
from mcp.types import ElicitResult


async def play(target: str, token: str) -> dict[str, Any]:
    progress: list[list[float | None]] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append([done, total])

    async def on_question(context: Any, question: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    async with AsyncExitStack() as stack:
        if target.startswith("http"):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            streams = (await stack.enter_async_context(streamablehttp_client(target, headers)))[:2]
        else:
            command, *arguments = json.loads(target)
            streams = await stack.enter_async_context(
                stdio_client(StdioServerParameters(command=command, args=arguments))
            )
        session = await stack.enter_async_context(ClientSession(*streams, elicitation_callback=on_question))
        began = await session.initialize()
        tools = await session.list_tools()
        added = await session.call_tool("add", {"a": 2, "b": 3})
        broken = await session.call_tool("break_off", {})
        wrong = await session.call_tool("add", {"a": "two"})
        try:
            await session.call_tool("no_such_tool", {})
            unknown = 0
        except McpError as error:
            unknown = error.error.code
        await session.call_tool("work", {"steps": 3}, progress_callback=on_progress)
        greeted = await session.call_tool("greet", {})
        read = await session.read_resource("workshop://rules")  # type: ignore[arg-type]
        asked = await session.get_prompt("begin_work", {"who": "you"})
        return {
            "protocol": began.protocolVersion,
            "server": began.serverInfo.name,
            "tools": sorted(tool.name for tool in tools.tools),
            "structured": added.structuredContent,
            "text": added.content[0].text,
            "broken": [broken.isError, broken.content[0].text],
            "wrong": wrong.isError,
            "unknown": unknown,
            "progress": progress,
            "greeting": greeted.content[0].text,
            "resource": read.contents[0].text,
            "prompt": asked.messages[0].content.text,
        }


print(json.dumps(asyncio.run(play(*sys.argv[1:3]))))
