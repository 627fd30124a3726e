"""Plays the workshop with fastmcp 3 or 4, in a virtual environment of its own; prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import mcp.shared.exceptions
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

MCPError: Any = getattr(mcp.shared.exceptions, "MCPError", None) or mcp.shared.exceptions.McpError  # 2.x, 1.x


async def play(target: str, token: str) -> dict[str, Any]:
    progress: list[list[float | None]] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append([done, total])

    async def on_question(message: str, response_type: Any, *_: Any) -> Any:
        return response_type(name="Ada")

    transport: Any
    if target.startswith("http"):
        transport = StreamableHttpTransport(target, auth=token or None)
    else:
        command, *arguments = json.loads(target)
        transport = StdioTransport(command, arguments)
    async with Client(transport, elicitation_handler=on_question) as client:
        tools = await client.list_tools()
        added = await client.call_tool("add", {"a": 2, "b": 3})
        broken = await client.call_tool("break_off", {}, raise_on_error=False)
        wrong = await client.call_tool("add", {"a": "two"}, raise_on_error=False)
        try:
            await client.call_tool("no_such_tool", {}, raise_on_error=False)
            unknown = 0
        except MCPError as error:
            unknown = error.error.code
        worked = await client.call_tool("work", {"steps": 3}, progress_handler=on_progress)
        greeted = await client.call_tool("greet", {})
        read = await client.read_resource("workshop://rules")
        asked = await client.get_prompt("begin_work", {"who": "you"})
        began: Any = client.initialize_result
        return {
            "protocol": getattr(began, "protocolVersion", None) or client.session.protocol_version,
            "tools": sorted(tool.name for tool in tools),
            "structured": added.structured_content,
            "text": added.content[0].text,
            "broken": [broken.is_error, broken.content[0].text],
            "wrong": wrong.is_error,
            "unknown": unknown,
            "progress": progress,
            "worked": worked.data,
            "greeting": greeted.content[0].text,
            "resource": read[0].text,
            "prompt": asked.messages[0].content.text,
        }


print(json.dumps(asyncio.run(play(*sys.argv[1:3]))))
