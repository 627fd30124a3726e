"""What a session answers over MCP, whichever era asks: lists, resources, prompts, and calls of tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from openenv.errors import ActionInvalid, EpisodeDone, InputNeeded, InvalidRequest, OpenEnvError, SessionError
from openenv.mcp.messages import INTERNAL_ERROR, INVALID_PARAMS, McpError, Notification, Request
from openenv.mcp.shapes import call_result, error_result, resource_not_found
from openenv.mcp.versions import Era
from openenv.protocol import Observed
from openenv.session import Call, Moved, Session
from openenv.session.served.act import OBSERVATION_URI
from openenv.session.tool_answers import for_agents, observation_json
from openenv.tools import CallCancelled, Changed, Logged, Note, Progressed

__all__ = ["Ends", "NotAnswered", "Way", "answer", "askable", "call_of", "failed", "news_of", "notification_of"]

_ASKING = ("prompts/get", "resources/read")
_ASKABLE = ("elicitation", "sampling", "roots")


class NotAnswered(Exception):
    """What a tool asks its caller is not answered; the message is for a model."""


class Ends(Exception):
    """The request ends with this result; it comes again with what is missing."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__("input required")
        self.result = result


class Way(Protocol):
    """The way between one request and its client.

    Attributes:
        era: Whose forms are spoken.
        inputs: Answers to what was asked before, by name.
        capabilities: What the client can be asked.
    """

    era: Era
    inputs: dict[str, Any]
    capabilities: dict[str, Any]

    def heard(self, note: Note) -> None:
        """Pass on what a call says while it runs."""

    async def ask(self, requests: Mapping[str, Any], missing: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the client.

        Args:
            requests: What, by name: ``method`` and ``params``.
            missing: What the client would have to be able to, and has not declared.

        Returns:
            The answers, by name.

        Raises:
            NotAnswered: It does not answer.
            McpError: It cannot be asked so.
            Ends: The request ends here, and comes again with the answers.
        """


async def answer(session: Session, request: Request, way: Way, call: Call) -> dict[str, Any]:
    """The result of a request that both eras have.

    Args:
        session: Who is asked.
        request: What is asked.
        way: To the client.
        call: Names the call, so that it can be cancelled.

    Raises:
        McpError: It is refused or failed.
    """
    name = request.params.get("name")
    if request.method == "tools/call":
        arguments = request.params.get("arguments")
        if not isinstance(name, str) or not name:
            raise McpError(INVALID_PARAMS, "Invalid params: 'name' must be the name of a tool", id=request.id)
        if not isinstance(arguments, dict | None):
            raise McpError(INVALID_PARAMS, "Invalid params: 'arguments' must be an object", id=request.id)
        return await _asking(way, lambda: _called(session, name, arguments or {}, way, call), is_call=True)
    if request.method in _ASKING:
        return await _asking(way, lambda: _read(session, request, way, call), is_call=False)
    return await _offered(session, request, way)


def call_of(session: Session) -> Call:
    """A call in the episode that runs now: the next one is none of its business, also where it has to wait."""
    return Call(ordinal=session.episode.tally.ordinal)


async def _asking(way: Way, act: Callable[[], Awaitable[dict[str, Any]]], *, is_call: bool) -> dict[str, Any]:
    """Act, and where that asks the client something, ask and act again."""
    while True:
        try:
            return await act()
        except InputNeeded as needed:
            requests = needed.details.get("requests", {})
            missing = needed.details.get("missing_capabilities", {})
        try:
            way.inputs = {**way.inputs, **await way.ask(requests, missing)}
        except NotAnswered as error:
            if is_call:
                return error_result(str(error))
            raise McpError(INTERNAL_ERROR, str(error)) from None
        except Ends as end:
            return end.result


async def _read(session: Session, request: Request, way: Way, call: Call) -> dict[str, Any]:
    """What is told of the episode in which it was asked."""
    found = await _offered(session, request, way)
    if call.ordinal != session.episode.tally.ordinal:
        raise failed(EpisodeDone("another episode has begun"), request)
    return found


async def _offered(session: Session, request: Request, way: Way) -> dict[str, Any]:
    params = {key: value for key, value in request.params.items() if not key.startswith("_")}
    if request.method in _ASKING:
        params |= {"inputs": way.inputs, "capabilities": way.capabilities}
    try:
        return await session.offer(request.method, params)
    except InputNeeded:
        raise
    except InvalidRequest as error:
        if request.method == "resources/read":
            raise resource_not_found(str(request.params.get("uri")), way.era) from None
        raise McpError(INVALID_PARAMS, error.message, id=request.id) from None
    except OpenEnvError as error:
        raise failed(error, request) from error


async def _called(session: Session, name: str, arguments: dict[str, Any], way: Way, call: Call) -> dict[str, Any]:
    """One tool call, which is a step like any other."""
    call.listener = way.heard
    try:
        observed = await session.call_tool(name, arguments, call, inputs=way.inputs, capabilities=way.capabilities)
    except CallCancelled:
        return error_result("The call was cancelled before it began.")
    except InputNeeded:
        raise
    except ActionInvalid as error:
        return error_result(error.message)
    except OpenEnvError as error:
        return error_result(for_agents(error))
    return call_result(observation_json(observed), way.era)


def askable(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """What a client can be asked, of all that it can do."""
    return {name: capabilities[name] for name in _ASKABLE if name in capabilities}


def failed(error: OpenEnvError, request: Request | None = None) -> McpError:
    """An error of the library as JSON-RPC tells it to an agent."""
    code = error.jsonrpc_code if isinstance(error, InvalidRequest | SessionError) else INTERNAL_ERROR
    return McpError(code, for_agents(error), id=None if request is None else request.id)


def news_of(session: Session, news: Moved | Changed) -> Notification | None:
    """What a client that listens is told of what happened in its session."""
    if isinstance(news, Changed):
        return notification_of(news, None)
    has_observed = not session.has_tools and isinstance(news.answer, Observed)
    return notification_of(Changed("resource", OBSERVATION_URI), None) if has_observed else None


def notification_of(note: Note, progress_token: int | str | None) -> Notification | None:
    """A note as MCP tells it; ``None`` for progress that nobody wants."""
    match note:
        case Progressed():
            if progress_token is None:
                return None
            told = {"progress": note.progress, "total": note.total, "message": note.message}
            params = {key: value for key, value in told.items() if value is not None}
            return Notification("notifications/progress", {"progressToken": progress_token, **params})
        case Logged():
            told = {"level": note.level, "logger": note.logger, "data": note.data}
            return Notification("notifications/message", {k: v for k, v in told.items() if v is not None})
        case Changed(what="resource"):
            return Notification("notifications/resources/updated", {"uri": note.uri})
        case Changed():
            return Notification(f"notifications/{note.what}/list_changed", {})
