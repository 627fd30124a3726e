"""Every error OpenEnv raises, as one tree and one table.

    OpenEnvError
    ├── ConfigurationError        what was asked for cannot be set up
    │   ├── EnvironmentNotFound       no environment by that name or path
    │   ├── MissingExtra              an optional dependency is not installed
    │   └── PortInUse                 the server's port is taken
    ├── ProtocolError             a frame broke the protocol
    │   ├── LocalProtocolError        by us, before anything was sent
    │   └── RemoteProtocolError       by the peer
    │       ├── InvalidJSON
    │       ├── UnknownType
    │       ├── InvalidRequest
    │       ├── MessageTooLarge
    │       └── StaleRequest
    ├── SessionError              the session cannot do that
    │   ├── CapacityReached
    │   ├── SessionNotFound
    │   ├── SessionBusy
    │   ├── SessionClosed
    │   ├── ServerDraining
    │   ├── NotRestorable
    │   └── EpisodeLost
    ├── AccessDenied              who asks may not
    │   ├── Unauthorized
    │   └── Forbidden
    ├── EnvironmentFailure        the environment, or what was sent to it
    │   ├── FactoryFailed
    │   ├── ActionInvalid
    │   │   └── InputNeeded           a tool asks the client something first
    │   ├── ResetNeeded
    │   ├── EpisodeDone
    │   ├── ExecutionFailed
    │   ├── StepTimeout
    │   ├── ObservationInvalid
    │   ├── RewardInvalid
    │   └── ToolsetUnavailable
    ├── TransportError            the way between client and server
    │   ├── ConnectFailed
    │   ├── ConnectionLost
    │   └── RequestTimeout
    ├── RuntimeFailure            a server could not be started or kept
    └── RecordError               the event store cannot be read or written

Each class carries its row of the table: ``code`` (stable, on the wire), ``v1_code`` (the code that
protocol v1 knows it by), ``http_status``, ``jsonrpc_code`` and ``retryable`` (whether the same
request may succeed later). ``ERRORS`` maps a code back to its class, so a client raises the class
the server raised. A class that replaces a builtin in older code derives from that builtin too.

Longer than 350 lines because the whole tree, which is one table, is to be seen in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "ERRORS",
    "AccessDenied",
    "ActionInvalid",
    "CapacityReached",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectionLost",
    "EnvironmentFailure",
    "EnvironmentNotFound",
    "EpisodeDone",
    "EpisodeLost",
    "ExecutionFailed",
    "FactoryFailed",
    "Forbidden",
    "InputNeeded",
    "InvalidJSON",
    "InvalidRequest",
    "LocalProtocolError",
    "MessageTooLarge",
    "MissingExtra",
    "NotRestorable",
    "ObservationInvalid",
    "OpenEnvError",
    "PortInUse",
    "ProtocolError",
    "RecordError",
    "RemoteProtocolError",
    "RequestTimeout",
    "ResetNeeded",
    "RewardInvalid",
    "RuntimeFailure",
    "ServerDraining",
    "SessionBusy",
    "SessionClosed",
    "SessionError",
    "SessionNotFound",
    "StaleRequest",
    "StepTimeout",
    "ToolsetUnavailable",
    "TransportError",
    "Unauthorized",
    "UnknownType",
    "error_from_code",
]


class OpenEnvError(Exception):
    """Base of every error of this library.

    Args:
        message: What happened and how to mend it, in one line.
        details: JSON-compatible facts for programs, such as the fields of an invalid action.
    """

    code: ClassVar[str] = "INTERNAL"
    v1_code: ClassVar[str] = "EXECUTION_ERROR"
    http_status: ClassVar[int] = 500
    jsonrpc_code: ClassVar[int] = -32603
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.details)


def _rebuild(cls: type[OpenEnvError], message: str, details: dict[str, Any]) -> OpenEnvError:
    """Unpickle without the constructor's keyword-only argument getting lost."""
    return cls(message, details=details)


# Configuration -----------------------------------------------------------------------------------


class ConfigurationError(OpenEnvError, ValueError):
    """What was asked for cannot be set up as asked."""

    code = "CONFIGURATION_ERROR"


