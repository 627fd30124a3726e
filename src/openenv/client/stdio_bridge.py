"""A program that speaks MCP on its standard input and output, and passes all of it on to a server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from queue import SimpleQueue

from openenv.client.bridge import Bridge

__all__ = ["bridge_stdio", "run_stdio_bridge"]

_CHUNK_BYTES = 1 << 18
_MOST_WAITING = 64
"""Lines, or pieces of a line, that are read before their turn."""


def run_stdio_bridge(url: str, *, headers: Mapping[str, str]) -> int:
    """Pass on what comes on standard input until it ends, or until SIGINT or SIGTERM.

    Whatever else is printed in this process meanwhile goes to standard error.

    Args:
        url: The MCP endpoint.
        headers: Additional headers of every request.

    Returns:
        The exit code: 0, or 1 if the server could not be reached.
    """
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        return asyncio.run(_until_told(url, headers, output))
    finally:
        sys.stdout.flush()
        os.dup2(output, 1)
        os.close(output)


async def bridge_stdio(url: str, *, headers: Mapping[str, str], source: int, sink: int) -> int:
    """The same between two file descriptors, until the first ends, nobody reads the second, or it is cancelled."""
    loop = asyncio.get_running_loop()
    running = asyncio.current_task()
    assert running is not None
    output = _Output(sink, loop, lambda: loop.call_soon_threadsafe(running.cancel))
    bridge = Bridge(url, headers=headers, write=output.write, say=_say)
    try:
        await bridge.run(_lines(loop, source))
    except asyncio.CancelledError:
        if not output.is_closed:
            raise
    finally:
        await bridge.close()
        output.end()
    return 1 if bridge.failed else 0


class _Output:
    """Writes lines from a thread of its own, so that the event loop goes on while nobody reads them.

    Args:
        sink: Where to write.
        loop: Whoever writes waits there.
        when_closed: Is called, in the thread, if nobody reads any more.
    """

    def __init__(self, sink: int, loop: asyncio.AbstractEventLoop, when_closed: Callable[[], object]) -> None:
        self._sink, self._loop, self._when_closed = sink, loop, when_closed
        self._lines: SimpleQueue[tuple[bytes, asyncio.Future[None]] | None] = SimpleQueue()
        self.is_closed = False
        # a daemon: it may wait for a reader for ever
        threading.Thread(target=self._work, name="openenv-stdout", daemon=True).start()

    async def write(self, line: bytes) -> None:
        """Write a line; returns once it is written, or nobody reads any more."""
        written: asyncio.Future[None] = self._loop.create_future()
        self._lines.put((line, written))
        await written

    def end(self) -> None:
        """Write no more."""
        self._lines.put(None)

    def _work(self) -> None:
        while (found := self._lines.get()) is not None:
            line, written = found
            try:
                if not self.is_closed:
                    _write_all(self._sink, line + b"\n")
            except OSError:
                self.is_closed = True
                self._when_closed()
            with suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(_done, written)


def _done(written: asyncio.Future[None]) -> None:
    if not written.done():
        written.set_result(None)


async def _until_told(url: str, headers: Mapping[str, str], output: int) -> int:
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(bridge_stdio(url, headers=headers, source=0, sink=output))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        return 0


async def _lines(loop: asyncio.AbstractEventLoop, source: int) -> AsyncIterator[bytes]:
    """The lines of a file, of any length, which a thread reads: it may be a pipe, a terminal or a plain file."""
    chunks: asyncio.Queue[bytes] = asyncio.Queue(_MOST_WAITING)

    def read() -> None:
        with suppress(RuntimeError, asyncio.CancelledError):  # the event loop has ended
            while True:
                try:
                    chunk = os.read(source, _CHUNK_BYTES)
                except OSError:  # a terminal that went away, or no standard input at all
                    chunk = b""
                putting = chunks.put(chunk)
                try:
                    asyncio.run_coroutine_threadsafe(putting, loop).result()
                finally:
                    putting.close()
                if not chunk:
                    return

    # a daemon: it may wait for input for ever
    threading.Thread(target=read, name="openenv-stdin", daemon=True).start()
    begun: list[bytes] = []
    while chunk := await chunks.get():
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            begun.append(line)
            yield b"".join(begun)
            begun.clear()
        if rest:
            begun.append(rest)
    if begun:
        yield b"".join(begun)


def _write_all(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # there may be no standard error
        print(f"openenv mcp: {line}", file=sys.stderr, flush=True)
