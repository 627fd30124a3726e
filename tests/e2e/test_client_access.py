"""Clients and pools where a server asks for tokens, and what pools tell of episodes that agents play."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from tests.e2e.tool_calling import calling, old_server, over_mcp
from tests.unit.client.raw_servers import raw_server
from tests.unit.client.servers import KINDS, Driven, serving
from tests.unit.client.tool_worlds import Guessing

from openenv import (
    EnvPool,
    MCPToolClient,
    SyncEnvPool,
    create_app,
)
from openenv.errors import (
    Forbidden,
    LocalProtocolError,
    ResetNeeded,
    Unauthorized,
)
from openenv.server.access import AccessOptions, Role

pytestmark = pytest.mark.e2e

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
TOKEN, OTHER = "a token of the trainer".replace(" ", "-"), "a token of the grader".replace(" ", "-")


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A server that asks for tokens."""
    auth = AccessOptions(tokens={Role.ORCHESTRATOR: TOKEN, Role.GRADER: OTHER})
    with serving(lambda: create_app(Guessing, auth=auth)) as server:
        yield server.url


@EVERY_KIND
def test_with_the_token(kind: str, guarded: str) -> None:
    with calling(kind, guarded, token=TOKEN) as env:
        env.reset()
        access = env.agent_access()
        called = {"name": "guess", "arguments": {"number": 1}}
        assert over_mcp(access.mcp_url, access.token, "tools/call", called).status_code == 200
        assert over_mcp(access.mcp_url, "", "tools/call", called).status_code == 401
        env.reset()
        assert over_mcp(access.mcp_url, access.token, "tools/call", called).status_code == 401
        assert env.outcome().steps == 0


@EVERY_KIND
@pytest.mark.parametrize(
    ("token", "error", "message"),
    [
        (None, Unauthorized, "pass token="),
        ("x" * 20, Unauthorized, "the token is not the orchestrator's"),
        (OTHER, Forbidden, "does not let this client in"),
    ],
)
def test_without_it(kind: str, guarded: str, token: str | None, error: type[Exception], message: str) -> None:
    with calling(kind, guarded, token=token) as env, pytest.raises(error, match=message) as caught:
        env.reset()
    assert token is None or token not in str(caught.value)


def test_a_server_that_asks_for_a_token_after_a_break(guarded: str) -> None:
    """A break is mended with the token too."""

    async def play() -> None:
        async with MCPToolClient[Any, Any, Any](guarded, token=TOKEN) as env:
            await env.reset()
            await env.call_tool("guess", number=1)
            assert env._socket is not None
            env._socket.abort()
            await env.call_tool("guess", number=2)
            assert (await env.outcome()).steps == 2

    asyncio.run(play())


@contextmanager
def pooled(kind: str, url: str, **options: Any) -> Iterator[Any]:
    """A pool of that kind."""
    if kind == "sync":
        with closing(SyncEnvPool(url, **options)) as pool:
            yield pool
        return
    driven = Driven(EnvPool(url, **options))
    try:
        yield driven
    finally:
        driven.end()


@EVERY_KIND
def test_the_sessions_of_a_pool(kind: str, guarded: str) -> None:
    with pooled(kind, guarded, sessions=3, token=TOKEN) as pool:
        with pytest.raises(ResetNeeded):
            pool.outcomes()
        pool.reset(seed=1)
        one, two = pool.agent_access(indices=[0, 2])
        over_mcp(two.mcp_url, two.token, "tools/call", {"name": "guess", "arguments": {"number": 37}})
        over_mcp(one.mcp_url, one.token, "tools/call", {"name": "hint", "arguments": {}})
        assert [(told.steps, told.phase) for told in pool.outcomes()] == [(1, "running"), (0, "running"), (1, "done")]
        assert [told.reward for told in pool.outcomes(indices=[2])] == [1.0]


@EVERY_KIND
def test_a_pool_of_older_servers(kind: str) -> None:
    with raw_server(old_server) as url, pooled(kind, url, sessions=1) as pool:
        pool.reset()
        for ask in (pool.outcomes, pool.agent_access):
            with pytest.raises(LocalProtocolError, match="older and cannot tell that"):
                ask()
        pool.step([{"type": "list_tools"}])


@EVERY_KIND
def test_a_pool_without_the_token(kind: str, guarded: str) -> None:
    with pooled(kind, guarded, sessions=1) as pool, pytest.raises(Unauthorized):
        pool.reset()
