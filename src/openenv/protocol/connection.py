"""The two ends of a connection, without I/O: which version is spoken, and which reply answers which request."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from openenv.errors import LocalProtocolError, RemoteProtocolError
from openenv.protocol.batch import is_batch, joined
from openenv.protocol.messages import (
    Close,
    Ended,
    Failed,
    Hello,
    Observed,
    Open,
    Opened,
    Progress,
    Queued,
    Reply,
    Request,
    Resume,
    Resumed,
)
from openenv.protocol.negotiation import SUBPROTOCOLS, ServerCodec, client_codec, server_codec

__all__ = ["SUBPROTOCOLS", "ClientConnection", "ClientSession", "ServerCodec", "server_codec"]

_INTRODUCTIONS = (Open, Resume)


class ClientSession:
    """The client's end of one session, which outlives the connections that carry it.

    One request is unanswered at a time. It keeps its id until it is answered or given up, so that it can be sent
    again on another connection and runs only once.

    Args:
        nonce: What ``Open`` is asked with, the same however often; empty in v1, where nothing is opened.
        source: Id and token of a session that it begins as a fork of.
    """

    def __init__(self, nonce: str = "", source: tuple[str, str] = ("", "")) -> None:
        self.nonce = nonce
        self._source = source
        self.id = ""
        self.token = ""
        self.unanswered: Request | None = None
        self._introduction: Open | Resume | None = None
        self._last_id = 0
        self._ack = 0

    @property
    def is_open(self) -> bool:
        """Whether the server has said its id, so that it can be resumed."""
        return self.id != ""

    def introduction(self, queue_timeout_s: float = 0.0) -> Open | Resume:
        """What makes a new connection reach it: ``Open`` until that was answered, then ``Resume``."""
        if self.is_open:
            return Resume(session=self.id, token=self.token)
        fork, token = self._source
        return Open(nonce=self.nonce, queue_timeout_s=queue_timeout_s, fork=fork, token=token)

    def numbered(self, request: Request) -> Request:
        """The request as the next one of this session, in a copy if it was another before; nothing is noted yet."""
        if request.id or request.session:
            return structs.replace(request, session=self.id, id=self._last_id + 1, ack=self._ack)
        request.session, request.id, request.ack = self.id, self._last_id + 1, self._ack
        return request

    def sent(self, request: Request) -> None:
        """Note a request whose frame was made."""
        if isinstance(request, _INTRODUCTIONS):
            self._introduction = request
        else:
            self._last_id = max(self._last_id, request.id)
            self.unanswered = request

    def withdraw(self) -> None:
        """Forget the unanswered request: its frame was not sent, or nobody waits for its answer."""
        self.unanswered = None

    def takes(self, reply: Observed) -> bool:
        """Whether that is the answer to what was asked; noted if it is. What nearly every reply is."""
        asked = self.unanswered
        if asked is None or self._introduction is not None or reply.id != asked.id:
            return False
        self._ack = asked.id
        self.unanswered = None
        return True

    def take(self, reply: Reply) -> Reply | None:
        """The reply if it is news: the answer to what was asked, or a notice. ``None`` if it comes late."""
        match reply:
            case Ended() | Queued() | Progress():
                return reply
            case Opened():
                self.id, self.token = reply.session, reply.token
            case Resumed() if isinstance(self._introduction, Resume):
                pass
            case Failed(id=0) if self._introduction is not None:
                pass
            case _:
                return self._answer(reply)
        self._introduction = None
        return reply

    def _answer(self, reply: Reply) -> Reply | None:
        if self.unanswered is None or self._introduction is not None:
            return None
        # an error without an id is about a frame whose id could not be read: the last
        if reply.id != self.unanswered.id and not (isinstance(reply, Failed) and reply.id == 0):
            return None
        self._ack = max(self._ack, reply.id)
        self.unanswered = None
        return reply


class ClientConnection:
    """The client's end of one connection.

    ``send`` turns a request of a session into a frame; ``receive`` takes each arriving frame and returns the reply
    in it if that answers something or is a notice, or ``None``, such as for a late reply to a request that was
    given up. Whose it is, its ``session`` says (of ``Opened`` and ``Queued``: its ``nonce``).

    Attributes:
        only: The session that the connection is, in v1.
        hello: The server's greeting, once it came.
    """

    def __init__(self, subprotocol: str | None) -> None:
        self._codec = client_codec(subprotocol)
        self._has_sessions = self._codec.subprotocol is not None
        self._sessions: dict[str, ClientSession] = {}
        self._opening: dict[str, ClientSession] = {}  # by nonce
        self.only = ClientSession()
        self._last: ClientSession | None = None
        self.hello: Hello | None = None

    @property
    def has_sessions(self) -> bool:
        """Whether the version greets and opens sessions; in v1 the connection is the session."""
        return self._has_sessions

    def has(self, feature: str) -> bool:
        """Whether the server greeted with that optional part of the protocol."""
        return self.hello is not None and feature in self.hello.features

    def send(self, request: Request, session: ClientSession | None = None) -> str | bytes:
        """The frame of a request. Where this raises, everything is as it was.

        Args:
            request: What is asked; its session, id and ack are filled in, if it had none.
            session: Whose request it is; in v1 the connection has but its own.

        Raises:
            LocalProtocolError: Another request of the session is unanswered, or the version cannot say this.
        """
        session = session or self.only
        introduces = isinstance(request, _INTRODUCTIONS)
        if session.unanswered is not None and not introduces:
            raise LocalProtocolError("a request of this session is unanswered; wait for it, or use another session")
        if self._has_sessions and not introduces:
            request = session.numbered(request)
        frame = self._codec.encode(request)
        self._note(request, session)
        return frame

    @property
    def has_batches(self) -> bool:
        """Whether frames may be arrays."""
        return self.has("batch")

    @staticmethod
    def joined(frames: Sequence[str | bytes]) -> str | bytes:
        """One frame with what ``send`` and its kin made, at most ``MOST_IN_BATCH`` of it, where ``has_batches``."""
        return joined(frames)

    def send_again(self, session: ClientSession) -> str | bytes | None:
        """The frame of what is unanswered, under its old id, once the session is resumed here; ``None`` without."""
        if session.unanswered is None:
            return None
        self._last = session
        return self._codec.encode(session.unanswered)

    def send_farewell(self, session: ClientSession) -> str | bytes:
        """The frame of a ``Close`` whose answer nobody waits for; it runs after what is unanswered.

        From here on this connection drops whatever comes for that session.
        """
        session.withdraw()
        frame = self.send(Close(), session)
        self.forget(session)
        return frame

    def forget(self, session: ClientSession) -> None:
        """Drop whatever comes for that session from here on."""
        self._sessions.pop(session.id, None)
        self._opening.pop(session.nonce, None)
        self._last = None if self._last is session else self._last

    def receive(self, frame: str | bytes) -> Reply | None:
        """The reply in an arriving frame, if it is the greeting, answers a request or is a notice.

        Raises:
            RemoteProtocolError: The frame cannot be read, or nothing was asked.
        """
        return self._news(self._codec.decode(frame))

    def receive_all(self, frame: str | bytes) -> list[Reply]:
        """The news in an arriving frame, which may be an array.

        Raises:
            RemoteProtocolError: The frame cannot be read, or nothing was asked.
        """
        replies = self._codec.decode_all(frame) if is_batch(frame) else [self._codec.decode(frame)]
        return [news for reply in replies if (news := self._news(reply)) is not None]

    def _news(self, reply: Reply) -> Reply | None:
        if type(reply) is Observed and (asked := self._sessions.get(reply.session)) is not None and asked.takes(reply):
            return reply
        if isinstance(reply, Hello):
            self.hello = reply
            return reply
        session = self._whose(reply)
        if session is None:
            unasked = not (self._sessions or self._opening)
            # a server may refuse the whole connection: one of v1 that is full does
            return reply if unasked and isinstance(reply, Failed) and not reply.session else None
        news = session.take(reply)
        if isinstance(news, Opened):
            self._sessions[session.id] = self._opening.pop(session.nonce)
        if news is None and not self.has_sessions:
            if isinstance(reply, Failed):
                return reply
            raise RemoteProtocolError("the server answered without being asked")
        return news

    def _note(self, request: Request, session: ClientSession) -> None:
        session.sent(request)
        self._last = session
        if isinstance(request, Open):
            self._opening[session.nonce] = session
        else:
            self._sessions[session.id] = session

    def _whose(self, reply: Reply) -> ClientSession | None:
        if not self.has_sessions:
            return self.only
        if isinstance(reply, Opened | Queued):
            return self._opening.get(reply.nonce)
        if isinstance(reply, Failed) and not reply.session:
            nonce = reply.details.get("nonce")
            return self._opening.get(nonce) if isinstance(nonce, str) else self._last
        return self._sessions.get(reply.session)
