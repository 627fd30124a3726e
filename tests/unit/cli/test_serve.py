"""What ``openenv serve`` hands on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.worlds import COUNTER, write

from openenv.cli import main

TOKEN = "0123456789abcdef"


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path of an environment; serving it ends at once."""
    for name in [name for name in os.environ if name.startswith("OPENENV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("openenv.app.serve.serve", lambda app, *_, on_ready, **options: on_ready(_Listening()))
    return write(tmp_path / "counter.py", COUNTER)


class _Listening:
    url = "http://127.0.0.1:8000"
    agent_url = None


@pytest.mark.parametrize(("arguments", "sockets"), [((), "auto"), (("--listener", "asgi"), "asgi")])
def test_how_web_sockets_are_carried(
    arguments: tuple[str, ...], sockets: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("openenv.app.serve.serve", lambda *_, **options: asked.update(options))
    path = write(tmp_path / "counter.py", COUNTER)
    assert main(["serve", str(path), "--journal-mode", "off", *arguments]) == 0
    assert asked["sockets"] == sockets


def test_tokens_that_nobody_is_asked_for_are_named(
    counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve = ["serve", str(counter), "--journal-mode", "off"]
    assert main(serve) == 0
    assert "warning" not in capsys.readouterr().err
    monkeypatch.setenv("OPENENV_ORCHESTRATOR_TOKEN", TOKEN)
    monkeypatch.setenv("OPENENV_GRADER_TOKEN_FILE", str(write(tmp_path / "secret", TOKEN[::-1])))
    assert main(serve) == 0
    names = "OPENENV_ORCHESTRATOR_TOKEN, OPENENV_GRADER_TOKEN_FILE"
    said = f"warning: nobody is asked for the token of {names}; start with --auth or OPENENV_AUTH=1\n"
    assert capsys.readouterr().err == said
    assert main([*serve, "--auth"]) == 0
    told = capsys.readouterr()
    assert "warning" not in told.err
    rows = dict(line.split(maxsplit=1) for line in told.out.splitlines() if line.startswith("  "))
    assert rows["orchestrator"] == "the token of OPENENV_ORCHESTRATOR_TOKEN"
    assert rows["grader"] == "the token of OPENENV_GRADER_TOKEN_FILE"
    assert TOKEN not in told.out
