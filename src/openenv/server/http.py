"""The HTTP endpoints: requests in, one session each, replies out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from openenv.errors import ERRORS, InvalidJSON, InvalidRequest, MessageTooLarge, OpenEnvError
from openenv.protocol import (
    EncodingFailed,
    Failed,
    Observed,
    Reset,
    StateIs,
    Step,
    fault,
    http_observation,
    to_json,
    unencodable,
)
from openenv.schema import json_schema
from openenv.server.exposure import Exposure
from openenv.server.openapi import reset_schema, step_schema
from openenv.session import DetachedSessions, EnvironmentSpec, Session, SessionEngine

__all__ = ["SESSION_HEADER", "http_routes"]

SESSION_HEADER = "X-OpenEnv-Session"
_COOKIE = "openenv_session"
_RESERVED = {"seed", "episode_id", "timeout_s", "request_id", "action"}


def http_routes(
    engine: SessionEngine, detached: DetachedSessions, max_message_bytes: int, exposure: Exposure
) -> APIRouter:
    """The routes of one environment."""
    router = APIRouter()
    endpoints = _Endpoints(engine, detached, max_message_bytes)
    spec = engine.spec
    answers = {
        "/reset": "observation, reward, done, metadata; of a strict class also the seed and episode_id really used",
        "/step": "observation, reward, done, metadata",
    }
    for method, path, act, says, body in (
        ("POST", "/reset", endpoints.reset, "Begin an episode", reset_schema()),
        ("POST", "/step", endpoints.step, "Take an action", step_schema(spec)),
        ("GET", "/state", endpoints.state, "Where the episode stands", None),
        ("POST", "/sessions", endpoints.open, "Open a private session", None),
        ("DELETE", "/sessions/{session_id}", endpoints.close, "End a private session", None),
        ("GET", "/schema", endpoints.schema, "JSON Schemas of action, observation and state", None),
        ("GET", "/metadata", endpoints.metadata, "What the environment says of itself", None),
        ("GET", "/health", endpoints.health, "Whether the process answers", None),
        ("GET", "/ready", endpoints.ready, "Whether an environment can be built, and if not, why", None),
    ):
        extra: dict[str, Any] = {"requestBody": {"content": {"application/json": {"schema": body}}}} if body else {}
        if path in answers:
            answer = {"type": "object", "description": answers[path]}
            extra["responses"] = {"200": {"content": {"application/json": {"schema": answer}}}}
        router.add_api_route(
            path,
            _answering(act, exposure),
            methods=[method],
            summary=says,
            openapi_extra=extra,
            response_class=Response,
        )
    return router


def _answering(
    act: Callable[[Request], Awaitable[Response]], exposure: Exposure
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint with errors as answers."""

    async def endpoint(request: Request) -> Response:
        exposure.reached(request.scope)
        try:
            return await act(request)
        except OpenEnvError as error:
            return _refusal(Failed.of(error))

    endpoint.__name__ = act.__name__
    endpoint.__doc__ = act.__doc__
    return endpoint


