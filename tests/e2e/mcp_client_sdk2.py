"""Plays the workshop with the Python SDK 2.x, in a virtual environment of its own; prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult


async def play(target: str, token: str) -> dict[str, Any]:
    progress: list[list[float | None]] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append([done, total])

    async def on_question(context: Any, question: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    async with AsyncExitStack() as stack:
        server: Any
        if target.startswith("http"):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=30))
            server = streamable_http_client(target, http_client=http)
        else:
            command, *arguments = json.loads(target)
            server = StdioServerParameters(command=command, args=arguments)
        client = await stack.enter_async_context(Client(server, elicitation_callback=on_question))
        tools = await client.list_tools()
        added = await client.call_tool("add", {"a": 2, "b": 3})
        broken = await client.call_tool("break_off", {})
        wrong = await client.call_tool("add", {"a": "two"})
        try:
            await client.call_tool("no_such_tool", {})
            unknown = 0
        except MCPError as error:
            unknown = error.error.code
        await client.call_tool("work", {"steps": 3}, progress_callback=on_progress)
        greeted = await client.call_tool("greet", {})
        read = await client.read_resource("workshop://rules")
        asked = await client.get_prompt("begin_work", {"who": "you"})
        return {
            "protocol": client.protocol_version,
            "server": client.server_info.name if client.server_info else None,
            "tools": sorted(tool.name for tool in tools.tools),
            "structured": added.structured_content,
            "text": added.content[0].text,
            "broken": [broken.is_error, broken.content[0].text],
            "wrong": wrong.is_error,
            "unknown": unknown,
            "progress": progress,
            "greeting": greeted.content[0].text,
            "resource": read.contents[0].text,
            "prompt": asked.messages[0].content.text,
        }


print(json.dumps(asyncio.run(play(*sys.argv[1:3]))))
