"""The messages of the protocol: what a client asks and what a server answers, whatever version carries them.

The fields are those of protocol v2; ``v1`` translates. Progress and batches are later messages.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from openenv.errors import OpenEnvError, error_from_code

__all__ = [
    "FEATURE_OF",
    "AgentGranted",
    "Close",
    "Closed",
    "Ended",
    "Failed",
    "GetOutcome",
    "GetState",
    "GrantAgent",
    "Hello",
    "Limits",
    "Mcp",
    "McpReply",
    "Observed",
    "Open",
    "Opened",
    "OutcomeIs",
    "Progress",
    "Queued",
    "Reply",
    "Request",
    "Reset",
    "Resume",
    "Resumed",
    "StateIs",
    "Step",
]

NonNegative = Annotated[int, Meta(ge=0)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Name = Annotated[str, Meta(max_length=255)]
Seconds = Annotated[float, Meta(gt=0)]


class Request(Struct, kw_only=True, omit_defaults=True, tag_field="type"):
    """What a client asks of one session.

    Attributes:
        session: The session's id; empty where a connection has only one.
        id: Rises within a session; replies carry it. 0 where the version has no ids.
        ack: The highest id whose reply has arrived; the server may forget replies up to it.
    """

    session: str = ""
    id: NonNegative = 0
    ack: NonNegative = 0


class Open(Request, tag="open"):
    """Make a session. The same nonce gives the same session, on whatever connection it comes.

    Attributes:
        nonce: Made up by the client, and so unlikely that nobody else guesses it: who knows it owns the session.
        queue_timeout_s: How long to wait for a place if all are taken; 0: not at all.
        fork: Id of a session; the new one begins where that one stands. Empty: it begins afresh.
        token: That of the session to fork.
    """

    nonce: Annotated[str, Meta(min_length=1, max_length=64)]
    queue_timeout_s: Annotated[float, Meta(ge=0)] = 0.0
    fork: str = ""
    token: Annotated[str, Meta(max_length=255)] = ""


class Resume(Request, tag="resume"):
    """Go on with a session on this connection. Has no id: it may be asked again at any time."""

    token: Annotated[str, Meta(max_length=255)]


class Reset(Request, tag="reset"):
    """Begin an episode."""

    seed: Seed | None = None
    episode_id: Name | None = None
    timeout_s: Seconds | None = None
    options: dict[str, Any] = {}


class Step(Request, tag="step"):
    """Take an action, which the session validates.

    Attributes:
        action: Text of a JSON value as ``Raw``, or the value itself where it needed more than JSON.
    """

    action: Any
    timeout_s: Seconds | None = None
    options: dict[str, Any] = {}


class GetState(Request, tag="state"):
    """Ask where the episode stands."""


class GetOutcome(Request, tag="outcome"):
    """Ask what has come of the episode so far."""


class GrantAgent(Request, tag="grant_agent"):
    """Ask for what an agent needs to reach the running episode over MCP, or the first if none was begun."""


FEATURE_OF: dict[type[Request], str] = {GetOutcome: "outcome", GrantAgent: "agent"}
"""The feature that a server has to name, of requests that not every server of v2 knows."""


class Close(Request, tag="close"):
    """End the session."""


class Mcp(Request, tag="mcp"):
    """A JSON-RPC message of the Model Context Protocol, as v1 carries it."""

    payload: Raw


class Reply(Struct, kw_only=True, tag_field="type"):
    """What a server answers. ``session`` and ``id`` are those of the request."""

    session: str = ""
    id: int = 0


class Limits(Struct, kw_only=True):
    """What a server allows.

    Attributes:
        max_message_bytes: Largest message it takes.
        capacity: Sessions it keeps at the same time.
        default_timeout_s: Time-out of a step that asks for none; ``None``: none.
        max_timeout_s: Longest time-out a step may ask for; ``None``: any.
        lease_s: How long a session outlives its connection.
    """

    max_message_bytes: int
    capacity: int
    default_timeout_s: float | None = None
    max_timeout_s: float | None = None
    lease_s: float = 0.0


class Hello(Reply, tag="hello"):
    """The server's first frame.

    Attributes:
        protocol: Version spoken on this connection.
        library: Version of the server's library.
        environment: Name of the environment served.
        environment_version: Its version, if known.
        features: Optional parts of the protocol that the server has.
        limits: What it allows.
    """

    protocol: str
    library: str
    environment: str
    environment_version: str | None
    features: list[str]
    limits: Limits


class Opened(Reply, tag="opened"):
    """The session is there.

    Attributes:
        nonce: That of the ``Open``.
        token: What ``Resume`` has to show.
        lease_s: Seconds that the session outlives its last connection.
        mcp_url: Where agents reach it over MCP: a path of this server, such a path after ``:9000`` if that is another
            port, or a whole URL. Empty: nowhere.
        agent_token: What an agent has to show there; good for the first episode.
    """

    nonce: str
    token: str
    lease_s: float = 0.0
    mcp_url: str = ""
    agent_token: str = ""


class Resumed(Reply, tag="resumed"):
    """The session is reached by this connection too.

    Attributes:
        last_id: Highest id that was asked of it; requests that were sent and not answered are to be sent again.
        lease_s: Seconds that the session outlives its last connection.
    """

    last_id: int
    lease_s: float = 0.0


class Queued(Reply, tag="queued"):
    """All places are taken; the ``Open`` waits. Sent once it waits, and whenever it has moved up.

    Attributes:
        nonce: That of the ``Open``.
        position: 1 is next.
    """

    nonce: str
    position: int


class Ended(Reply, tag="ended"):
    """A session ended without its client having asked for it. Answers no request.

    Attributes:
        reason: Why, as in the ``details`` of ``EpisodeLost``.
        message: The same for people.
    """

    reason: str
    message: str


class Observed(Reply, tag="observation"):
    """What the environment returned.

    Attributes:
        observation: On the server the author's object, on the client its JSON form.
        seed, episode_id: Of a reset: the ones really used, where known.
    """

    observation: Any
    reward: float | int | bool | None = None
    done: bool = False
    terminated: bool = False
    truncated: bool = False
    metadata: dict[str, Any] = {}
    seed: int | None = None
    episode_id: str | None = None


class Progress(Reply, tag="progress"):
    """The request is still running; its answer follows. Sent every few seconds.

    Attributes:
        elapsed_s: Seconds since the server began with it.
    """

    elapsed_s: float


class StateIs(Reply, tag="state"):
    """Where the episode stands."""

    state: Any


class OutcomeIs(Reply, tag="outcome"):
    """What has come of the episode so far.

    Attributes:
        phase: ``fresh`` (none was begun), ``running``, ``done`` or ``lost``.
        episode_id: Its name, where there is one.
        steps: Steps that were answered.
        reward: Of the last step.
        total_reward: Sum of all rewards that are numbers.
    """

    phase: str
    episode_id: str | None = None
    steps: int = 0
    reward: float | int | bool | None = None
    total_reward: float = 0.0
    done: bool = False
    terminated: bool = False
    truncated: bool = False


class AgentGranted(Reply, tag="agent_granted"):
    """What an agent needs.

    Attributes:
        mcp_url: Where it reaches the session over MCP, as in ``Opened``.
        token: What it has to show there; good for this episode.
    """

    mcp_url: str
    token: str = ""


class Closed(Reply, tag="closed"):
    """The session has ended and its environment is closed."""


class McpReply(Reply, tag="mcp"):
    """The JSON-RPC answer to an ``Mcp`` message."""

    payload: Any


class Failed(Reply, tag="error"):
    """The request was refused or failed; ``code`` names the class in ``openenv.errors.ERRORS``."""

    code: str
    message: str
    retryable: bool = False
    details: dict[str, Any] = {}

    @staticmethod
    def of(error: OpenEnvError, request: Request | None = None) -> Failed:
        """The reply that reports an error.

        Without a request it goes where the error's details say: a frame that could not be decoded is answered to
        the session and id it named, if it did.
        """
        return Failed(
            session=request.session if request else error.details.get("session", ""),
            id=request.id if request else error.details.get("id", 0),
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            details=error.details,
        )

    def to_error(self) -> OpenEnvError:
        """The error as the class the server raised."""
        return error_from_code(self.code, self.message, self.details)
