"""Outside servers for tests, and what is left of them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from openenv.mounts import OutsideServer
from openenv.tools import Note, ToolContext

__all__ = ["OUTSIDE", "begun", "called", "group_of", "is_running", "server", "text_of", "until"]

OUTSIDE = str(Path(__file__).with_name("outside.py"))


def server(era: str = "older", file: Path | None = None, **more: Any) -> OutsideServer:
    """The server of ``outside.py``, as a toolset."""
    arguments = [] if file is None else [str(file)]
    return OutsideServer("outside", command=[sys.executable, "-I", "-S", OUTSIDE, era, *arguments], **more)


@asynccontextmanager
async def begun(toolset: OutsideServer, credentials: dict[str, str] | None = None) -> AsyncIterator[OutsideServer]:
    """The toolset, connected, and closed at the end."""
    try:
        await toolset.begin(credentials or {})
        yield toolset
    finally:
        await toolset.close()


async def called(
    toolset: OutsideServer, name: str, context: ToolContext | None = None, **arguments: Any
) -> dict[str, Any]:
    """The result of a call."""
    return await toolset.call(name, arguments, context or ToolContext())


def text_of(result: dict[str, Any]) -> str:
    """The text of a result."""
    return "".join(one["text"] for one in result["content"])


def noting() -> tuple[ToolContext, list[Note]]:
    """A context, and what it hears."""
    notes: list[Note] = []
    return ToolContext(sink=notes.append), notes


def is_running(pid: int) -> bool:
    """Whether a process is there that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def group_of(pid: int) -> list[int]:
    """The running processes of a process group."""
    found = []
    for one in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            if os.getpgid(one) == pid and is_running(one):
                found.append(one)
        except ProcessLookupError:
            pass
    return found


def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)
