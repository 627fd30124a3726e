"""The HTTP endpoints: requests in, one session each, replies out."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from openenv.errors import OpenEnvError
from openenv.protocol import Failed, Observed, Reset, Step, fault, to_json
from openenv.schema import json_schema
from openenv.server.access import Access
from openenv.server.answers import (
    KEY_HEADER,
    SESSION_COOKIE,
    SESSION_HEADER,
    encoded,
    fields_of,
    invalid,
    json_answer,
    key_of,
    observation_answer,
    options_of,
    refusal,
    state_answer,
    value_of,
)
from openenv.server.exchange import Answer, Endpoint, Request
from openenv.server.session_http import SessionEndpoints
from openenv.session import EnvironmentSpec, Openings, Session, SessionEngine, SharedSession

__all__ = ["KEY_HEADER", "SESSION_COOKIE", "SESSION_HEADER", "http_endpoints", "refusal"]


def http_endpoints(
    engine: SessionEngine,
    openings: Openings,
    shared: SharedSession,
    max_message_bytes: int,
    access: Access,
) -> list[Endpoint]:
    """The endpoints of one environment but for MCP, those first that are asked often."""
    one = _Endpoints(engine, openings, shared, max_message_bytes)
    private = SessionEndpoints(engine, openings, shared, max_message_bytes, access)
    rows = (
        ("POST", "/step", one.step, "Take an action"),
        ("POST", "/reset", one.reset, "Begin an episode"),
        ("GET", "/state", one.state, "Where the episode stands"),
        ("GET", "/health", one.health, "Whether the process answers"),
        ("GET", "/ready", one.ready, "Whether an environment can be built, and if not, why"),
        ("POST", "/sessions", private.open, "Open a private session"),
        ("DELETE", "/sessions/{session_id}", private.close, "End a private session"),
        ("GET", "/sessions/{session_id}/state", private.state, "Where its episode stands"),
        ("GET", "/sessions/{session_id}/outcome", private.outcome, "What has come of its episode so far"),
        ("GET", "/sessions/{session_id}/events", private.events, "What happens in it, as it happens"),
        ("POST", "/sessions/{session_id}/agent", private.agent, "What an agent needs to play its episode over MCP"),
        ("GET", "/schema", one.schema, "JSON Schemas of action, observation and state"),
        ("GET", "/metadata", one.metadata, "What the environment says of itself"),
        ("GET", "/lock", one.lock, "What exactly is served: versions, digests, and what the class declares"),
    )
    return [
        Endpoint(method, path, _answering(act, act.__name__, access), says, act.__name__)
        for method, path, act, says in rows
    ]


def _answering(
    act: Callable[[Request], Awaitable[Answer]], operation: str, access: Access
) -> Callable[[Request], Awaitable[Answer]]:
    """The endpoint with errors as answers, for those who may."""

    async def endpoint(request: Request) -> Answer:
        try:
            access.check(request.scope, operation)
            return await act(request)
        except OpenEnvError as error:
            return refusal(Failed.of(error))

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
        fields = fields_of(body)
        own: dict[str, Any] = {
            name: value_of(fields, name) for name in ("seed", "episode_id", "timeout_s") if name in fields
        }
        try:
            asked = msgspec.convert({**own, "options": options_of(fields), "type": "reset"}, Reset)
        except msgspec.ValidationError as error:
            wrong = fault(error)
            raise invalid(".".join(wrong["loc"]) or "reset", wrong["msg"]) from None
        session = session or await self._shared.for_reset()
        reply = await session.reset(asked, key)
        if session.plan.lifecycle == "lenient":  # old classes answer with the old keys alone
            reply.seed = reply.episode_id = None
        return observation_answer(reply)

    async def _step(self, session: Session | None, key: str, body: bytes) -> Answer:
        fields = fields_of(body)
        if "action" not in fields:
            raise invalid("action", 'a step needs an action: {"action": {...}}')
        timeout_s = value_of(fields, "timeout_s") if "timeout_s" in fields else None
        if timeout_s is not None and not (isinstance(timeout_s, int | float) and timeout_s > 0):
            raise invalid("timeout_s", "must be a number of seconds greater than 0")
        asked = Step(action=fields["action"], timeout_s=timeout_s, options=options_of(fields))
        session = session or await self._shared.for_step(asked)
        return observation_answer(await session.step(asked, key))

    async def state(self, request: Request) -> Answer:
        session = await self._named(request) or self._shared.now()
        if session is None:  # nobody has reset: the state of an environment that has not begun
            return json_answer(to_json(_fresh_state(self._engine.spec)))
        return state_answer(await session.state())

    async def schema(self, request: Request) -> Answer:
        spec = self._engine.spec
        observation = json_schema(spec.observation_type)
        return json_answer(
            encoded(
                {
                    "action": json_schema(spec.action_type),
                    "observation": observation,
                    "state": json_schema(spec.state_type),
                    "reset_observation": observation,
                }
            )
        )

    async def metadata(self, request: Request) -> Answer:
        return json_answer(to_json(await self._engine.check()))

    async def lock(self, request: Request) -> Answer:
        return json_answer(encoded(await self._engine.lock.read(self._engine.plan)))

    async def health(self, request: Request) -> Answer:
        return json_answer(b'{"status":"healthy"}')

    async def ready(self, request: Request) -> Answer:
        engine = self._engine
        census = await engine.census()
        places: dict[str, Any] = {"active": census.active, "capacity": census.capacity, "waiting": census.waiting}
        if census.processes:
            places["workers"] = census.processes
        if engine.is_draining:
            return json_answer(
                encoded({"status": "not ready", "reason": "the server is stopping", "sessions": places}), 503
            )
        failure = engine.failure or census.failure
        if failure is not None:
            return _not_ready(failure, places)
        try:
            about = await engine.check()
        except OpenEnvError as error:
            return _not_ready(error.message, places)
        told = {"name": about.name, "version": about.version, "description": about.description}
        return json_answer(encoded({"status": "ready", "sessions": places, "environment": told}))

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
        body, session, key = await request.body(self._max_message_bytes), await self._named(request), key_of(request)
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
            return observation_answer(recalled) if isinstance(recalled, Observed) else refusal(recalled)
        keyed = session.keyed if session is not None else self._shared.keyed
        content = hashlib.sha256(request.path.encode() + b"\n" + body).digest()
        status, answer = await keyed.answer(key, content, answered)
        return json_answer(answer, status)


def _not_ready(reason: str, places: dict[str, Any]) -> Answer:
    return json_answer(encoded({"status": "not ready", "reason": reason, "sessions": places}), 503)


def _fresh_state(spec: EnvironmentSpec) -> Any:
    try:
        return spec.state_type()
    except ValueError:  # a state with required fields has no meaning before a reset
        from openenv.types import State

        return State()