class EnvironmentNotFound(ConfigurationError, LookupError):
    """No installed environment, path or URL answers to that name."""

    code = "ENVIRONMENT_NOT_FOUND"
    http_status = 404


class MissingExtra(ConfigurationError, ImportError):
    """An optional dependency is not installed; the message holds the install line."""

    code = "MISSING_EXTRA"


class PortInUse(ConfigurationError, OSError):
    """Another process listens on the port."""

    code = "PORT_IN_USE"


# Protocol ----------------------------------------------------------------------------------------


class ProtocolError(OpenEnvError, ValueError):
    """A frame broke the protocol."""

    code = "PROTOCOL_ERROR"
    v1_code = "VALIDATION_ERROR"
    http_status = 400
    jsonrpc_code = -32600


class LocalProtocolError(ProtocolError):
    """This side was about to break the protocol; nothing was sent."""

    code = "LOCAL_PROTOCOL_ERROR"


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol."""

    code = "REMOTE_PROTOCOL_ERROR"


class InvalidJSON(RemoteProtocolError):
    """The frame is not JSON, or not a JSON object."""

    code = "INVALID_JSON"
    v1_code = "INVALID_JSON"
    jsonrpc_code = -32700


class UnknownType(RemoteProtocolError):
    """The frame's ``type`` is none that the protocol knows."""

    code = "UNKNOWN_TYPE"
    v1_code = "UNKNOWN_TYPE"
    jsonrpc_code = -32601


class InvalidRequest(RemoteProtocolError):
    """A field of the frame is missing or has the wrong type or range."""

    code = "INVALID_REQUEST"
    http_status = 422
    jsonrpc_code = -32602


class MessageTooLarge(RemoteProtocolError):
    """The message is over ``max_message_bytes``."""

    code = "MESSAGE_TOO_LARGE"
    http_status = 413


class StaleRequest(RemoteProtocolError):
    """The request's id was acknowledged or overtaken already; it did not run again."""

    code = "STALE_REQUEST"
    http_status = 409


# Sessions ----------------------------------------------------------------------------------------


class SessionError(OpenEnvError, RuntimeError):
    """The session cannot do what was asked."""

    code = "SESSION_ERROR"
    v1_code = "SESSION_ERROR"
    http_status = 409
    jsonrpc_code = -32000


class CapacityReached(SessionError):
    """All places for sessions are taken.

    ``details`` holds ``active_sessions``, ``max_sessions`` and ``retry_after_s``, the seconds after which trying again
    makes sense.
    """

    code = "CAPACITY_REACHED"
    v1_code = "CAPACITY_REACHED"
    http_status = 503
    retryable = True


class SessionNotFound(SessionError, LookupError):
    """No session has that id (any more)."""

    code = "SESSION_NOT_FOUND"
    http_status = 404


class SessionBusy(SessionError):
    """Too many requests of this session are unanswered or unacknowledged."""

    code = "BUSY"
    http_status = 429
    retryable = True


class SessionClosed(SessionError):
    """The session was closed; open another one."""

    code = "SESSION_CLOSED"
    http_status = 410


class ServerDraining(SessionError):
    """The server is stopping and takes no new session; another one, or this one started again, will."""

    code = "SERVER_DRAINING"
    http_status = 503
    retryable = True


class NotRestorable(SessionError):
    """The episode cannot be played again: its class neither says that it is deterministic nor takes snapshots."""

    code = "NOT_RESTORABLE"
    http_status = 409


class EpisodeLost(SessionError, ConnectionError):
    """The running episode is gone; ``reset()`` begins another one.

    ``details["reason"]`` says why, in one of a few stable words such as ``connection_lost``.
    """

    code = "EPISODE_LOST"
    http_status = 410


# Access ------------------------------------------------------------------------------------------


class AccessDenied(OpenEnvError, PermissionError):
    """Who asks may not do that."""

    code = "ACCESS_DENIED"
    http_status = 403
    jsonrpc_code = -32000


class Unauthorized(AccessDenied):
    """No token was shown, or one that is wrong or has expired."""

    code = "UNAUTHORIZED"
    http_status = 401


class Forbidden(AccessDenied):
    """The role of the token does not include that, or the request came from a host or page that is not let in."""

    code = "FORBIDDEN"


# Environment -------------------------------------------------------------------------------------


