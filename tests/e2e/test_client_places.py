"""The only place of a server, which this client gave up a moment ago: its next reset waits for it."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.unit.client.raw_servers import raw_server
from tests.unit.client.servers import (
    KINDS,
    WAIT_S,
    PlayAction,
    in_background,
    play_server,
    playing,
)
from tests.unit.client.wire import wire_to
from websockets.sync.server import ServerConnection

from openenv.errors import CapacityReached, EpisodeLost, RequestTimeout, SessionClosed

pytestmark = pytest.mark.e2e

FULL = '{"type":"error","data":{"message":"full","code":"CAPACITY_REACHED","active_sessions":1,"max_sessions":1}}'


class OnePlace:
    """A v2 server whose only place is taken by its first connection, until it has refused so many others."""

    def __init__(self, refusals: float) -> None:
        self.refusals = refusals
        self.connections = 0
        self.refused = threading.Event()

    def __call__(self, connection: ServerConnection) -> None:
        self.connections += 1
        limits = {"max_message_bytes": 1 << 20, "capacity": 1}
        hello = {"protocol": "openenv.v2", "library": "9", "environment": "raw", "environment_version": None}
        connection.send(json.dumps({"type": "hello", **hello, "features": [], "limits": limits}))
        for frame in connection:
            request = json.loads(frame)
            if request["type"] == "open":
                answer = self._opened(request["nonce"])
            elif request["type"] == "reset":
                answer = {"type": "observation", "observation": {}}
            elif request["type"] == "close":
                answer = {"type": "closed"}
            else:
                continue  # a step is never answered
            ids = {"session": request.get("session", ""), "id": request.get("id", 0)}
            connection.send(json.dumps({**ids, **answer}))

    def _opened(self, nonce: str) -> dict[str, Any]:
        if 1 < self.connections <= 1 + self.refusals:
            self.refused.set()
            details = {"active_sessions": 1, "max_sessions": 1}
            return {"type": "error", "code": "CAPACITY_REACHED", "message": "full", "details": details}
        return {"type": "opened", "session": "s", "nonce": nonce, "token": "t"}


@contextmanager
def given_up(kind: str, server: OnePlace, **options: Any) -> Iterator[Any]:
    """A client that has just left a step unanswered."""
    with raw_server(server, subprotocols=["openenv.v2.json"]) as url, playing(kind, url, **options) as env:
        env.reset()
        with pytest.raises(EpisodeLost):
            env.step(PlayAction(), timeout_s=0.05)
        yield env


@pytest.mark.parametrize("again", ["reset", "connect"])
@pytest.mark.parametrize("kind", KINDS)
def test_after_a_time_out(kind: str, again: str) -> None:
    server = OnePlace(refusals=3)
    with given_up(kind, server, connect_timeout_s=WAIT_S) as env:
        getattr(env, again)()
        assert env.reset().done is False
        assert server.connections == 5


@pytest.mark.parametrize("kind", KINDS)
def test_it_waits_no_longer_than_for_a_connection(kind: str) -> None:
    server = OnePlace(refusals=math.inf)
    with given_up(kind, server, connect_timeout_s=0.5) as env:
        with pytest.raises(CapacityReached):
            env.reset()
        tried = server.connections
        assert 4 <= tried <= 12
        with pytest.raises(EpisodeLost):  # the lost episode is not forgotten over it
            env.step(PlayAction())
        with pytest.raises(CapacityReached):  # who waited once in vain is told at once
            env.reset()
        assert server.connections == tried + 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_was_closed_in_order_leaves_nothing_to_wait_for(kind: str) -> None:
    with (
        play_server(max_concurrent_envs=1) as (server, _),
        wire_to(server) as wire,
        playing(kind, wire.url) as env,
        playing(kind, server.url) as other,
    ):
        env.reset()
        env.close()
        other.reset()
        with pytest.raises(CapacityReached):
            env.reset()
        assert wire.connections == 2


def test_a_close_ends_the_wait() -> None:
    server = OnePlace(refusals=math.inf)
    with given_up("sync", server, connect_timeout_s=WAIT_S) as env:
        waiting = in_background(env.reset)
        assert server.refused.wait(WAIT_S)
        env.close()
        with pytest.raises((SessionClosed, CapacityReached)):
            waiting.result(WAIT_S)


@pytest.mark.parametrize("kind", KINDS)
def test_an_old_server_after_a_time_out(kind: str) -> None:
    """It says that it is full only where the first answer should be."""
    gate = threading.Event()
    connections = []

    def handler(connection: ServerConnection) -> None:
        connections.append(connection)
        if 1 < len(connections) < 4:
            connection.send(FULL)
            return
        for frame in connection:
            if len(connections) == 1 and '"step"' in str(frame):
                assert gate.wait(WAIT_S)
                return
            connection.send('{"type":"observation","data":{"observation":{},"reward":null,"done":false}}')

    with raw_server(handler) as url, playing(kind, url, message_timeout_s=WAIT_S) as env:
        env.reset()
        with pytest.raises((EpisodeLost, RequestTimeout)):
            env.step(PlayAction(), timeout_s=0.05)
        assert env.reset().done is False
        gate.set()
        assert len(connections) == 4
