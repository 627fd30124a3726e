"""The warning for servers that others can reach."""

from __future__ import annotations

import logging

import pytest

from openenv.server import warn_if_exposed


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost", "/run/env.sock"])
def test_loopback_is_quiet(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert warn_if_exposed(host) is False
    assert not caplog.records


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "example.org"])
def test_everything_else_is_loud(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert warn_if_exposed(host) is True
    assert f"LISTENING ON {host} WITHOUT AUTHENTICATION" in caplog.text
    assert "127.0.0.1" in caplog.text
