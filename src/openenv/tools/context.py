"""What a tool is given besides its arguments: the way to whoever called it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from openenv.tools.asking import Question, asked
from openenv.tools.notes import Changed, Logged, LogLevel, Note, NoteSink, Progressed

__all__ = ["CallCancelled", "ToolContext"]


class CallCancelled(Exception):
    """The caller does not want the result any more."""


class ToolContext:
    """The call that runs. A tool gets it by annotating a parameter with it::

        @tool
        def index(self, path: str, context: ToolContext) -> int: ...

    Args:
        inputs: Answers to what the tool asked before.
        capabilities: What the caller can be asked, by MCP's names.
        sink: Takes notes, from any thread.
        is_cancelled: Tells whether the caller has given up.

    Attributes:
        inputs, capabilities: As given.
    """

    __slots__ = ("_is_cancelled", "_sink", "capabilities", "inputs")

    def __init__(
        self,
        inputs: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] | None = None,
        sink: Callable[[Note], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.inputs, self.capabilities = inputs or {}, capabilities or {}
        self._sink = sink or NoteSink()
        self._is_cancelled = is_cancelled

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller has given up. A long tool looks now and then; an asynchronous one is cancelled."""
        return self._is_cancelled is not None and self._is_cancelled()

    def check(self) -> None:
        """Raise ``CallCancelled`` if the caller has given up."""
        if self.is_cancelled:
            raise CallCancelled("the call was cancelled")

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far the call has come: ``progress`` of ``total``, both finite."""
        self._sink(Progressed(float(progress), None if total is None else float(total), message))

    def log(self, data: Any, level: LogLevel = "info", logger: str | None = None) -> None:
        """Send a JSON value to the caller's log, if it wants that level; raises ``ValueError`` if it is none."""
        self._sink(Logged(data, level, logger))

    def changed(self, uri: str) -> None:
        """Tell those who subscribed to a resource that it is another now."""
        self._sink(Changed("resource", uri))

    def ask(self, **questions: Question) -> dict[str, Any]:
        """Ask the caller; the answers come by the names of the questions, as MCP has them.

        The first time this ends the call, and the tool is called again from its beginning once the answers are there.
        So a tool asks first, and acts then.

        Raises:
            InputNeeded: The answers are not there yet; to be let through.
        """
        return asked(questions, self.inputs, self.capabilities)
