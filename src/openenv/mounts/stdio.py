"""An outside server that is a program: one message a line on its standard streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from openenv.errors import ToolsetUnavailable
from openenv.mcp.client import ClientCore
from openenv.mcp.happenings import Answer, Asked, Happening, InputWanted, Opened, Outgoing, Refused, Told
from openenv.mcp.messages import McpError, RequestId
from openenv.mcp.versions import Era
from openenv.mounts.link import CAPABILITIES, CLIENT_INFO, MAX_MESSAGE_BYTES, CoreLink, Listener, Outcome
from openenv.mounts.process import ServerProcess
from openenv.tools.forwarding import QUESTIONS

__all__ = ["ProbeUnanswered", "StderrLog", "StdioLink"]

_LAST_WORDS_S = 0.5
_MOST_LINES = 100
_MOST_GARBAGE = 10
_LINE = 500

log = logging.getLogger("openenv.mounts")


class ProbeUnanswered(ToolsetUnavailable):
    """It did not survive, or left unanswered, a question that only newer servers know."""

    code = ToolsetUnavailable.code


class StderrLog:
    """What a server writes to its standard error: some of it is logged, the last line is remembered.

    Args:
        name: Of the server.
        hidden: Texts that are not shown.

    Attributes:
        last: The last line, cut.
    """

    def __init__(self, name: str, hidden: Mapping[str, str]) -> None:
        self.last = ""
        self._name = name
        self._hidden = hidden
        self._left = _MOST_LINES

    def renew(self) -> None:
        """Log as much again."""
        self._left = _MOST_LINES

    def take(self, line: bytes) -> None:
        """Take a line."""
        text = line[: 4 * _LINE].decode(errors="replace").strip()
        for name, value in self._hidden.items():
            text = text.replace(value, f"[{name}]")
        text = text[:_LINE]
        if not text:
            return
        self.last = text
        if self._left > 0:
            log.info("%s: %s", self._name, text)
            self._left -= 1
            if self._left == 0:
                log.info("%s: what else it says in this episode is left out", self._name)


class StdioLink(CoreLink):
    """A link to a program. ``StdioLink.start`` makes one."""

    opened: Opened

    def __init__(self, name: str, process: ServerProcess, stderr: StderrLog, first: Era) -> None:
        self._name = name
        self._process = process
        self._stderr = stderr
        self._core = ClientCore(CLIENT_INFO, CAPABILITIES, answers=QUESTIONS, first=first)
        self._loop = asyncio.get_running_loop()
        self._opening: asyncio.Future[Opened] = self._loop.create_future()
        self._open: dict[RequestId, asyncio.Future[Outcome]] = {}
        self._listeners: dict[RequestId, Listener] = {}  # of the open requests
        self._garbage = 0
        self._shook_hands = False
        self._dead: ToolsetUnavailable | None = None
        self._losing: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._out = _Lines(self._line, MAX_MESSAGE_BYTES, self._too_long)
        self._err = _Lines(stderr.take, 64 * 1024)
        self._stdin: asyncio.WriteTransport | None = None

    @staticmethod
    async def start(
        name: str, command: tuple[str, ...], env: Mapping[str, str], stderr: StderrLog, first: Era, timeout_s: float
    ) -> StdioLink:
        """Start the program and get to know it. If this is cancelled, nothing of it is left.

        Args:
            name: Of the server, for messages.
            command, env: What to run, and all variables that it sees.
            stderr: What takes its standard error.
            first: The era to begin with.
            timeout_s: Seconds until it must have answered.

        Raises:
            ProbeUnanswered: It was to begin with the stateless era, and should be started again for the older one.
            ToolsetUnavailable: It cannot be used.
        """
        link: StdioLink | None = None

        def exited() -> None:
            if link is not None:
                link.lost()

        try:
            process = ServerProcess(command, env, exited)
        except ToolsetUnavailable as error:
            raise ToolsetUnavailable(f"MCP server {name}: {error.message}") from error.__cause__
        try:
            link = StdioLink(name, process, stderr, first)
            await link._connect()
            link._send(link._core.opening())
            link.opened = await asyncio.wait_for(asyncio.shield(link._opening), timeout_s)
        except BaseException as error:
            ending = asyncio.ensure_future(process.end() if link is None else link.close())
            await asyncio.shield(ending)
            is_probing = link is not None and not link._shook_hands
            if first is Era.STATELESS and is_probing and isinstance(error, TimeoutError | ToolsetUnavailable):
                raise ProbeUnanswered(f"MCP server {name} did not answer server/discover") from error
            if isinstance(error, TimeoutError):
                last = f"; it said last: {stderr.last}" if stderr.last else ""
                raise ToolsetUnavailable(
                    f"MCP server {name} did not answer within {timeout_s:g} s of its start{last}"
                ) from None
            raise
        return link

    async def _connect(self) -> None:
        stdin, stdout, stderr = self._process.streams
        self._stdin, _ = await self._loop.connect_write_pipe(asyncio.BaseProtocol, stdin)
        self._out.transport, _ = await self._loop.connect_read_pipe(lambda: self._out, stdout)
        self._err.transport, _ = await self._loop.connect_read_pipe(lambda: self._err, stderr)
        self._out.ended.add_done_callback(lambda _: self.lost())

    async def _answered(self, sent: Outgoing, listener: Listener) -> Outcome:
        id = sent.id
        assert id is not None  # of a request
        if self._dead is not None:
            raise self._dead
        answer: asyncio.Future[Outcome] = self._loop.create_future()
        self._open[id], self._listeners[id] = answer, listener
        self._send(sent)
        try:
            return await answer
        except asyncio.CancelledError:
            self._send(self._core.cancel(id, "the caller does not want the result any more"))
            raise
        finally:
            self._open.pop(id, None)
            self._listeners.pop(id, None)

    async def is_alive(self) -> bool:
        return self._dead is None and self._losing is None

    @property
    def process_id(self) -> int:
        """Of the program."""
        return self._process.pid

    def renew(self) -> None:
        """A new episode begins."""
        self._stderr.renew()
        self._garbage = 0

    async def close(self) -> None:
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.abort()
        await self._process.end()
        for task in (*self._answering, *([] if self._losing is None else [self._losing])):
            task.cancel()
        for lines in (self._out, self._err):
            if lines.transport is not None:
                lines.transport.close()
        self._fail(ToolsetUnavailable(f"MCP server {self._name} was closed"))
        await asyncio.sleep(0)  # transports let go of their pipes in the next turn

    # What comes ---------------------------------------------------------------------------------------------

    def _line(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            found = self._core.receive(line)
        except McpError:
            self._garbage += 1
            if self._garbage <= _MOST_GARBAGE:
                text = line[:_LINE].decode(errors="replace").strip()
                log.warning(
                    "%s wrote what is no message to its standard output, which is skipped: %s", self._name, text
                )
            return
        for one in self._core.take():
            self._send(one)
        if found is not None:
            self._happened(found)

    def _happened(self, found: Happening) -> None:
        match found:
            case Opened():
                if not self._opening.done():
                    self._opening.set_result(found)
            case Told():
                self._heard_by(found).told(found)
            case Asked():
                task = self._loop.create_task(self._answer(found, self._heard_by(found)))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case Answer() | Refused() | InputWanted():
                answer = self._open.get(found.id)
                if answer is not None and not answer.done():
                    answer.set_result(found)
                elif isinstance(found, Refused) and not self._opening.done():
                    message = f"MCP server {self._name} refuses {found.method}: {found.error.message}"
                    self._opening.set_exception(ToolsetUnavailable(message))

    def _heard_by(self, said: Told | Asked) -> Listener:
        """Whom it concerns: whose progress it is, or else who asked last and waits."""
        if isinstance(said, Told) and said.method == "notifications/progress":
            token = said.params.get("progressToken")
            return self._listeners.get(token, Listener()) if isinstance(token, int | str) else Listener()
        return next(reversed(self._listeners.values()), Listener())

    async def _answer(self, asked: Asked, listener: Listener) -> None:
        self._send(self._core.answer(asked, await listener.asked(asked)))

    def _send(self, one: Outgoing) -> None:
        self._shook_hands = self._shook_hands or one.method == "initialize"
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.write(one.body + b"\n")

    # How it ends --------------------------------------------------------------------------------------------

    def _too_long(self) -> None:
        self._fail(
            ToolsetUnavailable(f"MCP server {self._name} sent a message of more than {MAX_MESSAGE_BYTES // 2**20} MiB")
        )

    def lost(self) -> None:
        """The program has ended, or has closed its output: nothing more is to come."""
        if self._losing is None and self._dead is None:
            self._losing = self._loop.create_task(self._lost())

    async def _lost(self) -> None:
        # what it said last may be in the pipes still; a child of its own may hold them open
        await asyncio.wait([self._out.ended, self._err.ended], timeout=_LAST_WORDS_S)
        how = await self._process.told(_LAST_WORDS_S)
        last = f"; it said last: {self._stderr.last}" if self._stderr.last else ""
        self._fail(ToolsetUnavailable(f"MCP server {self._name}: its process {how}{last}"))

    def _fail(self, error: ToolsetUnavailable) -> None:
        self._dead = self._dead or error
        waiting: list[asyncio.Future[Any]] = [self._opening, *self._open.values()]
        for answer in waiting:
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # nobody may be waiting


class _Lines(asyncio.Protocol):
    """Lines of a pipe.

    Args:
        take: Gets each, without its end.
        most: The longest line in bytes; of a longer one the rest is skipped.
        too_long: Called when there is one.
    """

    def __init__(self, take: Callable[[bytes], None], most: int, too_long: Callable[[], None] | None = None) -> None:
        self.transport: asyncio.ReadTransport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take = take
        self._most = most
        self._too_long = too_long
        self._rest = bytearray()
        self._searched = 0
        self._skipping = False

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\n", self._searched)) >= 0:
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            self._searched = 0
            if not self._skipping:
                self._take(line)
            self._skipping = False
        self._searched = len(self._rest)
        if self._searched > self._most:
            if not self._skipping:
                self._take(bytes(self._rest)) if self._too_long is None else self._too_long()
            self._skipping = True
        if self._skipping:
            self._rest.clear()
            self._searched = 0

    def connection_lost(self, error: Exception | None) -> None:
        if self._rest and not self._skipping:
            self._take(bytes(self._rest))
        if not self.ended.done():
            self.ended.set_result(None)
