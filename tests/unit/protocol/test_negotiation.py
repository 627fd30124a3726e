"""Which version is spoken."""

from __future__ import annotations

import pytest

from openenv.protocol import SUBPROTOCOLS, ClientConnection, GetState, server_codec

V2 = "openenv.v2.json"


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [([], None), (["chat"], None), ([V2], V2), (["openenv.v2.msgpack", V2], V2), (["openenv.v3", "chat"], None)],
)
def test_the_server_takes_the_best_it_knows(offered: list[str], spoken: str | None) -> None:
    assert server_codec(offered).subprotocol == spoken


def test_what_the_client_offers_the_server_takes() -> None:
    assert server_codec(SUBPROTOCOLS).subprotocol == SUBPROTOCOLS[0]


@pytest.mark.parametrize("accepted", [None, "chat", "openenv.v2.msgpack"])
def test_the_client_speaks_v1_where_nothing_it_offered_was_accepted(accepted: str | None) -> None:
    connection = ClientConnection(accepted)
    assert not connection.has_sessions
    assert connection.send(GetState()) == '{"type":"state"}'


def test_the_client_speaks_v2_where_it_was_accepted() -> None:
    assert ClientConnection(V2).has_sessions
