"""A call that another server carries out: what that says and asks meanwhile goes on to whoever made the call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from openenv.errors import InputNeeded
from openenv.tools.asking import Question
from openenv.tools.context import CallCancelled, ToolContext
from openenv.tools.notes import LogLevel

__all__ = ["QUESTIONS", "Forwarding"]

T = TypeVar("T")

QUESTIONS = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}
"""What a server may ask, and what its caller has to be able to."""

_LOOK_EVERY_S = 0.2
_MOST = 1e300  # no nan, no infinity, and no whole number that is beyond any float
_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)


class Forwarding:
    """Stands between a server and the caller of one of its tools, during one call.

    Args:
        context: The way to the caller.

    Attributes:
        needed: Done once the server asks what the caller can be asked and has yet to answer: the call ends then, and is
            made again with the answer.
    """

    def __init__(self, context: ToolContext) -> None:
        self.needed: asyncio.Future[InputNeeded] = asyncio.get_running_loop().create_future()
        self._context = context
        self._count = 0

    async def result(self, running: asyncio.Future[T]) -> T:
        """What comes of the call; it is cancelled if it is not waited for to its end.

        Raises:
            InputNeeded: The server asks something that the caller can be asked.
            CallCancelled: The caller has given up.
            Exception: Whatever ``running`` raises.
        """
        try:
            while not running.done() and not self.needed.done():
                waited: set[asyncio.Future[Any]] = {running, self.needed}
                await asyncio.wait(waited, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                if self._context.is_cancelled and not running.done():
                    raise CallCancelled("the call was cancelled")
            if self.needed.done():
                raise self.needed.result()
            return running.result()
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait([running])
            elif not running.cancelled():
                running.exception()  # nobody may have asked for it

    def told(self, method: str, params: Mapping[str, Any]) -> None:
        """Pass a notification on: progress, and what goes to the log; others are not for a caller."""
        if method == "notifications/progress" and _is_number(params.get("progress")):
            total, message = params.get("total"), params.get("message")
            self._context.progress(
                params["progress"], total if _is_number(total) else None, message if isinstance(message, str) else None
            )
        elif method == "notifications/message":
            told_level, logger = params.get("level"), params.get("logger")
            level: LogLevel = told_level if told_level in _LEVELS else "info"
            self._context.log(params.get("data"), level, logger if isinstance(logger, str) else None)

    def asked(self, method: str, params: Any) -> dict[str, Any] | None:
        """The answer to a question that the server asks while it waits; ``None``: nobody answers that."""
        self._count += 1
        found = self.answers({f"{QUESTIONS[method]}-{self._count}": {"method": method, "params": params}})
        for answer in found.values():
            return answer
        if method == "elicitation/create":
            return {"action": "cancel" if self.needed.done() else "decline"}
        return None

    def answers(self, questions: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """The answers that the caller gives; sets ``needed`` if it can give them, and has yet to be asked."""
        able: dict[str, Question] = {
            name: _Forwarded(one["method"], one.get("params"))
            for name, one in questions.items()
            if name in self._context.inputs or QUESTIONS[one["method"]] in self._context.capabilities
        }
        try:
            return self._context.ask(**able) if able else {}
        except InputNeeded as error:
            if not self.needed.done():
                self.needed.set_result(error)
            return {}


class _Forwarded:
    """A question of a server, as tools ask one."""

    def __init__(self, method: str, params: Any) -> None:
        self.method = method
        self.capability = QUESTIONS[method]
        self._params: dict[str, Any] = params if isinstance(params, dict) else {}

    def params(self) -> dict[str, Any]:
        return self._params


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MOST