class EnvironmentFailure(OpenEnvError, RuntimeError):
    """The environment failed, or could not take what was sent to it."""

    code = "ENVIRONMENT_ERROR"
    jsonrpc_code = -32001


class FactoryFailed(EnvironmentFailure):
    """The environment could not be built."""

    code = "FACTORY_ERROR"
    v1_code = "FACTORY_ERROR"


class ActionInvalid(EnvironmentFailure, ValueError):
    """The action, or an argument of ``reset``/``step``, does not fit; the environment did not move.

    ``details["errors"]`` lists one entry a field: ``loc``, ``msg``, ``type`` and, if encodable, ``input``.
    """

    code = "VALIDATION_ERROR"
    v1_code = "VALIDATION_ERROR"
    http_status = 422
    jsonrpc_code = -32602


class InputNeeded(ActionInvalid):
    """A tool asks its caller something before it acts; the step has not counted.

    ``details["requests"]`` holds what it asks, by name: ``method`` and ``params`` as MCP has them. The call is to be
    made again with the answers, by the same names, in its ``inputs``.
    """

    code = "INPUT_NEEDED"


class ResetNeeded(EnvironmentFailure):
    """``step`` before ``reset``."""

    code = "RESET_NEEDED"
    http_status = 409


class EpisodeDone(EnvironmentFailure):
    """``step`` after the episode's end."""

    code = "EPISODE_DONE"
    http_status = 409


class ExecutionFailed(EnvironmentFailure):
    """The environment's own code raised."""

    code = "EXECUTION_ERROR"


class StepTimeout(EnvironmentFailure, TimeoutError):
    """The environment did not answer within the time that was asked for.

    ``details["usable"]`` says whether the episode stands where it stood before and can go on; if not, the next request
    is ``EpisodeLost``.
    """

    code = "STEP_TIMEOUT"
    http_status = 504


class ObservationInvalid(EnvironmentFailure):
    """The environment moved, but what it returned is no observation or has no encoding.

    The step has counted. ``details`` carries ``reward``, ``done`` and ``observation``, as far as they could be read.
    """

    code = "OBSERVATION_INVALID"


class RewardInvalid(EnvironmentFailure):
    """The environment moved, but its reward is not a finite number.

    The step has counted. ``details`` carries ``done`` and ``observation``.
    """

    code = "REWARD_INVALID"


class ToolsetUnavailable(EnvironmentFailure):
    """Tools of another server that the environment mounts cannot be reached, or are not what they were."""

    code = "TOOLSET_UNAVAILABLE"
    http_status = 502


# Transport ---------------------------------------------------------------------------------------


class TransportError(OpenEnvError, ConnectionError):
    """The way between client and server failed."""

    code = "TRANSPORT_ERROR"
    http_status = 502
    retryable = True


class ConnectFailed(TransportError):
    """The server could not be reached."""

    code = "CONNECT_FAILED"


class ConnectionLost(TransportError):
    """The connection broke while no episode was running."""

    code = "CONNECTION_LOST"


class RequestTimeout(TransportError, TimeoutError):
    """No answer came in time."""

    code = "REQUEST_TIMEOUT"
    http_status = 504


# Runtime and record ------------------------------------------------------------------------------


class RuntimeFailure(OpenEnvError, RuntimeError):
    """A server could not be started, or ended by itself."""

    code = "RUNTIME_ERROR"


class RecordError(OpenEnvError, OSError):
    """The event store cannot be read or written."""

    code = "RECORD_ERROR"


def _walk(cls: type[OpenEnvError]) -> dict[str, type[OpenEnvError]]:
    found = {cls.code: cls}
    for child in cls.__subclasses__():
        found |= _walk(child)
    return found


ERRORS: Mapping[str, type[OpenEnvError]] = _walk(OpenEnvError)


def error_from_code(code: str, message: str, details: Mapping[str, Any] | None = None) -> OpenEnvError:
    """The error a peer reported, as the class it raised there.

    A code this version does not know becomes a plain ``OpenEnvError`` that keeps the code in its message.
    """
    cls = ERRORS.get(code)
    if cls is None:
        return OpenEnvError(f"{code}: {message}", details=details)
    return cls(message, details=details)
