"""What a server and a worker say to each other about one session: a head, then a body of that kind.

A step whose action is JSON text carries it as it is; all else is as in protocol v2. Values are data: nothing that comes
from a worker is unpickled or called.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from openenv.environment import EnvironmentPlan, KeywordFilter, Lifecycle
from openenv.errors import ActionInvalid, LocalProtocolError, OpenEnvError, RemoteProtocolError
from openenv.protocol import Closed, Failed, Observed, Reply, Request, StateIs, Step, fields_beside
from openenv.protocol.binary import BINARY_FORM, extension
from openenv.protocol.encoding import UNENCODABLE
from openenv.protocol.plain import is_plain_model
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec
from openenv.protocol.v2_msgpack import MsgpackClientCodec, MsgpackServerCodec
from openenv.types import Action, EnvironmentMetadata, Observation, State

__all__ = [
    "ABOUT",
    "BUILT",
    "CANCEL",
    "HEAD",
    "JSON",
    "LARGEST",
    "LARGEST_NOTE",
    "NOTE",
    "OFFER",
    "PACKED",
    "RESTORE",
    "SNAPSHOT",
    "TEXT_STEP",
    "Frame",
    "about_frame",
    "built_frame",
    "reading_about",
    "reading_deadlines",
    "reading_failure",
    "reading_plan",
    "reading_reply",
    "reading_request",
    "reading_snapshot",
    "reply_frame",
    "request_frame",
]

HEAD = struct.Struct("<IB")
"""Length of the body in bytes, then its kind."""

LARGEST = 1 << 30
"""Bytes of the largest body."""

LARGEST_NOTE = 1 << 20
"""Bytes of the largest body of a note."""

TEXT_STEP, PACKED, JSON, BUILT, ABOUT, SNAPSHOT, RESTORE, OFFER, NOTE, CANCEL = range(10)
"""Kinds: a step with an action in JSON; a message in msgpack; a reply in JSON; the plan of what was built; a question
for what the environment says of itself, without a body, or its answer; the same for a snapshot; a snapshot to be
restored, or that it was, without a body; a method and its parameters in JSON, or what is offered then; what a call says
while it runs, in JSON, which answers nothing; the number of a request that is not wanted any more, which is not
answered."""

Frame = tuple[int, bytes]
"""Kind and body."""


class _TextStep(Struct, array_like=True):
    action: bytes
    timeout_s: float | None
    options: Any = {}


class _Plan(Struct, array_like=True):
    """An ``EnvironmentPlan`` without its types, which a server knows from elsewhere."""

    name: str
    is_async: bool
    reset: tuple[list[str], bool]
    step: tuple[list[str], bool]
    lifecycle: Lifecycle
    concurrent: bool
    needs_own_thread: bool
    deterministic: bool
    volatile: list[str]
    snapshots: bool
    tools: bool = False
    deadlines: dict[str, float] = {}


_FLOATS = (float, bool, type(None))
_encode = msgspec.msgpack.Encoder().encode
_decode_step = msgspec.msgpack.Decoder(_TextStep, ext_hook=extension).decode
_decode_plan = msgspec.msgpack.Decoder(_Plan).decode
_decode_about = msgspec.msgpack.Decoder(ext_hook=extension).decode
_packed_client, _packed_server = MsgpackClientCodec(), MsgpackServerCodec()
_json_client, _json_server = V2ClientCodec(), V2ServerCodec()


# Requests ----------------------------------------------------------------------------------------


def request_frame(request: Request) -> Frame:
    """A request as a frame.

    Raises:
        ActionInvalid: Something in it has no form.
    """
    if type(request) is Step and isinstance(request.action, Raw | bytes):
        try:
            options = BINARY_FORM.fields(request.options) if request.options else {}
            return TEXT_STEP, _encode(_TextStep(bytes(request.action), request.timeout_s, options))
        except UNENCODABLE as error:
            raise ActionInvalid(f"the options cannot be sent to the environment's process: {error}") from error
    try:
        return PACKED, _packed_client.encode(request)
    except LocalProtocolError as error:
        raise ActionInvalid(error.message) from error


def reading_request(frame: Frame) -> Request:
    """A frame of the server's as the request."""
    kind, body = frame
    if kind == TEXT_STEP:
        found = _decode_step(body)
        return Step(action=found.action, timeout_s=found.timeout_s, options=found.options)
    return _packed_server.decode(body)


# Replies -----------------------------------------------------------------------------------------


def reply_frame(reply: Reply | OpenEnvError) -> Frame:
    """A reply, or what was raised instead, as a frame, in the form that takes less time for its values."""
    if isinstance(reply, OpenEnvError):
        reply = Failed.of(reply)
    if type(reply) is Observed:
        observation = reply.observation
        if type(reply.reward) in _FLOATS and is_plain_model(observation, fields_beside(type(observation))):
            return JSON, _json_server.encode(reply).encode()
    return PACKED, _packed_server.encode(reply)


