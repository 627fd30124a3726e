"""The HTTP endpoints: requests in, one session each, replies out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from openenv.errors import ERRORS, EpisodeLost, InvalidJSON, InvalidRequest, OpenEnvError
from openenv.protocol import (
    EncodingFailed,
    Failed,
    Observed,
    Reset,
    StateIs,
    Step,
    encodable_part,
    fault,
    http_observation,
    to_json,
    unencodable,
)
from openenv.schema import json_schema
from openenv.server.exchange import Answer, Endpoint, Request
from openenv.server.exposure import Exposure
from openenv.session import Ending, EnvironmentSpec, Openings, Session, SessionEngine, SharedSession

__all__ = ["KEY_HEADER", "SESSION_COOKIE", "SESSION_HEADER", "http_endpoints", "refusal"]

SESSION_HEADER = "X-OpenEnv-Session"
KEY_HEADER = "Idempotency-Key"
_LONGEST_KEY = 255
SESSION_COOKIE = "openenv_session"
_RESERVED = {"seed", "episode_id", "timeout_s", "request_id", "action"}


def http_endpoints(
    engine: SessionEngine, openings: Openings, shared: SharedSession, max_message_bytes: int, exposure: Exposure
) -> list[Endpoint]:
    """The endpoints of one environment, those first that are asked often."""
    endpoints = _Endpoints(engine, openings, shared, max_message_bytes)
    return [
        Endpoint(method, path, _answering(act, exposure), says)
        for method, path, act, says in (
            ("POST", "/step", endpoints.step, "Take an action"),
            ("POST", "/reset", endpoints.reset, "Begin an episode"),
            ("GET", "/state", endpoints.state, "Where the episode stands"),
            ("GET", "/health", endpoints.health, "Whether the process answers"),
            ("GET", "/ready", endpoints.ready, "Whether an environment can be built, and if not, why"),
            ("POST", "/sessions", endpoints.open, "Open a private session"),
            ("DELETE", "/sessions/{session_id}", endpoints.close, "End a private session"),
            ("GET", "/schema", endpoints.schema, "JSON Schemas of action, observation and state"),
            ("GET", "/metadata", endpoints.metadata, "What the environment says of itself"),
            (
                "GET",
                "/lock",
                endpoints.lock,
                "What exactly is served: versions, digests, and what the class declares",
            ),
        )
    ]


def _answering(
    act: Callable[[Request], Awaitable[Answer]], exposure: Exposure
) -> Callable[[Request], Awaitable[Answer]]:
    """The endpoint with errors as answers."""

    async def endpoint(request: Request) -> Answer:
        exposure.reached(request.scope)
        try:
            return await act(request)
        except OpenEnvError as error:
            return refusal(Failed.of(error))

    endpoint.__name__ = act.__name__
    return endpoint


class _Endpoints:
    def __init__(
        self, engine: SessionEngine, openings: Openings, shared: SharedSession, max_message_bytes: int
    ) -> None:
        self._engine = engine
        self._openings = openings
        self._shared = shared
        self._max_message_bytes = max_message_bytes

    async def reset(self, request: Request) -> Answer:
        return await self._once(request, self._reset)

    async def step(self, request: Request) -> Answer:
        return await self._once(request, self._step)

    async def _reset(self, session: Session | None, key: str, body: bytes) -> Answer:
        fields = _fields(body)
        own: dict[str, Any] = {
            name: _value(fields, name) for name in ("seed", "episode_id", "timeout_s") if name in fields
        }
        try:
            asked = msgspec.convert({**own, "options": _options(fields), "type": "reset"}, Reset)
        except msgspec.ValidationError as error:
            wrong = fault(error)
            raise _invalid(".".join(wrong["loc"]) or "reset", wrong["msg"]) from None
        session = session or await self._shared.for_reset()
        reply = await session.reset(asked, key)
        if session.plan.lifecycle == "lenient":  # old classes answer with the old keys alone
            reply.seed = reply.episode_id = None
        return _observation(reply)

    async def _step(self, session: Session | None, key: str, body: bytes) -> Answer:
        fields = _fields(body)
        if "action" not in fields:
            raise _invalid("action", 'a step needs an action: {"action": {...}}')
        timeout_s = _value(fields, "timeout_s") if "timeout_s" in fields else None
        if timeout_s is not None and not (isinstance(timeout_s, int | float) and timeout_s > 0):
            raise _invalid("timeout_s", "must be a number of seconds greater than 0")
        asked = Step(action=fields["action"], timeout_s=timeout_s, options=_options(fields))
        session = session or await self._shared.for_step()
        return _observation(await session.step(asked, key))

    async def state(self, request: Request) -> Answer:
        session = await self._named(request) or self._shared.now()
        if session is None:  # nobody has reset: the state of an environment that has not begun
            return _json(to_json(_fresh_state(self._engine.spec)))
        return _state(await session.state())

    async def open(self, request: Request) -> Answer:
        key, fields = _key(request), _fields(await request.body(self._max_message_bytes))
        fork = _value(fields, "fork") if "fork" in fields else None
        if not isinstance(fork, str | None):
            raise _invalid("fork", "must be the id of a session")
        source = await self._engine.recovery.find(fork) if fork else None
        if key is None:
            session = await self._engine.open(make_room=self._shared.give_way, patient=False, source=source)
            self._engine.leases.begin(session)
        else:
            session = await self._openings.open(f"http {key}", 0.0, lambda _: None, source)
            self._engine.leases.renew(session)
        told = {"session_id": session.id, "token": session.token, "lease_s": self._engine.leases.lease_s}
        answer = _json(_encode(told), 201)
        answer.headers.append((b"set-cookie", _cookie(session.id)))
        return answer

    async def close(self, request: Request) -> Answer:
        try:
            await (await self._engine.recovery.find(request.named)).close()
        except EpisodeLost as error:
            if error.details["reason"] != Ending.CLOSED:
                raise
        return Answer(status=204, headers=[(b"set-cookie", _cookie("", "; Max-Age=0"))])

    async def schema(self, request: Request) -> Answer:
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

    async def metadata(self, request: Request) -> Answer:
        return _json(to_json(await self._engine.check()))

    async def lock(self, request: Request) -> Answer:
        return _json(_encode(await self._engine.lock.read(self._engine.plan)))

    async def health(self, request: Request) -> Answer:
        return _json(b'{"status":"healthy"}')

    async def ready(self, request: Request) -> Answer:
        engine = self._engine
        census = await engine.census()
        places: dict[str, Any] = {"active": census.active, "capacity": census.capacity, "waiting": census.waiting}
        if census.processes:
            places["workers"] = census.processes
        if engine.is_draining:
            return _json(_encode({"status": "not ready", "reason": "the server is stopping", "sessions": places}), 503)
        failure = engine.failure or census.failure
        if failure is not None:
            return _json(_encode({"status": "not ready", "reason": failure, "sessions": places}), 503)
        try:
            about = await engine.check()
        except OpenEnvError as error:
            return _json(_encode({"status": "not ready", "reason": error.message, "sessions": places}), 503)
        told = {"name": about.name, "version": about.version, "description": about.description}
        return _json(_encode({"status": "ready", "sessions": places, "environment": told}))

    async def _named(self, request: Request) -> Session | None:
        """The session that a header or cookie names."""
        session_id = request.header(SESSION_HEADER.lower()) or request.cookie(SESSION_COOKIE)
        if not session_id:
            return None
        session = await self._engine.recovery.find(session_id)
        self._engine.leases.renew(session)
        return session

    async def _once(self, request: Request, run: Callable[[Session | None, str, bytes], Awaitable[Answer]]) -> Answer:
        """Run a request; one that carries a key runs once, however often it comes."""
        body, session, key = await request.body(self._max_message_bytes), await self._named(request), _key(request)
        if key is None:
            return await run(session, "", body)

        async def answered() -> tuple[int, bytes]:
            try:
                answer = await run(session, key, body)
            except OpenEnvError as error:
                if error.retryable:  # nothing ran: the same key may be tried again
                    raise
                answer = refusal(Failed.of(error))
            return answer.status, answer.body

        recalled = session.recalled.get(key) if session is not None else None
        if recalled is not None:  # of before the server was started again
            return _observation(recalled) if isinstance(recalled, Observed) else refusal(recalled)
        keyed = session.keyed if session is not None else self._shared.keyed
        content = hashlib.sha256(request.path.encode() + b"\n" + body).digest()
        status, answer = await keyed.answer(key, content, answered)
        return _json(answer, status)


def _key(request: Request) -> str | None:
    """What names the request, so that it can be sent again."""
    key = request.header(KEY_HEADER.lower())
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        raise InvalidRequest(f"{KEY_HEADER} must have 1 to {_LONGEST_KEY} characters")
    return key


def _fields(body: bytes) -> dict[str, msgspec.Raw]:
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


def _observation(reply: Observed) -> Answer:
    try:
        return _json(http_observation(reply, omit_empty=False))
    except EncodingFailed as error:
        return refusal(unencodable(reply, error))


def _state(reply: StateIs) -> Answer:
    try:
        return _json(to_json(reply.state))
    except EncodingFailed as error:
        return refusal(unencodable(reply, error))


def refusal(failed: Failed) -> Answer:
    """An error as HTTP: its status, the fields that are wrong or the message, and the whole of it for programs."""
    details = encodable_part(failed.details)
    error = {
        "code": failed.code,
        "message": failed.message,
        "retryable": failed.retryable,
        "details": details,
    }
    body = {"detail": details.get("errors", failed.message), "error": error}
    answer = _json(_encode(body), ERRORS[failed.code].http_status)
    if "retry_after_s" in failed.details:
        answer.headers.append((b"retry-after", b"%d" % math.ceil(failed.details["retry_after_s"])))
    return answer


def _fresh_state(spec: EnvironmentSpec) -> Any:
    try:
        return spec.state_type()
    except ValueError:  # a state with required fields has no meaning before a reset
        from openenv.types import State

        return State()


_encode = msgspec.json.Encoder(enc_hook=lambda value: msgspec.Raw(to_json(value))).encode


def _json(body: bytes, status: int = 200) -> Answer:
    return Answer(body, status)


def _cookie(value: str, more: str = "") -> bytes:
    return f"{SESSION_COOKIE}={value}{more}; HttpOnly; Path=/; SameSite=strict".encode()
