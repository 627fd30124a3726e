"""Servers in processes of their own: what they print, how they end."""

from __future__ import annotations

import socket
import sys
from urllib.parse import urlsplit

import pytest

from openenv.errors import RuntimeFailure
from openenv.testing import serving_command

LISTENS = """
import os, signal, socket, sys
{first}
listener = socket.create_server(("127.0.0.1", 0))
print("as process", os.getpid(), file=sys.stderr, flush=True)
print(f"served at http://127.0.0.1:{{listener.getsockname()[1]}}, process {{os.getpid()}}", flush=True)
{then}
while True:
    signal.pause()
"""


def python(first: str = "", then: str = "") -> list[str]:
    return [sys.executable, "-c", LISTENS.format(first=first, then=then)]


def connects(url: str) -> bool:
    try:
        socket.create_connection((urlsplit(url).hostname or "", urlsplit(url).port or 0)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_it_serves_meanwhile_and_no_longer() -> None:
    with serving_command(python()) as url:
        assert connects(url)
    assert not connects(url)


def test_it_ends_when_the_test_fails() -> None:
    def fails() -> None:
        nonlocal url
        with serving_command(python()) as url:
            raise ValueError("of the test")

    url = ""
    with pytest.raises(ValueError, match="of the test"):
        fails()
    assert not connects(url)


def test_what_it_prints_later_does_not_hold_it_up() -> None:
    then = "print('x' * 10**6, flush=True)\nconnection, _ = listener.accept()\nconnection.sendall(b'done')"
    with serving_command(python(then=then)) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
            assert connection.recv(4) == b"done"


def test_one_that_does_not_heed_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openenv.testing.loopback._END_S", 0.0)
    with serving_command(python(first="signal.signal(signal.SIGTERM, signal.SIG_IGN)")) as url:
        assert connects(url)
    assert not connects(url)


def test_one_that_ends_before_it_serves_says_what_it_printed() -> None:
    command = [sys.executable, "-c", "import sys; print('no luck'); sys.exit('today')"]
    says = r"ended before it served: (no luck\s+today|today\s+no luck)"
    with pytest.raises(RuntimeFailure, match=says), serving_command(command):
        pytest.fail("there is nothing to serve")


def test_one_that_was_ended_by_others_is_no_failure() -> None:
    command = python(then="listener.close(); os.kill(os.getpid(), signal.SIGKILL)")
    with serving_command(command) as url:
        assert url.startswith("http://127.0.0.1:")
