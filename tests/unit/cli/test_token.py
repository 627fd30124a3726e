"""Commands show their token to the server whose URL they were given, and to nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from openenv.cli.token import shown_to
from openenv.errors import ConfigurationError


def test_the_token_is_for_a_url_alone(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENENV_TOKEN", "0123456789abcdef")
    environment = tmp_path / "mine.py"
    environment.write_text("")
    assert shown_to("http://127.0.0.1:8000") == {"Authorization": "Bearer 0123456789abcdef"}
    assert shown_to(str(environment)) == {}
    assert shown_to(None) == {}


def test_without_a_token_nothing_is_shown(monkeypatch) -> None:
    monkeypatch.delenv("OPENENV_TOKEN", raising=False)
    assert shown_to("http://127.0.0.1:8000") == {}


def test_the_token_may_be_in_a_file(monkeypatch, tmp_path: Path) -> None:
    kept = tmp_path / "token"
    kept.write_text("0123456789abcdef\n")
    monkeypatch.setenv("OPENENV_TOKEN_FILE", str(kept))
    assert shown_to("https://example.org") == {"Authorization": "Bearer 0123456789abcdef"}


def test_what_is_no_token_is_said(monkeypatch) -> None:
    monkeypatch.setenv("OPENENV_TOKEN", "two words")
    with pytest.raises(ConfigurationError, match="without spaces"):
        shown_to("http://127.0.0.1:8000")
