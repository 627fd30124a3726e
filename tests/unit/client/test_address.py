"""Addresses: what a user may type, and what it stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openenv.client.address import Address
from openenv.errors import ConfigurationError


@pytest.mark.parametrize(
    ("typed", "websocket", "http", "is_local"),
    [
        ("http://localhost:8000", "ws://localhost:8000/ws", "http://localhost:8000", True),
        ("http://localhost:8000/", "ws://localhost:8000/ws", "http://localhost:8000", True),
        (" http://127.0.0.2 ", "ws://127.0.0.2/ws", "http://127.0.0.2", True),
        ("http://0.0.0.0:80", "ws://0.0.0.0:80/ws", "http://0.0.0.0:80", True),
        ("http://[::1]:8000", "ws://[::1]:8000/ws", "http://[::1]:8000", True),
        ("https://a.example", "wss://a.example/ws", "https://a.example", False),
        ("HTTPS://a.example/env/", "wss://a.example/env/ws", "https://a.example/env", False),
        ("wss://a.example/env/ws", "wss://a.example/env/ws", "https://a.example/env", False),
        ("ws://u:p@10.0.0.1:9/ws?key=1", "ws://u:p@10.0.0.1:9/ws?key=1", "http://u:p@10.0.0.1:9", False),
        ("http://127.evil.example", "ws://127.evil.example/ws", "http://127.evil.example", False),
    ],
)
def test_what_an_address_stands_for(typed: str, websocket: str, http: str, is_local: bool) -> None:
    assert Address.parse(typed) == Address(websocket, http, is_local)


@pytest.mark.parametrize(
    "typed",
    ["", "localhost:8000", "example.org", "ftp://a", "http://", "http://:80", "http://a:b", "http://a:0",
     "http://a:99999", "http://[::1", "//a", "blackjack"],
)  # fmt: skip
def test_what_is_no_address(typed: str) -> None:
    with pytest.raises(ConfigurationError, match="write it like http://localhost:8000"):
        Address.parse(typed)


labels = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join) | st.ip_addresses(v=4).map(str)


@given(
    scheme=st.sampled_from(["http", "https", "ws", "wss"]),
    host=hosts | st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    port=st.none() | st.integers(1, 65535),
    path=st.lists(labels, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts)),
    slash=st.sampled_from(["", "/"]),
)
def test_all_spellings_of_a_server_are_one(scheme: str, host: str, port: int | None, path: str, slash: str) -> None:
    where = host if port is None else f"{host}:{port}"
    address = Address.parse(f"{scheme}://{where}{path}{slash}")
    is_safe = scheme in ("https", "wss")
    base = path.removesuffix("/ws")
    assert address.websocket == f"{'wss' if is_safe else 'ws'}://{where}{base}/ws"
    assert address.http == f"{'https' if is_safe else 'http'}://{where}{base}"
    assert Address.parse(address.websocket) == Address.parse(address.websocket + "/") == address


@given(st.text(max_size=40) | st.text(max_size=30).map(lambda text: f"http://{text}"))
def test_any_text_is_an_address_or_a_clear_error(typed: str) -> None:
    try:
        address = Address.parse(typed)
    except ConfigurationError as error:
        told = error.message
    else:
        told = repr(typed)
        assert address.websocket.startswith(("ws://", "wss://"))
        assert not address.http.endswith("/")
    assert repr(typed) in told
