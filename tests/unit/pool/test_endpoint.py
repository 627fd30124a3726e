"""When a server of a pool counts as gone, and when as back."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from openenv import GenericEnvClient
from openenv.errors import ConnectFailed
from openenv.pool import PoolEvent
from openenv.pool.endpoint import Endpoint
from openenv.pool.events import Teller


async def test_a_server_that_somebody_tries_to_reach_is_not_back_by_that() -> None:
    events: list[PoolEvent] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        endpoint = Endpoint(
            lambda: GenericEnvClient(url, connect_timeout_s=0.05), 1, None, Teller(events.append), chance=lambda: 0.0
        )
        trunk, session = endpoint.new_session(0.0, 0)
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        trunk.ask(session, None, told.set_result)
        endpoint.await_return()
        assert isinstance(await told, ConnectFailed)
        assert [event.kind for event in events] == ["endpoint_lost"]
        assert not endpoint.is_up
        await endpoint.close()
