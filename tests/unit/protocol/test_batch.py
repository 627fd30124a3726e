"""Frames that hold several messages: taken apart, put together, and what is news in them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from openenv.errors import InvalidJSON, InvalidRequest, OpenEnvError, RemoteProtocolError, UnknownType
from openenv.protocol import (
    MOST_IN_BATCH,
    ClientConnection,
    ClientSession,
    GetState,
    Hello,
    Limits,
    Observed,
    Open,
    Opened,
    Reply,
    Reset,
    StateIs,
    Step,
    client_codec,
    is_batch,
    joined,
    parts,
    server_codec,
)
from openenv.types import Observation

FORMS = ("openenv.v2.json", "openenv.v2.msgpack")
each_form = pytest.mark.parametrize("form", FORMS)


@each_form
@pytest.mark.parametrize("count", [2, 15, 16, 255, 256, MOST_IN_BATCH])
def test_what_is_joined_comes_apart_again(form: str, count: int) -> None:
    frames = [client_codec(form).encode(GetState(session="s", id=number)) for number in range(count)]
    frame = joined(frames)
    assert is_batch(frame)
    assert parts(frame) == [one.encode() if isinstance(one, str) else one for one in frames]
    assert [one.id for one in server_codec([form], plain=True).decode_all(frame)] == [*range(count)]  # type: ignore[union-attr]
    whole = json.loads(frame) if isinstance(frame, str) else msgspec.msgpack.decode(frame)
    assert len(whole) == count


@each_form
def test_one_more_than_may_come_together_is_too_many(form: str) -> None:
    frame = joined([client_codec(form).encode(GetState(session="s", id=1))] * (MOST_IN_BATCH + 1))
    with pytest.raises(InvalidRequest, match="not 4097; send several frames"):
        server_codec([form], plain=True).decode_all(frame)


@each_form
def test_one_alone_stays_as_it_is(form: str) -> None:
    frame = client_codec(form).encode(GetState(session="s", id=1))
    assert joined([frame]) is frame
    assert not is_batch(frame)


@pytest.mark.parametrize("frame", ["", b"", "{}", b"{}", b"\x80", b"\xc4\x01a", "7"])
def test_what_is_no_array(frame: str | bytes) -> None:
    assert not is_batch(frame)


@pytest.mark.parametrize(
    ("frame", "error", "says"),
    [
        ("[]", InvalidRequest, "1 to 4096 requests, not 0"),
        (b"[]", InvalidRequest, "not 0"),
        (b"\x90", InvalidRequest, "not 0"),
        ("[" + "1," * 4096 + "1]", InvalidRequest, "not 4097; send several frames"),
        (b"\xdc\x10\x01" + b"\x01" * 4097, InvalidRequest, "not 4097"),
        ("[1", InvalidJSON, "not JSON"),
        (b"[\xff]", InvalidJSON, "not JSON"),
        ("[" * 100_000, InvalidJSON, "not JSON"),
        ("[1] 2", InvalidJSON, "not JSON"),
        (b"\x92\x01", InvalidRequest, "cannot be read"),
        (b"\xdd\xff\xff\xff\xff\x01", InvalidRequest, "cannot be read"),
        (b"\x91\x01\x01", InvalidRequest, "cannot be read"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_array_that_cannot_be_taken_apart(frame: str | bytes, error: type[OpenEnvError], says: str) -> None:
    with pytest.raises(error, match=says):
        parts(frame)
    form = FORMS[isinstance(frame, bytes) and frame[:1] != b"["]
    with pytest.raises(error, match=says):
        server_codec([form], plain=True).decode_all(frame)


@each_form
def test_each_that_cannot_be_read_says_what_is_wrong_in_its_place(form: str) -> None:
    said: list[Any] = [
        {"type": "step", "session": "a", "id": 1, "action": {"x": 1}},
        {"type": "step", "session": "b", "id": 2},
        {"type": "fly", "session": "c", "id": 3},
        {"type": "reset", "session": "d", "id": 4, "seed": "seven"},
        None,
        {"type": "state", "session": "e", "id": 5},
    ]
    frame = json.dumps(said) if form == FORMS[0] else msgspec.msgpack.encode(said)
    found = server_codec([form], plain=True).decode_all(frame)
    assert [type(one) for one in found[1:5]] == [
        InvalidRequest,
        UnknownType,
        InvalidRequest,
        type(found[4]),
    ]
    assert [(one.details["session"], one.details["id"]) for one in found[1:4]] == [  # type: ignore[union-attr]
        ("b", 2),
        ("c", 3),
        ("d", 4),
    ]
    assert isinstance(found[4], OpenEnvError)
    assert [one.id for one in (found[0], found[5])] == [1, 5]  # type: ignore[union-attr]


@each_form
def test_values_with_a_tag_are_read_in_an_array_too(form: str) -> None:
    client, server = client_codec(form), server_codec([form], plain=True)
    image = np.arange(6, dtype=np.float32).reshape(2, 3)
    asked = [
        Step(session="a", id=1, action={"image": image}),
        Reset(session="b", id=2, options={"mask": image > 2}),
        Step(session="c", id=3, action={"n": 1}),
    ]
    step, reset, plain = server.decode_all(joined([client.encode(one) for one in asked]))
    assert isinstance(step, Step)
    assert np.array_equal(step.action["image"], image)
    assert isinstance(reset, Reset)
    assert np.array_equal(reset.options["mask"], image > 2)
    assert isinstance(plain, Step)
    assert msgspec.json.decode(plain.action) == {"n": 1}

    answered = [StateIs(session="a", id=1, state={"image": image}), StateIs(session="b", id=2, state={"n": 1})]
    replies = client.decode_all(joined([server.encode(one) for one in answered]))  # type: ignore[misc]
    assert np.array_equal(replies[0].state["image"], image)  # type: ignore[union-attr]
    assert replies[1].state == {"n": 1}  # type: ignore[union-attr]


def test_a_value_with_a_tag_that_is_broken_spoils_only_its_own_place() -> None:
    frame = json.dumps(
        [
            {"type": "step", "session": "a", "id": 1, "action": {"$openenv": "ndarray"}},
            {"type": "step", "session": "b", "id": 2, "action": {"$openenv": "bytes", "data": "AA=="}},
        ]
    )
    wrong, right = server_codec([FORMS[0]], plain=True).decode_all(frame)
    assert isinstance(wrong, InvalidRequest)
    assert (wrong.details["session"], wrong.details["id"]) == ("a", 1)
    assert isinstance(right, Step)
    assert right.action == b"\0"


class Client:
    """A connection of which some sessions are open."""

    def __init__(self, form: str, *names: str, features: tuple[str, ...] = ("batch",)) -> None:
        self.connection = ClientConnection(form)
        self.server = server_codec([form], plain=True)
        limits = Limits(max_message_bytes=1000, capacity=9)
        hello = Hello(
            protocol="openenv.v2",
            library="1",
            environment="echo",
            environment_version=None,
            features=[*features],
            limits=limits,
        )
        self.receive_all = self.connection.receive_all
        assert self.receive_all(self.frame(hello)) == [hello]
        self.sessions = {name: ClientSession() for name in names}
        for name, session in self.sessions.items():
            self.connection.send(Open(nonce=session.nonce), session)
            self.receive_all(self.frame(Opened(session=name, nonce=session.nonce, token="t")))

    def frame(self, *replies: Reply) -> str | bytes:
        return joined([self.server.encode(one) for one in replies])  # type: ignore[misc]


def seen(name: str, number: int) -> Observed:
    return Observed(session=name, id=number, observation=Observation())


@each_form
def test_a_client_takes_arrays_and_single_replies_and_tells_what_is_news(form: str) -> None:
    client = Client(form, "a", "b", "c")
    assert client.connection.has_batches
    sent = [client.connection.send(Reset(), session) for session in client.sessions.values()]
    asked = client.server.decode_all(client.connection.joined(sent))
    assert [(one.session, one.id) for one in asked] == [("a", 1), ("b", 1), ("c", 1)]  # type: ignore[union-attr]

    news = client.receive_all(client.frame(seen("b", 1), seen("a", 1), seen("b", 1), seen("nobody", 1)))
    assert [(one.session, one.id) for one in news] == [("b", 1), ("a", 1)]
    assert client.sessions["c"].unanswered is not None
    assert [one.session for one in client.receive_all(client.frame(seen("c", 1)))] == ["c"]
    assert client.receive_all(client.frame(seen("c", 1))) == []
    assert client.receive_all(client.frame(seen("c", 1), seen("a", 1))) == []


def test_a_server_that_does_not_say_so_gets_no_arrays() -> None:
    assert not Client(FORMS[0], features=("resume",)).connection.has_batches
    assert not ClientConnection(None).has_batches


@each_form
def test_an_array_that_a_client_cannot_read(form: str) -> None:
    client = Client(form, "a")
    for frame in ("[1]", "[", '[{"type": "fly"}]', b"\x91\x01", b"\x92\x01", b"[\xff]"):
        with pytest.raises(RemoteProtocolError, match="cannot read"):
            client.receive_all(frame)
