"""Which version is spoken."""

from __future__ import annotations

import pytest

from openenv.protocol import SUBPROTOCOLS, ClientConnection, GetState, StateIs, client_codec, server_codec

V2 = "openenv.v2.json"
MSGPACK = "openenv.v2.msgpack"


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [([], None), (["chat"], None), ([V2], V2), ([V2, MSGPACK], MSGPACK), (["openenv.v3", "chat"], None)],
)
def test_the_server_takes_the_best_it_knows(offered: list[str], spoken: str | None) -> None:
    assert server_codec(offered).subprotocol == spoken


def test_what_the_client_offers_the_server_takes() -> None:
    assert server_codec(SUBPROTOCOLS).subprotocol == SUBPROTOCOLS[0]


@pytest.mark.parametrize("accepted", [None, "chat", "openenv.v3.json"])
def test_the_client_speaks_v1_where_nothing_it_offered_was_accepted(accepted: str | None) -> None:
    connection = ClientConnection(accepted)
    assert not connection.has_sessions
    assert connection.send(GetState()) == '{"type":"state"}'


def test_the_client_speaks_v2_where_it_was_accepted() -> None:
    assert ClientConnection(V2).has_sessions
    assert ClientConnection(MSGPACK).has_sessions


def test_json_is_taken_where_values_are_plain() -> None:
    assert server_codec(SUBPROTOCOLS, plain=True).subprotocol == V2
    assert server_codec([MSGPACK], plain=True).subprotocol == MSGPACK
    assert server_codec(iter([]), plain=True).subprotocol is None


@pytest.mark.parametrize("spoken", [None, V2, MSGPACK])
def test_both_ends_speak_the_same(spoken: str | None) -> None:
    server, client = server_codec([spoken] if spoken else []), client_codec(spoken)
    assert server.subprotocol == client.subprotocol == spoken
    frame = server.encode(StateIs(state={"a": 1}))
    assert frame is not None
    assert client.decode(frame) == StateIs(state={"a": 1})
    assert isinstance(server.decode(client.encode(GetState())), GetState)