def reading_reply(frame: Frame) -> Observed | StateIs | Closed | Failed:
    """A frame of a worker's as the reply, which is all that a worker may say.

    Raises:
        RemoteProtocolError: It is something else.
    """
    kind, body = frame
    if kind == JSON:
        reply = _json_client.decode(body)
    elif kind == PACKED:
        reply = _packed_client.decode(body)
    else:
        raise RemoteProtocolError(f"a frame of kind {kind} is no reply")
    if not isinstance(reply, Observed | StateIs | Closed | Failed):
        raise RemoteProtocolError(f"a worker does not send {type(reply).__name__}")
    if type(reply) is Observed and type(reply.reward) is float and not math.isfinite(reply.reward):
        raise RemoteProtocolError("a reward has to be finite")
    return reply


def reading_failure(frame: Frame, else_wrong: str) -> Failed:
    """The error that came in the place of what was asked for.

    Raises:
        RemoteProtocolError: It is none, with those words.
    """
    reply = reading_reply(frame)
    if not isinstance(reply, Failed):
        raise RemoteProtocolError(else_wrong)
    return reply


def built_frame(plan: EnvironmentPlan, deadlines: Mapping[str, float] | None = None) -> Frame:
    """The first frame of a session whose environment could be built.

    Args:
        plan: What its class takes.
        deadlines: As in ``Host``.
    """
    reset, step = ((sorted(takes.names), takes.takes_any) for takes in (plan.reset, plan.step))
    facts = _Plan(
        name=plan.name,
        is_async=plan.is_async,
        reset=reset,
        step=step,
        lifecycle=plan.lifecycle,
        concurrent=plan.concurrent,
        needs_own_thread=plan.needs_own_thread,
        deterministic=plan.deterministic,
        volatile=sorted(plan.volatile),
        snapshots=plan.snapshots,
        tools=plan.tools,
        deadlines=dict(deadlines or {}),
    )
    return BUILT, _encode(facts)


def reading_plan(frame: Frame) -> EnvironmentPlan | Failed:
    """The first frame of a session: what was built, with base types as its types, or why nothing was.

    Raises:
        RemoteProtocolError: It is something else.
    """
    kind, body = frame
    if kind != BUILT:
        return reading_failure(frame, "a worker begins with a plan or an error")
    try:
        found = _decode_plan(body)
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError(f"a plan cannot be read: {error}") from None
    reset, step = (KeywordFilter(frozenset(names), takes_any) for names, takes_any in (found.reset, found.step))
    return EnvironmentPlan(
        name=found.name,
        is_async=found.is_async,
        reset=reset,
        step=step,
        lifecycle=found.lifecycle,
        concurrent=found.concurrent,
        needs_own_thread=found.needs_own_thread,
        action_type=Action,
        observation_type=Observation,
        state_type=State,
        deterministic=found.deterministic,
        volatile=frozenset(found.volatile),
        snapshots=found.snapshots,
        tools=found.tools,
    )


def reading_deadlines(frame: Frame) -> dict[str, float]:
    """The deadlines in a frame that ``reading_plan`` has read."""
    return {name: seconds for name, seconds in _decode_plan(frame[1]).deadlines.items() if seconds > 0}


def reading_snapshot(frame: Frame, kind: int) -> bytes | Failed:
    """The answer to a frame of that kind, ``SNAPSHOT`` or ``RESTORE``.

    Raises:
        RemoteProtocolError: It is something else.
    """
    if frame[0] == kind:
        return frame[1]
    return reading_failure(frame, "a snapshot was asked for")


def about_frame(about: object) -> Frame:
    """What ``get_metadata`` returned, as a frame; what is no metadata, or cannot be sent, is left out."""
    try:
        fields = BINARY_FORM.model(about) if isinstance(about, EnvironmentMetadata) else None
        return ABOUT, _encode(fields)
    except UNENCODABLE:
        return ABOUT, _encode(None)


def reading_about(frame: Frame) -> EnvironmentMetadata | Failed | None:
    """The same, read.

    Raises:
        RemoteProtocolError: It is something else.
    """
    kind, body = frame
    if kind != ABOUT:
        return reading_failure(frame, "metadata was asked for")
    try:
        fields = _decode_about(body)
        return None if fields is None else EnvironmentMetadata.model_validate(fields)
    except (ValueError, RecursionError) as error:  # of msgspec, of the values in it, of pydantic
        raise RemoteProtocolError(f"metadata cannot be read: {error}") from None
