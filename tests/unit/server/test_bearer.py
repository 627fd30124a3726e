"""A bearer token is read in one way, and an agent's token is told from others by its form."""

from __future__ import annotations

import pytest

from openenv.server.bearer import bearer, bearer_in, session_named


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer   abc ", "abc"),
        (b"BEARER a b", "a b"),
        (b"Bearer ", ""),
        (b"Bearer", None),
        (b"Basic abc", None),
        (b"", None),
    ],
)
def test_a_header_holds_a_token_or_not(header: bytes, token: str | None) -> None:
    assert bearer_in(header) == token
    assert bearer({"headers": [(b"host", b"here"), (b"authorization", header)]}) == (token or None)


def test_without_a_header_there_is_none() -> None:
    assert bearer({"headers": [(b"host", b"here")]}) is None


@pytest.mark.parametrize("token", ["", "abc", "a.1", "a.b.c", "a.1.b.c", "a..c", "a.1.", "\u00e4.1.c", None])
def test_what_is_no_agents_token_names_no_session(token: str | None) -> None:
    assert session_named(token) is None


def test_an_agents_token_names_its_session() -> None:
    assert session_named("1-3fa9.12.m-a_c") == "1-3fa9"
