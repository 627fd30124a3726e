"""Calls of tools in a session, with those who hear of them and may give them up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from openenv.errors import ActionInvalid, EpisodeDone, InputNeeded
from openenv.protocol import Observed, Step
from openenv.session.episode.calls import Call, Watcher, tell
from openenv.session.episode.episode import Episode
from openenv.session.episode.lifecycle import Operation
from openenv.session.served.act import ACT, OBSERVE, acted, acting, not_acted, seen, unknown
from openenv.session.turn import Turn
from openenv.tools import CallCancelled, Changed, ListToolsObservation, Note, ToolInfo

__all__ = ["ToolCalls"]

log = logging.getLogger("openenv.session")

_KEYS = {"inputSchema": "input_schema", "outputSchema": "output_schema"}
_TOLD = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")


class ToolCalls:
    """Makes the calls of one session: each is a step in its turn.

    Args:
        turn: Whose turn it is in the session.
        episode: Its episode.
        admit: Counts a request whose turn it is, and raises what forbids it.
    """

    def __init__(self, turn: Turn, episode: Episode, admit: Callable[[Operation], None]) -> None:
        self._turn, self._episode, self._admit = turn, episode, admit
        self._current: Call | None = None
        self._going: set[asyncio.Task[Observed]] = set()
        if episode.plan.tools:
            episode.listen(self._heard)

    async def call(self, request: Step, call: Call | None, key: str) -> Observed:
        """Take a step as ``Session.call`` does."""
        if call is None or self._episode.host.prompt is not None:
            return await self._run(request, call, key)
        going = asyncio.create_task(self._run(request, call, key))
        self._going.add(going)
        going.add_done_callback(self._gone)
        try:
            return await asyncio.shield(going)
        except asyncio.CancelledError:  # of who asked: the step goes on to its end, which it is asked to find soon
            if not going.done():
                self.cancel(call)
            raise

    async def call_tool(
        self, name: str, arguments: Mapping[str, Any], asked: tuple[Any, Any], call: Call | None, key: str
    ) -> Observed:
        """Call a tool as ``Session.call_tool`` does; ``asked`` are inputs and capabilities."""
        if self._episode.plan.tools:
            inputs, capabilities = asked
            told: dict[str, Any] = {"type": "call_tool", "tool_name": name, "arguments": arguments}
            if inputs:
                told["inputs"] = inputs
            if capabilities:
                told["capabilities"] = capabilities
            # as text: what is kept of it is small, and a journal or a worker takes it as it is
            action = Raw(msgspec.json.encode(told))
            return await self.call(Step(action=action), call, key)
        if name == OBSERVE:
            return seen(await self.offered(OBSERVE, {}, call))
        if name != ACT:
            return unknown(name)
        try:
            return acted(await self.call(acting(arguments), call, key))
        except InputNeeded:
            raise
        except ActionInvalid as error:
            return not_acted(error)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Have somebody hear of moves and changes, until what is returned is called."""
        watchers = self._episode.watchers
        watchers.append(watcher)

        def stop() -> None:
            if watcher in watchers:
                watchers.remove(watcher)

        return stop

    def cancel(self, call: Call) -> None:
        """Give up a call, which runs, waits for its turn, or is over."""
        if not call.is_cancelled:
            call.is_cancelled = True
            if call is self._current:
                self._episode.host.cancel_call()

    async def offered(self, method: str, params: Mapping[str, Any], call: Call | None = None) -> dict[str, Any]:
        """What MCP asks besides calls, as ``Session.offer`` answers it."""
        async with self._turn:
            self._begin(call, Operation.STATE)
            return await self._episode.offer(method, params)

    async def listed(self) -> Observed:
        """What a ``ListToolsAction`` is answered."""
        found = await self.offered("tools/list", {"all": True})
        tools = [
            ToolInfo.model_construct(**{_KEYS.get(key, key): one[key] for key in _TOLD if key in one})
            for one in found["tools"]
        ]
        return Observed(observation=ListToolsObservation.model_construct(tools=tools))

    async def _run(self, request: Step, call: Call | None, key: str) -> Observed:
        async with self._turn:
            self._begin(call, Operation.STEP)
            self._current = call
            try:
                return await self._episode.move(request, key)
            finally:
                self._current = None

    def _begin(self, call: Call | None, operation: Operation) -> None:
        """Raise what forbids a call now that its turn has come."""
        if call is not None and call.is_cancelled:
            raise CallCancelled("the call was cancelled before its turn came")
        self._admit(operation)
        if call is not None and call.ordinal not in (None, self._episode.tally.ordinal):
            raise EpisodeDone("the episode that this call was for is over; another one has begun")

    def _gone(self, going: asyncio.Task[Observed]) -> None:
        self._going.discard(going)
        if not going.cancelled():
            going.exception()  # who asked may be gone

    def _heard(self, note: Note) -> None:
        listener = None if self._current is None or self._current.is_cancelled else self._current.listener
        if listener is not None:
            try:
                listener(note)
            except Exception:  # who listens must not change what it hears
                log.exception("who listens to a call failed")
        if isinstance(note, Changed) and self._episode.watchers:
            tell(self._episode.watchers, note)
