"""What ``openenv serve`` hands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.e2e.worlds import COUNTER, write

from openenv.cli import main


@pytest.mark.parametrize(("arguments", "sockets"), [((), "auto"), (("--listener", "asgi"), "asgi")])
def test_how_web_sockets_are_carried(
    arguments: tuple[str, ...], sockets: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("openenv.app.serve.serve", lambda *_, **options: asked.update(options))
    path = write(tmp_path / "counter.py", COUNTER)
    assert main(["serve", str(path), "--journal-mode", "off", *arguments]) == 0
    assert asked["sockets"] == sockets