class _Endpoints:
    def __init__(self, engine: SessionEngine, detached: DetachedSessions, max_message_bytes: int) -> None:
        self._engine = engine
        self._detached = detached
        self._max_message_bytes = max_message_bytes

    async def reset(self, request: Request) -> Response:
        fields = await self._fields(request)
        own: dict[str, Any] = {name: _value(fields, name) for name in ("seed", "episode_id") if name in fields}
        try:
            asked = msgspec.convert({**own, "options": _options(fields), "type": "reset"}, Reset)
        except msgspec.ValidationError as error:
            wrong = fault(error)
            raise _invalid(".".join(wrong["loc"]) or "reset", wrong["msg"]) from None
        session = self._named(request) or await self._detached.for_reset()
        reply = await session.reset(asked)
        if session.plan.lifecycle == "lenient":  # old classes answer with the old keys alone
            reply.seed = reply.episode_id = None
        return _observation(reply)

    async def step(self, request: Request) -> Response:
        fields = await self._fields(request)
        if "action" not in fields:
            raise _invalid("action", 'a step needs an action: {"action": {...}}')
        timeout_s = _value(fields, "timeout_s") if "timeout_s" in fields else None
        if timeout_s is not None and not (isinstance(timeout_s, int | float) and timeout_s > 0):
            raise _invalid("timeout_s", "must be a number of seconds greater than 0")
        asked = Step(action=fields["action"], timeout_s=timeout_s, options=_options(fields))
        session = self._named(request) or await self._detached.for_step()
        return _observation(await session.step(asked))

    async def state(self, request: Request) -> Response:
        session = self._named(request) or self._detached.shared()
        if session is None:  # nobody has reset: the state of an environment that has not begun
            return _json(to_json(_fresh_state(self._engine.spec)))
        return _state(await session.state())

    async def open(self, request: Request) -> Response:
        session = await self._detached.open()
        answer = _json(_encode({"session_id": session.id, "lease_s": self._detached.lease_s}), 201)
        answer.set_cookie(_COOKIE, session.id, httponly=True, samesite="strict")
        return answer

    async def close(self, request: Request) -> Response:
        await self._detached.close(self._engine.get(request.path_params["session_id"]))
        answer = Response(status_code=204)
        answer.delete_cookie(_COOKIE, httponly=True, samesite="strict")
        return answer

    async def schema(self, request: Request) -> Response:
        spec = self._engine.spec
        observation = json_schema(spec.observation_type)
        return _json(
            _encode(
                {
                    "action": json_schema(spec.action_type),
                    "observation": observation,
                    "state": json_schema(spec.state_type),
                    "reset_observation": observation,
                }
            )
        )

    async def metadata(self, request: Request) -> Response:
        return _json(to_json(await self._engine.check()))

    async def health(self, request: Request) -> Response:
        return _json(b'{"status":"healthy"}')

    async def ready(self, request: Request) -> Response:
        places = {"active": self._engine.active, "capacity": self._engine.capacity}
        try:
            about = await self._engine.check()
        except OpenEnvError as error:
            return _json(_encode({"status": "not ready", "reason": error.message, "sessions": places}), 503)
        told = {"name": about.name, "version": about.version, "description": about.description}
        return _json(_encode({"status": "ready", "sessions": places, "environment": told}))

    def _named(self, request: Request) -> Session | None:
        """The session that a header or cookie names."""
        session_id = request.headers.get(SESSION_HEADER) or request.cookies.get(_COOKIE)
        return self._detached.find(session_id) if session_id else None

    async def _fields(self, request: Request) -> dict[str, msgspec.Raw]:
        chunks, size = [], 0
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > self._max_message_bytes:
                raise MessageTooLarge(f"the body is over {self._max_message_bytes} bytes")
        body = b"".join(chunks)
        try:
            return msgspec.json.decode(body or b"{}", type=dict[str, msgspec.Raw])
        except msgspec.ValidationError:
            raise InvalidJSON("the body must be a JSON object") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidJSON(f"the body is not JSON: {error}") from None


def _options(fields: dict[str, msgspec.Raw]) -> dict[str, Any]:
    return {name: _value(fields, name) for name in fields if name not in _RESERVED}


def _value(fields: dict[str, msgspec.Raw], name: str) -> Any:
    try:
        return msgspec.json.decode(fields[name])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJSON(f"{name} is not JSON: {error}") from None


def _invalid(field: str, message: str) -> InvalidRequest:
    entry = {"loc": ["body", field], "msg": message, "type": "invalid"}
    return InvalidRequest(f"{field}: {message}", details={"errors": [entry]})


def _observation(reply: Observed) -> Response:
    try:
        return _json(http_observation(reply, omit_empty=False))
    except EncodingFailed as error:
        return _refusal(unencodable(reply, error))


def _state(reply: StateIs) -> Response:
    try:
        return _json(to_json(reply.state))
    except EncodingFailed as error:
        return _refusal(unencodable(reply, error))


def _refusal(failed: Failed) -> Response:
    """An error as HTTP: its status, the fields that are wrong or the message, and the whole of it for programs."""
    error = {
        "code": failed.code,
        "message": failed.message,
        "retryable": failed.retryable,
        "details": failed.details,
    }
    body = {"detail": failed.details.get("errors", failed.message), "error": error}
    return _json(_encode(body), ERRORS[failed.code].http_status)


def _fresh_state(spec: EnvironmentSpec) -> Any:
    try:
        return spec.state_type()
    except ValueError:  # a state with required fields has no meaning before a reset
        from openenv.types import State

        return State()


_encode = msgspec.json.Encoder(enc_hook=lambda value: msgspec.Raw(to_json(value))).encode


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status_code=status, media_type="application/json")
